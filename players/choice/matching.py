"""How many of the people present a target fits."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from players.ads.catalogue import Arrays
from players.ads.lines import Line, Target
from players.audience.groups import MINOR_DECADES, UNKNOWN_AGE
from players.audience.present import Present

SURE_PEOPLE = 0.5
"""From this many people on, rounded half up, a group counts as one person present."""


def matched(present: Present, target: Target, minors: bool = False) -> int:
    """How many of those present the target fits, rounded half up; unknown gender or age fits no target that asks it."""
    arrays = _arrays_of(target)
    return int(whole_people(matches(present, arrays, minors))[0]) if holds(present, arrays)[0] else 0


@lru_cache(maxsize=4096)
def _arrays_of(target: Target) -> Arrays:
    return Arrays((Line(id="", campaign="", advertiser="", creatives=(), target=target),))


def whole_people(people: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round half up; the small term forgives the last bit of a sum of shares."""
    return np.floor(people + SURE_PEOPLE + 1e-9)


def matches(present: Present, arrays: Arrays, minors: bool) -> NDArray[np.float64]:
    """People whom each distinct target fits: float [targets]."""
    by_bin = np.tensordot(arrays.bins[minors], present.bins, 2)
    if arrays.by_age.any():
        by_bin = np.where(arrays.by_age, np.tensordot(arrays.ages[minors], present.ages, 2), by_bin)
    return by_bin


def holds(present: Present, arrays: Arrays) -> NDArray[np.bool_]:
    """Whether each distinct target's condition on the company holds: a family needs an adult and a minor."""
    known = present.bins[:, :UNKNOWN_AGE]
    minors = known[:, list(MINOR_DECADES)].sum()
    family = bool(whole_people(minors) >= 1 and whole_people(known.sum() - minors) >= 1)
    return ~arrays.family | family
