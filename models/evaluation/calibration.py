"""Temperatures that make the confidences of a model true (Guo et al., On calibration of modern networks, ICML 2017)."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.cards import DECADE_EDGES, AgeHead
from models.evaluation.evaluate import Truth, overlapping
from models.session import AgeDecoder


def fit_temperatures(
    gender: NDArray[np.float32], age: NDArray[np.float32], head: AgeHead, truth: Truth
) -> tuple[float, float]:
    """Fit the temperatures of gender and age, between .4 and 4, that make the labels of n faces most likely.

    `gender` are logits of a man, [n, 1], `age` the answers of the `head`, [n, classes]. Labels of age count by decade.
    Labels of one gender or of one decade alone would call for the surest answers: the temperature is then 1.
    """
    grid = np.exp(np.linspace(np.log(0.4), np.log(4), 93))
    sign = np.where(truth.male, 1.0, -1.0)[truth.has_gender]
    logits = gender[truth.has_gender, 0].astype(np.float64) * sign
    inside = overlapping(np.arange(len(DECADE_EDGES) - 1)[:, None], DECADE_EDGES, truth).T[truth.has_age]

    def surprise(t: float) -> float:
        decoder = AgeDecoder(msgspec.structs.replace(head, temperature=t))
        p = decoder.decode(age[truth.has_age])["p_decade"]
        return float(-np.log((p * inside).sum(1).clip(1e-9)).mean())

    of_gender = min(grid, key=lambda t: float(np.logaddexp(0, -logits / t).mean())) if len(set(sign)) > 1 else 1.0
    of_age = min(grid, key=surprise) if len(np.unique(inside, axis=0)) > 1 else 1.0
    return round(float(of_gender), 3), round(float(of_age), 3)
