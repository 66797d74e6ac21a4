"""Frames in shared memory between the process that decodes them and the player that shows them.

The memory is sealed: who writes it cannot make it shorter, which would end the reader. What the writer says in it is
taken for numbers only.
"""

import fcntl
import math
import mmap
import os

import numpy as np
from numpy.typing import NDArray

_PAGE = 4096
_WRITTEN, _RELEASED, _LATE, _ENDED = range(4)
_BEGAN, _ENDS, _FPS = range(3)
_TIMES_AT, _ROWS_AT, _TEXT_AT = 64, 128, 2048
_TEXT_BYTES_MAX = 600
SLOTS_MAX = 64
FPS_MIN, FPS_MAX = 0.001, 1000.0


class Frames:
    """Slots for frames, filled in turn: frame n lies in slot n modulo `slots`. One process writes, another reads.

    A slot is written anew only after the reader has released its frame.
    """

    def __init__(self, fd: int, slots: int, slot_bytes: int) -> None:
        """Map the memory; the descriptor is left to its owner."""
        self.slots, self.slot_bytes = slots, slot_bytes
        self._released = 0  # what the reader has set, whatever the writer made of it
        self._stride = _round_up(slot_bytes)
        self._map = mmap.mmap(fd, _PAGE + slots * self._stride)
        self._counts = np.frombuffer(self._map, np.uint64, 4)
        self._times = np.frombuffer(self._map, np.float64, 3, offset=_TIMES_AT)
        self._at_s = np.frombuffer(self._map, np.float64, slots, offset=_ROWS_AT)
        self._bytes = np.frombuffer(self._map, np.uint64, slots, offset=_ROWS_AT + 8 * SLOTS_MAX)

    @staticmethod
    def create(slots: int, slot_bytes: int) -> int:
        """Make the memory and return its descriptor. OSError: there is not so much."""
        fd = os.memfd_create("stationcast-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(fd, 0, _PAGE + slots * _round_up(slot_bytes))
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @property
    def written(self) -> int:
        """Number of frames written so far, for the reader, as far as it can be true."""
        return max(self._released, min(int(self._counts[_WRITTEN]), self._released + self.slots))

    @property
    def released(self) -> int:
        """Number of frames, from the first, that the reader needs no more; the reader sets it, the writer reads it."""
        return int(self._counts[_RELEASED])

    @released.setter
    def released(self, count: int) -> None:
        self._released = self._counts[_RELEASED] = count

    @property
    def late(self) -> int:
        """Number of frames that were left out, because they came too late; the writer sets it."""
        return min(int(self._counts[_LATE]), 1 << 40)

    @late.setter
    def late(self, count: int) -> None:
        self._counts[_LATE] = count

    @property
    def began_s(self) -> float:
        """Time at which the first frame was shown (CLOCK_MONOTONIC), 0 before; the reader sets it."""
        return float(self._times[_BEGAN])

    @began_s.setter
    def began_s(self, at_s: float) -> None:
        self._times[_BEGAN] = at_s

    @property
    def ends_s(self) -> float:
        """End of the last frame decoded, in s since the first, or infinite; the writer sets it."""
        ends_s = float(self._times[_ENDS])
        return ends_s if ends_s >= 0 else 0.0  # not a number is none

    @ends_s.setter
    def ends_s(self, at_s: float) -> None:
        self._times[_ENDS] = at_s

    @property
    def fps(self) -> float:
        """Frames a second, about; the writer sets it."""
        fps = float(self._times[_FPS])
        return min(max(fps, FPS_MIN), FPS_MAX) if fps > 0 else FPS_MIN

    @fps.setter
    def fps(self, fps: float) -> None:
        self._times[_FPS] = fps

    @property
    def ended(self) -> bool:
        """True once no more frames will come."""
        return bool(self._counts[_ENDED])

    @property
    def error(self) -> str:
        """Reason why no more frames will come; empty where all came."""
        length = min(int.from_bytes(self._map[_TEXT_AT : _TEXT_AT + 4], "big"), _TEXT_BYTES_MAX)
        return self._map[_TEXT_AT + 4 : _TEXT_AT + 4 + length].decode(errors="replace")

    def end(self, error: str = "") -> None:
        """Say that no more frames will come, and why."""
        text = " ".join(error.split()).encode(errors="replace")[:_TEXT_BYTES_MAX]
        self._map[_TEXT_AT + 4 : _TEXT_AT + 4 + len(text)] = text
        self._map[_TEXT_AT : _TEXT_AT + 4] = len(text).to_bytes(4, "big")
        self._counts[_ENDED] = 1

    def slot(self, number: int) -> NDArray[np.uint8]:
        """Return the memory of a frame: uint8 [slot_bytes]."""
        return np.frombuffer(self._map, np.uint8, self.slot_bytes, offset=self._place(number))

    def view(self, number: int) -> memoryview:
        """Return what was written of a frame, without copying it."""
        begin = self._place(number)
        return memoryview(self._map)[begin : begin + min(int(self._bytes[number % self.slots]), self.slot_bytes)]

    def at_s(self, number: int) -> float:
        """Return the time of a frame in s since the first; infinite where it is no time."""
        at_s = float(self._at_s[number % self.slots])
        return math.inf if math.isnan(at_s) else at_s

    def push(self, at_s: float, count_bytes: int) -> None:
        """Give the next frame, which was written into its slot, to the reader."""
        number = int(self._counts[_WRITTEN])
        self._at_s[number % self.slots] = at_s
        self._bytes[number % self.slots] = count_bytes
        self._counts[_WRITTEN] = number + 1

    def _place(self, number: int) -> int:
        return _PAGE + number % self.slots * self._stride


def _round_up(count: int) -> int:
    return -(-count // _PAGE) * _PAGE
