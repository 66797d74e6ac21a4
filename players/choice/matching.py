"""Targets against the people present: people whom a target fits, and the groups that are worth aiming at."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import DECADES
from players.ads.catalogue import Arrays
from players.ads.lines import Line, Target
from players.audience.groups import GENDERS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER
from players.audience.present import Present

SURE_PEOPLE = 0.5
"""Smallest share of a person that counts as one person: shares are rounded half up."""


class Aim(NamedTuple):
    """Group of people to please. `gender` and `decade` are indices, None where that does not matter.

    people: how many of them are present. text: the group in words, such as `F 20-29`.
    """

    gender: int | None
    decade: int | None
    people: float
    text: str


def matched(present: Present, target: Target, minors: bool = False) -> int:
    """Return how many of the people present the target fits, rounded half up.

    A person of unknown gender or age fits no target that asks for it. `minors` lets people under 20 match.
    """
    arrays = _arrays_of(target)
    return int(whole_people(matches(present, arrays, minors))[0]) if company_fits(present, arrays)[0] else 0


def whole_people(people: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round numbers of people half up, in the shape given. A sum of shares may be 1e-9 short of a half."""
    return np.floor(people + SURE_PEOPLE + 1e-9)


def matches(present: Present, arrays: Arrays, minors: bool) -> NDArray[np.float64]:
    """Return the number of people whom each distinct target fits: float [targets], not rounded."""
    by_bin = np.tensordot(arrays.bins[minors], present.bins, 2)
    if arrays.by_age.any():
        by_bin = np.where(arrays.by_age, np.tensordot(arrays.ages[minors], present.ages, 2), by_bin)
    return by_bin


def company_fits(present: Present, arrays: Arrays) -> NDArray[np.bool_]:
    """Tell for each distinct target whether the company is right: bool [targets]. A family is an adult and a minor."""
    known = present.bins[:, :UNKNOWN_AGE]
    minors = known[:, list(MINOR_DECADES)].sum()
    family = bool(whole_people(minors) >= 1 and whole_people(known.sum() - minors) >= 1)
    return ~arrays.family | family


def aims(present: Present) -> Iterator[Aim]:
    """Yield the groups of at least one sure person, from the most people to the fewest, of equal ones the nearer.

    Each gender alone, each decade alone and anyone at all come after them.
    """
    bins, whole = present.bins, whole_people(present.bins)
    known = [(g, d) for g in (0, 1) for d in range(UNKNOWN_AGE) if whole[g, d] >= 1]
    known.sort(key=lambda c: (-whole[c], -present.nearness[c], -bins[c], c))
    for g, d in known:
        yield Aim(g, d, bins[g, d], f"{GENDERS[g]} {DECADES[d]}")
    for g, people in sorted(enumerate(bins[:2].sum(axis=1)), key=lambda pair: -pair[1]):
        if whole_people(people) >= 1:
            yield Aim(g, None, people, GENDERS[g])
    for d, people in sorted(enumerate(bins[:, :UNKNOWN_AGE].sum(axis=0)), key=lambda pair: -pair[1]):
        if whole_people(people) >= 1:
            yield Aim(None, d, people, DECADES[d])
    yield Aim(None, None, present.people, "anyone")


def wanting(arrays: Arrays, aim: Aim, minors: bool) -> NDArray[np.bool_]:
    """Tell which distinct targets include a person of the aim's group: bool [targets]."""
    wanted = arrays.bins[minors]
    gender = UNKNOWN_GENDER if aim.gender is None else aim.gender
    decade = UNKNOWN_AGE if aim.decade is None else aim.decade
    return (wanted[:, gender, decade] > 0) | arrays.anyone | arrays.family


def minors_lead(present: Present) -> bool:
    """Return True where minors are the group with most people, or more people than all others."""
    minors = present.bins[:, list(MINOR_DECADES)].sum()
    return next(aims(present)).decade in MINOR_DECADES or minors > present.people - minors


@lru_cache(maxsize=4096)
def _arrays_of(target: Target) -> Arrays:
    return Arrays((Line(id="", campaign="", advertiser="", creatives=(), target=target),))
