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
    p_younger: tuple[float, ...] = ()
    """Probabilities of being younger than each of LAW_YEARS; none for a person who was not asked about alone."""


NOTHING_KNOWN = Estimate("unknown", 0.5, None, None, (1 / len(DECADES),) * len(DECADES))
"""Estimate for a face that was not classified, or for which the model gives no number."""


def estimate(
    p_male: float, age_years: float, p_decade: Sequence[float], unknown: Unknown, p_younger: Sequence[float] = ()
) -> Estimate:
    """Return what may be said of a calibrated answer: probability of a man, age, and probabilities [9] of the decades.

    Below the card's thresholds it is `unknown`, and so is the gender of somebody who is probably under ten. For numbers
    that are not finite it is NOTHING_KNOWN.
    """
    if not math.isfinite(p_male + age_years):
        return NOTHING_KNOWN
    gender: Gender = "unknown"
    probabilities = tuple(float(p) for p in p_decade)
    if max(p_male, 1 - p_male) >= unknown.gender and probabilities[0] <= unknown.child:
        gender = "M" if p_male > 0.5 else "F"
    decade = max(range(len(probabilities)), key=probabilities.__getitem__)
    sure = probabilities[decade] >= unknown.decade
    years, said = (age_years, decade) if sure else (None, None)
    return Estimate(gender, p_male, years, said, probabilities, tuple(p_younger))
