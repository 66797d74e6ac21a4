"""Stages for benchmarks only: a camera that draws each frame in time, and workers whose time is known."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.job import Job
from pipeline.messages import Answered, Face, Faces, Frame
from pipeline.ring import Ring
from stages.capture import sample
from stages.classify import Classify

CROP_CAMERAS = 32


class SceneCamera:
    """Capture stage of the sample scene at the camera's rate, and as fast as people walk: so they can be followed."""

    def __init__(self, job: Job) -> None:
        self._name, self._period_s = job.camera.name, 1 / job.camera.fps
        self._ring = Ring.at(job.rings[self._name])
        self._seq = 0
        self._due_s = time.monotonic()

    def step(self, _batch: list[Frame]) -> list[Frame]:
        """Wait until the next frame is due and return it."""
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + self._period_s, time.monotonic() - self._period_s)
        captured_ns = time.monotonic_ns()
        self._seq += 1
        image = sample.render(self._name, self._seq * self._period_s)
        slot, version = self._ring.write(image)
        height_px, width_px = image.shape[:2]
        return [
            Frame(
                camera=self._name,
                seq=self._seq,
                captured_ns=captured_ns,
                slot=slot,
                version=version,
                width_px=width_px,
                height_px=height_px,
            )
        ]

    def close(self) -> None:
        """Unmap the ring."""
        self._ring.close()


class KnownDetect:
    """Detect stage that sleeps BENCH_DETECT_MS a frame, up to a fifth more or less, and finds nobody.

    A constant time would keep step with the cameras: every frame would be as old as the first happened to be.
    """

    def __init__(self, job: Job) -> None:
        self._rings = {name: Ring.at(ref) for name, ref in job.rings.items()}
        self._work_s = float(os.environ["BENCH_DETECT_MS"]) / 1e3
        self._random = np.random.default_rng(1)

    def step(self, batch: list[Frame]) -> Iterator[Faces]:
        """Yield one `Faces` a frame, each after about the known time."""
        for frame in batch:
            self._rings[frame.camera].read(frame.slot, frame.version, frame.height_px, frame.width_px)
            time.sleep(self._work_s * self._random.uniform(0.8, 1.2))
            yield faces_of(frame)

    def close(self) -> None:
        """Unmap the rings."""
        for ring in self._rings.values():
            ring.close()


class CropCamera:
    """Source of BENCH_FACES_PER_S `Faces` a second, one crop of noise each, as if from 32 cameras in turn."""

    def __init__(self, job: Job) -> None:
        self._name, self._period_s = job.camera.name, 1 / float(os.environ["BENCH_FACES_PER_S"])
        self._crop_px = int(os.environ["BENCH_CROP_PX"])
        self._crop = np.random.default_rng(1).integers(0, 256, self._crop_px**2 * 3, np.uint8).tobytes()
        self._seq = 0
        self._due_s = time.monotonic()

    def step(self, _batch: list[Frame]) -> list[Faces]:
        """Wait until the next face is due and return it."""
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = max(self._due_s + self._period_s, time.monotonic() - 0.05)
        self._seq += 1
        frame = Frame(
            camera=f"{self._name}-{self._seq % CROP_CAMERAS}",
            seq=self._seq,
            captured_ns=time.monotonic_ns(),
            slot=0,
            version=0,
            width_px=1280,
            height_px=720,
        )
        return [faces_of(frame, 1, self._crop_px, self._crop)]

    def close(self) -> None:
        """Release nothing."""


class CountingClassify(Classify):
    """Real classify stage; its status also counts the batches of each size."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._sizes: Counter[str] = Counter()
        self.status: dict[str, Any] = {}

    def step(self, batch: list[Faces]) -> Iterator[Answered]:
        """Count the batch and classify it."""
        self._sizes[str(len(batch))] += 1
        self.status = {"batches": dict(self._sizes)}
        return super().step(batch)


class KnownClassify:
    """Classify stage that sleeps BENCH_CLASSIFY_MS a batch and knows nobody."""

    def __init__(self, _job: Job) -> None:
        self._work_s = float(os.environ["BENCH_CLASSIFY_MS"]) / 1e3

    def step(self, batch: list[Faces]) -> Iterator[Answered]:
        """Yield one empty `Answered` a message, after the known time."""
        time.sleep(self._work_s)
        for message in batch:
            yield Answered.of(message)

    def close(self) -> None:
        """Release nothing."""


def faces_of(frame: Frame, faces: int = 0, crop_px: int = 0, crop: bytes = b"") -> Faces:
    """Return a message of so many faces, all with the same crop."""
    face = Face(box_px=(0.0, 0.0, 100.0, 100.0), score=1.0)
    return Faces.of(frame, (face,) * faces, (crop,) * faces, crop_px)
