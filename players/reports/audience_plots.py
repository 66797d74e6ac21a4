"""Pictures of the audience: heat map, age pyramid, funnel, columns and bars, in English or Korean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.messages import DECADES
from players.ads.lines import WEEKDAYS
from players.reports.drawing import (
    COLOURS,
    GRID,
    INK,
    ROWS_MAX,
    SOFT,
    Layer,
    bars,
    columns,
    heat_map,
    plain_axes,
    save,
    style,
)
from players.reports.plot_words import Words
from players.reports.report import Report, cleaned

_ALONG: dict[str, Sequence[Any]] = {"hour": range(24), "decade": (*DECADES, "unknown"), "weekday": WEEKDAYS}
"""Values of the dimensions that run along the horizontal axis. A report uses the first one that it has."""
_FUNNEL = ("ots", "watchers", "watchers_2s")
_PANELS_MAX = 6


def plot_audience(report: Report, path: Path, language: str = "en") -> None:
    """Draw the audience.

    By weekday and hour it is a heat map, by gender and decade an age pyramid. By site, camera or screen it is a funnel
    from opportunities to see to watchers of 2 s. By hour, decade or weekday it is columns, otherwise bars.
    """
    report, words = cleaned(report), Words(language)
    by = report.columns[: report.columns.index("people")]
    rows = report.parts
    notes: list[str] = []
    with mpl.rc_context(style(language)):
        along = next((name for name in _ALONG if name in by), None)
        other = next((name for name in by if name != along), None)
        if {*by} == {"weekday", "hour"}:
            cells = {(WEEKDAYS.index(row["weekday"]), row["hour"]): row["people"] for row in rows}
            weekdays = [words(name) for name in WEEKDAYS]
            title = words("Audience by weekday and hour")
            figure = heat_map(cells, title, words("people"), weekdays, words("hour"))
        elif {*by} == {"gender", "decade"}:
            figure = _pyramid(rows, words)
        elif len(by) == 1 and by[0] in ("site", "camera", "screen") and any(row.get("ots") for row in rows):
            figure = _funnel(rows, by[0], words)
            notes += words.left_out(_PANELS_MAX, len(rows))
        elif len(by) <= 2 and along and len({row[other] for row in rows if other}) <= len(COLOURS):
            figure = _columns(rows, along, other, words)
        else:
            figure = _bars(rows[:ROWS_MAX], by, words)
            notes += words.left_out(ROWS_MAX, len(rows))
        save(figure, path, "\n".join((*notes, _note(report, words))))


def _note(report: Report, words: Words) -> str:
    share = report.rows[-1].get("measured_pct") if report.totals else None
    return words("told") if share is None else f"{words('told')} {words('measured').format(share)}"


def _pyramid(rows: list[dict[str, Any]], words: Words) -> Figure:
    """Draw men to the left and women to the right, the youngest at the bottom, with those who watched in dark."""
    steps = [*DECADES, "unknown"]
    at = {name: n + 0.6 if name != "unknown" else -0.4 for n, name in enumerate(steps)}
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    axes = figure.subplots()
    top = max([1.0, *(row["people"] for row in rows if row["gender"] != "unknown")])
    for sign, gender, colour, pale in ((-1, "M", "#2a6f97", "#b9d6e6"), (1, "F", "#c8553d", "#f3cdbf")):
        mine = [row for row in rows if row["gender"] == gender]
        y = [at[row["decade"]] for row in mine]
        axes.barh(y, [sign * row["people"] for row in mine], 0.78, color=pale)
        axes.barh(y, [sign * (row.get("watchers") or 0) for row in mine], 0.78, color=colour)
        for row in mine:
            axes.annotate(f"{row['people']:,}", (sign * row["people"], at[row["decade"]]), (6 * sign, 0),
                          textcoords="offset points", ha="left" if sign > 0 else "right", va="center", fontsize=9,
                          color=SOFT)  # fmt: skip
        axes.text(sign * 0.02 * top, len(DECADES) + 0.35, words("men" if sign < 0 else "women"), fontsize=13,
                  color=colour, ha="left" if sign > 0 else "right")  # fmt: skip
    axes.axvline(0, color="white", lw=2)
    axes.set_xlim(-1.22 * top, 1.22 * top)
    axes.set_ylim(-1, len(DECADES) + 0.9)
    axes.set_yticks([at[name] for name in steps], [words(name) for name in DECADES] + [words("age unknown")])
    axes.xaxis.set_major_formatter(lambda x, _: f"{abs(x):,.0f}")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(9, integer=True))
    axes.set_title(words("Audience by age and gender"))
    unknown = sum(row["people"] for row in rows if row["gender"] == "unknown")
    shown = f"{words('people')}   ({words('gender unknown')}: {unknown:,})" if unknown else words("people")
    axes.set_xlabel(shown)
    handles = [mpl.patches.Patch(color=colour, label=words(name))
               for name, colour in (("people", "#cfd8e0"), ("watchers", "#55626f"))]  # fmt: skip
    if any(row.get("watchers") for row in rows):
        axes.legend(handles=handles, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    plain_axes(axes, "x")
    return figure


def _funnel(rows: list[dict[str, Any]], name: str, words: Words) -> Figure:
    """Draw a funnel for each row: those who could see, of them those who looked, and of these for 2 s."""
    shown = rows[:_PANELS_MAX]
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(max(8.5, 4.6 * across), 1.2 + 3.0 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes, row in zip(grid.flat, shown, strict=False):
        _one_funnel(axes, [row.get(step) or 0 for step in _FUNNEL], words)
        axes.set_title(f"{words(name)} {row[name]}", fontsize=12, pad=10)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
    figure.suptitle(words("From an opportunity to see to a look"), x=0.01, ha="left", fontsize=17, color=INK,
                    fontweight="normal" if words.korean else "bold")  # fmt: skip
    return figure


def _one_funnel(axes: Axes, numbers: list[int], words: Words) -> None:
    top = max(1, numbers[0])
    names = ("opportunity to see", "watched", "watched for 2 s")
    for y, (name, number, colour) in enumerate(zip(names, numbers, ("#b9d6e6", "#5b9fc2", "#2a6f97"), strict=True)):
        half = number / top / 2
        if y:
            above = numbers[y - 1] / top / 2
            axes.fill([-above, above, half, -half], [y - 0.62, y - 0.62, y - 0.38, y - 0.38], color="#eef2f5", lw=0)
        axes.barh(y, 2 * half, 0.76, -half, color=colour)
        share = f"   {words('of those before').format(100 * number / numbers[y - 1])}" if y and numbers[y - 1] else ""
        axes.text(0.56, y - 0.14, words(name), va="center", fontsize=10, color=INK)
        axes.text(0.56, y + 0.2, f"{number:,}{share}", va="center", fontsize=10, color=SOFT)
    axes.set_xlim(-0.52, 1.35)
    axes.set_ylim(2.5, -0.5)
    axes.set_axis_off()


def _columns(rows: list[dict[str, Any]], along: str, other: str | None, words: Words) -> Figure:
    """Draw columns along one dimension, stacked by the other."""
    steps = list(_ALONG[along])
    layers: list[Layer] = []
    for n, name in enumerate(dict.fromkeys(row[other] for row in rows) if other else [""]):
        counts = {row[along]: row["people"] for row in rows if other is None or row[other] == name}
        colour = {"M": COLOURS[0], "F": COLOURS[1], "unknown": GRID}.get(str(name), COLOURS[n % len(COLOURS)])
        layers.append((words(name), [counts.get(step, 0) for step in steps], colour))
    title = words.title("Audience", [along, *([other] if other else [])])
    return columns(title, [words(step) for step in steps], layers, words("people"), words(along))


def _bars(rows: list[dict[str, Any]], by: Sequence[str], words: Words) -> Figure:
    """Draw a bar for each row."""
    names = [", ".join(words(row[name]) for name in by) for row in rows]
    return bars(
        words.title("Audience", by), names, [("", [row["people"] for row in rows], COLOURS[0])], words("people")
    )
