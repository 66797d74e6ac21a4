"""The statistics stage: it counts the people of all cameras of a station, and keeps the numbers in one file."""

import sqlite3
import time
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.job import Job
from pipeline.log import log, skip
from pipeline.messages import Audience
from pipeline.people import told
from players.audience.basis import angles_of, of_place, zone_hash
from players.ledger import clock
from players.ledger.damage import in_words
from players.statistics.counts import Basis, CountsFile, Pending, counts_path, is_damage
from players.statistics.times import MINUTE_S
from players.statistics.visits import Place

_WAITING_MAX = 200_000
"""Largest number of cells that wait in memory while the file cannot be written."""


class Statistics:
    """Stage that counts. Every minute is committed when it is over: a kill loses the open one at most.

    While the file cannot be written, such as on a full disk, numbers wait in memory, and it is tried again every
    minute.
    """

    status: dict[str, Any]
    """Facts for the operator: today's people, told as in reports, and what is wrong with the file."""

    def __init__(self, job: Job) -> None:
        """Open the file of counts, or begin one."""
        self._job = job
        self._zone = ZoneInfo(job.station.station.timezone)
        self._boot = clock.boot_id()
        self._pending = Pending()
        self._places: dict[str, Place] = {}
        self._models: dict[str, str] = {}
        self._file: CountsFile | None = None
        self._problem = ""
        self._counted_until_ns = 0
        self._newest: tuple[int, float] | None = None
        self._minute_s = 0
        self.status = {}
        self._open()
        self._tell()

    def step(self, batch: list[Audience]) -> list[Audience]:
        """Take in who is there. Returns []."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        for audience in batch:
            if audience.camera in self._job.cameras:
                place = self._place(audience)
                place.take(audience, self._basis(audience), offset_ns, self._pending)
        minute_s = int(time.time()) // MINUTE_S
        if minute_s != self._minute_s:
            self._minute_s = minute_s
            self._write()
        return []

    def update(self, job: Job) -> None:
        """Take in the cameras' tables. Whoever is there stays counted once."""
        self._job = job

    def close(self) -> None:
        """Write what is left and close the file."""
        self._write()
        if self._file:
            self._file.close()

    def _place(self, audience: Audience) -> Place:
        name = audience.group or audience.camera
        if name not in self._places:
            self._places[name] = Place(self._counted_until_ns)
        return self._places[name]

    def _basis(self, audience: Audience) -> Basis:
        """Return what the figures of a camera rest on now. A frame that asked nobody names no model: the last holds."""
        camera, job = self._job.cameras[audience.camera], self._job
        if audience.model_sha256:
            self._models[audience.camera] = audience.model_sha256
        place = audience.group or audience.camera
        seeing = {one.name: one for one in job.cameras.values() if (one.group or one.name) == place} or {
            camera.name: camera
        }
        screens = [screen.name for screen in job.station.screens if not screen.cameras or camera.name in screen.cameras]
        return Basis(
            station=job.station.station.name,
            mode=job.station.station.mode,
            place=place,
            camera=audience.camera,
            screens=",".join(screens),
            model_sha256=self._models.get(audience.camera, ""),
            angles_deg=of_place({name: angles_of(one) for name, one in seeing.items()}),
            zone_sha256=of_place({name: zone_hash(one) for name, one in seeing.items()}),
        )

    def _open(self) -> None:
        station = self._job.station
        path = counts_path(station.station, station.folder)
        try:
            self._file = CountsFile(path, self._zone, station.statistics)
            self._counted_until_ns = self._file.counted_until_ns(self._boot)
            if self._newest is None and self._file.newest_s is not None:
                self._newest = self._file.newest_s, time.monotonic()
        except (OSError, sqlite3.Error) as error:
            self._fail(f"cannot open {path}: {in_words(error)}")

    def _write(self) -> None:
        """Commit what is new; where that fails it waits."""
        now_ns = time.monotonic_ns()
        for place in self._places.values():
            place.write(self._pending, now_ns)
        if self._file and not self._file.is_there:
            log("statistics_taken_away", severity="err", effect="a new file is begun")
            self._file.close()
            self._file = None
        if not self._commit(now_ns) and self._file is None:
            self._commit(now_ns)  # to the file after one that was damaged
        if len(self._pending.counts) > _WAITING_MAX:
            skip("statistics_lost", severity="err", cells=len(self._pending.counts))
            self._pending = Pending()
        self._tell()

    def _commit(self, now_ns: int) -> bool:
        """Write what waits; return False where that cannot be done. A file of which a part is damaged is kept aside."""
        if self._file is None:
            self._open()
        if self._file is None:
            return False
        try:
            self._file.write(self._pending, self._boot, now_ns, self._merging_s())
        except sqlite3.Error as error:
            self._fail(in_words(error))
            if is_damage(error):
                self._put_aside(self._file, in_words(error))
            return False
        self._pending = Pending()
        if self._problem:
            log("statistics_well_again", severity="notice")
        self._problem = ""
        return True

    def _put_aside(self, file: CountsFile, problem: str) -> None:
        self._file = None
        try:
            file.put_aside(problem)
        except OSError as error:
            self._fail(in_words(error))

    def _merging_s(self) -> int:
        """Return the time by which counts are old (UTC epoch).

        While the clock is not known to be right, time goes on from the newest count that was found. A clock that
        jumped ahead for a minute would have all counts forgotten.
        """
        now_s = time.time()
        if self._newest is not None and not clock.is_synchronised():
            newest_s, found_s = self._newest
            now_s = min(now_s, newest_s + time.monotonic() - found_s)
        return int(now_s)

    def _fail(self, problem: str) -> None:
        if not self._problem:
            log("statistics_trouble", severity="err", problem=problem, effect="counts wait in memory")
        self._problem = problem

    def _tell(self) -> None:
        people, watchers = 0, 0
        if self._file:
            try:
                people, watchers = self._file.today(int(time.time()))
            except sqlite3.Error as error:
                skip("statistics_unreadable", error=error)
        self.status = {"today": {"people": told(people), "watchers": told(watchers)}, "counts_problem": self._problem}
