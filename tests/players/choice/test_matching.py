"""Targets and the people whom they match."""

import msgspec
import pytest

from players.ads.lines import Target
from players.choice.matching import fitting, matched
from tests.ads import (
    BOY,
    F20,
    F30,
    M30,
    UNKNOWN,
    person,
    present,
)


def test_someone_of_unsure_age_who_is_rather_a_minor_matches_nothing_but_presence() -> None:
    p_decade = (0.3, 0.3, 0.4, 0, 0, 0, 0, 0, 0)
    girl = msgspec.structs.replace(person("F", None), p_decade=p_decade)
    assert matched(present(girl), Target(gender="F")) == 0
    assert matched(present(girl), Target()) == 1


@pytest.mark.parametrize(
    ("target", "people", "hits"),
    [
        (Target(gender="F", ages=((20, 29),)), [F20, F30, M30], 1),
        (Target(gender="F"), [F20, F30, M30, ("F", None)], 3),
        (Target(ages=((30, 39),)), [F20, F30, M30, ("unknown", 33.0)], 3),
        (Target(ages=((18, 34),)), [("F", 21.0), ("M", 34.9), ("M", 35.0), ("F", 19.0)], 2),
        (Target(ages=((65, 120),)), [("F", 64.0), ("F", 65.0), ("M", 90.0)], 2),
        (Target(gender="M", ages=((20, 29), (60, 69))), [("M", 22.0), ("M", 61.0), ("M", 45.0)], 2),
        (Target(), [F20, UNKNOWN, BOY], 3),
        (Target(gender="F", ages=((20, 29),)), [UNKNOWN, ("F", None), ("unknown", 25.0)], 0),
        (Target(family=True), [F30, BOY], 1),
        (Target(family=True), [F30, M30], 0),
        (Target(family=True), [BOY], 0),
    ],
)
def test_whom_a_target_matches(target: Target, people: list[tuple[str, float | None]], hits: int) -> None:
    assert matched(present(*people), target) == hits


@pytest.mark.parametrize(
    ("ages", "hits"), [((20, 99), [72, 82, 95]), ((60, 89), [72, 82]), ((80, 89), [82]), ((90, 120), [95])]
)
def test_a_range_that_ends_within_80_and_more_matches_by_years(ages: tuple[int, int], hits: list[int]) -> None:
    """People of 80 were never aimed at, and were billed where they saw it by chance: 20-99 is half of 80-120."""
    of_years = {years: person("F", float(years)) for years in (72, 82, 95)}
    target = Target(ages=(ages,))
    assert [years for years, who in of_years.items() if matched(present(who), target)] == hits
    assert [years for years, who in of_years.items() if fitting([who], target) == [True]] == hits


def test_minors_are_matched_only_where_the_station_says_so() -> None:
    kids = Target(gender="M", ages=((0, 9),))
    assert matched(present(BOY), kids) == 0
    assert matched(present(BOY), kids, minors=True) == 1
    assert matched(present(("F", 19.0)), Target(gender="F")) == 0
    assert matched(present(("F", 20.0)), Target(gender="F")) == 1
    assert matched(present(("F", 19.0)), Target(ages=((18, 24),)), minors=True) == 1


def test_a_face_is_a_minor_or_an_adult_whatever_the_mean_of_its_years() -> None:
    """The likeliest decade may be 10-19 where the mean of the years is 21, and the other way round."""
    teen = msgspec.structs.replace(person("F", 15.0), age_years=21.4)
    adult = msgspec.structs.replace(person("F", 25.0), age_years=18.9)
    target = Target(gender="F", ages=((18, 34),))
    assert matched(present(teen), target) == 0
    assert matched(present(teen), target, minors=True) == 1
    assert matched(present(adult, teen), target) == 1
