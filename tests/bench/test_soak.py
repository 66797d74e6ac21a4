"""Shared memory of a station."""

import os
from pathlib import Path

from bench.soak import _memfds


def test_shared_memory_is_counted_once() -> None:
    before = _memfds(Path("/proc/self/fd"))
    fd = os.memfd_create("toy")
    os.truncate(fd, 12345)
    twin = os.dup(fd)
    assert {size for _, size in _memfds(Path("/proc/self/fd")) - before} == {12345}
    os.close(fd)
    os.close(twin)
