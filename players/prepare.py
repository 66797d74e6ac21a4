"""Everything about an ad that takes time, in a thread beside the render loop: choosing, loading, keeping the books.

An Act is an ad made ready for the screen. The render loop asks for one well before it needs it and never waits.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pygame

from pipeline.errors import UserError
from pipeline.log import log, skip
from pipeline.settings import PlayerSettings
from players.ads.campaigns import CatalogueWatcher, open_folder, stamp_of
from players.ads.catalogue import Catalogue
from players.ads.lines import Creative, Line
from players.audience.present import NOBODY, Present
from players.choice.choose import Decision, Rules, choose, moment_in
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger, ledger_path, state_dir
from players.screen import pictures
from players.screen import sound as sounds
from players.screen.pictures import Layout, PictureError
from players.screen.sound import Sound
from players.screen.video import Video

QUARANTINE_S = 600.0
"""How long a creative that failed stays off the screen, unless the campaigns change."""
VIDEO_PATIENCE_S = 3.0
TRIES = 5


class Act:
    """An ad ready to be shown: a picture, or a film and its first frame; and what became of it on the screen."""

    def __init__(
        self, decision: Decision, picture: pygame.Surface, video: Video | None = None, sound: Sound | None = None
    ) -> None:
        self.decision = decision
        self.picture = picture
        self.video = video
        self._sound = sound
        self.play_id: str | None = None
        """Of its row in the ledger; None: not recorded (a house ad while the ledger cannot be written)."""
        self.exposure = Exposure(decision)
        self.planned_s = decision.creative.duration_ms / 1000
        """How long it is meant to be on."""
        self.began_s = 0.0
        self.presented = 0
        self.failure = ""

    @property
    def creative(self) -> Creative:
        """What is shown."""
        return self.decision.creative

    def expected_by(self, now_s: float, tick_hz: float) -> int:
        """Frames that should have been presented by `now_s`: ticks of a picture, frames of a film."""
        ticks = round((now_s - self.began_s) * tick_hz)
        return ticks if self.video is None else min(max(ticks, 1), self.video.expected(now_s - self.began_s))

    def begin(self, now_s: float) -> None:
        """It is put on at `now_s` (CLOCK_MONOTONIC)."""
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


class Backstage:
    """One thread that does in order what the render loop asks for; what has a result gives a Future."""

    def __init__(self, settings: PlayerSettings) -> None:
        self.standby: pygame.Surface | None = None
        """A house ad for the moments when nothing else is ready."""
        self.plays: dict[str, Any] = {"total": 0, "billable": 0, "by_ad": {}}
        """The ledger's totals of this run."""
        self._settings = settings
        self._zone = ZoneInfo(settings.station.timezone)
        self._folder = open_folder(settings.ads.campaigns, settings.folder)
        if not self._folder.is_dir():
            raise UserError(f"ads.campaigns: no folder {self._folder}; name one, or 'demo' for the built-in ads")
        self._rng = Random()
        self._watcher: CatalogueWatcher | None = None
        self._ledger: Ledger | None = None
        self._failed: dict[str, float] = {}
        self._playable: tuple[Catalogue, frozenset[str], Catalogue] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backstage")

    def prepare(self, present: Present, layout: Layout, left_s: float, card_on: bool) -> "Future[Act | None]":
        """Choose for who is present what may begin in `left_s` seconds, and load it; None when not even a house ad can
        be shown. `card_on`: no ad is on."""
        begins_s = time.monotonic() + max(0.0, left_s)
        return self._thread.submit(self._prepare, present, layout, begins_s, card_on)

    def start(self, act: Act, model_sha256: str) -> "Future[bool]":
        """Commit to the ledger that the act begins; False: it must not be shown."""
        return self._thread.submit(self._start, act, model_sha256)

    def look(self, present: Present, act: Act | None, mono_ns: int, *, visible: bool) -> None:
        """Count who is present at `mono_ns`; as watchers of the act only while it is visible."""
        self._thread.submit(_said(self._look), present, act, mono_ns, visible)

    def end(self, act: Act, shown: Shown) -> None:
        """Commit to the ledger what came of the act, and let go of it."""
        self._thread.submit(_said(self._end), act, shown)

    def drop(self, act: Act) -> None:
        """Let go of an act that was not shown."""
        self._thread.submit(act.release)

    def close(self) -> None:
        """Finish what was asked for, then let go of everything."""
        self._thread.shutdown()
        if self._ledger:
            self._ledger.close()
        if self._watcher:
            self._watcher.close()
        pygame.mixer.quit()

    def _books(self) -> Ledger:
        """The ledger, opened when it is first needed."""
        if self._ledger is None:
            s = self._settings
            path = ledger_path(s.station, s.screen.name, s.folder)
            self._ledger = Ledger(path, s.station, s.screen.name, s.ads.min_presented)
        return self._ledger

    def _prepare(self, present: Present, layout: Layout, begins_s: float, card_on: bool) -> Act | None:
        ledger = self._books()
        self.plays = ledger.totals(self._settings.run_started_ms)
        rules = Rules(
            policy=self._settings.choose.policy,
            minors=self._settings.choose.minors == "target",
            targeting=self._settings.station.mode == "target",
            paid=ledger.accepts_paid,
        )
        for _ in range(TRIES):
            moment = moment_in(max(0.0, begins_s - time.monotonic()))
            decision = choose(present, self._catalogue(), ledger.history, moment, self._rng, rules)
            if decision is None:
                if card_on:
                    ledger.history.last = None  # the house card stays: whatever comes after it follows no ad
                return None
            try:
                act = _load(decision, layout)
            except Exception as error:
                self._fail(decision.creative, f"{type(error).__name__}: {error}")
                continue
            if decision.line.house and act.video is None:
                self.standby = act.picture
            return act
        return None

    def _start(self, act: Act, model_sha256: str) -> bool:
        ledger = self._books()
        act.play_id = ledger.start(act.decision, planned_ms=act.creative.duration_ms, model_sha256=model_sha256)
        self.plays = ledger.totals(self._settings.run_started_ms)
        return act.play_id is not None or act.decision.line.house

    def _look(self, present: Present, act: Act | None, mono_ns: int, visible: bool) -> None:
        if self._ledger:
            self._ledger.measure(present, mono_ns)
        if act:
            act.exposure.add(present if visible else NOBODY, mono_ns)

    def _end(self, act: Act, shown: Shown) -> None:
        act.release()
        if act.failure:
            self._fail(act.creative, act.failure)
        if self._ledger and act.play_id:
            self._ledger.end(act.play_id, shown)
            self.plays = self._ledger.totals(self._settings.run_started_ms)

    def _fail(self, creative: Creative, why: str) -> None:
        """Keep a creative off the screen for a while."""
        log("creative_failed", creative=creative.id, error=why, off_s=QUARANTINE_S)
        self._failed[creative.id] = time.monotonic() + QUARANTINE_S

    def _catalogue(self) -> Catalogue:
        """The newest catalogue without the creatives that failed."""
        if self._watcher is None:
            s = self._settings
            cache = state_dir(s.station, s.folder) / f"media-{s.screen.name}.cache"
            self._watcher = CatalogueWatcher(self._folder, self._zone, s.ads.default_duration_s, cache, s.screens)
        newest = self._watcher.poll()
        if self._playable is None or self._playable[0] is not newest:
            self._failed.clear()
            if any(creative.kind == "video" for creative in newest.creatives):
                import av  # noqa: F401 (loading its libraries stops every thread: now, while a picture stands still)
        now_s = time.monotonic()
        failed = frozenset(name for name, until_s in self._failed.items() if until_s > now_s)
        if self._playable is None or self._playable[0] is not newest or self._playable[1] != failed:
            self._playable = (newest, failed, _without(newest, failed) if failed else newest)
        return self._playable[2]


def _said(work: Callable[..., None]) -> Callable[..., None]:
    """Nobody waits for this work: what goes wrong in it is logged."""

    def run(*arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            skip(f"{work.__name__.strip('_')}_failed", error=f"{type(error).__name__}: {error}")

    return run


def _without(catalogue: Catalogue, failed: frozenset[str]) -> Catalogue:
    def rest(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        kept = [(line, tuple(c for c in line.creatives if c.id not in failed)) for line in lines]
        return tuple(msgspec.structs.replace(line, creatives=creatives) for line, creatives in kept if creatives)

    return Catalogue(rest(catalogue.lines), rest(catalogue.house), catalogue.zone, catalogue.version)


def _load(decision: Decision, layout: Layout) -> Act:
    """Make an ad ready; an exception, PictureError where it is of a picture or film, where it cannot be shown."""
    creative = decision.creative
    if creative.kind == "image":
        act = Act(decision, pictures.load(creative.path, layout))
    else:
        act = _load_film(decision, layout)
    if stamp_of(creative.path) != creative.stamp:
        act.release()
        raise PictureError(f"{creative.path}: it has changed since it was examined, and is examined again")
    return act


def _load_film(decision: Decision, layout: Layout) -> Act:
    creative = decision.creative
    video = Video(creative.path, layout)
    try:
        video.ready.wait(VIDEO_PATIENCE_S)
        first = video.first()
        if first is None:
            raise PictureError(f"{creative.path}: {video.error or 'no frame within the time allowed'}")
        return Act(decision, first, video, sounds.load(creative.path) if creative.sound else None)
    except Exception:
        video.close()
        raise
