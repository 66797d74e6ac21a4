"""Watch over a folder of campaigns: the newest good catalogue, whatever becomes of the folder."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from pipeline.log import log, skip
from players.ads.campaigns import Reader
from players.ads.catalogue import Catalogue
from players.ads.examination import Examination
from players.ads.holders import Holders
from players.ads.places import PlaceError
from players.ads.quarantine import Quarantine

_Told = TypeVar("_Told")
CLOSE_S = 1.0
"""Longest that a player that stops waits for the watcher: examining a film may take longer than it has."""
FIRST_S, REST_S = 10.0, 1.0
"""Longest waits at a start where no medium is known from before: for the first one, and then for the others."""
TOGETHER_S = 0.5
"""Shortest time between two catalogues, once something plays: what is examined meanwhile joins together."""
SLOW_S = 5.0
"""Time after which a disk that has not answered is told of."""


LINES_MAX = 20
"""Largest number of lines of the log that one change of the folder makes of one kind of event."""


def _new(event: str, now: Iterable[_Told], before: Iterable[_Told]) -> list[_Told]:
    """Return what was not told before, at most LINES_MAX of it; the log tells how much more there is."""
    known = set(before)
    new = [told for told in now if told not in known]
    if len(new) > LINES_MAX:
        more = len(new) - LINES_MAX
        log("campaign_more", severity="notice", of=event, more=more, all_by="stationcast campaigns check")
    return new[:LINES_MAX]


class CatalogueWatcher:
    """Keeper of the newest good catalogue of a folder: reads it now, then looks for changes in a thread of its own.

    While the folder fails, the last catalogue stays. New media join it when they were examined, in another thread.
    """

    def __init__(
        self,
        folder: Path,
        zone: ZoneInfo,
        default_duration_s: float,
        cache: Path | None = None,
        screens: int = 1,
        quarantine: Quarantine | None = None,
        holders: Callable[[Holders], None] | None = None,
    ) -> None:
        """Read the folder, or wait for it where it is not there yet. `holders` tells who held ids before."""
        self._folder = folder
        quarantine = quarantine or Quarantine()
        self._reader = Reader(folder, zone, default_duration_s, cache, screens, quarantine, holders)
        self._catalogue = Catalogue((), (), zone)
        self._was_read = False
        self._is_due = True
        self._trouble = ""
        self._slow_since_s: float | None = None
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._doubted: list[str] = []
        self._examined = threading.Event()
        self._examination = Examination(self._reader.known, quarantine, self._wake.set)
        self._look()
        self._thread = threading.Thread(target=self._watch, name="campaigns", daemon=True)
        self._thread.start()
        if not self._trouble and not self._catalogue.lines and not self._catalogue.house:
            self._examined.wait(FIRST_S)
            until_s = time.monotonic() + REST_S
            while self._catalogue.waiting and time.monotonic() < until_s:
                self._closing.wait(0.02)

    def poll(self) -> Catalogue:
        """Return the newest good catalogue, without waiting."""
        return self._catalogue

    def share_budgets(self, screens: int) -> None:
        """Let this screen spend its equal part of each budget among so many; the next look at the folder applies it."""
        self._reader.screens = screens

    @property
    def problem(self) -> str:
        """Reason why the folder, or a part of it, cannot be read now; empty where it can."""
        since_s = self._slow_since_s
        slow_s = 0.0 if since_s is None else time.monotonic() - since_s
        return self._trouble or (f"{self._folder}: it has not answered for {slow_s:.0f} s" if slow_s > SLOW_S else "")

    def doubt(self, medium: Path) -> None:
        """Have a medium examined anew: it is another than was examined, whatever its size and its times say."""
        self._doubted.append(str(medium))
        self._wake.set()

    def close(self) -> None:
        """Stop watching, without waiting for media that are being examined."""
        self._closing.set()
        self._wake.set()
        self._examination.close(CLOSE_S)
        self._thread.join(CLOSE_S)

    def _watch(self) -> None:
        pause_s = least_s = 0.0
        while True:
            if self._wake.wait(max(1.0, pause_s)):
                self._closing.wait(max(TOGETHER_S, least_s) if self._catalogue.creatives else 0.0)
            self._wake.clear()
            if self._closing.is_set():
                return
            began_s = time.thread_time()
            try:
                self._look()
            except Exception as error:
                skip("campaigns_unreadable", error=error)
            pause_s, least_s = (times * (time.thread_time() - began_s) for times in (50, 4))

    def _look(self) -> None:
        """Look at the folder once, and read it where something has changed."""
        self._slow_since_s = time.monotonic()
        try:
            answers = self._examination.take()
            self._reader.upkeep.learn(answers)
            doubted = [self._doubted.pop() for _ in range(len(self._doubted))]
            self._reader.upkeep.forget(doubted)
            self._is_due |= bool(answers or doubted)  # and stays so while the folder fails
            self._is_due = self._is_due or self._reader.changed() or self._reader.due
            if self._is_due:
                self._replace()
                self._is_due = False
            self._tell_trouble(self._reader.trouble)
        except PlaceError as error:
            self._tell_trouble(str(error))
        finally:
            self._slow_since_s = None

    def _replace(self) -> None:
        before, now = self._catalogue, self._reader.read()
        self._reader.keep()
        self._examination.want(self._reader.upkeep.wanted)
        if now.creatives or not self._examination.busy:
            self._examined.set()
        if self._was_read and now.says == before.says:
            return
        self._catalogue = now
        for problem in _new("campaign_problem", now.problems, before.problems):
            log("campaign_problem", severity="warning", problem=problem)
        for text in _new("campaign_waits", now.waiting, before.waiting):
            log("campaign_waits", medium=text)
        for name, why in _new("campaign_unused", now.unused, before.unused):
            log("campaign_unused", severity="notice", file=name, why=why)
        if self._was_read:
            log("campaigns_read", lines=len(now.lines), house=len(now.house))
        self._was_read = True

    def _tell_trouble(self, trouble: str) -> None:
        """Log once that the folder fails, and once that it is back."""
        before, self._trouble = self._trouble, trouble
        if trouble and not before:
            meanwhile = "what is loaded plays on" if self._was_read else "the house card is shown"
            log("campaigns_away", severity="warning", why=trouble, meanwhile=meanwhile)
        elif before and not trouble:
            log("campaigns_back", severity="notice", folder=self._folder)
