"""`stationcast models pull`, `list` and `show`: the built-in models and their cards."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from models.assets import cached, resolve
from models.cards import DEFAULT_CLASSIFIER, ModelCard, find_card, read_card, registry
from pipeline.streams import Terminal

_LICENCE_CHARACTERS = 16
"""Longest licence text that the list shows. Longer ones need `licence_short` in the card."""


@click.command()
@click.argument("names", nargs=-1)
def pull(names: tuple[str, ...]) -> None:
    """Fetch the files of the models NAMES (all built-in ones without NAMES) into the cache, and verify them."""
    console = Terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
                if not console.is_terminal:
                    console.print(f"fetching {what} ({total / 1e6:.0f} MB)")
            bars.update(tasks[what], completed=done)

        for name in dict.fromkeys(names or registry()):
            model = resolve(name, Path.cwd(), progress)
            click.echo(f"{model.card.name}: {_size_bytes(model.card) / 1e6:.1f} MB, verified")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def list_models(as_json: bool) -> None:
    """Show the built-in models."""
    cards = {path: read_card(path) for path in registry().values()}
    if as_json:
        click.echo(json.dumps([_as_json(path, card, sha256) for path, (card, sha256) in cards.items()]))
        return
    table = Table("name", "task", "MB", "here", "licence")
    table.columns[2].justify = "right"
    for path, (card, _) in cards.items():
        name = f"{card.name}{' (default)' if card.name == DEFAULT_CLASSIFIER else ''}"
        size_mb = f"{_size_bytes(card) / 1e6:.1f}"
        table.add_row(name, card.task, size_mb, "yes" if _is_cached(card, path) else "no", _short_licence(card))
    Terminal().print(table)
    click.echo("`stationcast models show NAME` prints licence, limits and figures of one.")


@click.command()
@click.argument("name")
@click.option(
    "--json", "as_json", is_flag=True, help="What `list --json` says of it and its figures, as one JSON object."
)
def show(name: str, as_json: bool) -> None:
    """Show the card of a model: NAME is `default`, a built-in model or the path of a card."""
    path = find_card(name, Path.cwd())
    card, sha256 = read_card(path)
    if as_json:
        more = {"metrics": card.metrics, "confusion": card.confusion}
        click.echo(json.dumps(_as_json(path, card, sha256) | msgspec.to_builtins(more)))
        return
    console = Terminal()
    facts = {
        "task": card.task,
        "licence": card.licence,
        "made from": card.source,
        "intended use": card.intended_use,
        "limits": card.limits,
        **_thresholds(card),
        "card": f"{path} (sha256 {sha256[:12]}...)",
    }
    console.print(Text(f"{card.name}: {card.title}\n", style="bold"))
    table = _plain_table("fact", "text", show_header=False)
    for key, text in facts.items():
        table.add_row(key, Text(text))
    console.print(table)
    table = _plain_table("\nfile", "\nMB", "\nhere", "\nfrom")
    for file in card.files:
        origin = f"wheel {file.wheel.package}" if file.wheel else "beside the card, or copied into the cache"
        table.add_row(file.name, f"{file.size_bytes / 1e6:.1f}", "yes" if cached(file, path) else "no", origin)
    console.print(table)
    if card.confusion:
        console.print(Text(f"\nCounts are corrected by {card.confusion.faces} faces of {card.confusion.data}."))
    width = max((len(metric.measure) for metric in card.metrics), default=0)
    for data in dict.fromkeys(metric.data for metric in card.metrics):
        console.print(Text(f"\n{data}", style="bold"))
        table = _plain_table("figure", "value", "faces", "note")
        table.columns[0].min_width = width
        for metric in card.metrics:
            if metric.data == data:
                table.add_row(Text(metric.measure), f"{metric.value:g}", str(metric.faces), Text(metric.note))
        console.print(table)


def _plain_table(*columns: str, show_header: bool = True) -> Table:
    """Return a table without lines. Its cells are folded, never cut off."""
    table = Table(*columns, box=None, show_header=show_header, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _as_json(path: Path, card: ModelCard, sha256: str) -> dict[str, Any]:
    return {
        "name": card.name,
        "task": card.task,
        "default": card.name == DEFAULT_CLASSIFIER,
        "title": card.title,
        "licence": card.licence,
        "research_only": card.research_only,
        "size_bytes": _size_bytes(card),
        "cached": _is_cached(card, path),
        "sha256": sha256,
    }


def _size_bytes(card: ModelCard) -> int:
    return sum(file.size_bytes for file in card.files)


def _is_cached(card: ModelCard, path: Path) -> bool:
    return all(cached(file, path) for file in card.files)


def _short_licence(card: ModelCard) -> str:
    if card.licence_short:
        return card.licence_short
    return card.licence if len(card.licence) <= _LICENCE_CHARACTERS else "see its card"


def _thresholds(card: ModelCard) -> dict[str, str]:
    """Return when a classifier answers `unknown`, and what it sees of a face; nothing for a detector."""
    if card.unknown is None or card.crop is None:
        return {}
    return {
        "unknown": (
            f"gender below a confidence of {card.unknown.gender:g}, decade below {card.unknown.decade:g}; "
            f"gender of whoever is under ten with a probability above {card.unknown.child:g}"
        ),
        "crop": f"{card.crop.size_px} px, {card.crop.scale:g} times the face box",
    }
