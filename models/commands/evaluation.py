"""`stationcast models evaluate` and `compare`: figures of models on labelled photos."""

import json
from pathlib import Path

import click
import msgspec

from models.cards import Confusion, ModelError, find_card
from models.commands.shared import FILE, PATH, detector_name, progress_bar, warn_of_leaks
from models.evaluation.conditions import CONDITIONS
from pipeline.streams import Terminal


@click.command()
@click.argument("model")
@click.option("--data", type=PATH, required=True, help="Folder or zip with labels.csv and photos.")
@click.option("--labels", type=PATH, help="Another index for the photos.")
@click.option("--split", help="Only rows of this split.")
@click.option("--detector", default="mediapipe", show_default=True, help="mediapipe, another model's name, or none.")
@click.option("--condition", type=click.Choice(tuple(CONDITIONS)), help="Spoil all faces.")
@click.option("--per-group", type=click.IntRange(1), help="At most so many photos of each gender and decade, drawn.")
@click.option("--into-card", is_flag=True, help="Write whom the model takes for whom into its card.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
def evaluate(
    model: str,
    data: Path,
    labels: Path | None,
    split: str | None,
    detector: str,
    condition: str | None,
    per_group: int | None,
    into_card: bool,
    as_json: bool,
) -> None:
    """Measure MODEL (`default`, a name or the path of a card) on labelled photos.

    Reports correct their counts by the table that --into-card writes: take photos that taught the model nothing.
    """
    from models.evaluation.confusion import write_confusion
    from models.evaluation.evaluate import evaluate as run_evaluation
    from models.evaluation.evaluate import plain, table

    if condition and into_card:
        raise ModelError("--into-card: a --condition spoils what reports correct counts by; leave one of the two out")
    with progress_bar("looking at photos") as progress:
        chosen = detector_name(detector)
        [report] = run_evaluation(
            [model], data, chosen, labels, split, progress=progress, condition=condition, per_group=per_group
        )
    if as_json:
        click.echo(json.dumps(plain(report)))
    else:
        warn_of_leaks(report.get("leaking_split", ()))
        Terminal().print(table(report))
    if into_card:
        write_confusion(find_card(model, Path.cwd()), msgspec.convert(report["confusion"], Confusion))


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--data", type=PATH, required=True, help="Folder or zip with labels.csv and photos.")
@click.option("--labels", type=PATH, help="Another index for the photos.")
@click.option("--split", help="Only rows of this split.")
@click.option("--detector", default="mediapipe", show_default=True)
@click.option("--plot", type=FILE, help="Write a PNG: accuracy against ms.")
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
    with progress_bar("comparing") as progress:
        rows = run_comparison(models, data, detector_name(detector), labels, split, progress)
    if as_json:
        click.echo(json.dumps([plain(row.report) | {"size_mb": row.size_mb} for row in rows]))
    else:
        warn_of_leaks(rows[0].report.get("leaking_split", ()))
        if markdown:
            click.echo(to_markdown(rows))
        else:
            Terminal(width=None if Terminal().is_terminal else 160).print(rich_table(rows))
    if plot:
        draw(rows, plot)
