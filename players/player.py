"""The player stage of one screen: it decides which ad is on, which comes next, and counts what was shown.

Its loop ticks `tick_hz` times a second and waits for nothing but the next tick. Slow work is done elsewhere: choosing,
loading and the ledger in players/prepare.py, decoding in processes of its own (players/decoding).
"""

import time
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar

from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skip
from pipeline.messages import Audience
from pipeline.state import state_dir
from players.audience.basis import calibration_of, zone_of
from players.audience.present import NOBODY, Cameras, Present
from players.audience.tally import Tally
from players.choice.slow import LEAD_S
from players.ledger.shown import Shown
from players.prepare import Preparation
from players.ready import ReadyAd
from players.screen.painter import Painter
from players.screen.screenshot import Screenshot

T = TypeVar("T")
Status = Literal["played", "partial", "failed"]
START_LEAD_S = 0.2
"""Time before an ad is shown at which its start is committed to the ledger."""
GRACE_S, FILM_GRACE_S = 0.5, 0.1
"""Longest time that a picture, or a film's last frame, stays on when the next ad is late. Then the house takes over."""
HOUSE_S = 1.0
"""Shortest time of the house picture after something failed."""
REFRESH_S = 0.2
"""Time between two recordings of the audience, and between two changes of the status."""
MISSING_S = 0.2
"""Time at the end of a film in which nobody misses a frame; three frames at most."""
EARLY_SHARE, EARLY_S = 0.1, 1.0
"""Largest share, and largest time, by which a film may be shorter than its file says.

Its length is known from its packets (pipeline/film.py), but a frame or two of them may not be decoded.
"""


class Player:
    """Plays ads on one screen; `step` is one tick."""

    showing: ReadyAd | None
    """The ad that is on; None while a house picture fills the time."""
    status: dict[str, Any]
    """Facts for the operator: the ad, its reason, who is present, plays and frames so far."""

    def __init__(self, job: Job) -> None:
        """Take the display and show the house card.

        Raises UserError where mode `target` lacks the notice.
        """
        self._job = job
        if job.station.station.mode == "target" and not job.screen.notice:
            raise UserError("screens.notice: mode 'target' does not run without the notice; set notice = true")
        self.painter = Painter(job.screen, job.station.station.mode, alone=job.screens == 1)
        self._preparation = Preparation(job)
        self._next: Future[ReadyAd | None] | None = None
        self._start: Future[bool] | None = None
        self.showing = None
        self._leaving: tuple[ReadyAd, Shown] | None = None
        self._house_until_s = 0.0
        self._failed = ""
        self._new_frame = False
        self._cameras = Cameras(_groups(job))
        self._present = NOBODY
        self._past_frames = (0, 0)
        path = screenshot_path(job, windowed=self.painter.wants_window)
        self._screenshot = Screenshot(path, job.screen.screenshot_every_s) if path else None
        self._ticker = Ticker(job.screen.tick_hz)
        self._refresh(time.monotonic())

    def step(self, batch: list[Audience]) -> list[Audience]:
        """Take in who is there, play on, and wait for the next tick. Returns []."""
        for audience in batch:
            place = self._cameras.add(audience)
            if place and self.showing:
                self.showing.tally.add(place, audience)
        now_s = time.monotonic()
        if now_s >= self._refresh_due_s:
            self._refresh(now_s)
        self._advance_film(now_s)
        self._change_ad(now_s)
        self.painter.paint(now_s)
        if not self.painter.fading:
            self._end_leaving()
        if self.showing and (self._new_frame or self.showing.video is None):
            self.showing.presented += self.painter.visible
        if self.showing:
            self.showing.tally.show(time.monotonic_ns(), visible=self.painter.visible)
        if self._screenshot:
            self._screenshot.offer(self.painter.canvas, self.painter.painted)
        self._ticker.wait()
        return []

    def update(self, job: Job) -> None:
        """Take in that the station has other cameras, or another number of screens; the play goes on."""
        self._job = job
        self._cameras.update(_groups(job))
        self.painter.alone = job.screens == 1
        self._preparation.update(job)

    def close(self) -> None:
        """End the play in the ledger and give everything back."""
        self._take_off("the player was stopped", time.monotonic())
        self._end_leaving()
        coming = _result(self._next) if self._next else None
        if coming and self._start and _result(self._start):
            self._preparation.end(coming, self._shown(coming, "partial", "the player was stopped before it was shown"))
        elif coming:
            self._preparation.drop(coming)
        self._preparation.close()
        self.status = self.status | {"plays": self._preparation.plays}
        if self._screenshot:
            self._screenshot.close()
        self.painter.close()

    def _advance_film(self, now_s: float) -> None:
        """Show the film's frame that is due, or notice that no more will come."""
        ad, self._new_frame = self.showing, False
        if ad is None or ad.video is None:
            return
        frame = ad.video.due(now_s)
        if frame is not None:
            self.painter.update(frame)
            self._new_frame = True
            return
        missing_s = ad.planned_s - ad.video.ends_s
        if ad.video.finished and missing_s > min(3 / ad.video.fps, MISSING_S):
            if ad.video.error or missing_s > min(EARLY_SHARE * ad.planned_s, EARLY_S):
                ad.failure = ad.video.error or "the film ended early"
            else:
                ad.planned_s = ad.video.ends_s

    def _change_ad(self, now_s: float) -> None:
        """Put on the next ad when the present one is over, or a house picture where that cannot be done."""
        ad, left_s = self.showing, self._left_s(now_s)
        if ad and ad.failure:
            self._failed = ad.creative.sha256
            self._show_house(ad.failure, now_s)
            return
        coming = self._make_ready(left_s, now_s)
        if coming:
            self._put_on(coming, now_s)
        elif ad and left_s < -(FILM_GRACE_S if ad.video else GRACE_S):
            self._show_house("the next ad was late", now_s)

    def _make_ready(self, left_s: float, now_s: float) -> ReadyAd | None:
        """Take the next ad one step further: chosen and loaded, committed to the ledger, due.

        Returns the ad once all is done and the present one is over.
        """
        if self._next is None:
            if left_s <= LEAD_S:
                self._failed = ""
                present = self._cameras.present(time.monotonic_ns())
                self._next = self._preparation.prepare(present, self.painter.layout, left_s, self.showing is None)
            return None
        if not self._next.done():
            return None
        coming = _result(self._next)
        if coming is None:
            self._next = None
            self._house_until_s = max(self._house_until_s, now_s + HOUSE_S)
            return None
        if self._start is None and coming.creative.sha256 == self._failed:  # it was loaded before it failed
            self._preparation.drop(coming)
            self._next = None
            return None
        if self._start is None:
            if left_s <= START_LEAD_S:
                self._start = self._preparation.start(coming)
            return None
        if left_s > 0 or not self._start.done():
            return None
        committed = _result(self._start)
        self._next = self._start = None
        if not committed:
            self._preparation.drop(coming)
            return None
        return coming

    def _left_s(self, now_s: float) -> float:
        """Seconds that the present ad, or the house picture, stays on; negative where it should be over."""
        return (self.showing.began_s + self.showing.planned_s if self.showing else self._house_until_s) - now_s

    def _put_on(self, ad: ReadyAd, now_s: float) -> None:
        self._take_off("", now_s)
        screen = self._job.screen
        fade_s = min(screen.transition_ms / 1000, ad.planned_s / 2) if screen.transition == "crossfade" else 0.0
        ad.begin(now_s)
        ad.tally = Tally(self._cameras.places)
        for place, word in self._cameras.counting(round(now_s * 1e9)).items():
            ad.tally.add(place, word)
        ad.tally.show(round(now_s * 1e9), visible=self.painter.visible)
        self.showing = ad
        self.painter.show((ad.video and ad.video.due(now_s)) or ad.picture, now_s, fade_s)
        self._new_frame = True
        self._refresh(now_s)

    def _show_house(self, why: str, now_s: float) -> None:
        """Show a house picture at once: the ad cannot go on, and no other is ready."""
        self._take_off(why, now_s)
        self._end_leaving()
        self.painter.show(self._preparation.standby or self.painter.card, now_s)
        self._house_until_s = now_s + HOUSE_S

    def _take_off(self, why: str, now_s: float) -> None:
        """End the present ad. Its row in the ledger ends after its last flip, when it has faded out."""
        self._end_leaving()
        ad = self.showing
        if ad is None:
            return
        self.showing = None
        ad.tally.show(round(now_s * 1e9), visible=self.painter.visible)
        expected = ad.expected_by(now_s, self._job.screen.tick_hz)
        presented = min(ad.presented, expected)
        self._past_frames = (self._past_frames[0] + presented, self._past_frames[1] + expected)
        status: Status = "partial" if ad.failure or now_s < ad.began_s + ad.planned_s else "played"
        if ad.failure and not presented:
            status = "failed"
        shown_ms = round(1000 * (now_s - ad.began_s))
        self._leaving = ad, self._shown(ad, status, why, expected, presented, shown_ms)

    def _end_leaving(self) -> None:
        if self._leaving:
            self._preparation.end(*self._leaving)
            self._leaving = None

    def _shown(
        self, ad: ReadyAd, status: Status, why: str, expected: int = 0, presented: int = 0, shown_ms: int = 0
    ) -> Shown:
        cameras = [self._job.cameras[name] for name in _groups(self._job)]
        return Shown(
            frames_expected=expected,
            frames_presented=presented,
            status=status,
            stop_reason=why,
            shown_ms=shown_ms,
            tally=ad.tally,
            exposure_zone=zone_of(cameras),
            calibration=calibration_of(cameras),
        )

    def _refresh(self, now_s: float) -> None:
        """Record who is present, and renew the status."""
        self._refresh_due_s = now_s + REFRESH_S
        mono_ns = time.monotonic_ns()
        self._present = self._cameras.present(mono_ns)
        present, ad = self._present, self.showing
        presented, expected = self._past_frames
        if ad:
            expected_now = ad.expected_by(now_s, self._job.screen.tick_hz)
            presented, expected = presented + min(ad.presented, expected_now), expected + expected_now
        self.status = {
            "ad": ad.creative.id if ad else "house",
            "title": (ad.creative.title or ad.creative.id) if ad else "house card",
            "trigger": ad.decision.trigger if ad else "fallback",
            "target": ad.decision.target if ad else "house",
            "reason": ad.decision.reason if ad else "no ad is ready",
            "since_ms": round((time.time() - now_s + ad.began_s) * 1000) if ad else None,
            "present": _told(present),
            "plays": self._preparation.plays,
            "screen": self.painter.kind,
            "display_lost": not self.painter.visible,
            "ledger_problem": self._preparation.ledger_problem,
            "held": self._preparation.held,
            "quarantined": self._preparation.quarantined,
            "campaigns_problem": self._preparation.campaigns_problem,
            "screenshot": str(self._screenshot.path) if self._screenshot else "",
            "frames_presented": presented,
            "frames_expected": expected,
        }


class Ticker:
    """Keeps a steady rate of ticks; those that were missed are left out, not made up for."""

    def __init__(self, hz: float) -> None:
        self._period_s = 1 / hz
        self._due_s = time.monotonic()

    def wait(self) -> None:
        """Sleep until the next tick; return at once where it is due already."""
        now_s = time.monotonic()
        self._due_s += self._period_s
        if self._due_s <= now_s:
            self._due_s += int((now_s - self._due_s) / self._period_s) * self._period_s
            return
        time.sleep(self._due_s - now_s)


def screenshot_path(job: Job, windowed: bool) -> Path | None:
    """Return the file of the rolling screenshot: the one that the station file names.

    Where it names none, a screen without a window has one beside its ledger, and a window has none.
    """
    screen = job.screen
    if screen.screenshot:
        return job.station.folder / screen.screenshot
    return None if windowed else state_dir(job.station.station, job.station.folder) / f"screen-{screen.name}.png"


def _groups(job: Job) -> dict[str, str]:
    """Return the cameras whose people this screen is for, each with its group; none where nobody is looked at."""
    if job.station.station.mode == "off":
        return {}
    return {name: job.cameras[name].group for name in job.screen.cameras or job.cameras if name in job.cameras}


def _told(present: Present) -> dict[str, Any]:
    """Return who is present as the operator is told: numbers, and the median dwell so far."""
    groups = {f"{g} {d}": round(n) for (g, d), n in present.groups().items() if "unknown" not in (g, d)}
    dwells_s = [(person.seen_ns - person.since_ns) / 1e9 for person in present.persons if person.since_ns]
    return {
        "people": present.people,
        "groups": groups,
        "unknown": present.people - sum(groups.values()),
        "looking": round(present.looking.sum()),
        "watched": sum(person.watched for person in present.persons),
        "dwell_s": round(median(dwells_s), 1) if dwells_s else None,
        "measured": present.measured,
    }


def _result(future: Future[T]) -> T | None:
    """Return what came of work of the preparation; where it failed, log why and return None."""
    try:
        return future.result()
    except Exception as error:
        skip("preparation_failed", severity="err", error=f"{type(error).__name__}: {error}")
        return None
