"""Sink of a decoding process: where it puts its frames, and where it waits for room."""

import os
import socket
import time

import numpy as np
from numpy.typing import NDArray

from players.decoding.frames import Frames
from players.decoding.order import READY


class Sink:
    """Frames on their way to the player."""

    def __init__(self, frames: Frames, control: socket.socket) -> None:
        self._frames, self._control = frames, control
        self._pushed = 0
        self._is_ready = False

    def slot(self) -> NDArray[np.uint8]:
        """Wait until there is room, and return the memory of the next frame, uint8 [bytes].

        Ends this process where the player is gone.
        """
        while self._pushed - self._frames.released >= self._frames.slots:
            self._say_ready()
            if not self._control.recv(64):
                os._exit(0)
        return self._frames.slot(self._pushed)

    def push(self, at_s: float, count_bytes: int | None = None) -> None:
        """Give the frame in that memory to the player; it is due `at_s` seconds after the first."""
        self._frames.push(at_s, self._frames.slot_bytes if count_bytes is None else count_bytes)
        self._pushed += 1

    def decoded(self, until_s: float, fps: float) -> None:
        """Say up to which time, in s since the first frame, the medium is decoded, and how quick its frames come."""
        self._frames.ends_s, self._frames.fps = until_s, fps

    def leave_out(self) -> None:
        """Count a frame that comes too late."""
        self._frames.late += 1

    def is_late(self, until_s: float) -> bool:
        """Return True where a frame that lasts until then, in s since the first, should be over by now."""
        began_s = self._frames.began_s
        return began_s > 0 and until_s < time.monotonic() - began_s

    def end(self, error: str = "") -> None:
        """Say that no more comes, and why."""
        self._frames.end(error)
        self._say_ready()

    def _say_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._control.send(READY)
