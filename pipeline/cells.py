"""Shared memory in which every process tells of itself: heartbeat, counters, latency histograms, a small status.

There is one memfd a station, one cell a process and one writer a cell; there are no locks and no messages. The
supervisor reads what a process did even after it was killed, and the process that is started in its place counts on.
Times are CLOCK_MONOTONIC, ns.
"""

import math
import mmap
import os
import time
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.log import skip

COUNTERS = (
    "heartbeat_ns",
    "state",
    "in",
    "out",
    "faces",
    "dropped",
    "skipped",
    "ready_ns",
    "age_in_max_ns",
    "age_out_max_ns",
    "statuses",
    "status_even_bytes",
    "status_odd_bytes",
)
_INDEX = {name: i for i, name in enumerate(COUNTERS)}
_STATUS_BYTES = ("status_even_bytes", "status_odd_bytes")
LOADING, READY = 1, 2
CELLS = 160
BUCKETS = 1024
_GROWTH = math.log(1.02)
_FIRST_US = 10.0
_HEAD_BYTES = 256
_HISTOGRAM_BYTES = 8 * BUCKETS
_STATUS_MAX_BYTES = 32 * 1024
_CELL_BYTES = _HEAD_BYTES + 2 * _HISTOGRAM_BYTES + 2 * _STATUS_MAX_BYTES


class Histogram:
    """Counts of durations in buckets 2 % wide, from 10 us to 1.7 h; a quantile is right within 1 %."""

    def __init__(self, counts: memoryview) -> None:
        self._counts = counts

    @property
    def buckets(self) -> NDArray[np.uint64]:
        """The counts, uint64 [1024]."""
        return np.frombuffer(self._counts, np.uint64)

    def add(self, duration_ns: int) -> None:
        us = duration_ns / 1000
        index = 0 if us <= _FIRST_US else min(BUCKETS - 1, int(math.log(us / _FIRST_US) / _GROWTH) + 1)
        self._counts[index] += 1


def quantile_ms(buckets: NDArray[np.uint64], q: float) -> float | None:
    """The q-quantile in ms of a histogram's buckets; None of an empty one."""
    total = int(buckets.sum())
    if total == 0:
        return None
    index = int(np.searchsorted(np.cumsum(buckets), math.ceil(q * total)))
    return _FIRST_US / 1000 * (math.exp((index - 0.5) * _GROWTH) if index else 1.0)


class Cell:
    """One process's record; made by `Cells.cell`."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        base = index * _CELL_BYTES
        self._memory = memory
        # Views of memory, not arrays: counted is several times a message, and a NumPy scalar costs ten times as much.
        numbers = memoryview(memory)[base : base + _HEAD_BYTES + 2 * _HISTOGRAM_BYTES].cast("B").cast("Q")
        self._counters = numbers[: len(COUNTERS)]
        first = _HEAD_BYTES // 8
        self.age_in = Histogram(numbers[first : first + BUCKETS])
        """Age of the messages when they reached the process."""
        self.age_out = Histogram(numbers[first + BUCKETS :])
        """Age of its results when they left."""
        first_status = base + _HEAD_BYTES + 2 * _HISTOGRAM_BYTES
        self._status_at = (first_status, first_status + _STATUS_MAX_BYTES)
        self._last_status = b""

    @classmethod
    def private(cls) -> "Cell":
        """Return a cell that this process alone has."""
        return cls(mmap.mmap(-1, _CELL_BYTES), 0)

    def absorb(self, other: "Cell") -> None:
        """Add the counts of another cell to these; heartbeat, state and status are left out."""
        for counter in ("in", "out", "faces", "dropped", "skipped"):
            self.add(counter, other[counter])
        for counter in ("age_in_max_ns", "age_out_max_ns"):
            self[counter] = max(self[counter], other[counter])
        for mine, its in ((self.age_in, other.age_in), (self.age_out, other.age_out)):
            mine.buckets[:] += its.buckets

    def __getitem__(self, counter: str) -> int:
        return self._counters[_INDEX[counter]]

    def __setitem__(self, counter: str, value: int) -> None:
        self._counters[_INDEX[counter]] = value

    def add(self, counter: str, n: int = 1) -> None:
        self._counters[_INDEX[counter]] += n

    def beat(self) -> None:
        """Tell that the process is alive."""
        self["heartbeat_ns"] = time.monotonic_ns()

    def arrived(self, age_ns: int) -> None:
        """Record the age of a message that came in."""
        self.age_in.add(age_ns)
        self["age_in_max_ns"] = max(self["age_in_max_ns"], age_ns)

    def left(self, age_ns: int) -> None:
        """Record the age of a result that goes out."""
        self.age_out.add(age_ns)
        self["age_out_max_ns"] = max(self["age_out_max_ns"], age_ns)

    def publish(self, status: dict[str, Any]) -> None:
        """Replace the status (a dict of plain values, at most 32 KiB as MessagePack; larger ones are skipped)."""
        data = msgspec.msgpack.encode(status)
        if data == self._last_status:
            return
        if len(data) > _STATUS_MAX_BYTES:
            skip("status_too_large", bytes=len(data))
            return
        self._last_status = data
        # Two places in turn: whoever is killed, or waits for a core, while he writes one leaves the other whole.
        number = self["statuses"] + 1
        at = self._status_at[number % 2]
        self._memory[at : at + len(data)] = data
        self[_STATUS_BYTES[number % 2]] = len(data)
        self["statuses"] = number

    def status(self) -> dict[str, Any]:
        """Return the status last published; {} before the first."""
        while number := self["statuses"]:
            at = self._status_at[number % 2]
            data = self._memory[at : at + self[_STATUS_BYTES[number % 2]]]
            if self["statuses"] == number:
                decoded: dict[str, Any] = msgspec.msgpack.decode(data)
                return decoded
        return {}


class Cells:
    """All cells of a station, in the memfd `fd`. Their owner takes a cell for each process, and frees it after."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, CELLS * _CELL_BYTES)
        self._free = list(range(CELLS))

    @classmethod
    def create(cls) -> "Cells":
        """Make the memory of all cells, zeroed."""
        fd = os.memfd_create("stationcast-cells")
        os.posix_fallocate(fd, 0, CELLS * _CELL_BYTES)
        return cls(fd)

    def cell(self, index: int) -> Cell:
        """Return the cell of one process, 0 <= index < CELLS."""
        return Cell(self._map, index)

    @property
    def room(self) -> bool:
        """True if there is a free cell."""
        return bool(self._free)

    def take(self) -> int:
        """Return the index of a free cell, which is free no longer. IndexError: there is none."""
        return self._free.pop(0)

    def free(self, index: int) -> None:
        """Zero a cell whose process has ended, and let another process take it."""
        self._map[index * _CELL_BYTES : (index + 1) * _CELL_BYTES] = bytes(_CELL_BYTES)
        self._free.append(index)
        self._free.sort()
