"""`stationcast models train` and `export`: from labelled photos to a model that a station can load."""

import json
from pathlib import Path
from typing import Any

import click

from models.cards import ModelError
from models.commands.shared import FOLDER, PATH, detector_name, echo_left_out, progress_bar, warn_of_leaks
from models.options import Number
from models.training.recipe import ARCHS, Recipe

_RECIPE = Recipe()


@click.command()
@click.option("--data", "sources", type=PATH, multiple=True, required=True, help="Folder or zip; may be repeated.")
@click.option("--labels", "label_files", type=PATH, multiple=True, help="An index for each --data, in their order.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the run; a run found there goes on.")
@click.option("--arch", type=click.Choice(ARCHS), default=_RECIPE.arch, show_default=True)
@click.option(
    "--init", default=_RECIPE.init, show_default=True, help="random, imagenet, a weights file, best.pt of a run."
)
@click.option("--heads", default="", help="Weights file of a mobilenet to take the heads from; else those of --init.")
@click.option("--head", type=click.Choice(["years", "original"]), default=_RECIPE.head, show_default=True)
@click.option("--size", "size_px", type=click.IntRange(33, 511), default=_RECIPE.size_px, show_default=True)
@click.option("--scale", type=Number(1, 1.95), default=_RECIPE.scale, show_default=True, help="Crop, in face boxes.")
@click.option("--epochs", type=click.IntRange(1), default=_RECIPE.epochs, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=_RECIPE.batch, show_default=True)
@click.option("--learning-rate", type=Number(0), default=_RECIPE.learning_rate, show_default=True)
@click.option("--head-learning-rate", type=Number(0), default=_RECIPE.head_learning_rate, show_default=True)
@click.option("--weight-decay", type=Number(0), default=_RECIPE.weight_decay, show_default=True)
@click.option(
    "--probe-epochs",
    type=click.IntRange(0),
    default=_RECIPE.probe_epochs,
    show_default=True,
    help="Heads on fixed features.",
)
@click.option(
    "--warmup-epochs",
    type=Number(0),
    default=_RECIPE.warmup_epochs,
    show_default=True,
    help="Heads only, at first.",
)
@click.option(
    "--freeze",
    type=click.IntRange(0, 27),
    default=_RECIPE.freeze,
    show_default=True,
    help="Mobilenet layers that stay.",
)
@click.option("--grow", is_flag=True, help="Start a mobilenet at 0.7 of the size: more epochs in the same time.")
@click.option("--balance", type=click.Choice(["sample", "weight", "none"]), default=_RECIPE.balance, show_default=True)
@click.option("--natural", multiple=True, help="A data set whose ages and groups stay as frequent as they are.")
@click.option("--age-groups", default="", help="Merge ages, as in 0-9,10-29,30-49,50+.")
@click.option("--no-augment", is_flag=True)
@click.option(
    "--spoil",
    type=Number(0, 1),
    default=_RECIPE.spoil,
    show_default=True,
    help="How often photos are spoilt.",
)
@click.option(
    "--mimic",
    "mimic_px",
    type=click.IntRange(0, 511),
    default=_RECIPE.mimic_px,
    show_default=True,
    help="Also learn what `init` says of photos of this size; 0: no.",
)
@click.option("--mimic-of", default="", help="ONNX weights of a mobilenet that say it instead of `init`.")
@click.option(
    "--cross-fit",
    type=Number(0, 0.9),
    default=_RECIPE.cross_fit,
    show_default=True,
    help="Share of a label that gives way to what models of other people's photos say.",
)
@click.option("--teacher", "teachers", type=PATH, multiple=True, help="best.pt of a run with --fold, for --cross-fit.")
@click.option("--gender-of", default="", help="A model whose word on gender is part of that: it knows other photos.")
@click.option("--fold", type=click.IntRange(0, 4), help="Leave out this fifth of the people: a teacher of theirs.")
@click.option("--ema", type=Number(0, 0.9999), default=_RECIPE.ema, show_default=True)
@click.option(
    "--patience",
    type=click.IntRange(0),
    default=_RECIPE.patience,
    show_default=True,
    help="Stop after so many epochs without gain.",
)
@click.option("--minutes", type=Number(0), default=_RECIPE.minutes, show_default=True, help="0: no limit.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(0), help="Processes that cut photos; by default by cores.")
@click.option("--detector", default="mediapipe-full-range", show_default=True, help="A model, or none.")
@click.option("--force", is_flag=True, help="Train on a split that leaks; the report says so in its first line.")
def train(
    sources: tuple[Path, ...],
    label_files: tuple[Path, ...],
    out: Path,
    age_groups: str,
    natural: tuple[str, ...],
    teachers: tuple[Path, ...],
    workers: int | None,
    no_augment: bool,
    device: str,
    detector: str,
    force: bool,
    **options: Any,
) -> None:
    """Train gender and age on labelled photos: cut the crops once, then train, resuming where the last run stopped."""
    from models.training.checkpoints import check_weights, taught_before
    from models.training.prepare import parse_groups, prepare
    from models.training.train import train as run_training

    options |= {"age_groups": parse_groups(age_groups), "natural": natural, "teachers": tuple(map(str, teachers))}
    recipe = Recipe(augment=not no_augment, **options)
    recipe.check_files()
    check_weights(recipe)
    with progress_bar("cutting crops") as progress:
        cache, leaking, left_out = prepare(
            sources, label_files, out / "crops", detector_name(detector), recipe.seed, force, progress
        )
    taught = taught_before(recipe, cache.rows)
    if taught and not force:
        raise ModelError(f"the start leaks in {len(taught)} cases: {taught[0]}; give another --init, or --force")
    leaking += taught
    warn_of_leaks(leaking)
    echo_left_out(left_out)
    record = run_training(cache, recipe, out, device, leaking, workers)
    last = max(record["history"], key=lambda entry: entry["score"])
    click.echo(
        f"{out / 'best.pt'}: validation gender {last['gender']:.4f}, age error {last['age_mae']:.2f} years, "
        f"{len(record['history'])} epochs in {record['seconds'] / 60:.1f} min"
    )


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder for the ONNX files and their cards.")
@click.option(
    "--blend", type=PATH, multiple=True, help="best.pt of a run that RUN went on from: serve the mean of both."
)
@click.option("--keep", type=PATH, help="Weights that RUN started from, as ONNX: what they knew counts, too.")
@click.option("--keep-share", type=Number(0, 1), show_default="0.5", help="For how much.")
@click.option("--name", default="my-model", show_default=True)
@click.option("--title", default="Gender and age of a face", show_default=True)
@click.option("--licence", default="as the photos that it was trained on allow", show_default=True)
@click.option("--source", default="trained with `stationcast models train`", show_default=True)
@click.option("--intended-use", default="Audience estimates on the operator's own screens.", show_default=True)
@click.option("--limits", default="Measured only as its metrics say.", show_default=True)
@click.option("--unknown-gender-cost", type=Number(0.01, 0.5), default=0.3, show_default=True)
@click.option("--unknown-decade-cost", type=Number(0.01, 0.99), default=0.7, show_default=True)
def export(
    run: Path,
    out: Path,
    blend: tuple[Path, ...],
    keep: Path | None,
    keep_share: float | None,
    name: str,
    unknown_gender_cost: float,
    unknown_decade_cost: float,
    **said: str,
) -> None:
    """Turn the training RUN into models to serve: FP32, INT8 (the plain name) and FP16, calibrated, with cards."""
    from models.datasets.crops import CropCache
    from models.evaluation.compare import shown
    from models.training import checkpoints
    from models.training.distillation import keep as kept
    from models.training.package import Costs, Words, leaking, package, to_serve

    if keep_share is not None and not keep:
        raise ModelError("--keep-share needs --keep, the weights that count for so much")
    costs = Costs(unknown_gender_cost, unknown_decade_cost)
    cache = CropCache(run / "crops")
    trained = checkpoints.blend(run / "best.pt", blend)
    if keep:
        with progress_bar("asking the start"):
            trained = kept(trained, keep, 0.5 if keep_share is None else keep_share, cache)
    reports = package(cache, trained, out, name, Words(**said), costs)
    warn_of_leaks(leaking(cache, trained))
    for precision, report in reports.items():
        click.echo(
            f"{precision}: {report['size_bytes'] / 1e6:.1f} MB, gender {shown(report['gender_accuracy'])}, "
            f"age error {shown(report['age_mae'], 2)}, decade {shown(report['decade_accuracy'])}, "
            f"{report['n_age']} held-out faces"
        )
    chosen = f"{name}.toml"
    if to_serve(reports) == "fp32":
        chosen = f"{name}-fp32.toml"
        click.echo(f"INT8 answers much worse than FP32: do not serve {name}.toml")
    click.echo(f"serve it: [classify] model = {json.dumps(str(out / chosen))}")
