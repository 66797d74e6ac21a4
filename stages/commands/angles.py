"""Picture of a calibration: angles and windows only, nothing of the person."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.streams import new_file
from stages.people.attention import OUTER, Window
from stages.people.calibration import CORNERS, Calibration

_INK, _SOFT, _GRID = "#1c2733", "#6b7785", "#e3e8ee"
_COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#6d597a")


def plot_angles(found: Calibration, before: Window | None, path: Path) -> None:
    """Draw where the head faced for each corner, the window found, and the one that the station file has (`before`)."""
    style: Any = {"font.size": 11, "text.color": _INK, "axes.edgecolor": _GRID, "axes.labelcolor": _SOFT}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.5, 7.5), dpi=120, layout="constrained")
        axes = figure.subplots()
        for name, angles, colour in zip(CORNERS, found.angles_deg, _COLOURS, strict=True):
            axes.scatter(
                angles[:, 0], angles[:, 1], s=26, color=colour, alpha=0.75, linewidths=0, label=f"{name} corner"
            )
        _draw(axes, found.window, 1.0, _INK, "-", "looks at the screen: begins within")
        _draw(axes, found.window, OUTER, _INK, ":", "ends outside")
        if before:
            _draw(axes, before, 1.0, _SOFT, "--", "in the station file now")
        axes.plot(0, 0, "+", color=_INK, markersize=12, label="faces the camera")
        axes.set_xlabel("yaw, degrees: to the right of the camera's picture")
        axes.set_ylabel("pitch, degrees: upwards")
        axes.set_title("Where the head faced", loc="left", fontweight="bold")
        axes.set_aspect("equal")
        axes.grid(color=_GRID)
        axes.set_axisbelow(True)
        axes.margins(0.08)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10)
        with new_file(path, binary=True) as stream:
            figure.savefig(stream, format="png")


def _draw(axes: Axes, window: Window, size: float, colour: str, line: str, label: str) -> None:
    wide, high = window.half_yaw_deg * size, window.half_pitch_deg * size
    corner = (window.yaw_deg - wide, window.pitch_deg - high)
    axes.add_patch(Rectangle(corner, 2 * wide, 2 * high, fill=False, color=colour, linestyle=line, label=label))
    axes.update_datalim([corner, (corner[0] + 2 * wide, corner[1] + 2 * high)])
