"""Style of plots and the parts that they share."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from pipeline.errors import UserError
from pipeline.log import log
from pipeline.system import plain
from players.ads.lines import WEEKDAYS
from players.screen.fonts import PLOT_FONT

INK, SOFT, GRID = "#1c2733", "#6b7785", "#e3e8ee"
COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#89c2d9", "#b56576", "#a7a5c6", "#3d405b", "#a3a380")
UNBILLED = "#c9d3dd"
ROWS_MAX = 30
_KOREAN = "Noto Sans CJK KR"
"""Name of PLOT_FONT."""
_STYLE = {
    "font.size": 11,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 17,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 18,
    "axes.titlecolor": INK,
    "text.color": INK,
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "axes.grid": False,
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}


def style(language: str = "en") -> Any:
    """Return the style. Korean letters have glyphs in both languages; in Korean all text is of one font."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it has no bold, and that is well
    if str(PLOT_FONT) not in {entry.fname for entry in font_manager.fontManager.ttflist}:
        font_manager.fontManager.addfont(PLOT_FONT)
    families = [_KOREAN, "DejaVu Sans"] if language == "ko" else ["DejaVu Sans", _KOREAN]
    return {**_STYLE, "font.family": families, "axes.titleweight": "normal" if language == "ko" else "bold"}


_BLUES = LinearSegmentedColormap.from_list("blues", ("#eef4f8", "#b9d6e6", "#5b9fc2", "#2a6f97", "#123b55"))


def heat_map(
    cells: dict[tuple[int, int], float], title: str, unit: str, weekdays: Sequence[str] = WEEKDAYS, hour: str = "hour"
) -> Figure:
    """Draw numbers by weekday (0 is Monday) and hour. Where nothing is told a cell is empty."""
    grid = np.full((7, 24), np.nan)
    for place, number in cells.items():
        grid[place] = number
    figure = Figure(figsize=(13, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("#f7f8fa")
    picture = axes.pcolormesh(grid, cmap=_BLUES, vmin=0, edgecolors="white", linewidth=1.5)
    top = max(cells.values(), default=0)
    for (y, x), number in cells.items():
        text = f"{number / 1000:.1f}k" if number >= 10_000 else f"{number:,.0f}"
        colour = "white" if number > 0.5 * top else INK
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_title(title)
    axes.set_yticks(np.arange(7) + 0.5, weekdays)
    axes.set_xticks(np.arange(24) + 0.5, [str(each) for each in range(24)])
    axes.set_xlabel(hour)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(picture, ax=axes, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.set_label(unit)
    return figure


def legend(axes: Axes) -> None:
    """Draw the legend where it covers nothing: above the right corner, or beside it where there are many names."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 3:
        axes.legend(handles, names, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    elif names:
        axes.legend(handles, names, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)


Layer = tuple[str, Sequence[float], str]
"""Name in the legend (empty: it is in none), a number for each bar, and the colour."""


def columns(title: str, names: Sequence[str], layers: Sequence[Layer], unit: str, along: str = "") -> Figure:
    """Draw a column for each name, in layers upon each other."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    axes = figure.subplots()
    top = _stack(axes.bar, 0.8, len(names), layers)
    axes.set_title(title)
    axes.set_xticks(range(len(names)), names, fontsize=9 if any(len(name) > 3 for name in names) else None)
    axes.set_xlabel(along)
    axes.set_ylabel(unit)
    axes.set_ylim(0, 1.12 * top)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    legend(axes)
    plain_axes(axes, "y")
    return figure


def bars(title: str, names: Sequence[str], layers: Sequence[Layer], unit: str) -> Figure:
    """Draw a horizontal bar for each name, the first on top, in layers beside each other."""
    lines = wrap(title, 28)  # beside the legend
    figure = Figure(figsize=(11, 1.9 + 0.3 * len(lines) + 0.42 * max(len(names), 3)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("\n".join(lines))
    top = _stack(axes.barh, 0.62, len(names), layers)
    name_bars(axes, names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.set_xlabel(unit)
    axes.set_xlim(0, 1.05 * top)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes)
    return figure


def _stack(draw: Callable[..., Any], thickness: float, bars: int, layers: Sequence[Layer]) -> float:
    """Draw layers upon each other, and return the height of the tallest, at least 1."""
    base = np.zeros(bars)
    for name, numbers, colour in layers:
        draw(range(bars), numbers, thickness, base, color=colour, label=short(name))
        base = base + np.array(numbers, float)
    return float(base.max(initial=1.0))


def name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Name horizontal bars."""
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    plain_axes(axes, "x")


def short(name: str) -> str:
    """Return the name; a long one is cut in its middle, so that the plot keeps its room."""
    return name if len(name) <= 45 else f"{name[:22]}…{name[-22:]}"


def plain_axes(axes: Axes, grid: str) -> None:
    """Take away what is no data, and draw faint lines across `grid`."""
    axes.spines[["top", "right", "left" if grid == "x" else "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x" if grid == "x" else "y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def left_out(shown: int, rows: int) -> tuple[str, ...]:
    """Return what is to be said where rows are left out."""
    return (f"The first {shown} of {rows} rows; the report itself lists them all.",) if shown < rows else ()


def save(figure: Figure, path: Path, note: str) -> None:
    """Write the picture as PNG or SVG, with a note below. UserError: it cannot be written."""
    if note:
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color=SOFT)
    if path.suffix.lower() not in (".png", ".svg"):
        raise UserError(f"--plot: {path}: not a picture; name a .png or .svg file")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"--plot: {path}: cannot be written: {plain(error)}") from None
    if any("missing from font" in str(warning.message) for warning in said):
        log("plot_letters_missing", severity="warning", file=path, effect="they are boxes")
