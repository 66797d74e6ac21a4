"""Who was there: while one ad was on the screen, and hour by hour. Numbers only; nobody is told apart."""

import sqlite3
from typing import Literal

from msgspec import Struct

from pipeline.messages import DECADES
from players.audience.groups import GENDERS, UNKNOWN_AGE
from players.audience.present import Present
from players.choice.choose import Decision
from players.choice.matching import matched


class Shown(Struct, frozen=True, kw_only=True):
    """What came of a play. `failed` is a medium that could not be shown, `partial` one that was cut short. `shown_ms`
    is the time from its first flip to its last; without it the time between the two commits."""

    frames_expected: int
    frames_presented: int
    status: Literal["played", "partial", "failed"]
    stop_reason: str = ""
    shown_ms: int | None = None
    exposure: "Exposure"


class Exposure:
    """Who was there while an ad was on the screen; without tracking, people are told apart by number only.

    matched_watchers: most people at once whom the target fits. watchers: most people at once. ots (opportunity to see):
    the people there at its beginning plus every rise of their number since. person_ms: people times time.
    """

    def __init__(self, decision: Decision) -> None:
        self._target = decision.line.target
        self._minors = decision.minors
        self._last: tuple[int, int] | None = None
        self.matched_watchers = self.watchers = self.ots = self.person_ms = 0

    def add(self, present: Present, mono_ns: int) -> None:
        """Who is present at `mono_ns`, while the ad is shown; call it as often as the audience changes."""
        if self._last is None:
            self.ots = present.people
        else:
            people, then_ns = self._last
            self.person_ms += people * (mono_ns - then_ns) // 1_000_000
            self.ots += max(0, present.people - people)
        self._last = present.people, mono_ns
        self.watchers = max(self.watchers, present.people)
        self.matched_watchers = max(self.matched_watchers, matched(present, self._target, self._minors))


class AudienceCount:
    """Counts by hour (UTC) that are not in the ledger yet.

    visits: every rise of the number of people present. person_ms: people times time. watched_ms: time with anybody
    there.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], float] = {}
        self._hours: dict[str, list[float]] = {}
        self._last: tuple[int, int] | None = None

    def add(self, present: Present, mono_ns: int, hour: str) -> None:
        """A rise of the number of people is as many visits; over a gap of more than 2 s nobody is counted."""
        people, then_ns = self._last or (0, mono_ns)
        passed_ms = (mono_ns - then_ns) / 1e6
        if passed_ms > 2000:
            people, passed_ms = 0, 0.0
        self._last = present.people, mono_ns
        if not present.people and not people:
            return
        counts = self._hours.setdefault(hour, [0.0, 0.0, 0.0])
        counts[0] += max(0, present.people - people)
        counts[1] += present.people * passed_ms
        counts[2] += passed_ms
        for gender, decade in zip(*present.bins.nonzero(), strict=True):
            name = "unknown" if decade == UNKNOWN_AGE else DECADES[decade]
            key = hour, GENDERS[gender], name
            self._groups[key] = self._groups.get(key, 0.0) + float(present.bins[gender, decade]) * passed_ms

    def write(self, db: sqlite3.Connection, station: str, screen: str) -> None:
        """Add the counts to the file, inside the caller's transaction."""
        for hour, (visits, person_ms, watched_ms) in self._hours.items():
            db.execute(
                "INSERT INTO audience_hours VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET visits = visits + excluded.visits, "
                "person_ms = person_ms + excluded.person_ms, watched_ms = watched_ms + excluded.watched_ms",
                (station, screen, hour, round(visits), round(person_ms), round(watched_ms)),
            )
        for (hour, gender, decade), person_ms in self._groups.items():
            db.execute(
                "INSERT INTO audience_groups VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET person_ms = person_ms + excluded.person_ms",
                (station, screen, hour, gender, decade, round(person_ms)),
            )

    def written(self) -> None:
        """They are on the disk."""
        self._groups.clear()
        self._hours.clear()
