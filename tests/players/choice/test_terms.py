"""Reasons why a line cannot play, other than its money."""

from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from players.ads.lines import Line, Target, micro
from players.choice.choose import Moment, Rules, choose
from players.choice.history import History
from players.choice.terms import held_now, unmet_terms
from tests.ads import F20, NOON, SEOUL, S, catalogue, line, present


def why(one: Line, at: datetime = NOON, **more: Any) -> tuple[str, str]:
    people_seen = more.pop("people_seen", True)
    return tuple(unmet_terms(catalogue(one), at, Rules(**more), people_seen=people_seen).get(one.id, ("", "")))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("terms", "rules", "expected"),
    [
        ({}, {}, ("", "")),
        ({"ends": date(2026, 5, 5)}, {}, ("over", "its last day, 2026-05-05, is over")),
        ({"ends": date(2026, 5, 6), "dayparts": ((420, 600),)}, {}, ("over", "from now to its last day, 2026-05-06, none of its weekdays and dayparts is left")),  # noqa: E501
        ({"starts": date(2026, 5, 7)}, {}, ("future", "it starts on 2026-05-07")),
        ({"dayparts": ((420, 600),)}, {}, ("hours", "outside its hours; it opens on thu at 07:00")),
        ({"dayparts": ((1320, 120),), "weekdays": (1,)}, {}, ("hours", "outside its hours; it opens on tue at 22:00")),
        ({"target": Target(gender="F")}, {"targeting": False}, ("mode", "it is for F, and only mode target aims at anybody")),  # noqa: E501
        ({"target": Target(ages=((10, 19),))}, {}, ("minors", 'it is aimed at people under 20; choose.minors = "target" in the station file would allow it')),  # noqa: E501
        ({"target": Target(ages=((18, 19),))}, {}, ("minors", 'it is aimed at people under 20; choose.minors = "target" in the station file would allow it')),  # noqa: E501
        ({"target": Target(ages=((18, 19),))}, {"minors": True}, ("", "")),
        ({"target": Target(ages=((18, 34),))}, {}, ("", "")),
        ({"target": Target(family=True)}, {}, ("", "")),
        ({}, {"people_seen": False}, ("mode", "nobody is seen in mode off, and it needs at least 1 person; set target.min_watchers = 0")),  # noqa: E501
        ({"target": Target(min_watchers=0)}, {"people_seen": False}, ("", "")),
    ],
)  # fmt: skip
def test_a_line_that_cannot_play_has_its_reason(
    terms: dict[str, Any], rules: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert why(line("a", **terms), **rules) == expected


def test_a_line_is_not_over_in_its_last_minute() -> None:
    ad = line("a", ends=date(2026, 5, 6))
    assert why(ad, NOON.replace(hour=23, minute=59)) == ("", "")
    assert why(ad, NOON.replace(day=7, hour=0))[0] == "over"


@pytest.mark.parametrize("hour", [12, 3])
def test_that_its_budget_is_spent_is_said_of_a_line_outside_its_hours_too(hour: int) -> None:
    ad = line("a", dayparts=((600, 900),), budget=Decimal(1), price=Decimal(1), currency="EUR")
    history = History()
    history.commit(ad, micro(Decimal(1)))
    moment = Moment(NOON.replace(hour=hour), 0)
    assert held_now(catalogue(ad), history, moment, Rules(), people_seen=True)["a"].kind == "spent"


def test_those_that_need_a_hand_come_first_and_only_so_many_are_named() -> None:
    lines = [line(f"l{n}", dayparts=((420, 600),)) for n in range(9)] + [line("old", ends=date(2020, 1, 1))]
    assert [*unmet_terms(catalogue(*lines), NOON, Rules(), most=3)] == ["old", "l0", "l1"]


WHEN = st.datetimes(datetime(2026, 5, 1), datetime(2026, 5, 20)).map(lambda at: at.replace(tzinfo=SEOUL))
DAYS = st.none() | st.dates(date(2026, 5, 1), date(2026, 5, 20))
MINUTES = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda part: part[0] != part[1])


@given(WHEN, DAYS, DAYS, st.lists(MINUTES, min_size=1, max_size=3), st.sets(st.integers(0, 6), min_size=1))
def test_a_line_without_a_reason_is_chosen_and_one_with_a_reason_is_not(
    at: datetime, starts: date | None, ends: date | None, dayparts: list[tuple[int, int]], weekdays: set[int]
) -> None:
    one = line("a", starts=starts, ends=ends, dayparts=tuple(dayparts), weekdays=tuple(weekdays))
    chosen = choose(present(F20), catalogue(one), History(), Moment(at, 10 * S), Random(0), Rules())
    assert chosen is not None
    assert (chosen.line.id == "a") == (why(one, at)[0] == "")
