"""Mosec server of the model BENCH_MODEL, for comparison: a crop's bytes in, three floats out. Needs `mosec`."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from mosec import Server, Worker

from models.assets import resolve
from models.session import Classifier


class Classify(Worker):
    """Worker with the classifier, on one thread of the processor."""

    def __init__(self) -> None:
        self._classifier = Classifier(resolve(os.environ["BENCH_MODEL"], Path()), "cpu", threads=1)

    def deserialize(self, data: bytes) -> Any:
        """Return the crop that the bytes hold, uint8 RGB [size, size, 3]."""
        size_px = self._classifier.size_px
        return np.frombuffer(data, np.uint8).reshape(size_px, size_px, 3)

    def serialize(self, data: Any) -> bytes:
        """Return the bytes of an estimate."""
        return struct.pack("3f", data.p_male, data.age_years or -1.0, float(data.decade or -1))

    def forward(self, data: Any) -> Any:
        """Return the estimates of a list of crops."""
        return self._classifier.classify(np.stack(data))


if __name__ == "__main__":
    server = Server()
    batch, wait_ms = int(os.environ["BENCH_BATCH"]), float(os.environ["BENCH_WAIT_MS"])
    server.append_worker(Classify, num=1, max_batch_size=batch, max_wait_time=max(1, round(wait_ms)))
    server.run()
