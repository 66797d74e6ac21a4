"""`stationcast models ...`; the heavy libraries are imported when a command needs them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from models.assets import cached, resolve
from models.cards import DEFAULT_CLASSIFIER, ModelError, read_card, registry
from models.datasets.formats import FORMATS
from models.evaluation.conditions import CONDITIONS
from models.options import Number
from models.training.recipe import ARCHS, Recipe

_RECIPE = Recipe()
_FOLDER = click.Path(path_type=Path, file_okay=False)
_PATH = click.Path(path_type=Path)


@click.group()
def models() -> None:
    """The models: what there is, getting it, measuring it, and training your own."""


@models.command()
@click.argument("names", nargs=-1)
def pull(names: tuple[str, ...]) -> None:
    """Fetch the files of the models NAMES (all built-in ones without NAMES) into the cache, and verify them."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
                if not console.is_terminal:
                    console.print(f"fetching {what} ({total / 1e6:.0f} MB)")
            bars.update(tasks[what], completed=done)

        for name in dict.fromkeys(names or registry()):
            model = resolve(name, Path.cwd(), progress)
            size_mb = sum(file.size_bytes for file in model.card.files) / 1e6
            click.echo(f"{model.card.name}: {size_mb:.1f} MB, verified")


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def list_models(as_json: bool) -> None:
    """Show the built-in models."""
    cards = {path: read_card(path) for path in registry().values()}
    rows: list[dict[str, Any]] = [
        {
            "name": card.name,
            "task": card.task,
            "default": card.name == DEFAULT_CLASSIFIER,
            "title": card.title,
            "licence": card.licence,
            "size_bytes": sum(file.size_bytes for file in card.files),
            "cached": all(cached(file, path) for file in card.files),
            "sha256": sha256,
        }
        for path, (card, sha256) in cards.items()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table()
    for column in ("name", "task", "MB", "here", "licence", "what"):
        table.add_column(column, justify="right" if column == "MB" else "left", no_wrap=column == "name")
    for row in rows:
        name = f"{row['name']}{' (default)' if row['default'] else ''}"
        size_mb = f"{row['size_bytes'] / 1e6:.1f}"
        table.add_row(name, row["task"], size_mb, "yes" if row["cached"] else "no", row["licence"], row["title"])
    Console().print(table)


@models.command()
@click.argument("folder", type=_FOLDER)
@click.option("--format", "data_format", type=click.Choice(FORMATS), required=True)
@click.option("--out", type=_PATH, default=Path("labels.csv"), show_default=True, help="The index to write.")
@click.option("--check", is_flag=True, help="Open every image: drop unreadable ones, find one photo under two names.")
@click.option("--studio", is_flag=True, help="AI-Hub: keep the _CAM studio pictures.")
@click.option("--val", type=Number(0, 0.9), default=0.08, show_default=True, help="Share to steer by.")
@click.option("--test", type=Number(0, 0.9), default=0.08, show_default=True, help="Share to report on.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Write a split that leaks; the first line says so.")
def index(
    folder: Path,
    data_format: Any,
    out: Path,
    check: bool,
    studio: bool,
    val: float,
    test: float,
    seed: int,
    force: bool,
) -> None:
    """Write labels.csv for the data set in FOLDER, from names and labels alone; persons and families stay together."""
    from models.datasets.formats import index_folder
    from models.datasets.index import is_index, write_index
    from models.datasets.splits import assign, check_photos, components, leaks

    if val + test > 0.9:
        raise ModelError(f"--val {val:g} and --test {test:g} leave too little to train on; give less than .9 together")
    if out.is_file() and not is_index(out):
        raise ModelError(f"--out {out}: is a table of yours, no index written before; give another --out")
    rows, left_out = index_folder(folder, data_format, studio, out)
    duplicates: list[tuple[int, int]] = []
    if check:
        with _progress("opening photos") as progress:
            rows, duplicates = check_photos(folder, rows, left_out, progress)
    given = any(row.split == "test" for row in rows)  # then the rest is to train and to steer
    rows = assign(rows, components(rows, duplicates), val, 0.0 if given else test, seed)
    leaking = leaks(rows)
    if leaking and not force:
        raise ModelError(f"{folder}: its split leaks in {len(leaking)} cases: {leaking[0]}; give --force to write it")
    write_index(rows, out)
    counts = Counter(row.split for row in rows)
    persons = len({(row.data, row.person) for row in rows if row.person})
    _warn(leaking)
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    click.echo(f"{out}: {len(rows)} photos ({said}), {persons} known persons, {len(duplicates)} pairs of one photo")
    _say(left_out)


@models.command()
@click.option("--data", "sources", type=_PATH, multiple=True, required=True, help="Folder or zip; may be repeated.")
@click.option("--labels", "label_files", type=_PATH, multiple=True, help="An index for each --data, in their order.")
@click.option("--out", type=_FOLDER, required=True, help="Folder of the run; a run found there goes on.")
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
@click.option("--teacher", "teachers", type=_PATH, multiple=True, help="best.pt of a run with --fold, for --cross-fit.")
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
    with _progress("cutting crops") as progress:
        cache, leaking, left_out = prepare(
            sources, label_files, out / "crops", _detector(detector), recipe.seed, force, progress
        )
    taught = taught_before(recipe, cache.rows)
    if taught and not force:
        raise ModelError(f"the start leaks in {len(taught)} cases: {taught[0]}; give another --init, or --force")
    leaking += taught
    _warn(leaking)
    _say(left_out)
    record = run_training(cache, recipe, out, device, leaking, workers)
    last = max(record["history"], key=lambda entry: entry["score"])
    click.echo(
        f"{out / 'best.pt'}: validation gender {last['gender']:.4f}, age error {last['age_mae']:.2f} years, "
        f"{len(record['history'])} epochs in {record['seconds'] / 60:.1f} min"
    )


@models.command()
@click.argument("run", type=_FOLDER)
@click.option("--out", type=_FOLDER, required=True, help="Folder for the ONNX files and their cards.")
@click.option(
    "--blend", type=_PATH, multiple=True, help="best.pt of a run that RUN went on from: serve the mean of both."
)
@click.option("--keep", type=_PATH, help="Weights that RUN started from, as ONNX: what they knew counts, too.")
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
        with _progress("asking the start"):
            trained = kept(trained, keep, 0.5 if keep_share is None else keep_share, cache)
    reports = package(cache, trained, out, name, Words(**said), costs)
    _warn(leaking(cache, trained))
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


@models.command()
@click.argument("model")
@click.option("--data", type=_PATH, required=True, help="Folder or zip with labels.csv and photos.")
@click.option("--labels", type=_PATH, help="Another index for the photos.")
@click.option("--split", help="Only rows of this split.")
@click.option("--detector", default="mediapipe", show_default=True, help="mediapipe, another model's name, or none.")
@click.option("--condition", type=click.Choice(tuple(CONDITIONS)), help="Spoil all faces.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
def evaluate(
    model: str,
    data: Path,
    labels: Path | None,
    split: str | None,
    detector: str,
    condition: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL (`default`, a name or the path of a card) on labelled photos."""
    from models.evaluation.evaluate import evaluate as run_evaluation
    from models.evaluation.evaluate import plain, table

    with _progress("looking at photos") as progress:
        chosen = _detector(detector)
        [report] = run_evaluation([model], data, chosen, labels, split, progress=progress, condition=condition)
    if as_json:
        click.echo(json.dumps(plain(report)))
    else:
        _warn(report.get("leaking_split", ()))
        Console().print(table(report))


@models.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--data", type=_PATH, required=True, help="Folder or zip with labels.csv and photos.")
@click.option("--labels", type=_PATH, help="Another index for the photos.")
@click.option("--split", help="Only rows of this split.")
@click.option("--detector", default="mediapipe", show_default=True)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write a PNG: accuracy against ms.")
@click.option("--markdown", is_flag=True, help="The table as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="All reports as one JSON list.")
def compare(
    models: tuple[str, ...],
    data: Path,
    labels: Path | None,
    split: str | None,
    detector: str,
    plot: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Put MODELS (names or cards) side by side on the same photos: accuracy, size and time."""
    from models.evaluation.compare import compare as run_comparison
    from models.evaluation.compare import draw, rich_table, to_markdown
    from models.evaluation.evaluate import plain

    if plot and not plot.parent.is_dir():
        raise ModelError(f"--plot {plot}: there is no folder {plot.parent}")
    with _progress("comparing") as progress:
        rows = run_comparison(models, data, _detector(detector), labels, split, progress)
    if plot:
        draw(rows, plot)
    if as_json:
        click.echo(json.dumps([plain(row.report) | {"size_mb": row.size_mb} for row in rows]))
        return
    _warn(rows[0].report.get("leaking_split", ()))
    if markdown:
        click.echo(to_markdown(rows))
    else:
        Console(width=None if Console().is_terminal else 160).print(rich_table(rows))


def _warn(leaking: Sequence[str]) -> None:
    """The first line of a report on people who are in more than one split."""
    if leaking:
        click.echo(f"LEAKING SPLIT: {len(leaking)} cases, such as: {leaking[0]}. Its figures flatter.")


def _say(left_out: Counter[str]) -> None:
    """Why photos or lines were left out, the commonest reasons first."""
    for reason, count in left_out.most_common(8):
        click.echo(f"left out {count}: {reason}")


def _detector(name: str) -> str | None:
    return {"none": None, "mediapipe": "mediapipe-full-range"}.get(name, name)


@contextmanager
def _progress(what: str) -> Iterator[Any]:
    """A bar on stderr, only where someone looks."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
