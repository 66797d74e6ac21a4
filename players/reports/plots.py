"""Pictures of reports, to show to a customer."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.errors import UserError
from pipeline.log import log
from pipeline.messages import DECADES
from pipeline.system import plain
from players.ads.lines import WEEKDAYS
from players.ads.money import as_text, to_cents
from players.choice.simulate import Simulation, goal_by_now
from players.reports.report import Report, cleaned

INK, SOFT, GRID = "#1c2733", "#6b7785", "#e3e8ee"
COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#f2cc8f", "#6d597a", "#89c2d9", "#b56576", "#a7a5c6", "#3d405b", "#a3a380")
UNBILLED = "#c9d3dd"
_ROWS_MAX = 30
_ALONG: dict[str, Sequence[Any]] = {"hour": range(24), "decade": (*DECADES, "unknown"), "weekday": WEEKDAYS}
"""Values of the dimensions that run along the horizontal axis. A report uses the first one that it has."""
_CJK = ("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
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
    "xtick.color": SOFT,
    "ytick.color": INK,
    "axes.grid": False,
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}


def plot_billing(report: Report, path: Path) -> None:
    """Draw spend against contract: a panel for each currency, with a bar for each line."""
    report = cleaned(report)
    rows = sorted(report.parts, key=lambda row: -row["spend"])
    panels = {currency: [row for row in rows if row["currency"] == currency][:_ROWS_MAX][::-1] for currency in
              dict.fromkeys(row["currency"] for row in rows)} or {"": []}  # fmt: skip
    heights = [1.2 + len(mine) for mine in panels.values()]
    with mpl.rc_context(_rc()):
        figure = Figure(figsize=(11, 1.5 + 0.5 * sum(heights)), layout="constrained")
        grid = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)
        grid[0, 0].set_title(report.title)
        for axes, (currency, mine) in zip(grid[:, 0], panels.items(), strict=True):
            _spend_bars(axes, currency, mine)
        _legend(grid[0, 0])
        shown = sum(len(mine) for mine in panels.values())
        _save(figure, path, "\n".join((*_left_out(shown, len(rows)), *report.notes)))


def _spend_bars(axes: Axes, currency: str, rows: list[dict[str, Any]]) -> None:
    at = np.arange(len(rows))
    contracted = [float(row["contracted"] or 0) for row in rows]
    spent = [float(row["spend"]) for row in rows]
    axes.barh(at, contracted, 0.62, color=GRID, label="contracted")
    axes.barh(at, spent, 0.62, color=COLOURS[0], label="spent")
    for y, row in zip(at, rows, strict=True):
        text = f"{row['spend']} {currency}  ({row['billable']} of {row['plays']} plays billable)"
        axes.annotate(text, (max(contracted[y], spent[y]), y), (6, 0), textcoords="offset points", va="center",
                      color=SOFT, fontsize=9)  # fmt: skip
    axes.set_xlabel(currency)
    axes.set_xlim(0, 1.5 * max([1e-9, *contracted, *spent]))
    _names(axes, at, [f"{row['advertiser']}: {row['line']}" for row in rows])


def plot_plays(report: Report, path: Path) -> None:
    """Draw plays as bars, split into billable and others; by weekday and hour as a map."""
    report = cleaned(report)
    by = report.columns[: report.columns.index("plays")]
    every = report.parts
    if by == ("hour",):
        return _plot_plays_by_hour(report, every, path)
    if set(by) == {"weekday", "hour"}:
        with mpl.rc_context(_rc()):
            _save(_map(every, report.title, "plays", "plays"), path, "")
        return None
    rows = every[:_ROWS_MAX][::-1]
    with mpl.rc_context(_rc()):
        figure, axes = _figure(f"{report.title} by {', '.join(by)}", len(rows))
        at = np.arange(len(rows))
        billable = [row["billable"] for row in rows]
        axes.barh(at, billable, 0.62, color=COLOURS[0], label="billable")
        axes.barh(at, [row["plays"] - row["billable"] for row in rows], 0.62, billable, color=UNBILLED, label="others")
        _names(axes, at, [", ".join(str(row[name]) for name in by) for row in rows])
        axes.set_xlabel("plays")
        _legend(axes)
        _save(figure, path, "\n".join(_left_out(len(rows), len(every))))
    return None


def plot_audience(report: Report, path: Path) -> None:
    """Draw visitors: by weekday and hour as a map, by hour, decade or weekday as columns, otherwise as bars.

    Hidden numbers are hatched or labelled.
    """
    report = cleaned(report)
    by = report.columns[: report.columns.index("people")]
    rows = report.parts
    along = next((name for name in _ALONG if name in by), None)
    other = next((name for name in by if name != along), None)
    left_out: tuple[str, ...] = ()
    with mpl.rc_context(_rc()):
        if set(by) == {"weekday", "hour"}:
            figure = _map(rows, report.title, "people", "people (estimated)")
        elif len(by) <= 2 and along and len({row[other] for row in rows if other}) <= len(COLOURS):
            figure = _columns(rows, along, other)
        else:
            shown = rows[:_ROWS_MAX][::-1]
            left_out = _left_out(len(shown), len(rows))
            figure, axes = _figure(f"{report.title} by {', '.join(by)}", len(shown))
            at = np.arange(len(shown))
            axes.barh(at, [_number(row) for row in shown], 0.62, color=COLOURS[0])
            _hatch(axes, at, shown)
            _names(axes, at, [", ".join(str(row[name]) for name in by) for row in shown])
            axes.set_xlabel("people (estimated)")
            axes.set_xlim(0, 1.05 * max([1.0, *map(_number, shown)]))
        _save(figure, path, "\n".join((*left_out, *report.notes)))


def plot_simulation(simulation: Simulation, path: Path) -> None:
    """Draw plays an hour by line, and for each currency the spend of each line. Dots show even delivery."""
    zone = simulation.catalogue.zone
    begin = simulation.began.timestamp()
    hours = max(1, int(np.ceil((simulation.ended.timestamp() - begin) / 3600)))
    plays: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(hours))
    for play in simulation.plays:
        name = "house ads" if play.decision.line.house else play.decision.line.id
        plays[name][min(hours - 1, int((play.at.timestamp() - begin) // 3600))] += 1
    largest = sorted((name for name in plays if name != "house ads"), key=lambda name: -plays[name].sum())
    shown, others = largest[:8], largest[8:]
    paid = [play.decision.line for play in simulation.plays if play.billable and play.decision.price]
    currencies = sorted({line.currency for line in paid if line.id in shown}) or [""]
    with mpl.rc_context(_rc()):
        figure = Figure(figsize=(12, 5.1 + 3.4 * len(currencies)), layout="constrained")
        top, *below = figure.subplots(1 + len(currencies), 1, height_ratios=(3, *[2] * len(currencies)))
        base, at = np.zeros(hours), np.arange(hours)
        stack = [(name, plays[name], COLOURS[n]) for n, name in enumerate(shown)]
        if others:
            stack.append(("other lines", sum((plays[name] for name in others), np.zeros(hours)), COLOURS[8]))
        stack.append(("house ads", plays["house ads"], UNBILLED))
        for name, counts, colour in stack:
            top.bar(at, counts, 0.86, base, color=colour, label=_short(name))
            base = base + counts
        every = max(1, hours // 24)
        clock = [f"{datetime.fromtimestamp(begin + 3600 * h, zone):%H}" for h in at]
        top.set_xticks(at[::every], clock[::every])
        top.set_xlim(-0.5, hours - 0.5)
        top.set_title(f"{len(simulation.plays):,} plays in {hours} hours")
        top.set_ylabel("plays an hour")
        top.legend(frameon=False, ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
        _plain(top, "y")
        for axes, currency in zip(below, currencies, strict=True):
            _spend(axes, simulation, currency, shown, begin)
        below[-1].set_xlabel("hours")
        _save(figure, path, "")


def _spend(axes: Axes, simulation: Simulation, currency: str, shown: list[str], begin: float) -> None:
    lines = {line.id: line for line in simulation.catalogue.lines}
    length_h = (simulation.ended.timestamp() - begin) / 3600
    ends: list[tuple[float, str, str]] = []
    for n, name in enumerate(shown):
        mine = [play for play in simulation.plays if play.decision.line.id == name and play.billable]
        at_h = [(play.at.timestamp() - begin) / 3600 for play in mine]
        spent = list(accumulate(play.decision.price for play in mine))
        if spent and spent[-1] and lines[name].currency == currency:
            y = [float(amount) for amount in spent]
            axes.step([0, *at_h, length_h], [0, *y, y[-1]], where="post", color=COLOURS[n], lw=2)
            ends.append((y[-1], f"{_short(name)}  {as_text(to_cents(spent[-1], currency), currency)}", COLOURS[n]))
            goal = goal_by_now(lines[name], simulation)
            if goal:
                axes.plot([0, length_h], [0, float(goal)], ls=":", color=COLOURS[n], lw=1.2)
    room = 0.075 * max((end[0] for end in ends), default=1.0)
    at = -room
    for y_end, text, colour in sorted(ends):
        at = max(y_end, at + room)
        axes.annotate(text, (length_h, at), (6, 0), textcoords="offset points", va="center", fontsize=9, color=colour,
                      annotation_clip=False)  # fmt: skip
    axes.set_title(f"Spend, {currency}" if currency else "Spend", fontsize=13)
    axes.set_xlim(0, length_h)
    axes.set_ylim(0, None)
    _plain(axes, "y")


def _plot_plays_by_hour(report: Report, rows: list[dict[str, Any]], path: Path) -> None:
    with mpl.rc_context(_rc()):
        figure = Figure(figsize=(11, 5.5), layout="constrained")
        axes = figure.subplots()
        hours = [row["hour"] for row in rows]
        billable = [row["billable"] for row in rows]
        axes.bar(hours, billable, 0.8, color=COLOURS[0], label="billable")
        axes.bar(hours, [row["plays"] - row["billable"] for row in rows], 0.8, billable, color=UNBILLED, label="others")
        axes.set_title(f"{report.title} by hour")
        axes.set_xticks(range(24))
        axes.set_ylabel("plays")
        _legend(axes)
        _plain(axes, "y")
        _save(figure, path, "")


def _map(rows: list[dict[str, Any]], title: str, count: str, unit: str) -> Figure:
    grid, hidden = np.full((7, 24), np.nan), []
    for row in rows:
        place = WEEKDAYS.index(row["weekday"]), row["hour"]
        if isinstance(row[count], str):
            hidden.append(place)
        else:
            grid[place] = row[count]
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(grid, aspect="auto", cmap="GnBu", vmin=0)
    for y, x in hidden:
        axes.add_patch(mpl.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", ec=SOFT, lw=0))
    axes.set_title(f"{title} by weekday and hour")
    axes.set_yticks(range(7), WEEKDAYS)
    axes.set_xticks(range(24))
    axes.set_xlabel("hour")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(picture, ax=axes, pad=0.01)
    bar.outline.set_visible(False)
    bar.set_label(unit)
    return figure


def _columns(rows: list[dict[str, Any]], along: str, other: str | None) -> Figure:
    """Draw columns along one dimension, stacked by the other. A column with a hidden part is marked "hidden"."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    axes = figure.subplots()
    steps = list(_ALONG[along])
    base = np.zeros(len(steps))
    names = list(dict.fromkeys(row[other] for row in rows)) if other else ["people"]
    for n, name in enumerate(names):
        counts = np.zeros(len(steps))
        for row in rows:
            if other is None or row[other] == name:
                counts[steps.index(row[along])] = _number(row)
        axes.bar(range(len(steps)), counts, 0.8, base, color=COLOURS[n % len(COLOURS)], label=_short(str(name)))
        base += counts
    for at in {steps.index(row[along]) for row in rows if isinstance(row["people"], str)}:
        axes.annotate("hidden", (at, base[at]), (0, 3), textcoords="offset points", ha="center", fontsize=8, color=SOFT)
    axes.set_title(f"Audience by {along}" + (f" and {other}" if other else ""))
    axes.set_xticks(range(len(steps)), [str(step) for step in steps])
    axes.set_xlabel(along)
    axes.set_ylabel("people (estimated)")
    axes.set_ylim(0, max(1.0, 1.12 * base.max()))
    if other:
        _legend(axes)
    _plain(axes, "y")
    return figure


def _legend(axes: Axes) -> None:
    """Draw the legend where it covers nothing: above the right corner, or beside it where there are many names."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 3:
        axes.legend(handles, names, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    elif names:
        axes.legend(handles, names, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)


def _figure(title: str, bars: int) -> tuple[Figure, Axes]:
    lines = wrap(title, 28)  # beside the legend
    figure = Figure(figsize=(11, 1.9 + 0.3 * len(lines) + 0.42 * max(bars, 3)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("\n".join(lines))
    return figure, axes


def _names(axes: Axes, at: np.ndarray, names: list[str]) -> None:
    axes.set_yticks(at, [_short(name) for name in names])
    _plain(axes, "x")


def _short(name: str) -> str:
    """Return the name; a long one is cut in its middle, so that the plot keeps its room."""
    return name if len(name) <= 45 else f"{name[:22]}…{name[-22:]}"


def _hatch(axes: Axes, at: np.ndarray, rows: list[dict[str, Any]]) -> None:
    for y, row in zip(at, rows, strict=True):
        if isinstance(row["people"], str):
            axes.annotate(row["people"], (0, y), (6, 0), textcoords="offset points", va="center",
                          color=SOFT, fontsize=9)  # fmt: skip


def _number(row: dict[str, Any]) -> float:
    return 0.0 if isinstance(row["people"], str) else float(row["people"])


def _plain(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right", "left" if grid == "x" else "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x" if grid == "x" else "y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def _left_out(shown: int, rows: int) -> tuple[str, ...]:
    return (f"The first {shown} of {rows} rows; the report itself lists them all.",) if shown < rows else ()


def _save(figure: Figure, path: Path, note: str) -> None:
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
        log("plot_letters_missing", severity="warning", file=path, remedy=f"install a font such as {_CJK[0]}")


def _rc() -> Any:
    """Return the style, with a font for Korean names where one is installed."""
    installed = set(font_manager.fontManager.get_font_names())
    families = ["DejaVu Sans", *(name for name in _CJK if name in installed)]
    return {**_STYLE, "font.family": families}
