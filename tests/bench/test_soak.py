"""Shared memory of a station."""

import os
from pathlib import Path

from bench.rig.station import make_station
from bench.soak import _memfds, _state
from pipeline.supervisor import Supervisor


def test_shared_memory_is_counted_once() -> None:
    before = _memfds(Path("/proc/self/fd"))
    fd = os.memfd_create("toy")
    os.truncate(fd, 12345)
    twin = os.dup(fd)
    assert {size for _, size in _memfds(Path("/proc/self/fd")) - before} == {12345}
    os.close(fd)
    os.close(twin)


def test_what_the_supervisor_itself_keeps_is_counted() -> None:
    supervisor = Supervisor(make_station(1, 10))
    own_mb, files, _ = _state(supervisor)
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    own_later_mb, files_later, _ = _state(supervisor)
    for fd in kept:
        os.close(fd)
    assert own_mb > 5 and own_later_mb > 5
    assert files_later - files == len(kept)
