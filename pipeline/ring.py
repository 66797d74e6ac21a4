"""Frames of one camera in shared memory: one writer, any number of readers, no locks, no name to leak.

A ring is a memfd of a few slots. Each slot has a version: odd while it is being written, even when it is whole
(a sequence lock, Lameter 2005). A reader copies the pixels out and looks at the version again; a frame overwritten
meanwhile is discarded. Writing is never held up by a reader, nor by one that was killed.
"""

import mmap
import os
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.settings import Camera

_PAGE = 4096
SLOTS = 6


class RingRef(Struct, frozen=True, kw_only=True):
    """Place of a camera's frames: an inherited memfd of `slots` slots of `slot_bytes` bytes of pixels each."""

    fd: int
    slots: int
    slot_bytes: int


class Lying(NamedTuple):
    """Finding of faces that lie on their side or upside down in the frames of a ring."""

    turned_deg: int = 0
    """Turn of the frames in which they were found, as `Ring.turned_deg` was."""
    turn_deg: int = 0
    """Further clockwise turn after which they stand upright: 90, 180 or 270; 0: none lie."""
    times: int = 0
    """Number of frames in which they were found, none of which showed an upright face."""


class Ring:
    """Slots of `slot_bytes` bytes in the memfd `fd`, which stays open: it belongs to whoever passed it."""

    def __init__(self, fd: int, slots: int, slot_bytes: int) -> None:
        self.fd, self.slots, self.slot_bytes = fd, slots, slot_bytes
        self._map = mmap.mmap(fd, _total_bytes(slots, slot_bytes))
        self._versions = np.frombuffer(self._map, np.uint64, slots)
        self._written_ns = np.frombuffer(self._map, np.uint64, slots, offset=8 * slots)
        self._words = np.frombuffer(self._map, np.uint64, 2, offset=16 * slots)
        self._stride = _round_up(slot_bytes)
        self._next = 0

    @classmethod
    def at(cls, ref: RingRef) -> "Ring":
        """Map the memory of a ring that another process made."""
        return cls(ref.fd, ref.slots, ref.slot_bytes)

    @property
    def ref(self) -> RingRef:
        """Place of this ring, for a process that inherits its fd."""
        return RingRef(fd=self.fd, slots=self.slots, slot_bytes=self.slot_bytes)

    @classmethod
    def create(cls, name: str, slot_bytes: int, slots: int = SLOTS) -> "Ring":
        """Make the memory and allocate all of it. OSError: there is not so much; else the first frame meets SIGBUS."""
        fd = os.memfd_create(f"stationcast-{name}")
        try:
            os.posix_fallocate(fd, 0, _total_bytes(slots, slot_bytes))
            return cls(fd, slots, slot_bytes)
        except BaseException:
            os.close(fd)
            raise

    def write(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        """Copy an image into the oldest slot -> (slot, version). ValueError: it has more than `slot_bytes` bytes."""
        if image.nbytes > self.slot_bytes:
            raise ValueError(f"a frame of {image.nbytes} bytes does not fit a slot of {self.slot_bytes}")
        slot, self._next = self._next, (self._next + 1) % self.slots
        writing = int(self._versions[slot]) | 1
        self._versions[slot] = writing
        np.copyto(self._pixels(slot, image.nbytes).reshape(image.shape), image)
        self._written_ns[slot] = time.monotonic_ns()
        self._versions[slot] = writing + 1
        return slot, writing + 1

    def read(self, slot: int, version: int, height_px: int, width_px: int) -> NDArray[np.uint8] | None:
        """Return a copy of the frame, uint8 BGR [height_px, width_px, 3]; None if it was overwritten or never there."""
        n_bytes = height_px * width_px * 3
        if slot >= self.slots or n_bytes > self.slot_bytes or int(self._versions[slot]) != version:
            return None
        frame = self._pixels(slot, n_bytes).reshape(height_px, width_px, 3).copy()
        return frame if int(self._versions[slot]) == version else None

    def expire(self, max_age_s: float = 1.5) -> None:
        """Blank every slot written longer ago than `max_age_s`, or left half-written by a writer that was killed, so
        that no frame outlives its use. The writer calls it; while that is dead or hangs, the supervisor does."""
        before_ns = time.monotonic_ns() - int(max_age_s * 1e9)
        for slot in range(self.slots):
            writing = int(self._versions[slot]) | 1
            if 0 < int(self._written_ns[slot]) < before_ns or int(self._versions[slot]) == writing:
                self._versions[slot] = writing
                self._pixels(slot, self.slot_bytes)[:] = 0
                self._written_ns[slot] = 0
                self._versions[slot] = writing + 1

    @property
    def turned_deg(self) -> int:
        """Clockwise turn of the frames against the camera's own pictures: 0, 90, 180 or 270. The writer sets it."""
        return int(self._words[0])

    @turned_deg.setter
    def turned_deg(self, turn_deg: int) -> None:
        self._words[0] = turn_deg

    @property
    def lying(self) -> "Lying":
        """Finding of faces that lie in the frames. A reader that looks for faces sets it, for the writer."""
        word = int(self._words[1])
        return Lying(turned_deg=90 * (word & 3), turn_deg=90 * (word >> 2 & 3), times=word >> 4)

    @lying.setter
    def lying(self, lying: "Lying") -> None:
        self._words[1] = lying.times << 4 | lying.turn_deg // 90 << 2 | lying.turned_deg // 90

    def close(self) -> None:
        """Unmap the memory; the fd is left to its owner."""
        del self._versions, self._written_ns, self._words
        self._map.close()

    def _pixels(self, slot: int, n_bytes: int) -> NDArray[np.uint8]:
        return np.frombuffer(self._map, np.uint8, n_bytes, offset=_PAGE + slot * self._stride)


class Rings:
    """The rings of a station's cameras, as the process that makes and closes their memory sees them."""

    def __init__(self) -> None:
        self._fds: set[int] = set()

    def for_cameras(self, cameras: Iterable[Camera], before: Mapping[str, RingRef]) -> dict[str, RingRef]:
        """Return a ring for each camera, by name: the one before where its size is the same, or a new one.

        UserError: there is no memory for it; then no ring is new.
        """
        refs: dict[str, RingRef] = {}
        made: set[int] = set()
        for camera in cameras:
            slot_bytes = camera.max_width_px * camera.max_height_px * 3
            known = before.get(camera.name)
            if known and known.slot_bytes == slot_bytes:
                refs[camera.name] = known
                continue
            try:
                ring = Ring.create(camera.name, slot_bytes)
            except OSError as error:
                _close(made)
                megabytes = f"{SLOTS * slot_bytes / 1e6:.0f} MB"
                raise UserError(
                    f"cameras.{camera.name}: no {megabytes} of memory for its frames ({error.strerror}); "
                    "lower max_width_px and max_height_px"
                ) from None
            made.add(ring.fd)
            refs[camera.name] = ring.ref
            ring.close()
        self._fds |= made
        return refs

    def close_all_but(self, used: Iterable[RingRef]) -> None:
        """Give back the memory of rings that nobody uses any more."""
        unused = self._fds - {ref.fd for ref in used}
        self._fds -= unused
        _close(unused)


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def _round_up(n_bytes: int) -> int:
    return -(-n_bytes // _PAGE) * _PAGE


def _total_bytes(slots: int, slot_bytes: int) -> int:
    return _PAGE + slots * _round_up(slot_bytes)
