"""Temperatures make confidences true, where the labels can tell."""

import numpy as np
import pytest

from models.cards import AgeHead
from models.datasets.index import Row
from models.evaluation.calibration import fit_temperatures
from models.evaluation.evaluate import truth_of

HEAD = AgeHead(output="age", values="logits", years=(0, 100))


def fitted(male: np.ndarray, ages: np.ndarray) -> tuple[float, float]:
    """Fit to a model whose logits of gender are twice as sure as they may be, and whose ages are right."""
    rng = np.random.default_rng(0)
    logits = 2 * (np.where(male, 1.0, -1.0) + rng.normal(0, 1, len(male)))  # the true log-odds are 2 of these
    years = -(((np.arange(101) - ages[:, None]) / 8.0) ** 2)
    rows = [
        Row(file="", gender="M" if man else "F", age_lo=float(age), age_hi=float(age))
        for man, age in zip(male, ages, strict=True)
    ]
    return fit_temperatures(2 * logits[:, None].astype(np.float32), years.astype(np.float32), HEAD, truth_of(rows))


def test_logits_that_are_twice_as_sure_as_they_may_be_get_a_temperature_of_two() -> None:
    of_gender, of_age = fitted(np.arange(800) % 2 == 0, np.arange(800) % 80)
    assert of_gender == pytest.approx(2, abs=0.4)
    assert of_age < 1


def test_labels_of_one_gender_or_decade_alone_tell_nothing() -> None:
    assert fitted(np.ones(60, bool), np.arange(60))[0] == 1
    assert fitted(np.arange(60) % 2 == 0, np.full(60, 34))[1] == 1
