"""Counts of people for the report of the audience: of the station's statistics, and of players until schema 4."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from pipeline.messages import DECADES
from players.audience.groups import GENDERS
from players.reports.telling import Cells, Clock, Columns, Ints, Kind, Numbering, rows_of
from players.statistics.counts import MEASURES
from players.statistics.times import DAY_S, HOUR_S

PEOPLE = ("people", "ots", "watchers", "watchers_2s")
"""Numbers of people of a cell, each of them among those before it. Times (ms) follow."""
COLUMNS = Columns(people=((0, 1, 2, 3),), times=((4, 0), (5, 2), (6, 2)))
NOTHING = rows_of((), len(MEASURES))
_OLD_CAMERA = "-"
"""Camera of what players counted by themselves, before there were statistics of the station."""
_QUARTER_S = 900


class Group(NamedTuple):
    """Values of a kind of cell: people of a gender and decade at a place."""

    site: str
    camera: str
    """Camera, or group of cameras."""
    screens: str
    gender: str
    decade: str

    @property
    def kind(self) -> Kind:
        """The group as a kind of cell. Each screen's old counts stand for themselves, as do the station's own."""
        source = (self.site, self.screens) if self.camera == _OLD_CAMERA else ""
        people = (self.gender, self.decade)
        return Kind(self, source, (("camera", self.camera), ("gender", self.gender), people), (self.camera, *people))


class Hour(NamedTuple):
    """Hour of a place, or a day whose hours were merged."""

    begins_s: int
    length_s: int
    site: str
    camera: str
    screens: str


Measured = dict[Hour, tuple[float, float]]
"""Time measured and time that could have been, in s."""


def read_counts(db: sqlite3.Connection, place_of: Numbering, clock: Clock) -> Cells:
    """Return the station's counts as rows; `place_of` numbers their groups."""
    bases = {number: of for number, *of in db.execute("SELECT id, station, place, screens FROM bases")}
    found = db.execute(f"SELECT length_s, begins_s, basis, gender, decade, {', '.join(MEASURES)} FROM counts")  # noqa: S608
    found.row_factory = None
    parts = [np.array(rows, np.int64) for rows in iter(lambda: found.fetchmany(50_000), [])]
    rows = np.concatenate([np.empty((0, 5 + len(MEASURES)), np.int64), *parts])
    kinds, kind = np.unique((rows[:, 2] << 8) + (rows[:, 3] << 4) + rows[:, 4], return_inverse=True)
    decades = (*DECADES, "unknown")
    groups = [(*bases[code >> 8], GENDERS[code >> 4 & 15], decades[code & 15]) for code in kinds.tolist()]
    places = np.array([place_of(Group._make(group)) for group in groups], np.int64)
    lengths = np.where(rows[:, 0] == DAY_S, DAY_S, HOUR_S)
    return Cells(_hours(rows[:, 1], rows[:, 0], clock), lengths, places[kind], rows[:, 5:].astype(float))


def read_old(db: sqlite3.Connection, place_of: Numbering, clock: Clock) -> tuple[Cells, bool]:
    """Return what players counted until schema 4 as rows, and whether an hour of theirs lies in two of the zone's.

    Groups share visits as they share the time.
    """
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
    rows: list[tuple[int, int, int, list[float | None]]] = []
    across = False
    for (station, screen, begins), number in visits.items():
        at_s = int(datetime.fromisoformat(begins).replace(tzinfo=UTC).timestamp())
        across |= len(begins) == len("2026-05-01T08") and bool(clock.local(at_s).minute)
        mine = groups[station, screen, begins]
        all_ms = sum(group["person_ms"] for group in mine)
        for group in mine if all_ms else ():
            kind = place_of(Group(station, _OLD_CAMERA, screen, group["gender"], group["decade"]))
            people, presence_ms = number * group["person_ms"] / all_ms, group["person_ms"]
            rows.append((clock.hour_s(at_s), HOUR_S, kind, [people, None, None, None, presence_ms, None, None]))
    return rows_of(rows, len(MEASURES)), across


def read_measured(db: sqlite3.Connection, clock: Clock, now_s: float) -> Measured:
    """Return time measured and possible of each hour of a place's life, also of hours in which nothing was measured.

    A day whose hours were merged is possible as a whole. What begins after `now_s` (UTC epoch) is of a clock that was
    ahead, and is left out.
    """
    hours: dict[Hour, float] = defaultdict(float)
    lives: dict[tuple[str, str, str], tuple[int, int]] = {}
    for length_s, begins_s, *place, measured_ms in db.execute(
        "SELECT length_s, begins_s, station, place, screens, measured_ms FROM audience_measured WHERE begins_s < ?",
        (now_s,),
    ):
        first_s, last_s = lives.get((*place,), (begins_s, 0))
        lives[*place,] = min(first_s, begins_s), max(last_s, begins_s + length_s)
        hour_s = begins_s if length_s == DAY_S else clock.hour_s(begins_s)
        hours[Hour(hour_s, max(length_s, HOUR_S), *place)] += measured_ms / 1000
    return dict(_with_gaps(hours, lives, clock))


def _hours(begins_s: Ints, length_s: Ints, clock: Clock) -> Ints:
    """Return the beginning of the hour of each period, or that of the day where the hours of a day were merged.

    A quarter of an hour lies in one hour of any zone.
    """
    begins_s = np.where(length_s < HOUR_S, begins_s // _QUARTER_S * _QUARTER_S, begins_s)
    moments, moment = np.unique(begins_s, return_inverse=True)
    hours = np.array([clock.hour_s(at_s) for at_s in moments.tolist()], np.int64)
    return np.where(length_s == DAY_S, begins_s, hours[moment])


def _with_gaps(
    hours: dict[Hour, float], lives: dict[tuple[str, str, str], tuple[int, int]], clock: Clock
) -> Iterator[tuple[Hour, tuple[float, float]]]:
    whole = {hour: measured_s for hour, measured_s in hours.items() if hour.length_s == DAY_S}
    for hour, measured_s in whole.items():
        yield hour, (measured_s, clock.end_s(hour.begins_s, DAY_S) - hour.begins_s)
    days = {(*hour[2:], clock.local(hour.begins_s).date()) for hour in whole}
    for place, (first_s, last_s) in lives.items():
        for at_s in range(clock.hour_s(first_s), last_s, HOUR_S):
            begins_s = clock.hour_s(at_s)
            if (*place, clock.local(begins_s).date()) not in days:
                hour = Hour(begins_s, HOUR_S, *place)
                yield hour, (hours.get(hour, 0.0), min(begins_s + HOUR_S, last_s) - max(begins_s, first_s))
