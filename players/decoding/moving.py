"""Moving pictures as the player sees them: frames that another process makes ready a few ahead of the render loop."""

import time

import pygame

from players.decoding.decoding import Decoding
from players.decoding.frames import Frames
from players.screen.canvas import blank
from players.screen.layout import Layout

AHEAD_FRAMES = 8
"""Largest number of frames that wait to be shown: 66 MB at 1920x1080."""
STALLED_S = 3.0
"""Time without a frame, read or left out, after which a decoder is taken to hang."""


class Moving:
    """Film or animated picture laid out for one screen.

    `begin()` starts its clock; `due()` then gives each new frame when its time comes. One that fails says why in
    `error`; the frames that were decoded before still come.
    """

    def __init__(self, decoding: Decoding, layout: Layout) -> None:
        self._decoding, self._frames, self._layout = decoding, decoding.frames, layout
        self._began_s: float | None = None
        self._given = 0
        self._stall = ""
        self._progress, self._progress_s = (0, 0), time.monotonic()

    @property
    def fps(self) -> float:
        """Frames a second; of uneven ones, about how many."""
        return self._frames.fps

    @property
    def ends_s(self) -> float:
        """End of the last frame that was decoded, in seconds since the first. Once `finished`, the film's length."""
        return self._frames.ends_s

    @property
    def error(self) -> str:
        """Reason why the film cannot go on; empty where it can."""
        return self._stall or " ".join(self._decoding.error.split())

    @property
    def took_s(self) -> float:
        """Seconds that it has taken so far; see `Decoding.took_s`."""
        return self._decoding.took_s

    @property
    def waiting(self) -> int:
        """Number of frames that wait to be shown."""
        return max(0, self._frames.written - self._given)

    @property
    def ended(self) -> bool:
        """True once no more frames will come than wait."""
        return self._frames.ended or bool(self.error)

    @property
    def finished(self) -> bool:
        """True once the last frame was given out."""
        return self.ended and not self.waiting

    def wait(self, timeout_s: float) -> pygame.Surface | None:
        """Wait until frames are ready, and return a copy of the first; None where there is none.

        Raises LateError after `timeout_s`.
        """
        self._decoding.wait(timeout_s)
        return surface_of(self._frames, 0, self._layout) if self._frames.written else None

    def begin(self, now_s: float) -> None:
        """Start the clock: the first frame is due at `now_s` (CLOCK_MONOTONIC)."""
        self._began_s = self._frames.began_s = self._progress_s = now_s

    def due(self, now_s: float) -> pygame.Surface | None:
        """Return the newest frame whose time has come; None where there is none since the last call.

        It is a view of the memory that is shared, and stays as it is until the next one is given out.
        """
        if self._began_s is None:
            return None
        newest = None
        while self.waiting and self._frames.at_s(self._given) <= now_s - self._began_s:
            newest = self._given
            self._given += 1
        if newest is None:
            self._look_for_stall(now_s)
            return None
        self._frames.released = newest
        self._decoding.make_room()
        return self._surface(newest)

    def expected(self, elapsed_s: float) -> int:
        """Return the number of frames that were due up to `elapsed_s` seconds after the first.

        Frames that were decoded count as they came; only the rest is estimated by the film's rate. The rate alone
        would be wrong for a film with fewer frames than it says, or with frames at uneven times.
        """
        unknown_s = 0.0 if self.ended and not self.error else max(0.0, elapsed_s - self.ends_s)
        return self._given + self._frames.late + round(unknown_s * self.fps)

    def close(self) -> None:
        """Stop decoding, and end its process."""
        self._decoding.close()

    def _look_for_stall(self, now_s: float) -> None:
        """Note where the decoder has done nothing for a while, although there is room."""
        progress = (self._frames.written, self._frames.late)
        if progress != self._progress or self.waiting or self._frames.ended:
            self._progress, self._progress_s = progress, now_s
        elif not self._stall and now_s - self._progress_s > STALLED_S:
            self._stall = f"its decoder did nothing for {STALLED_S:g} s"
            self._decoding.kill()

    def _surface(self, number: int) -> pygame.Surface:
        size = (self._layout.width_px, self._layout.height_px)
        surface = pygame.image.frombuffer(self._frames.slot(number).data, size, "BGRA")
        surface.set_alpha(None)
        return surface


def surface_of(frames: Frames, number: int, layout: Layout) -> pygame.Surface:
    """Return a copy of a frame as a surface of the whole screen."""
    surface = blank(layout)
    surface.get_buffer().write(bytes(frames.view(number)))
    return surface
