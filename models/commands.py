"""`stationcast models ...`"""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from models.assets import cached, resolve
from models.cards import DEFAULT_CLASSIFIER, read_card, registry
from models.training_commands import COMMANDS


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


for command in COMMANDS:
    models.add_command(command)
