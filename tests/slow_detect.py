"""The real detector, six times as slow: what a station does under overload."""

import time
from collections.abc import Iterator

from pipeline.job import Job
from pipeline.messages import Faces, Frame
from stages.detect.stage import Detect

TIMES = 6
AT_LEAST_S = 0.04
"""Four cameras at 15 fps are more than that allows, however fast the machine."""


class SlowDetect(Detect):
    """Finds the faces of every frame six times over and takes at least 40 ms; notes how long that took."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.status = {"longest_step_ms": 0.0}

    def step(self, batch: list[Frame]) -> Iterator[Faces]:
        started_s = time.monotonic()
        for frame in batch:
            found = [result for _ in range(TIMES) for result in super(SlowDetect, self).step([frame])]
            time.sleep(max(0.0, started_s + AT_LEAST_S - time.monotonic()))
            took_ms = 1000 * (time.monotonic() - started_s)
            self.status = {"longest_step_ms": max(took_ms, self.status["longest_step_ms"])}
            yield from found[-1:]
