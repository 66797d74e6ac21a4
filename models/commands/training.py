"""`stationcast models train` and `export`: from labelled photos to a model that a station can load."""

import json
from pathlib import Path
from typing import Any

import click

from models.cards import ModelError
from models.commands.shared import FOLDER, PATH, detector_name, echo_left_out, progress_bar, warn_of_leaks
from models.options import Number
from models.training.recipe import ARCHS, Recipe, recipe_of

_RECIPE = Recipe()


@click.command()
@click.option("--data", "sources", type=PATH, multiple=True, required=True, help="Folder or zip; may be repeated.")
@click.option("--labels", "label_files", type=PATH, multiple=True, help="An index for each --data, in their order.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the run; a run found there goes on.")
@click.option("--arch", type=click.Choice(ARCHS), default=_RECIPE.arch, show_default=True)
@click.option("--init", default=_RECIPE.init, show_default=True, help="random, imagenet, an .onnx, .keras or .h5 file.")
@click.option("--head", type=click.Choice(["years", "original"]), default=_RECIPE.head, show_default=True)
@click.option(
    "--size",
    "size_px",
    type=click.IntRange(33, 511),
    default=_RECIPE.size_px,
    show_default=True,
    help="Side in px. Crops are kept with 148 px: a larger view of them is enlarged.",
)
@click.option("--epochs", type=click.IntRange(1), default=_RECIPE.epochs, show_default=True)
@click.option("--minutes", type=Number(0), default=_RECIPE.minutes, show_default=True, help="0: no limit.")
@click.option("--batch", type=click.IntRange(1, 10_000), default=_RECIPE.batch, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--detector", default="mediapipe-full-range", show_default=True, help="A model, or none.")
@click.option("--set", "changed", multiple=True, metavar="NAME=VALUE", help="One part of the recipe; may be repeated.")
@click.option("--force", is_flag=True, help="Train on a split that leaks; the report says so in its first line.")
def train(
    sources: tuple[Path, ...],
    label_files: tuple[Path, ...],
    out: Path,
    device: str,
    detector: str,
    changed: tuple[str, ...],
    force: bool,
    **options: Any,
) -> None:
    """Train gender and age on labelled photos: cut the crops once, then train, resuming where the last run stopped."""
    _need_torch()
    from models.datasets.prepare import prepare
    from models.training.checkpoints import alone_in
    from models.training.networks import build, device_of
    from models.training.train import train as run_training

    recipe = recipe_of(options, changed)
    recipe.check()
    where = device_of(device)
    if recipe.knows:
        build(recipe)  # which refuses wrong weights before photos are cut
    else:
        click.echo("--init random: the network knows nothing yet, and needs hours more than weights would", err=True)
    with alone_in(out):
        with progress_bar("cutting crops") as progress:
            cache, leaking, left_out = prepare(
                sources, label_files, out / "crops", detector_name(detector), recipe.seed, force, progress
            )
        warn_of_leaks(leaking)
        echo_left_out(left_out)
        record = run_training(cache, recipe, out, where, leaking)
    last = max(record["history"], key=lambda entry: entry["score"])
    click.echo(
        f"{out / 'best.pt'}: validation gender {last['gender']:.4f}, age error {last['age_mae']:.2f} years, "
        f"{len(record['history'])} epochs in {record['seconds'] / 60:.1f} min"
    )


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Folder for the ONNX files and their cards.")
@click.option("--name", default="my-model", show_default=True)
@click.option("--title", default="Gender and age of a face", show_default=True)
@click.option("--licence", default="as the photos that it was trained on allow", show_default=True)
@click.option("--research-only", is_flag=True, help="The licence of its photos forbids business.")
@click.option("--source", default="trained with `stationcast models train`", show_default=True)
@click.option("--intended-use", default="Audience estimates on the operator's own screens.", show_default=True)
@click.option("--limits", default="Measured only as its metrics say.", show_default=True)
@click.option("--unknown-gender-cost", type=Number(0.01, 0.5), default=0.3, show_default=True)
@click.option("--unknown-decade-cost", type=Number(0.01, 0.99), default=0.7, show_default=True)
def export(run: Path, out: Path, **said: Any) -> None:
    """Turn the training RUN into models to serve: FP32, INT8 (the plain name) and FP16, calibrated, with cards."""
    _need_torch()
    from models.datasets.crops import CropCache
    from models.datasets.splits import leaks
    from models.evaluation.compare import shown
    from models.export.package import package, to_serve, words_of
    from models.training.checkpoints import load

    words = words_of(said)
    cache = CropCache(run / "crops")
    trained = load(run / "best.pt")
    reports = package(cache, trained, out, words)
    warn_of_leaks(leaks(cache.rows))
    if trained.research_only:
        click.echo("no business may use the weights that it started from, nor these: the cards say so")
    if not any(row.split == "test" for row in cache.rows):
        click.echo("no photo is in the split `test`: the figures are of `val`, which chose and calibrated the model")
    for precision, report in reports.items():
        click.echo(
            f"{precision}: {report['size_bytes'] / 1e6:.1f} MB, gender {shown(report['gender_accuracy'])}, "
            f"age error {shown(report['age_mae'], 2)}, decade {shown(report['decade_accuracy'])}, "
            f"{max(report['n_gender'], report['n_age'])} held-out faces"
        )
    chosen = f"{words.name}.toml"
    if to_serve(reports) == "fp32":
        chosen = f"{words.name}-fp32.toml"
        click.echo(f"INT8 answers much worse than FP32: do not serve {words.name}.toml")
    click.echo(f"serve it: [classify] model = {json.dumps(str(out / chosen))}")


def _need_torch() -> None:
    """Raise ModelError where what trains models is not installed: a station does without."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModelError("PyTorch is not installed, as only training needs it; run `.ci/setup train`") from error
