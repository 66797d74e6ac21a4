"""Counts of the audience by quarter of an hour, gender and decade. Nobody is told apart."""

import sqlite3

from pipeline.messages import DECADES
from players.audience.groups import GENDERS, UNKNOWN_AGE
from players.audience.present import Present

_GAP_MS = 2000
"""Longest time between two counts over which the audience is taken to have stayed."""


class AudienceCount:
    """Counts by quarter of an hour (UTC) that are not in a file yet.

    `visits`: sum of all rises of the number of people present. `person_ms`: people times time.
    `watched_ms`: time with anybody there.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], float] = {}
        self._quarters: dict[str, list[float]] = {}
        self._last: tuple[int, int] | None = None

    def add(self, present: Present, mono_ns: int, quarter: str) -> None:
        """Count who is present at `mono_ns`, in the quarter that begins so (such as `2026-05-01T08:15`).

        Over a gap of 2 s nobody is counted.
        """
        people, then_ns = self._last or (0, mono_ns)
        passed_ms = (mono_ns - then_ns) / 1e6
        if passed_ms > _GAP_MS:
            people, passed_ms = 0, 0.0
        self._last = present.people, mono_ns
        if not present.people and not people:
            return
        counts = self._quarters.setdefault(quarter, [0.0, 0.0, 0.0])
        counts[0] += max(0, present.people - people)
        counts[1] += present.people * passed_ms
        counts[2] += passed_ms
        for gender, decade in zip(*present.bins.nonzero(), strict=True):
            name = "unknown" if decade == UNKNOWN_AGE else DECADES[decade]
            key = quarter, GENDERS[gender], name
            self._groups[key] = self._groups.get(key, 0.0) + float(present.bins[gender, decade]) * passed_ms

    def write(self, db: sqlite3.Connection, station: str, screen: str) -> None:
        """Add the counts to the file's tables of quarters, inside the caller's transaction."""
        for quarter, (visits, person_ms, watched_ms) in self._quarters.items():
            db.execute(
                "INSERT INTO audience_quarters VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET visits = visits + excluded.visits, "
                "person_ms = person_ms + excluded.person_ms, watched_ms = watched_ms + excluded.watched_ms",
                (station, screen, quarter, round(visits), round(person_ms), round(watched_ms)),
            )
        for (quarter, gender, decade), person_ms in self._groups.items():
            db.execute(
                "INSERT INTO audience_quarter_groups VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET person_ms = person_ms + excluded.person_ms",
                (station, screen, quarter, gender, decade, round(person_ms)),
            )

    def written(self) -> None:
        """Forget the counts, which are on the disk now."""
        self._groups.clear()
        self._quarters.clear()
