"""Estimates of gender and age from calibrated answers: "unknown" where the card's thresholds say so."""

import math
from collections.abc import Sequence

from msgspec import Struct

from models.cards import DECADES, Gender, Unknown


class Estimate(Struct, frozen=True):
    """Estimate for one face by the card's thresholds. `age_years` and `decade` are None if the age is too unsure."""

    gender: Gender
    p_male: float
    age_years: float | None
    decade: int | None
    p_decade: tuple[float, ...]


NOTHING_KNOWN = Estimate("unknown", 0.5, None, None, (1 / len(DECADES),) * len(DECADES))
"""Estimate for a face that was not classified, or for which the model gives no number."""


def estimate(p_male: float, age_years: float, p_decade: Sequence[float], unknown: Unknown) -> Estimate:
    """Return what may be said of a calibrated answer: probability of a man, age, and probabilities [9] of the decades.

    Below the card's thresholds it is `unknown`; for numbers that are not finite it is NOTHING_KNOWN.
    """
    if not math.isfinite(p_male + age_years):
        return NOTHING_KNOWN
    gender: Gender = "unknown"
    if max(p_male, 1 - p_male) >= unknown.gender:
        gender = "M" if p_male > 0.5 else "F"
    probabilities = tuple(float(p) for p in p_decade)
    decade = max(range(len(probabilities)), key=probabilities.__getitem__)
    sure = probabilities[decade] >= unknown.decade
    return Estimate(gender, p_male, age_years if sure else None, decade if sure else None, probabilities)
