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
from pipeline.pictures import PictureError
from players.ads.campaigns import open_folder
from players.ads.catalogue import Catalogue
from players.ads.lines import Creative
from players.ads.places import stamp_of
from players.ads.quarantine import Quarantine
from players.ads.watcher import CatalogueWatcher
from players.audience.present import NOBODY, Present
from players.choice.choose import Decision, Rules, choose, moment_in
from players.choice.failures import Failures
from players.choice.held import LISTED, HeldLog
from players.choice.terms import held_now
from players.ledger.clock import boot_id
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger
from players.ledger.paths import ledger_path, state_dir
from players.screen import pictures
from players.screen import sound as sounds
from players.screen.animation import Animation
from players.screen.layout import Layout
from players.screen.moving import Moving
from players.screen.sound import Sound
from players.screen.video import Video

FIRST_FRAME_TIMEOUT_S = 3.0
"""Longest wait for the first frame of a film."""
TRIES = 5
"""Number of ads that are tried, one after the other, where ads cannot be loaded."""


class LateError(PictureError):
    """A film did not begin in the time allowed. That may be due to the film or to a slow disk."""


class ReadyAd:
    """An ad that is ready to be shown, and a record of what happened to it on the screen."""

    def __init__(
        self, decision: Decision, picture: pygame.Surface, video: Moving | None = None, sound: Sound | None = None
    ) -> None:
        self.decision = decision
        self.picture = picture
        """The picture, or the first frame of a moving one, as a surface of the whole screen."""
        self.video = video
        """The film or animated picture; None for a still picture."""
        self._sound = sound
        self.play_id: str | None = None
        """Id of the row in the ledger. None for a house ad that plays while the ledger cannot be written."""
        self.exposure = Exposure(decision)
        self.planned_s = decision.creative.duration_ms / 1000
        """Time for which the ad is meant to be on."""
        self.began_s = 0.0
        """Time of its first flip, in seconds of CLOCK_MONOTONIC."""
        self.presented = 0
        """Number of frames that were shown while somebody could see them."""
        self.failure = ""
        """Reason why the ad cannot go on; empty where it can."""

    @property
    def creative(self) -> Creative:
        """The creative that is shown."""
        return self.decision.creative

    def expected_by(self, now_s: float, tick_hz: float) -> int:
        """Number of frames that should have been presented by `now_s`: ticks of a picture, frames of a film."""
        ticks = round((now_s - self.began_s) * tick_hz)
        return ticks if self.video is None else min(max(ticks, 1), self.video.expected(now_s - self.began_s))

    def begin(self, now_s: float) -> None:
        """Start the film and its sound; the ad is on from `now_s` (CLOCK_MONOTONIC)."""
        self.began_s = now_s
        if self.video:
            self.video.begin(now_s)
        if self._sound:
            self._sound.begin()

    def release(self) -> None:
        """Stop the film's decoder and its sound."""
        if self.video:
            self.video.close()
        if self._sound:
            self._sound.stop()


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
        self._watcher: CatalogueWatcher | None = None
        self._version = ""
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

    def record_audience(self, present: Present, ad: ReadyAd | None, mono_ns: int, *, visible: bool) -> None:
        """Count who is present at `mono_ns`; they are watchers of the ad only while it is visible."""
        self._thread.submit(_logged(self._record_audience), present, ad, mono_ns, visible)

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
                ad = _load(decision, layout)
            except Exception as error:
                why, late = f"{type(error).__name__}: {error}", isinstance(error, LateError)
                self._failures.fail(decision.creative, decision.line, why, late=late)
                continue
            self._failures.loaded()
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
        still = ((ad, line) for line in house for ad in line.creatives if ad.kind == "image")
        for creative, line in islice(still, 1):
            try:
                self.standby = pictures.load(creative.path, layout)
            except Exception as error:
                self._failures.fail(creative, line, f"{type(error).__name__}: {error}")

    def _start(self, ad: ReadyAd) -> bool:
        ledger = self._open_ledger()
        ad.play_id = ledger.start(ad.decision, planned_ms=ad.creative.duration_ms)
        self.plays = ledger.totals()
        return ad.play_id is not None or ad.decision.line.house

    def _record_audience(self, present: Present, ad: ReadyAd | None, mono_ns: int, visible: bool) -> None:
        if self._ledger:
            self._ledger.measure(present, mono_ns)
        if ad:
            ad.exposure.add(present if visible else NOBODY, mono_ns)

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
        newest = self._watcher.poll()
        if newest.version != self._version and any(creative.kind == "video" for creative in newest.creatives):
            # Loading FFmpeg's libraries stops every thread: do it while a picture stands still.
            import pipeline.film  # noqa: F401
        self._version = newest.version
        return newest


def _logged(work: Callable[..., None]) -> Callable[..., None]:
    """Log errors of work that has no result, since nobody waits for it."""

    def run(*arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            skip(f"{work.__name__.strip('_')}_failed", error=f"{type(error).__name__}: {error}")

    return run


def _load(decision: Decision, layout: Layout) -> ReadyAd:
    """Load the picture or film of a decision.

    Raises PictureError or another exception where it cannot be shown.
    """
    creative = decision.creative
    if creative.kind == "image" and not pictures.moves(creative.path):
        ad = ReadyAd(decision, pictures.load(creative.path, layout))
    else:
        ad = _load_moving(decision, layout)
    if stamp_of(creative.path) != creative.stamp:
        ad.release()
        raise PictureError(f"{creative.path}: it has changed since it was examined, and is examined again")
    return ad


def _load_moving(decision: Decision, layout: Layout) -> ReadyAd:
    creative = decision.creative
    video: Moving = (Video if creative.kind == "video" else Animation)(creative.path, layout)
    try:
        video.ready.wait(FIRST_FRAME_TIMEOUT_S)
        first = video.first()
        if first is None:
            if not video.error:
                raise LateError(f"{creative.path}: no frame within the time allowed")
            raise PictureError(f"{creative.path}: {video.error}")
        return ReadyAd(
            decision, first, video, sounds.load(creative.path) if creative.sound and creative.kind == "video" else None
        )
    except Exception:
        video.close()
        raise
