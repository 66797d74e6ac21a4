"""Moving pictures: frames that a thread makes ready a few ahead of the render loop."""

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pygame

from pipeline.pictures import PictureError
from players.screen.layout import Layout

AHEAD_FRAMES = 8
"""Largest number of frames that wait to be shown: 66 MB at 1920x1080."""


class Moving(ABC):
    """Film or animated picture laid out for one screen.

    `begin()` starts its clock; `due()` then gives each new frame when its time comes. One that fails says why in
    `error`; the frames that were decoded before still come.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.fps = 0.0
        """Frames a second; of uneven ones, about how many."""
        self.ends_s = 0.0
        """End of the last frame that was decoded, in seconds since the first. Once `finished`, the film's length."""
        self.error = ""
        """Reason why the film cannot go on; empty where it can."""
        self.ready = threading.Event()
        """Set when the first frames wait or the film has failed."""
        self._layout = layout
        self._queue: deque[tuple[float, pygame.Surface]] = deque()
        self._room = threading.Condition()
        self._began_s: float | None = None
        self._given = self._late = 0
        self._ended = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="moving", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """True once the last frame was given out."""
        return self._ended and not self._queue

    def first(self) -> pygame.Surface | None:
        """Return the first frame and leave it in its place; None while there is none."""
        return self._queue[0][1] if self._queue else None

    def begin(self, now_s: float) -> None:
        """Start the clock: the first frame is due at `now_s` (CLOCK_MONOTONIC)."""
        self._began_s = now_s

    def due(self, now_s: float) -> pygame.Surface | None:
        """Return the newest frame whose time has come; None where there is none since the last call."""
        if self._began_s is None:
            return None
        frame = None
        while self._queue and self._queue[0][0] <= now_s - self._began_s:
            frame = self._queue.popleft()[1]
            self._given += 1
        if frame is not None:
            with self._room:
                self._room.notify()
        return frame

    def expected(self, elapsed_s: float) -> int:
        """Return the number of frames that were due up to `elapsed_s` seconds after the first.

        Frames that were decoded count as they came; only the rest is estimated by the film's rate. The rate alone
        would be wrong for a film with fewer frames than it says, or with frames at uneven times.
        """
        unknown_s = 0.0 if self._ended else max(0.0, elapsed_s - self.ends_s)
        return self._given + self._late + round(unknown_s * self.fps)

    def close(self) -> None:
        """Stop decoding, and end the thread."""
        with self._room:
            self._closing = True
            self._room.notify()
        self._thread.join()
        self._queue.clear()

    def _run(self) -> None:
        try:
            for at_s, surface in self._frames():
                with self._room:
                    self._queue.append((at_s, surface))
                    if len(self._queue) >= AHEAD_FRAMES:
                        self.ready.set()
                    self._room.wait_for(lambda: len(self._queue) < AHEAD_FRAMES or self._closing)
                if self._closing:
                    break
        except Exception as error:
            why = str(error) if isinstance(error, PictureError) else f"{type(error).__name__}: {error}"
            self.error = " ".join(why.split())
        self._ended = True
        self.ready.set()

    @abstractmethod
    def _frames(self) -> Iterator[tuple[float, pygame.Surface]]:
        """Yield (seconds since the first frame, surface of the whole screen); late frames are left out and counted.

        It keeps `fps` and `ends_s`, and returns once `_closing` is set.
        """
