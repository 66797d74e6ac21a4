"""Pictures, rows and commands that several tests of models need."""

import cv2
import numpy as np
from click.testing import CliRunner

from models.cards import AgeHead
from models.commands import models
from models.datasets.index import Row
from models.session import AgeDecoder, Outputs


def portrait(seed: int, size_px: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 BGR."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (size_px, size_px))
    return np.asarray(picture, np.uint8)


def row(file: str = "a.jpg", age: float | None = 30, **more: str) -> Row:
    return Row(file=file, gender="M", age_lo=age, age_hi=age, **more)


def said(p_male: np.ndarray, years: list[int]) -> Outputs:
    """Answers of a model that is sure of these ages, of 0 to 100 years."""
    logits = np.full((len(years), 101), -99, np.float32)
    logits[range(len(years)), years] = 0
    decoder = AgeDecoder(AgeHead(output="age", values="logits", years=(0, 100)))
    return Outputs(p_male=p_male.astype(np.float32), **decoder.decode(logits))


def invoke(*arguments: str) -> str:
    """Run `stationcast models` with these arguments and return what it prints. Errors of the user are raised."""
    return CliRunner().invoke(models, list(arguments), standalone_mode=False, catch_exceptions=False).output
