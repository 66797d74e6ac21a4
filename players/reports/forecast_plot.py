"""Picture of a forecast: what is expected, between its bounds, in English or Korean."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from players.ads.lines import WEEKDAYS
from players.reports.drawing import COLOURS, INK, ROWS_MAX, bars, legend, plain_axes, save, style
from players.reports.plot_words import Words
from players.reports.report import Report, cleaned

_TIMES = ("day", "weekday", "hour")
_NAMES_MAX = 31
"""Largest number of names below the axis."""


def plot_forecast(report: Report, path: Path, language: str = "en") -> None:
    """Draw a forecast: by day, weekday or hour a line between its bounds, otherwise bars with them."""
    report, words = cleaned(report), Words(language)
    by = report.columns[: report.columns.index("people")]
    notes = ["told", "Holidays and events are not known."]
    with mpl.rc_context(style(language)):
        if set(by) <= {*_TIMES}:
            figure, left_out = _line(report.rows, by, words), words.left_out(0, 0)
        else:
            figure, left_out = _bars(report.rows[:ROWS_MAX], by, words), words.left_out(ROWS_MAX, len(report.rows))
        save(figure, path, "\n".join((*left_out, " ".join(map(words, notes)))))


def _line(rows: list[dict[str, Any]], by: Sequence[str], words: Words) -> Figure:
    """Draw a line over time; where fewer than ten people are expected it is 0."""
    days = sorted({row.get("day", "") for row in rows})
    weekdays = [name for name in WEEKDAYS if any(row.get("weekday") == name for row in rows)]
    every: dict[str, Sequence[Any]] = {"day": days, "weekday": weekdays, "hour": range(24)}
    steps = list(product(*(every[name] for name in by)))
    found = {tuple(row[name] for name in by): row for row in rows}
    mean, low, high = (
        [found.get(step, {}).get(name, 0) for step in steps] for name in ("people", "people_low", "people_high")
    )
    figure = Figure(figsize=(13 if len(steps) > _NAMES_MAX else 11, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(range(len(steps)), low, high, color="#b9d6e6", lw=0, label=words("9 of 10 cases"))
    axes.plot(range(len(steps)), mean, color=COLOURS[0], lw=2, label=words("expected"))
    apart = 1 if len(steps) <= _NAMES_MAX else len(steps) // len(every[by[0]])
    shown = by[:1] if apart > 1 else by
    names = [", ".join(words(value) for value in step[: len(shown)]) for step in steps[::apart]]
    axes.set_xticks(range(0, len(steps), apart), names, fontsize=9)
    axes.set_title(words.title("Forecast", by))
    axes.set_ylabel(words("people"))
    axes.set_xlim(0, max(1, len(steps) - 1))
    axes.set_ylim(0, max(1.0, 1.12 * max(high, default=0)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    legend(axes)
    plain_axes(axes, "y")
    axes.tick_params(axis="x", pad=8)
    return figure


def _bars(rows: list[dict[str, Any]], by: Sequence[str], words: Words) -> Figure:
    """Draw a bar for each row, with a line from bound to bound."""
    names = [", ".join(words(row[name]) for name in by) for row in rows]
    mean = [row["people"] for row in rows]
    figure = bars(words.title("Forecast", by), names, [("", mean, "#b9d6e6")], words("people"))
    beyond = [[row["people"] - row["people_low"] for row in rows], [row["people_high"] - row["people"] for row in rows]]
    axes = figure.axes[0]
    axes.errorbar(mean, range(len(rows)), xerr=beyond, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    axes.set_xlim(0, 1.05 * max([1.0, *(row["people_high"] for row in rows)]))
    return figure
