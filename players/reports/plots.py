"""Pictures of reports, to show to a customer."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from players.ads.lines import WEEKDAYS
from players.ads.money import as_text, to_cents
from players.choice.simulate import Simulation, goal_by_now
from players.reports.audience_plots import plot_audience
from players.reports.drawing import (
    COLOURS,
    GRID,
    ROWS_MAX,
    SOFT,
    UNBILLED,
    Layer,
    bars,
    columns,
    heat_map,
    left_out,
    legend,
    name_bars,
    plain_axes,
    save,
    short,
    style,
)
from players.reports.forecast_plot import plot_forecast
from players.reports.report import Report, cleaned

__all__ = ["plot_audience", "plot_billing", "plot_forecast", "plot_plays", "plot_simulation"]


def plot_billing(report: Report, path: Path, language: str = "en") -> None:
    """Draw spend against contract: a panel for each currency, with a bar for each line."""
    report = cleaned(report)
    rows = sorted(report.parts, key=lambda row: -row["spend"])
    panels = {currency: [row for row in rows if row["currency"] == currency][:ROWS_MAX][::-1] for currency in
              dict.fromkeys(row["currency"] for row in rows)} or {"": []}  # fmt: skip
    heights = [1.2 + len(mine) for mine in panels.values()]
    with mpl.rc_context(style(language)):
        figure = Figure(figsize=(11, 1.5 + 0.5 * sum(heights)), layout="constrained")
        grid = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)
        grid[0, 0].set_title(report.title)
        for axes, (currency, mine) in zip(grid[:, 0], panels.items(), strict=True):
            _spend_bars(axes, currency, mine)
        legend(grid[0, 0])
        shown = sum(len(mine) for mine in panels.values())
        save(figure, path, "\n".join((*left_out(shown, len(rows)), *report.notes)))


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
    name_bars(axes, [f"{row['advertiser']}: {row['line']}" for row in rows])


def plot_plays(report: Report, path: Path, language: str = "en") -> None:
    """Draw plays as bars, split into billable and others; by weekday and hour as a map. Its words are English."""
    report = cleaned(report)
    by = report.columns[: report.columns.index("plays")]
    title = f"{report.title} by {', '.join(by)}"
    with mpl.rc_context(style(language)):
        if {*by} == {"weekday", "hour"}:
            cells = {(WEEKDAYS.index(row["weekday"]), row["hour"]): row["plays"] for row in report.parts}
            figure, shown = heat_map(cells, f"{report.title} by weekday and hour", "plays"), len(report.parts)
        elif by == ("hour",):
            rows = {row["hour"]: row for row in report.parts}
            names = [str(hour) for hour in range(24)]
            figure = columns(title, names, _split([rows.get(hour, {}) for hour in range(24)]), "plays", "hour")
            shown = len(rows)
        else:
            mine = report.parts[:ROWS_MAX]
            figure = bars(title, [", ".join(str(row[name]) for name in by) for row in mine], _split(mine), "plays")
            shown = len(mine)
        save(figure, path, "\n".join(left_out(shown, len(report.parts))))


def _split(rows: Sequence[dict[str, Any]]) -> list[Layer]:
    billable = [row.get("billable", 0) for row in rows]
    others = [row.get("plays", 0) - row.get("billable", 0) for row in rows]
    return [("billable", billable, COLOURS[0]), ("others", others, UNBILLED)]


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
    with mpl.rc_context(style()):
        figure = Figure(figsize=(12, 5.1 + 3.4 * len(currencies)), layout="constrained")
        top, *below = figure.subplots(1 + len(currencies), 1, height_ratios=(3, *[2] * len(currencies)))
        base, at = np.zeros(hours), np.arange(hours)
        stack = [(name, plays[name], COLOURS[n]) for n, name in enumerate(shown)]
        if others:
            stack.append(("other lines", sum((plays[name] for name in others), np.zeros(hours)), COLOURS[8]))
        stack.append(("house ads", plays["house ads"], UNBILLED))
        for name, counts, colour in stack:
            top.bar(at, counts, 0.86, base, color=colour, label=short(name))
            base = base + counts
        every = max(1, hours // 24)
        clock = [f"{datetime.fromtimestamp(begin + 3600 * h, zone):%H}" for h in at]
        top.set_xticks(at[::every], clock[::every])
        top.set_xlim(-0.5, hours - 0.5)
        top.set_title(f"{len(simulation.plays):,} plays in {hours} hours")
        top.set_ylabel("plays an hour")
        top.legend(frameon=False, ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
        plain_axes(top, "y")
        for axes, currency in zip(below, currencies, strict=True):
            _spend(axes, simulation, currency, shown, begin)
        below[-1].set_xlabel("hours")
        save(figure, path, "")


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
            ends.append((y[-1], f"{short(name)}  {as_text(to_cents(spent[-1], currency), currency)}", COLOURS[n]))
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
    plain_axes(axes, "y")
