"""Targets against the people present: people whom a target fits, and the groups that are worth aiming at."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import DECADES, Person
from players.ads.catalogue import Arrays
from players.ads.lines import Line, Target
from players.audience.groups import GENDERS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER
from players.audience.present import Present, group_of, of_people, years_of


class Aim(NamedTuple):
    """Group of people to please. `gender` and `decade` are indices, None where that does not matter.

    why: the group in words, such as `watching: F 20-29 (1 of 2 who look)`.
    """

    gender: int | None
    decade: int | None
    why: str


def matched(present: Present, target: Target, minors: bool = False) -> int:
    """Return how many of the people present the target fits.

    A person of unknown gender or age fits no target that asks for it. `minors` lets people under 20 match.
    """
    arrays = _arrays_of(target)
    return round(matches(present, arrays, minors)[0]) if company_fits(present, arrays)[0] else 0


def fitting(people: Sequence[Person], target: Target, minors: bool = False) -> list[bool]:
    """Return of each of these people whether the target fits him, as if they were there together."""
    arrays = _arrays_of(target)
    if arrays.family[0] and not company_fits(of_people(people), arrays)[0]:
        return [False] * len(people)
    fits = []
    for person in people:
        gender, decade = group_of(person)
        if arrays.by_age[0]:
            years = years_of(person, decade)
            fits.append(years is not None and bool(arrays.ages[minors][0, gender, years]))
        else:
            fits.append(bool(arrays.bins[minors][0, gender, decade]))
    return fits


def matches(present: Present, arrays: Arrays, minors: bool) -> NDArray[np.float64]:
    """Return the number of people whom each distinct target fits: float [targets]."""
    by_bin = np.tensordot(arrays.bins[minors], present.bins, 2)
    if arrays.by_age.any():
        by_bin = np.where(arrays.by_age, np.tensordot(arrays.ages[minors], present.ages, 2), by_bin)
    return by_bin


def company_fits(present: Present, arrays: Arrays) -> NDArray[np.bool_]:
    """Tell for each distinct target whether the company is right: bool [targets]. A family is an adult and a minor."""
    known = present.bins[:, :UNKNOWN_AGE]
    minors = known[:, list(MINOR_DECADES)].sum()
    family = bool(minors >= 1 and known.sum() - minors >= 1)
    return ~arrays.family | family


def aims(present: Present) -> Iterator[Aim]:
    """Yield the groups of those who look, the weightiest first; then those of all present, most people first.

    Of equal groups the nearer one comes first. Each gender alone and each decade alone come after the groups, and
    anyone at all comes last.
    """
    look = round(present.looking.sum())
    for gender, decade, people in _of_those_who_look(present):
        yield Aim(gender, decade, f"watching: {_text(gender, decade)} ({people:.3g} of {look} who look)")
    for gender, decade, people in _of_all(present):
        yield Aim(gender, decade, f"most present: {_text(gender, decade)} ({people:.3g} of {present.people} people)")
    yield Aim(None, None, f"most present: anyone ({present.people} of {present.people} people)")


def wanting(arrays: Arrays, aim: Aim, minors: bool) -> NDArray[np.bool_]:
    """Tell which distinct targets include a person of the aim's group: bool [targets]."""
    wanted = arrays.bins[minors]
    gender = UNKNOWN_GENDER if aim.gender is None else aim.gender
    decade = UNKNOWN_AGE if aim.decade is None else aim.decade
    return (wanted[:, gender, decade] > 0) | arrays.anyone | arrays.family


def minors_lead(present: Present) -> bool:
    """Return True where minors are the first group of those who look or of all present, or most of the people.

    Somebody of unsure age counts as a minor if he is rather one.
    """
    firsts = (next(groups, None) for groups in (_of_those_who_look(present), _of_all(present)))
    leads = any(first is not None and first[1] in MINOR_DECADES for first in firsts)
    return leads or present.minors > present.people - present.minors


_Group = tuple[int | None, int | None, float]
"""Gender and decade as indices, None where that does not matter, and the number of people."""


def _of_those_who_look(present: Present) -> Iterator[_Group]:
    return _groups(present.looking, present.appeal, present.nearness)


def _of_all(present: Present) -> Iterator[_Group]:
    return _groups(present.bins, present.bins, present.nearness)


def _groups(
    people: NDArray[np.float64], weight: NDArray[np.float64], nearness: NDArray[np.float64]
) -> Iterator[_Group]:
    """Yield the groups of known gender and decade, then the genders, then the decades, each the weightiest first.

    All three are float [3, 10]. Groups of nobody are left out.
    """
    known = [(g, d) for g in (0, 1) for d in range(UNKNOWN_AGE) if people[g, d] >= 1]
    for g, d in sorted(known, key=lambda c: (-weight[c], -nearness[c], c)):
        yield g, d, people[g, d]
    for g in sorted((0, 1), key=lambda g: -weight[g].sum()):
        if people[g].sum() >= 1:
            yield g, None, people[g].sum()
    for d in sorted(range(UNKNOWN_AGE), key=lambda d: -weight[:, d].sum()):
        if people[:, d].sum() >= 1:
            yield None, d, people[:, d].sum()


def _text(gender: int | None, decade: int | None) -> str:
    return " ".join(([] if gender is None else [GENDERS[gender]]) + ([] if decade is None else [DECADES[decade]]))


@lru_cache(maxsize=4096)
def _arrays_of(target: Target) -> Arrays:
    return Arrays((Line(id="", campaign="", advertiser="", creatives=(), target=target),))
