"""The report of the audience: who came, who could see, who looked and how long, from the station's counts.

People are told in cells of an hour, a place and a group (telling.py).
"""

import math
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from players.reports.audience_counts import (
    COLUMNS,
    NOTHING,
    PEOPLE,
    Group,
    Hour,
    read_counts,
    read_measured,
    read_old,
)
from players.reports.dimensions import known_dimensions, longer_hours, longer_note, order_of, value_of
from players.reports.periods import Span, bound_s
from players.reports.report import Report
from players.reports.telling import Cells, Clock, Floats, Numbering, summed, sums_by, tell
from players.statistics.times import DAY_S

AUDIENCE_BY = ("site", "camera", "screen", "day", "weekday", "hour", "gender", "decade")
_CLOCK = ("day", "weekday", "hour")
_COLUMNS = (
    *PEOPLE, "share_pct", "person_hours", "stay_s", "dwell_s", "attention_s", "conversion_pct", "attraction_pct",
    "unknown_pct", "measured_pct",
)  # fmt: skip
_BRIEF = ("people", "ots", "watchers", "share_pct", "attention_s", "measured_pct")
"""Columns in a terminal, beside those of `by`."""
_SETTLED_S = 300
"""Time after which an hour is told. Until then who came in it may still be there."""
Row = list[float | None]
"""Numbers of a row: those of MEASURES with times in s, then people without gender or age. None: it is not told."""


def audience(
    ledgers: sqlite3.Connection | None,
    by: tuple[str, ...],
    zone: ZoneInfo,
    span: Span = (None, None),
    counts: sqlite3.Connection | None = None,
    now_s: float | None = None,
) -> Report:
    """Return how many people came, could see and looked, by some of AUDIENCE_BY. Days and hours are those of `zone`.

    `counts` are those of the station (players/statistics/reading.py); ledgers hold what older players counted. Rows of
    fewer than ten people are not listed. Raises UserError for an unknown dimension.
    """
    known_dimensions(by, AUDIENCE_BY)
    clock, groups = Clock(zone), Numbering()
    old, across = read_old(ledgers, groups, clock) if ledgers else (NOTHING, False)
    read = [old, read_counts(counts, groups, clock) if counts else NOTHING]
    now_s = time.time() if now_s is None else now_s
    told = _told(read, groups, clock, now_s - _SETTLED_S)
    measured = read_measured(counts, clock, now_s) if counts else {}
    lies_in = _within(span)
    told = told.only(lies_in(told.begins_s, clock.ends_s(told.begins_s, told.length_s)))
    merged = (told.length_s == DAY_S) & ("hour" in by)
    told = told.only(~merged)
    keys = _Keys(by, clock)
    sums, total = _sums(told, [*groups], keys)
    shares = _Shares(by)
    for hour, (measured_s, possible_s) in measured.items():
        if lies_in(hour.begins_s, clock.end_s(hour.begins_s, hour.length_s)) and not (
            hour.length_s == DAY_S and "hour" in by
        ):
            for key in keys.of(hour.begins_s, hour):
                shares.add(key, measured_s, possible_s)
    rows = [
        dict(zip(by, key, strict=True)) | _columns(sums[key], total, shares.of(key))
        for key in sorted(sums, key=order_of(by))
    ]
    if rows:
        rows.append({**dict.fromkeys(by, ""), by[0]: "total", **_columns(total, total, shares.of(None))})
    columns = (*by, *(name for name in _COLUMNS if any(row.get(name) is not None for row in rows) or name == "people"))
    notes = [*(_notes_on_old(across, by) if len(old.kinds) else ())]
    notes += _notes(told, bool(merged.any()), [*groups], by, clock)
    brief = tuple(name for name in (*by, *_BRIEF) if name in columns)
    totals = min(1, len(rows))
    return Report(title="Audience", columns=columns, brief=brief, rows=rows, totals=totals, notes=tuple(notes))


def _told(read: Sequence[Cells], groups: Iterable[Group], clock: Clock, until_s: float) -> Cells:
    """Return what is told of cells that are over, without those of which nothing is."""
    kinds = [group.kind for group in groups]
    cells = summed(Cells._make(map(np.concatenate, zip(*read, strict=True))), kinds)
    cells = cells.only(cells.begins_s + cells.length_s <= until_s)
    cells = cells._replace(numbers=tell(cells, kinds, COLUMNS, clock))
    return cells.only(cells.numbers[:, 0] > 0)


def _within(span: Span) -> Callable[[Any, Any], Any]:
    """Return a test whether periods, by beginning and end, lie wholly in a span."""
    since_s, until_s = (bound_s(text) for text in span)
    first_s, stop_s = -math.inf if since_s is None else since_s, math.inf if until_s is None else until_s
    return lambda begins_s, ends_s: (begins_s >= first_s) & (ends_s <= stop_s)


class _Keys:
    """Keys of the rows of a report, which are the values of its dimensions."""

    def __init__(self, by: tuple[str, ...], clock: Clock) -> None:
        self._by, self._clock = by, clock

    def of_time(self, begins_s: int) -> tuple[Any, ...]:
        """Return the part of a key that is of time."""
        local = self._clock.local(begins_s)
        return tuple(value_of(name, None, local) for name in self._by if name in _CLOCK)

    def of(self, begins_s: int, place: Group | Hour) -> Iterator[tuple[Any, ...]]:
        """Yield the keys of the rows to which a place belongs: one, or one for each screen that the camera faces."""
        of_time = zip((name for name in self._by if name in _CLOCK), self.of_time(begins_s), strict=True)
        values = place._asdict() | dict(of_time)
        for screen in place.screens.split(",") if "screen" in self._by else ("",):
            yield tuple(screen if name == "screen" else values.get(name, "") for name in self._by)


def _sums(told: Cells, groups: Sequence[Group], keys: _Keys) -> tuple[dict[tuple[Any, ...], Row], Row]:
    """Return the sums of cells by the key of their row, and of all."""
    unknown = np.array(["unknown" in (group.gender, group.decade) for group in groups], bool)[told.kinds]
    numbers = np.column_stack((told.numbers, np.where(unknown, told.numbers[:, 0], 0.0)))
    moments, moment = np.unique(told.begins_s, return_inverse=True)
    time_of = Numbering()
    times = np.array([time_of(keys.of_time(at_s)) for at_s in moments.tolist()], np.int64)[moment]
    _, first, alike = np.unique(times * len(groups) + told.kinds, return_index=True, return_inverse=True)
    row_of = Numbering()
    rows = [
        [row_of(key) for key in keys.of(begins_s, groups[kind])]
        for begins_s, kind in zip(told.begins_s[first].tolist(), told.kinds[first].tolist(), strict=True)
    ]
    most = max(map(len, rows), default=0)
    padded = np.array([[*mine, *[-1] * (most - len(mine))] for mine in rows], np.int64).reshape(len(rows), most)[alike]
    cell, turn = np.nonzero(padded >= 0)
    sums = sums_by(padded[cell, turn], len(row_of), numbers[cell])
    total = sums_by(np.zeros(len(numbers), np.int64), 1, numbers)
    (of_all,), of_rows = (_as_rows(each) for each in (total, sums))
    return dict(zip(row_of, of_rows, strict=True)), of_all


def _as_rows(sums: Floats) -> list[Row]:
    return [[None if math.isnan(number) else number for number in row] for row in sums.tolist()]


class _Shares:
    """Share of the time that was measured, by the dimensions of a report that are not of people."""

    def __init__(self, by: tuple[str, ...]) -> None:
        self._places = tuple(i for i, name in enumerate(by) if name not in ("gender", "decade"))
        self._sums: dict[tuple[Any, ...] | None, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, key: tuple[Any, ...], measured_s: float, possible_s: float) -> None:
        """Add the time measured of the time possible."""
        for mine in (tuple(key[i] for i in self._places), None):
            self._sums[mine][0] += measured_s
            self._sums[mine][1] += possible_s

    def of(self, key: tuple[Any, ...] | None) -> float | None:
        """Return the share for the key of a row, or for all; None where nothing is known of it."""
        sums = self._sums.get(None if key is None else tuple(key[i] for i in self._places))
        return min(1.0, sums[0] / sums[1]) if sums and sums[1] else None


def _notes_on_old(across: bool, by: tuple[str, ...]) -> Iterator[str]:
    """Yield notes on what players counted until schema 4; `across`: an hour of it lies in two of the zone's."""
    yield (
        "Before there were statistics of the station, screens counted by themselves: who left and came back counts "
        "again, shares of groups are shares of person time, and nobody's looks were counted."
    )
    if across and {"day", "weekday", "hour"} & {*by}:
        yield "Counts of older versions are by hours of UTC: each is told where it begins, at half past here."


def _notes(told: Cells, merged: bool, groups: Sequence[Group], by: tuple[str, ...], clock: Clock) -> Iterator[str]:
    """Yield notes on what is told; `merged`: days whose hours were merged are in no row."""
    longer = (longer_hours(clock.local(at_s)) for at_s in (np.unique(told.begins_s).tolist() if "hour" in by else ()))
    yield from longer_note(set().union(*longer), by)
    if merged:
        yield "Days of long ago are kept whole: they are in no row of an hour."
    if "screen" in by and any("," in groups[kind].screens for kind in np.unique(told.kinds)):
        yield "Who is seen by a camera that faces two screens is in the rows of both, and once in the total."
    yield from (
        "Rows of fewer than 10 people are not listed.",
        "Numbers of people are in tens; times are means of many.",
    )
    yield "An hour is told five minutes after its end. No hash covers these counts."


def _columns(row: Row, total: Row, measured: float | None) -> dict[str, Any]:
    """Return the columns of a row. Ratios are those of the told numbers."""
    people, ots, watchers, _, presence_s, dwell_s, attention_s, unknown = row

    def pct(part: float | None, whole: float | None) -> float | None:
        return None if part is None or not whole else round(100 * part / whole, 1)

    def mean(time_s: float | None, number: float | None) -> float | None:
        return None if time_s is None or not number else round(time_s / number, 1)

    return {
        **{name: None if number is None else round(number) for name, number in zip(PEOPLE, row, strict=False)},
        "share_pct": pct(people, total[0]),
        "person_hours": None if presence_s is None else round(presence_s / 3600, 2),
        "stay_s": mean(presence_s, people),
        "dwell_s": mean(dwell_s, watchers),
        "attention_s": mean(attention_s, watchers),
        "conversion_pct": pct(watchers, ots),
        "attraction_pct": pct(attention_s, dwell_s),
        "unknown_pct": pct(unknown, people),
        "measured_pct": None if measured is None else round(100 * measured, 1),
    }
