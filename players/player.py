"""The stage of one screen: who is there, which ad is on, which is next, and 60 times a second what is painted.

Nothing here waits but for the next tick: slow work is in players/prepare.py, decoding in players/screen/video.py.
"""

import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeVar

import pygame

from pipeline.errors import UserError
from pipeline.log import log, skip
from pipeline.messages import Audience
from pipeline.settings import PlayerSettings
from players.audience.present import NOBODY, AudienceWindow
from players.ledger.exposure import Shown
from players.ledger.ledger import state_dir
from players.prepare import Act, Backstage
from players.screen import notice, pictures
from players.screen.headless import Headless, Screenshot
from players.screen.pictures import Layout
from players.screen.window import ScreenError, Window, display_present

T = TypeVar("T")
Status = Literal["played", "partial", "failed"]
LEAD_S = 1.5
"""The next ad is chosen and loaded this long before the present one ends."""
START_LEAD_S = 0.2
"""Its start is committed to the ledger this long before it is shown."""
GRACE_S, FILM_GRACE_S = 0.5, 0.1
"""A picture, or a film's last frame, stays this much longer, when the next ad is late, before the house takes over."""
HOUSE_S = 1.0
"""The house card stays at least this long after something failed."""
LOOK_S = 0.2
"""How often the audience is looked at, and the status renewed."""
REPAINT_S = 1.0
"""A picture that stands still is painted again this often, in case the display forgot it."""
RETRY_S = (1.0, 30.0)
"""First and longest pause before a lost display is tried again."""
EARLY_SHARE, EARLY_S = 0.1, 1.0
"""A film may be shorter than its file says by this share, at most by so much: its sound often lasts longer."""
NOTICE_MARGIN = 0.02
"""Of the screen's shorter side, between the notice and the edges."""


class Player:
    """Plays ads on one screen; `step` is one tick of it. `status` is for the operator."""

    def __init__(self, settings: PlayerSettings) -> None:
        self._settings = settings
        self._hz = settings.screen.tick_hz
        if settings.station.mode == "target" and not settings.screen.notice:
            raise UserError("screens.notice: mode 'target' does not run without the notice; set notice = true")
        self._wants_window = not settings.screen.headless and (settings.screen.fullscreen or display_present())
        self._retry_s, self._retry_pause_s = 0.0, RETRY_S[0]
        self._screen: Window | Headless = self._new_window() or Headless(settings.screen)
        self._on: Act | None = None
        self._leaving: tuple[Act, Shown] | None = None
        self._fade: tuple[pygame.Surface, float, float] | None = None
        self._house_until_s = 0.0
        self._painted, self._paint_due_s = 0, 0.0
        self._fresh = False
        self._lay_out()
        self._shown = self._card
        self._paint(time.monotonic(), changed=True)
        self._backstage = Backstage(settings)
        self._next: Future[Act | None] | None = None
        self._start: Future[bool] | None = None
        self._window = AudienceWindow(settings.choose.present_s)
        self._present = NOBODY
        self._look_due_s = 0.0
        self._past_frames = (0, 0)
        shot = screenshot_path(settings, windowed=self._wants_window)
        self._screenshot = Screenshot(shot, settings.screen.screenshot_every_s) if shot else None
        self._tick_s = time.monotonic()
        self.status: dict[str, Any] = {}
        self._look(self._tick_s)

    def step(self, batch: list[Audience]) -> list[Audience]:
        """Take in who is there, play on, hold the picture until the next tick. Returns []."""
        for audience in batch:
            self._window.add(audience)
        now_s = time.monotonic()
        if now_s >= self._look_due_s:
            self._look(now_s)
        changed = self._advance(now_s)
        changed |= self._direct(now_s)
        self._paint(now_s, changed)
        if self._screenshot:
            self._screenshot.offer(self._screen.canvas, self._painted)
        self._hold()
        return []

    def close(self) -> None:
        """End the play in the ledger and give everything back."""
        self._take_off("the station stopped", time.monotonic())
        self._end_leaving()
        coming = _result(self._next) if self._next else None
        if coming and self._start and _result(self._start):
            self._backstage.end(coming, _shown(coming, "partial", "the station stopped before it was shown"))
        elif coming:
            self._backstage.drop(coming)
        self._backstage.close()
        self.status = self.status | {"plays": self._backstage.plays}
        if self._screenshot:
            self._screenshot.close()
        self._screen.close()

    # Which ad is on

    def _advance(self, now_s: float) -> bool:
        """Take the film's frame that is due, and notice when there will be none; True if the picture changed."""
        act, self._fresh = self._on, False
        if act is None or act.video is None:
            return False
        frame = act.video.due(now_s)
        if frame is not None:
            self._shown, self._fresh = frame, True
            return True
        missing_s = act.planned_s - act.video.ends_s
        if act.video.finished and missing_s > 3 / act.video.fps:
            if act.video.error or missing_s > min(EARLY_SHARE * act.planned_s, EARLY_S):
                act.failure = act.video.error or "the film ended early"
            else:
                act.planned_s = act.video.ends_s
        return False

    def _direct(self, now_s: float) -> bool:
        """Have the next ad ready in time and put it on when the present one is over; True if the picture changed."""
        act, left_s = self._on, self._left_s(now_s)
        if act and act.failure:
            self._show_house(act.failure, now_s)
            return True
        coming = self._make_ready(left_s, now_s)
        if coming:
            self._put_on(coming, now_s)
            return True
        if act and left_s < -(FILM_GRACE_S if act.video else GRACE_S):
            self._show_house("the next ad was late", now_s)
            return True
        return False

    def _make_ready(self, left_s: float, now_s: float) -> Act | None:
        """See the next ad through choice, loading and ledger; the ad, once the present one is over and all is done."""
        if self._next is None:
            if left_s <= LEAD_S:
                present = self._window.present(time.monotonic_ns())
                self._next = self._backstage.prepare(present, self._layout, left_s, self._on is None)
            return None
        if not self._next.done():
            return None
        coming = _result(self._next)
        if coming is None:
            self._next = None
            self._house_until_s = max(self._house_until_s, now_s + HOUSE_S)
            return None
        if self._start is None:
            if left_s <= START_LEAD_S:
                self._start = self._backstage.start(coming, self._present.model_sha256)
            return None
        if left_s > 0 or not self._start.done():
            return None
        committed = _result(self._start)
        self._next = self._start = None
        if not committed:
            self._backstage.drop(coming)
            return None
        return coming

    def _left_s(self, now_s: float) -> float:
        """How long the present ad, or the house card, stays on; negative: it should be over."""
        return (self._on.began_s + self._on.planned_s if self._on else self._house_until_s) - now_s

    def _put_on(self, act: Act, now_s: float) -> None:
        before = self._shown
        self._take_off("", now_s)
        screen = self._settings.screen
        fade_s = min(screen.transition_ms / 1000, act.planned_s / 2) if screen.transition == "crossfade" else 0.0
        self._fade = (before, now_s, fade_s) if fade_s > 0 else None
        act.begin(now_s)
        self._on = act
        self._shown = act.picture
        if act.video:
            self._shown = act.video.due(now_s) or act.picture
        self._fresh = True
        self._look(now_s)

    def _show_house(self, why: str, now_s: float) -> None:
        """A house picture at once: the ad cannot go on, and no other is ready."""
        self._take_off(why, now_s)
        self._end_leaving()
        self._fade = None
        self._shown = self._backstage.standby or self._card
        self._house_until_s = now_s + HOUSE_S

    def _take_off(self, why: str, now_s: float) -> None:
        """The present ad is over; its row is ended after its last flip, when it has faded out."""
        self._end_leaving()
        act = self._on
        if act is None:
            return
        self._on = None
        self._backstage.look(self._present, act, round(now_s * 1e9), visible=self._visible)
        expected = act.expected_by(now_s, self._hz)
        presented = min(act.presented, expected)
        self._past_frames = (self._past_frames[0] + presented, self._past_frames[1] + expected)
        status: Status = "failed" if act.failure else "partial" if now_s < act.began_s + act.planned_s else "played"
        shown_ms = round(1000 * (now_s - act.began_s))
        self._leaving = act, _shown(act, status, why, expected, presented, shown_ms)

    def _end_leaving(self) -> None:
        if self._leaving:
            self._backstage.end(*self._leaving)
            self._leaving = None

    # What is painted

    def _paint(self, now_s: float, changed: bool) -> None:
        """Paint the ad and the notice, if anything changed; count the tick."""
        try:
            changed |= self._screen.pump()
            if self._screen.canvas.get_size() != (self._layout.width_px, self._layout.height_px):
                self._lay_out()
            if changed or self._fade or now_s >= self._paint_due_s:
                self._compose(now_s)
                self._screen.flip()
                self._painted += changed or self._fade is not None
                self._paint_due_s = now_s + REPAINT_S
        except ScreenError as error:
            self._lose_window(error, now_s)
        if not self._visible and now_s >= self._retry_s:
            window = self._new_window()
            if window:
                self._move_to(window, now_s)
        if self._fade is None:
            self._end_leaving()
        if self._on and (self._fresh or self._on.video is None):
            self._on.presented += self._visible

    def _compose(self, now_s: float) -> None:
        canvas = self._screen.canvas
        if self._fade and now_s >= self._fade[1] + self._fade[2]:
            self._fade = None
        if self._fade:
            before, began_s, fade_s = self._fade
            canvas.blit(self._fitted(before), (0, 0))
            coming = self._fitted(self._shown)
            if coming.get_masks()[3]:
                self._veil.blit(coming, (0, 0))
                coming = self._veil
            coming.set_alpha(round(255 * (now_s - began_s) / fade_s))
            canvas.blit(coming, (0, 0))
            coming.set_alpha(None)
        else:
            canvas.blit(self._fitted(self._shown), (0, 0))
        if self._notice:
            canvas.blit(*self._notice)

    def _fitted(self, surface: pygame.Surface) -> pygame.Surface:
        """The surface, stretched if the screen has changed its size since it was made."""
        size = self._screen.canvas.get_size()
        return surface if surface.get_size() == size else pygame.transform.scale(surface, size)

    def _lay_out(self) -> None:
        """Take the screen's size: for what is made ready from now on, the house card and the notice."""
        screen, mode = self._settings.screen, self._settings.station.mode
        self._layout = Layout(*self._screen.canvas.get_size(), screen.rotation_deg, screen.overscan_pct, screen.scaling)
        self._veil = pictures.blank(self._layout)
        self._card = pictures.blank(self._layout)
        card = pictures.turned(notice.house_card(*self._layout.upright, screen.language), self._layout)
        self._card.blit(card, self._layout.area[:2])
        self._notice: tuple[pygame.Surface, tuple[int, int]] | None = None
        if screen.notice and mode != "off":
            panel = notice.render(*self._layout.upright, mode, screen.language)
            margin = round(min(self._layout.upright) * NOTICE_MARGIN)
            top = self._layout.upright[1] - panel.get_height() - margin
            at = self._layout.at(margin, top, *panel.get_size())
            self._notice = pictures.turned(panel, self._layout), at
        self._paint_due_s = 0.0

    # The display

    @property
    def _visible(self) -> bool:
        """Whether anybody could see the canvas: not while a display is wanted and missing."""
        return not self._wants_window or isinstance(self._screen, Window)

    def _new_window(self) -> Window | None:
        """The window, where one is wanted and can be had; the next try, where not, comes after a longer pause."""
        if not self._wants_window:
            return None
        try:
            window = Window(self._settings.screen, alone=self._settings.screens == 1)
        except ScreenError as error:
            skip("no_display", error=error)
            self._retry_s = time.monotonic() + self._retry_pause_s
            self._retry_pause_s = min(2 * self._retry_pause_s, RETRY_S[1])
            return None
        self._retry_pause_s = RETRY_S[0]
        return window

    def _move_to(self, screen: Window | Headless, now_s: float) -> None:
        """Go on where the picture is, on another screen."""
        self._screen = screen
        log("screen", kind=screen.kind, width_px=screen.canvas.get_width(), height_px=screen.canvas.get_height())
        if screen.canvas.get_size() != (self._layout.width_px, self._layout.height_px):
            self._lay_out()
        self._compose(now_s)
        self._paint_due_s = 0.0

    def _lose_window(self, error: ScreenError, now_s: float) -> None:
        """Play on without a display until it is back; frames that nobody could see are not counted."""
        log("display_lost", error=error)
        self._screen.close()
        self._retry_s = 0.0
        self._move_to(Headless(self._settings.screen, (self._layout.width_px, self._layout.height_px)), now_s)

    # What is said of it

    def _look(self, now_s: float) -> None:
        """See who is present, count them, renew the status."""
        self._look_due_s = now_s + LOOK_S
        mono_ns = time.monotonic_ns()
        self._present = self._window.present(mono_ns)
        self._backstage.look(self._present, self._on, mono_ns, visible=self._visible)
        present, act = self._present, self._on
        presented, expected = self._past_frames
        if act:
            now_expected = act.expected_by(now_s, self._hz)
            presented, expected = presented + min(act.presented, now_expected), expected + now_expected
        groups = {f"{g} {d}": round(n, 1) for (g, d), n in present.groups().items() if "unknown" not in (g, d)}
        self.status = {
            "ad": act.creative.id if act else "house",
            "title": (act.creative.title or act.creative.id) if act else "house card",
            "trigger": act.decision.trigger if act else "fallback",
            "target": act.decision.target if act else "house",
            "reason": act.decision.reason if act else "no ad is ready",
            "since_ms": round((time.time() - now_s + act.began_s) * 1000) if act else None,
            "present": {
                "people": present.people,
                "groups": groups,
                "unknown": round(present.people - sum(groups.values()), 1),
            },
            "plays": self._backstage.plays,
            "screen": self._screen.kind,
            "screenshot": str(self._screenshot.path) if self._screenshot else "",
            "frames_presented": presented,
            "frames_expected": expected,
        }

    def _hold(self) -> None:
        """Wait for the next tick; ticks that were missed are left out."""
        period_s = 1 / self._hz
        now_s = time.monotonic()
        self._tick_s += period_s
        if self._tick_s <= now_s:
            self._tick_s += int((now_s - self._tick_s) / period_s) * period_s
            return
        time.sleep(self._tick_s - now_s)


def screenshot_path(settings: PlayerSettings, windowed: bool) -> Path | None:
    """Where the rolling screenshot goes: where the file says; without a window, in any case, beside the ledger."""
    screen = settings.screen
    if screen.screenshot:
        return settings.folder / screen.screenshot
    return None if windowed else state_dir(settings.station, settings.folder) / f"screen-{screen.name}.png"


def _shown(act: Act, status: Status, why: str, expected: int = 0, presented: int = 0, shown_ms: int = 0) -> Shown:
    return Shown(
        frames_expected=expected,
        frames_presented=presented,
        status=status,
        stop_reason=why,
        shown_ms=shown_ms,
        exposure=act.exposure,
    )


def _result(future: Future[T]) -> T | None:
    """What came of work backstage; None, said in the log, where it failed."""
    try:
        return future.result()
    except Exception as error:
        skip("backstage_failed", error=f"{type(error).__name__}: {error}")
        return None
