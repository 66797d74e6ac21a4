"""Pictures, rows and commands that several tests of models need."""

import cv2
import numpy as np
from click.testing import CliRunner

from models.commands import models
from models.datasets.index import Row


def portrait(seed: int, size_px: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 BGR."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (size_px, size_px))
    return np.asarray(picture, np.uint8)


def row(file: str = "a.jpg", age: float | None = 30, **more: str) -> Row:
    return Row(file=file, gender="M", age_lo=age, age_hi=age, **more)


def invoke(*arguments: str) -> str:
    """Run `stationcast models` with these arguments and return what it prints. Errors of the user are raised."""
    return CliRunner().invoke(models, list(arguments), standalone_mode=False, catch_exceptions=False).output
