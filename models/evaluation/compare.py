"""Comparison of models on the same photos: accuracy, size and time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.table import Column, Table

from models.assets import resolve
from models.evaluation.evaluate import Figures, evaluate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Compared(msgspec.Struct, frozen=True):
    """Model in a comparison, with its report."""

    name: str
    size_mb: float
    report: Figures


COLUMNS: tuple[tuple[str, Callable[[Compared], str]], ...] = (
    ("model", lambda row: row.name),
    ("n", lambda row: str(row.report["n"])),
    ("gender", lambda row: shown(row.report["gender_accuracy"])),
    ("gender 20+", lambda row: shown(row.report["adult_gender_accuracy"])),
    ("age error, years", lambda row: shown(row.report["age_mae"], 2)),
    ("decade", lambda row: shown(row.report["decade_accuracy"])),
    ("within one", lambda row: shown(row.report["decade_within_one"])),
    ("both", lambda row: shown(row.report["joint_accuracy"])),
    ("the original's measure", lambda row: shown(row.report["original_project_measure"])),
    ("MB", lambda row: f"{row.size_mb:.1f}"),
    ("ms/face at 1", lambda row: f"{row.report['ms_per_face']:.2f}"),
    ("ms/face at 32", lambda row: f"{row.report['ms_per_face_at_32']:.2f}"),
)


def compare(
    names: Sequence[str],
    data: Path,
    detector: str | None,
    labels: Path | None = None,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Compared]:
    """Evaluate several models (names or paths of cards) on one data set, each with its own crop. Raises ModelError."""
    cards = [resolve(name, Path.cwd()).card for name in names]
    reports = evaluate(names, data, detector, labels, split, progress)
    return [
        Compared(card.name, sum(file.size_bytes for file in card.files) / 1e6, report)
        for card, report in zip(cards, reports, strict=True)
    ]


def to_markdown(rows: Sequence[Compared]) -> str:
    """Format the comparison as a Markdown table with 95 % intervals in brackets."""
    lines = ["| " + " | ".join(title for title, _ in COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(text(row) for _, text in COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


def rich_table(rows: Sequence[Compared]) -> Table:
    """Format the comparison for a terminal: one column for each model, as there are more figures than models."""
    (title, name), *figures = COLUMNS
    table = Table(title, *(Column(name(row), overflow="fold") for row in rows))
    for title, text in figures:
        table.add_row(title, *map(text, rows))
    return table


def draw(rows: Sequence[Compared], path: Path) -> None:
    """Draw gender accuracy and age error against ms a face at batch 1, as a PNG file.

    Each network has a colour, each precision a mark.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    figure.suptitle(f"{rows[0].report['data']}, {rows[0].report['n']} photos; bars: 95 % intervals")
    networks = list(dict.fromkeys(_network(row.name) for row in rows))
    for axis, key, title in zip(
        axes, ("gender_accuracy", "age_mae"), ("gender accuracy", "age error, years"), strict=True
    ):
        for row in rows:
            value = row.report[key]
            if value is None:
                continue
            spread = [[value["value"] - value["low"]], [value["high"] - value["value"]]]
            x = row.report["ms_per_face"]
            axis.errorbar(
                x,
                value["value"],
                yerr=spread,
                fmt=_MARKS.get(row.name.removeprefix(_network(row.name)), "o"),
                capsize=3,
                color=matplotlib.colormaps["tab10"](networks.index(_network(row.name)) % 10),
                label=row.name,
            )
        axis.margins(x=0.1, y=0.1)
        time_axis(axis)
        axis.set_title(title)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=110, format="png")
    pyplot.close(figure)


def time_axis(axes: "Axes") -> None:
    """Make the horizontal axis a logarithmic one of times with at least two labelled ticks."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.set_xlabel("ms a face, batch 1, one core")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


_MARKS = {"-fp32": "s", "-fp16": "^"}


def _network(name: str) -> str:
    """Return the name of a card without the suffix of precision that `models export` appends."""
    return next((name.removesuffix(end) for end in _MARKS if name.endswith(end)), name)


def shown(value: Figures | None, digits: int = 3) -> str:
    """Format a figure with its 95 % interval in brackets; `-` if nothing was measured."""
    if value is None:
        return "-"
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f}-{value['high']:.{digits}f})"
