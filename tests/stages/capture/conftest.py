"""Real ring, real files, and a clock of their own for the tests of the capture stage."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.job import Job
from pipeline.messages import Frame
from pipeline.ring import Ring
from pipeline.settings import Camera, Station
from stages.capture.stage import Capture
from tests.conftest import waited_for_a_core_s

SLOT_BYTES = 1280 * 720 * 3


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create("test", SLOT_BYTES)
    yield ring
    ring.close()
    os.close(ring.fd)


def open_capture(ring: Ring, folder: Path, source: str | int, **knobs: object) -> Capture:
    knobs = {"max_width_px": 1280, "max_height_px": 720} | knobs
    camera = msgspec.convert({"name": "door", "source": source} | knobs, Camera)
    return Capture(Job(station=Station(folder=folder), camera=camera, rings={camera.name: ring.ref}))


class Clock:
    """Simulated time: each reading takes `look_ns`, a sleep is over at once. The machine's load changes nothing."""

    def __init__(self) -> None:
        self._now_ns = 10**13
        self.look_ns = 1000

    def monotonic_ns(self) -> int:
        self._now_ns += self.look_ns
        return self._now_ns

    def monotonic(self) -> float:
        return self.monotonic_ns() / 1e9

    def sleep(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the time of the stage, its sources and the ring by a simulated one."""
    clock = Clock()
    monkeypatch.setattr("stages.capture.stage.time", clock)
    monkeypatch.setattr("stages.capture.sources.time", clock)
    monkeypatch.setattr("pipeline.ring.time", clock)
    return clock


def run(
    capture: Capture, ring: Ring, seconds: float, at_most: int = 10**6, clock: Any = time
) -> list[tuple[Frame, NDArray[np.uint8]]]:
    """Step for `seconds` of `clock`. Return the frames with their pixels as a reader finds them.

    No step may take 4 s; the time that this thread waited for a core does not count.
    """
    taken: list[tuple[Frame, NDArray[np.uint8]]] = []
    until_s = clock.monotonic() + seconds
    while clock.monotonic() < until_s and len(taken) < at_most:
        started_s, waited_s = clock.monotonic(), waited_for_a_core_s(os.getpid())
        for frame in capture.step([]):
            image = ring.read(frame.slot, frame.version, frame.height_px, frame.width_px)
            assert image is not None
            taken.append((frame, image))
        waited_s = waited_for_a_core_s(os.getpid()) - waited_s if clock is time else 0.0
        assert clock.monotonic() - started_s - waited_s < 4, "a stage silent for 5 s is killed"
    return taken


def write_video(path: Path, frames: int, fps: float = 20, size: tuple[int, int] = (320, 240)) -> None:
    """Write frames whose grey level is 8 times their number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 8 * i, np.uint8))
    writer.release()


def number_of(image: NDArray[np.uint8]) -> int:
    return round(float(image.mean()) / 8)
