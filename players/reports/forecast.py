"""Report of what the next days will bring: people, opportunities to see and watchers, by day, hour and group.

It is made of the numbers that the report of the audience tells, and nothing else.
"""

import sqlite3
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.messages import DECADES
from pipeline.people import HIDDEN, told
from players.ads.lines import WEEKDAYS
from players.audience.groups import GENDERS
from players.ledger.clock import utc_text
from players.reports.audience import audience
from players.reports.basis import parts_of
from players.reports.by_hand import kept_counts
from players.reports.dimensions import known_dimensions
from players.reports.expectation import HOURS, WEEKS_MAX, WEEKS_MIN, Floats, History, expect
from players.reports.report import Report
from players.reports.rests_on import rests_on

BY = ("day", "weekday", "hour", "gender", "decade")
MEASURES = ("people", "ots", "watchers")
LONGEST_DAYS = 28
_GROUPS = tuple((gender, decade) for gender in GENDERS for decade in (*DECADES, "unknown"))
_NOTE = (
    "From `low` to `high` a number lies in 90 of 100 cases, as long as coming weeks are like past ones: "
    "holidays, events and works are not known."
)


def forecast(
    db: sqlite3.Connection, by: tuple[str, ...], zone: ZoneInfo, days: int, state: Path, now: datetime
) -> Report:
    """Return what the `days` after the last whole day will bring by some of BY, with 90 % bounds.

    It is made of what the report of the audience tells of the days on which all rests that holds now. With less than
    two weeks there are no rows, and a note. UserError: a dimension is unknown.
    """
    known_dimensions(by, BY)
    today = now.astimezone(zone).date()
    every = parts_of(db, (0, int(now.timestamp()) + 1))
    newest = {basis.place: (basis, part) for basis, part in every.items()}
    changed_s = max((part.first_s for _, part in newest.values()), default=int(now.timestamp()))
    histories = _histories(db, datetime.fromtimestamp(changed_s, UTC), zone, now)
    weeks = histories["people"].weeks
    coming = [today + timedelta(days=i) for i in range(1, days + 1)]
    title = f"Forecast, {coming[0]} to {coming[-1]}"
    columns = (*by, *(f"{name}{end}" for name in MEASURES for end in ("", "_low", "_high")))
    had = int(histories["people"].measured.any(1).sum())
    if weeks < WEEKS_MIN or had < 7:
        note = (
            f"Too little to foretell from: {had} whole days were counted in the last {WEEKS_MAX} weeks, and since the "
            "model, the screen's place or the zone last changed; two weeks are needed."
        )
        return Report(title=title, columns=columns, rows=[], notes=(note,))
    draws = {name: expect(history, days + 1, seed) for seed, (name, history) in enumerate(histories.items())}
    rows = _rows(by, coming, {name: drawn[:, 1:] for name, drawn in draws.items()})
    notes = [
        _NOTE,
        f"From the last {min(weeks, WEEKS_MAX)} weeks. Numbers are rounded to tens; fewer than 10 are hidden.",
    ]
    if len(every) > len(newest):
        notes.append("What was counted with another model, place of the screen or zone is left out.")
    notes += rests_on(dict(newest.values()), zone, state, kept_counts(state))
    brief = (*by, "people", "people_low", "people_high", "ots", "watchers")
    return Report(title=title, columns=columns, brief=brief, rows=rows, notes=tuple(notes))


def _histories(db: sqlite3.Connection, changed: datetime, zone: ZoneInfo, now: datetime) -> dict[str, History]:
    """Return the history of each of MEASURES over the whole days from a change to yesterday, as it may be told."""
    today = now.astimezone(zone).date()
    first = max(changed.astimezone(zone).date(), today - timedelta(days=7 * WEEKS_MAX))
    if datetime.combine(first, time(), zone) < changed:
        first += timedelta(days=1)
    span = tuple(utc_text(datetime.combine(day, time(), zone)) for day in (first, max(today, first)))
    count = max(0, (today - first).days)
    counts = {name: np.zeros((count, HOURS, len(_GROUPS))) for name in MEASURES}
    dimensions = ("day", "hour", "gender", "decade")
    for row in audience(None, dimensions, zone, (span[0], span[1]), db, now.timestamp()).parts if count else ():
        at = (date.fromisoformat(row["day"]) - first).days, row["hour"], _GROUPS.index((row["gender"], row["decade"]))
        for name in MEASURES:
            counts[name][at] += row[name] or 0
    measured = np.zeros((count, HOURS))
    lives = db.execute(
        "SELECT MIN(begins_s), MAX(begins_s + length_s) FROM audience_measured GROUP BY place"
    ).fetchall()
    for row in db.execute("SELECT begins_s, measured_ms FROM audience_measured WHERE length_s <= 3600"):
        local = datetime.fromtimestamp(row["begins_s"], zone)
        if first <= local.date() < today:
            places = sum(begun_s <= row["begins_s"] < ended_s for begun_s, ended_s in lives)
            measured[(local.date() - first).days, local.hour] += row["measured_ms"] / 3.6e6 / places
    return {name: History(first, numbers, measured) for name, numbers in counts.items()}


def _rows(by: tuple[str, ...], coming: list[date], draws: dict[str, Floats]) -> list[dict[str, Any]]:
    """Return a row for each combination of `by` for which anything may be told."""
    axes: dict[str, list[Any]] = {
        "day": [day.isoformat() for day in coming],
        "weekday": [WEEKDAYS[day.weekday()] for day in coming],
        "hour": list(range(HOURS)),
        "gender": [gender for gender, _ in _GROUPS],
        "decade": [decade for _, decade in _GROUPS],
    }
    axis_of = {"day": 0, "weekday": 0, "hour": 1, "gender": 2, "decade": 2}
    shape = (len(coming), HOURS, len(_GROUPS))
    cells: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, place in enumerate(np.ndindex(shape)):
        cells[tuple(axes[name][place[axis_of[name]]] for name in by)].append(number)
    flat = {name: drawn.reshape(len(drawn), -1) for name, drawn in draws.items()}
    order = {name: list(dict.fromkeys(axes[name])) for name in by}
    rows = []
    for key in sorted(cells, key=lambda key: [order[name].index(value) for name, value in zip(by, key, strict=True)]):
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        most: dict[str, Any] = {}
        for name, drawn in flat.items():
            found = bounds(name, drawn[:, cells[key]].sum(1))
            for end, number in most.items():  # each of MEASURES is among those before it
                if HIDDEN not in (number, found[name + end]):
                    found[name + end] = min(number, found[name + end])
            most = {end: found[name + end] for end in ("", "_low", "_high")}
            row |= found
        if row["people"] != HIDDEN:
            rows.append(row)
    return rows


def bounds(name: str, draws: Floats) -> dict[str, Any]:
    """Return the mean of draws and its 90 % bounds as they may be told, under the names of a report's columns."""
    low, high = np.quantile(draws, [0.05, 0.95])
    mean = told(float(draws.mean()))
    return {name: mean or HIDDEN, f"{name}_low": told(float(low)), f"{name}_high": told(float(high))}
