"""A window or a full screen on a display, drawn through SDL.

SDL's default copies each frame through an OpenGL texture, which takes 10 ms of CPU a 1080p frame without a GPU.
The copy through shared memory that is set here takes 0.6 ms. SDL_FRAMEBUFFER_ACCELERATION overrides it.
"""

import os
from typing import Literal

os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
os.environ.setdefault("SDL_VIDEO_MINIMIZE_ON_FOCUS_LOSS", "0")

import pygame

from pipeline.settings import Screen

REPAINT = (
    pygame.WINDOWEXPOSED,
    pygame.WINDOWSHOWN,
    pygame.WINDOWRESTORED,
    pygame.WINDOWSIZECHANGED,
    pygame.WINDOWFOCUSGAINED,
    pygame.WINDOWDISPLAYCHANGED,
)
"""Events after which the window may have lost its picture."""


class ScreenError(Exception):
    """No window can be opened, or the window is gone; the text is SDL's."""


NO_DISPLAY = ("dummy", "offscreen")
"""SDL's drivers that show nothing. SDL falls back on them where it cannot reach a display."""


def display_present() -> bool:
    """Return True if the environment names a display: X, Wayland, or one in SDL_VIDEODRIVER (such as kmsdrm)."""
    driver = os.environ.get("SDL_VIDEODRIVER", "")
    if driver:
        return driver not in NO_DISPLAY
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """Picture on a display. Keys, the mouse and the close button are ignored: on a street anybody could use them.

    Paint on `canvas`, then call `flip()`. Every method raises ScreenError once the display is gone.
    """

    kind: Literal["window"] = "window"

    def __init__(self, settings: Screen, alone: bool = True) -> None:
        """Open the window on the display that the settings name.

        Where that display is missing, a screen that is `alone` takes the first one. Another screen may not, as it
        would cover that of its neighbour.
        """
        try:
            pygame.display.init()
            if pygame.display.get_driver() in NO_DISPLAY:
                raise pygame.error("no display can be reached")
            sizes = pygame.display.get_desktop_sizes()
            if settings.display >= len(sizes) and not alone:
                raise pygame.error(f"there is no display {settings.display}, and display 0 may be another screen's")
            self._display = settings.display if settings.display < len(sizes) else 0
            self._covered = sizes[self._display] if settings.fullscreen else None
            size = self._covered or (settings.width_px, settings.height_px)
            flags = pygame.FULLSCREEN if settings.fullscreen else 0
            self.canvas: pygame.Surface = pygame.display.set_mode(size, flags, 32, display=self._display)
            pygame.display.set_caption(f"stationcast {settings.name}")
            pygame.display.set_allow_screensaver(False)
            pygame.mouse.set_visible(False)
            self.is_shown = True
            """False while the window is hidden or minimised, as of the last `pump`."""
        except pygame.error as error:
            pygame.display.quit()
            raise ScreenError(str(error)) from error

    def flip(self) -> None:
        """Show the canvas."""
        try:
            pygame.display.flip()
        except pygame.error as error:
            raise ScreenError(str(error)) from error

    def pump(self) -> bool:
        """Take the window's events. Return True if it must be painted again: it was uncovered, moved or resized.

        Raises ScreenError also where a full screen is hidden, or its display has another size than when it was opened.
        """
        try:
            events = pygame.event.get()
            current = pygame.display.get_surface()
            sizes = pygame.display.get_desktop_sizes()
            self.is_shown = pygame.display.get_active()
        except pygame.error as error:
            raise ScreenError(str(error)) from error
        if current is None:
            raise ScreenError("the window is gone")
        if self._covered and not self.is_shown:
            raise ScreenError("the window was hidden or minimised")
        # Not the window's own size: a window manager may insist on another, and a new window would get it too.
        if self._covered and sizes[self._display : self._display + 1] != [self._covered]:
            raise ScreenError(f"the displays have changed: {sizes}")
        self.canvas = current
        return any(event.type in REPAINT for event in events)

    def close(self) -> None:
        """Give the display back."""
        pygame.display.quit()
