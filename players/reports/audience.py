"""The report of the audience: who came, who could see, who looked and how long, from the station's counts.

People are told in cells of an hour, a place and a group, rounded by `pipeline.people.Carry`. All reports add up the
same cells, so that no two of them together tell what each of them hides. Times are told by the mean of ten people or
more.
"""

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.people import FEWEST_PEOPLE, Carry
from players.reports.dimensions import known_dimensions, longer_hours, longer_note, order_of, value_of
from players.reports.periods import Span
from players.reports.report import Report
from players.statistics.times import DAY_S, HOUR_S, begin_s

AUDIENCE_BY = ("site", "camera", "screen", "day", "weekday", "hour", "gender", "decade")
_PEOPLE = ("people", "ots", "watchers", "watchers_2s")
"""Numbers of people of a cell, each of them among those before it."""
_TIMES = ("presence_s", "dwell_s", "attention_s")
_NAMES = (*_PEOPLE, *_TIMES)
_OF = ((4, 0), (5, 2), (6, 2))
"""Places of each time and of the people whose time it is in _NAMES."""
_SETTLED_S = 300
"""Time after which an hour is told. Until then who came in it may still be there."""
_OLD_PLACE = "-"
"""Place of what players counted by themselves, before there were statistics of the station."""


class Where(NamedTuple):
    """Hour, place and group of people. `length_s` is that of a day where the hours were merged."""

    begins_s: int
    length_s: int
    site: str
    camera: str
    """Camera, or group of cameras."""
    screens: str
    gender: str
    decade: str


Numbers = list[float | None]
"""Numbers of a cell or row: those of _PEOPLE, then of _TIMES. None: it was not counted, or is not told."""


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
    cells: dict[Where, Numbers] = {}
    clock = _Clock(zone)
    notes = [*_read_old(ledgers, cells, clock, by)] if ledgers else []
    measured = _read(counts, cells, clock) if counts else {}
    told = _tell(cells, clock, (time.time() if now_s is None else now_s) - _SETTLED_S)
    since_s, until_s = (None if text is None else datetime.fromisoformat(text).timestamp() for text in span)

    def holds(begins_s: int, length_s: int) -> bool:
        return (since_s is None or begins_s >= since_s) and (until_s is None or begins_s + length_s <= until_s)

    sums: dict[tuple[Any, ...], Numbers] = {}
    unknown: Counter[tuple[Any, ...]] = Counter()
    total: Numbers = [None] * len(_NAMES)
    hours: set[int] = set()
    screens: set[str] = set()
    merged = False
    for where, numbers in told.items():
        if not numbers[0] or not holds(where.begins_s, where.length_s):
            continue
        if where.length_s == DAY_S and "hour" in by:
            merged = True
            continue
        hours.add(where.begins_s)
        screens.add(where.screens)
        keys = [*_keys(where, by, clock)]
        for key in keys:
            _add(sums.setdefault(key, [None] * len(_NAMES)), numbers)
        _add(total, numbers)
        if "unknown" in (where.gender, where.decade):
            unknown.update(dict.fromkeys((*keys, ()), int(numbers[0])))
    shares = _Shares(by)
    for (begins_s, length_s, site, camera, faced), (measured_s, possible_s) in measured.items():
        if holds(begins_s, length_s) and not (length_s == DAY_S and "hour" in by):
            for key in _keys(Where(begins_s, length_s, site, camera, faced, "", ""), by, clock):
                shares.add(key, measured_s, possible_s)
    made = [
        dict(zip(by, key, strict=True)) | _columns(sums[key], total, unknown[key], shares.of(key))
        for key in sorted(sums, key=order_of(by))
    ]
    if made:
        made.append({**dict.fromkeys(by, ""), by[0]: "total", **_columns(total, total, unknown[()], shares.of(None))})
    longer = {hour for at_s in hours for hour in longer_hours(clock.local(at_s))} if "hour" in by else set()
    notes += [*longer_note(longer, by)]
    if merged:
        notes.append("Days of long ago are kept whole: they are in no row of an hour.")
    if "screen" in by and any("," in names for names in screens):
        notes.append("Who is seen by a camera that faces two screens is in the rows of both, and once in the total.")
    notes += ["Rows of fewer than 10 people are not listed.", "Numbers of people are in tens; times are means of many."]
    notes += ["An hour is told five minutes after its end. No hash covers these counts."]
    columns = (*by, *(name for name in _COLUMNS if any(row.get(name) is not None for row in made) or name == "people"))
    return Report(title="Audience", columns=columns, rows=made, totals=min(1, len(made)), notes=tuple(notes))


_COLUMNS = (
    *_PEOPLE, "share_pct", "person_hours", "stay_s", "dwell_s", "attention_s", "conversion_pct", "attraction_pct",
    "unknown_pct", "measured_pct",
)  # fmt: skip


class _Clock:
    """Local times of a zone, each of which is worked out once."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.local = cache(lambda at_s: datetime.fromtimestamp(at_s, zone))
        self.hour_s = cache(lambda at_s: begin_s(at_s, HOUR_S, zone))
        self.day = cache(lambda at_s: datetime.fromtimestamp(at_s, zone).date().isoformat())


def _read_old(db: sqlite3.Connection, cells: dict[Where, Numbers], clock: _Clock, by: tuple[str, ...]) -> Iterator[str]:
    """Add what players counted until schema 4, and yield notes on it. Groups share visits as they share the time."""
    visits: dict[tuple[str, str, str], float] = defaultdict(float)
    groups: dict[tuple[str, str, str], list[sqlite3.Row]] = defaultdict(list)
    for row in db.execute(
        "SELECT station, screen, hour_utc AS begins, visits FROM audience_hours "
        "UNION ALL SELECT station, screen, begins_utc, visits FROM audience_quarters"
    ):
        visits[row["station"], row["screen"], row["begins"]] += row["visits"]
    for row in db.execute(
        "SELECT station, screen, hour_utc AS begins, gender, decade, person_ms FROM audience_groups "
        "UNION ALL SELECT station, screen, begins_utc, gender, decade, person_ms FROM audience_quarter_groups"
    ):
        groups[row["station"], row["screen"], row["begins"]].append(row)
    across = False
    for (station, screen, begins), number in visits.items():
        at_s = int(datetime.fromisoformat(begins).replace(tzinfo=UTC).timestamp())
        across |= len(begins) == len("2026-05-01T08") and bool(clock.local(at_s).minute)
        mine = groups[station, screen, begins]
        all_ms = sum(group["person_ms"] for group in mine)
        for group in mine if all_ms else ():
            where = Where(clock.hour_s(at_s), HOUR_S, station, _OLD_PLACE, screen, group["gender"], group["decade"])
            people, presence_s = number * group["person_ms"] / all_ms, group["person_ms"] / 1000
            _add(cells.setdefault(where, [None] * len(_NAMES)), [people, None, None, None, presence_s, None, None])
    if visits:
        yield (
            "Before there were statistics of the station, screens counted by themselves: who left and came back counts "
            "again, shares of groups are shares of person time, and nobody's looks were counted."
        )
    if across and {"day", "weekday", "hour"} & {*by}:
        yield "Counts of older versions are by hours of UTC: each is told where it begins, at half past here."


_Measured = dict[tuple[int, int, str, str, str], tuple[float, float]]
"""Time measured and time that could have been, in s, by beginning, length, site, camera and screens."""


_BY_QUARTERS = """
SELECT MAX(length_s), IIF(length_s < 3600, begins_s / 900 * 900, begins_s) AS quarter_s,
station, place, screens, gender, decade, SUM(visits), SUM(ots), SUM(watchers), SUM(watchers_2s),
SUM(presence_ms) / 1000.0, SUM(dwell_ms) / 1000.0, SUM(attention_ms) / 1000.0 FROM audience_counts
GROUP BY length_s < 86400, quarter_s, basis, gender, decade
"""
"""Counts by quarters of an hour, which lie in one hour of any zone."""


def _read(db: sqlite3.Connection, cells: dict[Where, Numbers], clock: _Clock) -> _Measured:
    """Add the station's counts; return how much of each hour was measured."""
    hours: dict[tuple[int, int, str, str, str], float] = defaultdict(float)
    lives: dict[tuple[str, str, str], tuple[int, int]] = {}
    for length_s, begins_s, *place, measured_ms in db.execute(
        "SELECT length_s, begins_s, station, place, screens, measured_ms FROM audience_measured"
    ):
        first_s, last_s = lives.get((*place,), (begins_s, 0))
        lives[*place,] = min(first_s, begins_s), max(last_s, begins_s + length_s)
        hours[*_hour(begins_s, length_s, clock), *place] += measured_ms / 1000
    for length_s, begins_s, station, place, screens, gender, decade, *numbers in db.execute(_BY_QUARTERS):
        hour_s, hour_length_s = _hour(begins_s, length_s, clock)
        where = Where(hour_s, hour_length_s, station, place, screens, gender, decade)
        if where in cells:
            _add(cells[where], numbers)
        else:
            cells[where] = numbers
    return _with_gaps(hours, lives, clock)


def _hour(begins_s: int, length_s: int, clock: _Clock) -> tuple[int, int]:
    """Return the hour of a period, or the day where the hours of a day were merged: beginning and length."""
    return (begins_s, DAY_S) if length_s == DAY_S else (clock.hour_s(begins_s), HOUR_S)


def _with_gaps(
    hours: dict[tuple[int, int, str, str, str], float],
    lives: dict[tuple[str, str, str], tuple[int, int]],
    clock: _Clock,
) -> _Measured:
    """Return time measured and possible of each hour of a place's life, also of hours in which nothing was measured.

    A day whose hours were merged is possible as a whole.
    """
    found: _Measured = {key: (ms, DAY_S) for key, ms in hours.items() if key[1] == DAY_S}
    days = {(*key[2:], clock.local(key[0]).date()) for key in found}
    for place, (first_s, last_s) in lives.items():
        for at_s in range(clock.hour_s(first_s), last_s, HOUR_S):
            begins_s = clock.hour_s(at_s)
            if (*place, clock.local(begins_s).date()) not in days:
                possible_s = min(begins_s + HOUR_S, last_s) - max(begins_s, first_s)
                found[begins_s, HOUR_S, *place] = hours.get((begins_s, HOUR_S, *place), 0.0), possible_s
    return found


def _tell(cells: dict[Where, Numbers], clock: _Clock, until_s: float) -> dict[Where, Numbers]:
    """Return what is told of each cell that is over: people in tens, and their times by the mean of many.

    Each month stands for itself. Of an hour the smallest cell comes first, so that the largest is rounded up.
    """
    over = [where for where in cells if where.begins_s + where.length_s <= until_s]
    over.sort(key=lambda where: (where.begins_s, cells[where][0], where))
    means = _Means(cells, over, clock)
    carries: dict[tuple[int, int], tuple[Carry, ...]] = defaultdict(lambda: tuple(Carry() for _ in _PEOPLE))

    numbers: dict[Hashable, int] = {}

    def number_of(margin: Hashable) -> int:
        return numbers.setdefault(margin, len(numbers))

    @cache
    def times(begins_s: int, length_s: int) -> tuple[int, ...]:
        local = clock.local(begins_s)
        hour = local.hour if length_s == HOUR_S else None
        return tuple(map(number_of, ("month", ("day", local.day), ("hour", hour), ("week", local.weekday(), hour))))

    @cache
    def group(camera: str, gender: str, decade: str) -> tuple[int, ...]:
        return tuple(map(number_of, (("camera", camera), ("gender", gender), ("group", gender, decade))))

    told: dict[Where, Numbers] = {}
    for where in over:
        local = clock.local(where.begins_s)
        margins = times(where.begins_s, where.length_s) + group(where.camera, where.gender, where.decade)
        most: int | None = None
        mine: Numbers = []
        for carry, number in zip(carries[local.year, local.month], cells[where], strict=False):
            most = None if number is None else carry.told(number, margins, most)
            mine.append(most)
        told[where] = mine + [means.of(time, people, where, mine[people]) for time, people in _OF]
    return told


class _Means:
    """Mean times of people, of the smallest part around a cell that holds ten of them."""

    def __init__(self, cells: dict[Where, Numbers], over: list[Where], clock: _Clock) -> None:
        self._cells, self._clock = cells, clock
        self._sums: dict[Any, Numbers] = {}
        for where in over:
            for part in self._parts(where):
                sums = self._sums.get(part)
                if sums is None:
                    self._sums[part] = list(cells[where])
                else:
                    _add(sums, cells[where])

    def of(self, time: int, people: int, where: Where, told: float | None) -> float | None:
        """Return the time of as many people as are told; None where there are too few for a mean."""
        if not told:
            return None
        for sums in (self._cells[where], *(self._sums[part] for part in self._parts(where))):
            number, time_s = sums[people], sums[time]
            if number is not None and time_s is not None and number >= FEWEST_PEOPLE:
                return told * round(time_s / number, 1)
        return None

    def _parts(self, where: Where) -> tuple[Hashable, ...]:
        day = self._clock.day(where.begins_s)
        return (day, where.camera, where.gender, where.decade), day[:7]


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


def _keys(where: Where, by: tuple[str, ...], clock: _Clock) -> Iterator[tuple[Any, ...]]:
    """Yield the keys of the rows to which a cell belongs: one, or one for each screen that the camera faces."""
    local = clock.local(where.begins_s)
    values = [value_of(name, None, local) if name in _CLOCK else getattr(where, name, "") for name in by]
    if "screen" not in by:
        yield tuple(values)
        return
    for screen in where.screens.split(","):
        yield tuple(screen if name == "screen" else value for name, value in zip(by, values, strict=True))


_CLOCK = ("day", "weekday", "hour")


def _add(sums: Numbers, numbers: Sequence[float | None]) -> None:
    """Add numbers; what is None in both stays so."""
    for i, number in enumerate(numbers):
        if number is not None:
            before = sums[i]
            sums[i] = number if before is None else before + number


def _columns(row: Numbers, total: Numbers, unknown: int, measured: float | None) -> dict[str, Any]:
    """Return the columns of a row. Ratios are those of the told numbers."""
    people, ots, watchers, _, presence_s, dwell_s, attention_s = row

    def pct(part: float | None, whole: float | None) -> float | None:
        return None if part is None or not whole else round(100 * part / whole, 1)

    def mean(time_s: float | None, number: float | None) -> float | None:
        return None if time_s is None or not number else round(time_s / number, 1)

    return {
        **{name: None if number is None else round(number) for name, number in zip(_PEOPLE, row, strict=False)},
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
