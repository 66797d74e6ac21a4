"""Options and output that several commands of `stationcast models` share."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import Progress

from models.cards import DEFAULT_DETECTOR
from pipeline.streams import Terminal

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
PATH = click.Path(path_type=Path)


def warn_of_leaks(leaking: Sequence[str]) -> None:
    """Print one line if a split leaks: people in more than one split make figures too good."""
    if leaking:
        click.echo(f"LEAKING SPLIT: {len(leaking)} cases, such as: {leaking[0]}. Its figures flatter.")


def echo_left_out(left_out: Counter[str]) -> None:
    """Print why photos or lines were left out, the eight commonest reasons first."""
    for reason, count in left_out.most_common(8):
        click.echo(f"left out {count}: {reason}")


def detector_name(name: str) -> str | None:
    """Return the detector that `--detector` names, or None for `none`."""
    return {"none": None, "mediapipe": DEFAULT_DETECTOR}.get(name, name)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr if that is a terminal. The context is a function that takes (done, total)."""
    console = Terminal(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
