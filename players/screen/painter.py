"""Painter of a screen: the picture that is on, a crossfade, and the notice over both.

It also keeps the display. Where the display is lost, it paints on in memory and tries to get the display back.
"""

import time
from typing import Literal, NamedTuple

import pygame

from pipeline.log import log, skip
from pipeline.settings import Screen
from players.screen import notice
from players.screen.canvas import blank, turned
from players.screen.headless import Headless
from players.screen.layout import Layout
from players.screen.window import ScreenError, Window, display_present

REPAINT_S = 1.0
"""Longest time between two paintings of a picture that stands still, in case the display lost it."""
RETRY_S = (1.0, 30.0)
"""First and longest pause before a lost display is tried again."""
NOTICE_MARGIN = 0.02
"""Space between the notice and the edges, as a share of the screen's shorter side."""


class _Fade(NamedTuple):
    before: pygame.Surface
    began_s: float
    duration_s: float


class Painter:
    """Paints one screen. Times are seconds of CLOCK_MONOTONIC; surfaces have the size of the whole screen."""

    layout: Layout
    """Size and direction of the screen now; pictures are made ready for it."""
    card: pygame.Surface
    """The house card, shown where there is no ad."""

    def __init__(self, settings: Screen, mode: Literal["off", "count", "measure", "target"], *, alone: bool) -> None:
        """Take the display and show the house card. `alone`: the station has no other screen."""
        self.painted = 0
        """Number of paintings that changed the picture."""
        self.wants_window = not settings.headless and (settings.fullscreen or display_present())
        self.alone = alone
        """True if the station has no other screen now; it may be set."""
        self._settings, self._mode = settings, mode
        self._retry_s, self._retry_pause_s, self._opened_s = 0.0, RETRY_S[0], 0.0
        self._screen: Window | Headless = self._new_window() or Headless(settings)
        self._paint_due_s = 0.0
        self._lay_out()
        self._picture = self.card
        self._fade: _Fade | None = None
        self._changed = True
        self.paint(time.monotonic())

    @property
    def canvas(self) -> pygame.Surface:
        """The pixels of the screen, as they were painted last."""
        return self._screen.canvas

    @property
    def kind(self) -> Literal["window", "headless"]:
        """The kind of screen that is painted on now."""
        return self._screen.kind

    @property
    def visible(self) -> bool:
        """True if somebody could see the canvas; False while a display is wanted and missing, or the window hidden."""
        return not self.wants_window or (isinstance(self._screen, Window) and self._screen.is_shown)

    @property
    def fading(self) -> bool:
        """True while the picture before the present one can still be seen."""
        return self._fade is not None

    def show(self, picture: pygame.Surface, now_s: float, fade_s: float = 0.0) -> None:
        """Change to another picture, in a crossfade of `fade_s` seconds or at once."""
        self._fade = _Fade(self._picture, now_s, fade_s) if fade_s > 0 else None
        self.update(picture)

    def update(self, picture: pygame.Surface) -> None:
        """Take the next frame of the film that is on; a crossfade goes on."""
        self._picture = picture
        self._changed = True

    def paint(self, now_s: float) -> None:
        """Paint what has changed since the last call, and look after the display."""
        try:
            self._changed |= self._screen.pump()
            if self.canvas.get_size() != (self.layout.width_px, self.layout.height_px):
                self._lay_out()
            if self._changed or self._fade or now_s >= self._paint_due_s:
                self._compose(now_s)
                self._screen.flip()
                self.painted += self._changed or self._fade is not None
                self._changed = False
                self._paint_due_s = now_s + REPAINT_S
        except ScreenError as error:
            self._lose_window(error, now_s)
        if self.wants_window and isinstance(self._screen, Headless) and now_s >= self._retry_s:
            window = self._new_window()
            if window:
                self._move_to(window, now_s)

    def close(self) -> None:
        """Give the display back."""
        self._screen.close()

    def _compose(self, now_s: float) -> None:
        if self._fade and now_s >= self._fade.began_s + self._fade.duration_s:
            self._fade = None
        if self._fade:
            self.canvas.blit(self._fitted(self._fade.before), (0, 0))
            coming = self._fitted(self._picture)
            if coming.get_masks()[3]:
                self._veil.blit(coming, (0, 0))
                coming = self._veil
            coming.set_alpha(round(255 * (now_s - self._fade.began_s) / self._fade.duration_s))
            self.canvas.blit(coming, (0, 0))
            coming.set_alpha(None)
        else:
            self.canvas.blit(self._fitted(self._picture), (0, 0))
        if self._notice:
            self.canvas.blit(*self._notice)

    def _fitted(self, surface: pygame.Surface) -> pygame.Surface:
        """Return the surface, stretched if the screen has changed its size since it was made."""
        size = self.canvas.get_size()
        return surface if surface.get_size() == size else pygame.transform.scale(surface, size)

    def _lay_out(self) -> None:
        """Take the size of the screen, and make the house card and the notice for it."""
        settings = self._settings
        self.layout = Layout(*self.canvas.get_size(), settings.rotation_deg, settings.overscan_pct, settings.scaling)
        self._veil = blank(self.layout)  # a film's frame has an alpha channel, and SDL fades none as a whole
        self.card = blank(self.layout)
        card = turned(notice.house_card(*self.layout.upright, settings.language), self.layout)
        self.card.blit(card, self.layout.area[:2])
        self._notice: tuple[pygame.Surface, tuple[int, int]] | None = None
        if settings.notice and self._mode != "off":
            panel = notice.render(*self.layout.upright, self._mode, settings.language)
            margin_px = round(min(self.layout.upright) * NOTICE_MARGIN)
            top = self.layout.upright[1] - panel.get_height() - margin_px
            at = self.layout.at(margin_px, top, *panel.get_size())
            self._notice = turned(panel, self.layout), at
        self._paint_due_s = 0.0

    def _new_window(self) -> Window | None:
        """Open a window where one is wanted. Where it fails, the next try comes after a longer pause."""
        if not self.wants_window:
            return None
        try:
            window = Window(self._settings, alone=self.alone)
        except ScreenError as error:
            skip("no_display", severity="err", error=error)
            self._retry_s = time.monotonic() + self._retry_pause_s
            self._retry_pause_s = min(2 * self._retry_pause_s, RETRY_S[1])
            return None
        self._retry_pause_s, self._opened_s = RETRY_S[0], time.monotonic()
        return window

    def _move_to(self, screen: Window | Headless, now_s: float) -> None:
        """Go on with the present picture on another screen."""
        self._screen = screen
        log("screen", kind=screen.kind, width_px=screen.canvas.get_width(), height_px=screen.canvas.get_height())
        if screen.canvas.get_size() != (self.layout.width_px, self.layout.height_px):
            self._lay_out()
        self._compose(now_s)
        self._paint_due_s = 0.0

    def _lose_window(self, error: ScreenError, now_s: float) -> None:
        """Paint on in memory; the display is tried again, at once where the window had lasted, else after a pause."""
        log("display_lost", severity="err", error=error)
        self._screen.close()
        self._retry_s = max(now_s, self._opened_s + RETRY_S[0])
        self._move_to(Headless(self._settings, (self.layout.width_px, self.layout.height_px)), now_s)
