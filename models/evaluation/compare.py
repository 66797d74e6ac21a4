"""Models side by side on the same photos: how good, how large, how fast."""

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
    """One line of the comparison."""

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
    """Reports of several models (names or cards) on one data set, each with its own crop. Raises ModelError."""
    cards = [resolve(name, Path.cwd()).card for name in names]
    reports = evaluate(names, data, detector, labels, split, None, progress)
    return [
        Compared(card.name, sum(file.size_bytes for file in card.files) / 1e6, report)
        for card, report in zip(cards, reports, strict=True)
    ]


def to_markdown(rows: Sequence[Compared]) -> str:
    """The comparison as a Markdown table; intervals of 95 % in brackets."""
    lines = ["| " + " | ".join(title for title, _ in COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell(row) for _, cell in COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


def rich_table(rows: Sequence[Compared]) -> Table:
    """The comparison for a terminal: a column a model, as there are seldom as many models as figures."""
    (title, name), *figures = COLUMNS
    table = Table(title, *(Column(name(row), overflow="fold") for row in rows))
    for title, cell in figures:
        table.add_row(title, *map(cell, rows))
    return table


def draw(rows: Sequence[Compared], path: Path) -> None:
    """Gender accuracy and age error against milliseconds a face at batch 1, as a PNG: a colour a network, a mark a
    precision."""
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
    """Make the horizontal axis one of times, with ticks that say how long: at least two."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axes.set_xlabel("ms a face, batch 1, one core")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


_MARKS = {"-fp32": "s", "-fp16": "^"}


def _network(name: str) -> str:
    """The name of a card without the precision that `models export` puts behind it."""
    return next((name.removesuffix(end) for end in _MARKS if name.endswith(end)), name)


def shown(value: Figures | None, digits: int = 3) -> str:
    """A figure with its 95 % interval in brackets; `-` where nothing was measured."""
    if value is None:
        return "-"
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f}-{value['high']:.{digits}f})"
