"""Frames in shared memory: whole or not at all, and gone when they are old."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.ring import Ring


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create("test", 64 * 48 * 3)
    yield ring
    ring.close()
    os.close(ring.fd)


def _image(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def test_a_frame_comes_back_as_a_copy(ring: Ring) -> None:
    slot, version = ring.write(_image(7))
    frame = ring.read(slot, version, 48, 64)
    assert frame is not None and (frame == 7).all()
    frame[:] = 9
    again = ring.read(slot, version, 48, 64)
    assert again is not None and (again == 7).all()


def test_an_overwritten_frame_is_none(ring: Ring) -> None:
    first = ring.write(_image(1))
    for value in range(ring.slots):
        ring.write(_image(value))
    assert ring.read(*first, 48, 64) is None


def test_nonsense_is_none(ring: Ring) -> None:
    slot, version = ring.write(_image(1))
    assert ring.read(slot, version, 4800, 6400) is None
    assert ring.read(200, version, 48, 64) is None
    assert ring.read(slot, version + 2, 48, 64) is None


def test_a_frame_too_large_is_refused(ring: Ring) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ring.write(np.zeros((480, 640, 3), np.uint8))


def test_old_frames_are_blanked(ring: Ring) -> None:
    slot, version = ring.write(_image(200))
    ring.expire(max_age_s=60)
    assert ring.read(slot, version, 48, 64) is not None
    time.sleep(0.02)
    ring.expire(max_age_s=0.01)
    assert ring.read(slot, version, 48, 64) is None
    assert b"\xc8" * 32 not in os.pread(ring.fd, 1 << 20, 4096)


def test_a_frame_half_written_by_a_killed_writer_is_blanked_however_young(ring: Ring) -> None:
    slot, version = ring.write(_image(200))
    ring._versions[slot] = version + 1
    ring.expire(max_age_s=60)
    assert b"\xc8" * 32 not in os.pread(ring.fd, 1 << 20, 4096)
    assert ring._versions[slot] % 2 == 0


_TORN_READER = """
import sys
from pipeline.ring import Ring
fd, slots, slot_bytes = map(int, sys.argv[1:])
ring = Ring(fd, slots, slot_bytes)
print("go", flush=True)
good = 0
while good < 300:
    for slot in range(slots):
        version = int(ring._versions[slot])
        frame = ring.read(slot, version, 480, 640) if version and version % 2 == 0 else None
        if frame is not None:
            assert (frame == frame[0, 0, 0]).all(), "torn"
            good += 1
print("whole", flush=True)
"""


def test_a_reader_in_another_process_never_sees_a_torn_frame() -> None:
    ring = Ring.create("torn", 640 * 480 * 3, slots=2)
    command = [sys.executable, "-c", _TORN_READER, str(ring.fd), str(ring.slots), str(ring.slot_bytes)]
    with subprocess.Popen(command, pass_fds=[ring.fd], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout and reader.stdout.readline() == "go\n"
        value = 0
        while reader.poll() is None:
            value = (value + 1) % 256
            ring.write(np.full((480, 640, 3), value, np.uint8))
        assert reader.stdout.read() == "whole\n"
    ring.close()
    os.close(ring.fd)


def test_a_writer_killed_in_the_middle_is_replaced() -> None:
    ring = Ring.create("killed", 64 * 48 * 3)
    ring._versions[0] = 5  # odd: somebody died while writing
    slot, version = Ring(ring.fd, ring.slots, ring.slot_bytes).write(_image(3))
    frame = ring.read(slot, version, 48, 64)
    assert version % 2 == 0 and frame is not None and (frame == 3).all()
    ring.close()
    os.close(ring.fd)
