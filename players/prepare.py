"""Preparation of ads in a thread beside the render loop: choosing, loading, and recording in the ledger.

The render loop asks for the next ad well before it needs it, and never waits.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pygame

from pipeline.job import Job
from pipeline.log import skip
from pipeline.medium import MediumError
from pipeline.state import state_dir
from players.ads.campaigns import open_folder
from players.ads.catalogue import Catalogue
from players.ads.lines import Creative, Line
from players.ads.quarantine import Quarantine
from players.ads.watcher import CatalogueWatcher
from players.audience.present import Present
from players.choice.choose import Rules, choose, moment_in
from players.choice.failures import Failures
from players.choice.held import LISTED, HeldLog
from players.choice.terms import held_now
from players.decoding.decoders import Decoders
from players.decoding.decoding import LateError
from players.ledger.clock import boot_id
from players.ledger.ledger import Ledger
from players.ledger.paths import ledger_path
from players.ledger.shown import Shown
from players.ready import ReadyAd, load
from players.screen.layout import Layout

TRIES = 5
"""Number of ads that are tried, one after the other, where ads cannot be loaded."""


class Preparation:
    """One thread that does, in order, what the render loop asks for. Work that has a result gives a Future."""

    def __init__(self, job: Job) -> None:
        self.standby: pygame.Surface | None = None
        """The house picture that was loaded last, for moments when nothing else is ready."""
        self.plays: dict[str, Any] = {"total": 0, "billable": 0, "by_ad": {}}
        """Totals of this run, from the ledger: plays, billable plays, plays by ad."""
        self.held: dict[str, str] = {}
        """Reason of each paid line that does not play now; at most held.LISTED of them by name."""
        self._held_log = HeldLog()
        self._job = job
        self._zone = ZoneInfo(job.station.station.timezone)
        self._folder = open_folder(job.station.ads.campaigns, job.station.folder)
        state = state_dir(job.station.station, job.station.folder)
        self._cache_path = state / f"media-{job.screen.name}.cache"
        self._quarantine = Quarantine(state / f"quarantine-{job.screen.name}.cache")
        self._failures = Failures(self._quarantine)
        self._rng = Random()
        self._decoders = Decoders()
        self._watcher: CatalogueWatcher | None = None
        self._ledger: Ledger | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="preparation")

    def prepare(self, present: Present, layout: Layout, left_s: float, card_on: bool) -> "Future[ReadyAd | None]":
        """Choose an ad that may begin in `left_s` seconds for the people present, and load it.

        `card_on`: the house card is on. The result is None where not even a house ad can be shown.
        """
        begins_s = time.monotonic() + max(0.0, left_s)
        return self._thread.submit(self._prepare, present, layout, begins_s, card_on)

    def start(self, ad: ReadyAd) -> "Future[bool]":
        """Commit the start of the ad to the ledger. The result is False where the ad must not be shown."""
        return self._thread.submit(self._start, ad)

    def end(self, ad: ReadyAd, shown: Shown) -> None:
        """Commit to the ledger what was shown of the ad, and release it."""
        self._thread.submit(_logged(self._end), ad, shown)

    def drop(self, ad: ReadyAd) -> None:
        """Release an ad that was not shown."""
        self._thread.submit(ad.release)

    def update(self, job: Job) -> None:
        """Take in that the station has another number of screens, which share each budget."""
        self._job = job
        if self._watcher:
            self._watcher.share_budgets(job.screens)

    def close(self) -> None:
        """Finish what was asked for, then close the ledger and the campaigns."""
        self._thread.shutdown()
        self._decoders.close()
        if self._ledger:
            self._ledger.close()
        if self._watcher:
            self._watcher.close()
        pygame.mixer.quit()

    @property
    def ledger_problem(self) -> str:
        """Reason why only house ads play; empty while the ledger is well."""
        return self._ledger.problem if self._ledger else ""

    @property
    def quarantined(self) -> dict[str, str]:
        """Reason of each creative that is kept away because it failed; at most held.LISTED of them."""
        return dict(islice(self._failures.held.items(), LISTED))

    @property
    def campaigns_problem(self) -> str:
        """Reason why the folder of campaigns, or a part of it, cannot be read now; empty where it can."""
        return self._watcher.problem if self._watcher else ""

    def _open_ledger(self) -> Ledger:
        """Return the ledger; it is opened when it is first needed."""
        if self._ledger is None:
            job = self._job
            path = ledger_path(job.station.station, job.screen.name, job.station.folder)
            run = f"{boot_id()} {job.run_started_ms}"
            self._ledger = Ledger(path, job.station.station, job.screen.name, job.station.ads.min_presented, run=run)
        return self._ledger

    def _prepare(self, present: Present, layout: Layout, begins_s: float, card_on: bool) -> ReadyAd | None:
        ledger = self._open_ledger()
        self.plays = ledger.totals()
        rules = Rules(
            policy=self._job.station.choose.policy,
            max_priority=self._job.station.choose.max_priority,
            max_weight=self._job.station.choose.max_weight or math.inf,
            minors=self._job.station.choose.minors == "target",
            targeting=self._job.station.station.mode == "target",
            paid=ledger.accepts_paid,
        )
        self._tell_held(ledger, rules)
        if self.standby is None:
            self._load_standby(layout)
        for _ in range(TRIES):
            moment = moment_in(max(0.0, begins_s - time.monotonic()))
            decision = choose(present, self._catalogue(), ledger.history, moment, self._rng, rules)
            if decision is None:
                if card_on:
                    ledger.history.last = None  # the house card stays on: the ad after it follows no other ad
                return None
            try:
                ad = load(decision, layout, self._decoders, begins_s)
            except Exception as error:
                self._pass_over(decision.creative, decision.line, error)
                continue
            self._failures.loaded(decision.creative, decision.line, self._decoders.took_s)
            if decision.line.house and decision.creative.kind == "image":
                self.standby = ad.picture
            return ad
        return None

    def _tell_held(self, ledger: Ledger, rules: Rules) -> None:
        """Say which lines do not play, and why: for the operator, and what is new in the log."""
        newest, seen = self._newest(), self._job.station.station.mode != "off"
        held = held_now(newest, ledger.history, moment_in(0.0), rules, people_seen=seen)
        held |= self._failures.lines_held(newest)
        self.held = {name: why for name, (_, why) in held.items()}
        self._held_log.tell(held, newest.lines)

    def _load_standby(self, layout: Layout) -> None:
        """Load the first house picture, so that there is one when the folder of campaigns fails."""
        house = self._catalogue().house
        still = ((ad, line) for line in house for ad in line.creatives if not ad.moves)
        for creative, line in islice(still, 1):
            try:
                self.standby = self._decoders.still(creative, layout)
            except Exception as error:
                self._pass_over(creative, line, error)

    def _pass_over(self, creative: Creative, line: Line, error: Exception) -> None:
        """Note that a creative could not be loaded. One that has changed is examined again."""
        if isinstance(error, MediumError) and self._watcher:
            self._watcher.doubt(creative.path)
        why, late = f"{type(error).__name__}: {error}", isinstance(error, LateError | MediumError)
        self._failures.fail(creative, line, why, late=late, took_s=self._decoders.took_s)

    def _start(self, ad: ReadyAd) -> bool:
        ledger = self._open_ledger()
        ad.play_id = ledger.start(ad.decision, planned_ms=ad.creative.duration_ms)
        self.plays = ledger.totals()
        return ad.play_id is not None or ad.decision.line.house

    def _end(self, ad: ReadyAd, shown: Shown) -> None:
        ad.release()
        if ad.failure:
            self._failures.fail(ad.creative, ad.decision.line, ad.failure, shown=True)
        elif shown.status == "played":
            self._failures.shown_whole(ad.creative)
        if self._ledger and ad.play_id:
            self._ledger.end(ad.play_id, shown)
            self.plays = self._ledger.totals()

    def _catalogue(self) -> Catalogue:
        """Return the newest catalogue, without the creatives that failed."""
        return self._failures.rest(self._newest())

    def _newest(self) -> Catalogue:
        """Return the newest catalogue; the folder is first read here."""
        if self._watcher is None:
            ads, screens = self._job.station.ads, self._job.screens
            self._watcher = CatalogueWatcher(
                self._folder,
                self._zone,
                ads.default_duration_s,
                self._cache_path,
                screens,
                self._quarantine,
                self._open_ledger().tell_holders,
            )
        return self._watcher.poll()


def _logged(work: Callable[..., None]) -> Callable[..., None]:
    """Log errors of work that has no result, since nobody waits for it."""

    def run(*arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            skip(f"{work.__name__.strip('_')}_failed", error=f"{type(error).__name__}: {error}")

    return run
