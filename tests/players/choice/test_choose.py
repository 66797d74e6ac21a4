"""The choice: what is eligible, what keeps a line back, and what never changes."""

import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.messages import Person
from pipeline.settings import Policy
from players.ads.lines import MICRO, Target
from players.audience.present import NOBODY, Present
from players.choice.choose import Moment, Rules, choose
from players.choice.history import HOUR_NS, History
from players.choice.matching import matched
from tests.ads import (
    BERLIN,
    BOY,
    F20,
    F30,
    HOUSE,
    M30,
    NOON,
    SEOUL,
    UNKNOWN,
    S,
    catalogue,
    line,
    person,
    pick,
    present,
    winners,
)


def test_house_ads_when_nobody_is_there_or_nobody_is_sure() -> None:
    ad = line("f20", Target(gender="F", ages=((20, 29),)))
    for who in (NOBODY, present(UNKNOWN), present(UNKNOWN, UNKNOWN)):
        decision = pick(who, ad)
        assert (decision.line.id, decision.trigger, decision.price) == ("house", "fallback", 0)


def test_a_line_for_anyone_is_schedule_and_needs_somebody() -> None:
    anyone = line("anyone")
    assert pick(present(UNKNOWN), anyone).trigger == "schedule"
    assert pick(NOBODY, anyone).line.id == "house"
    assert pick(NOBODY, line("always", Target(min_watchers=0))).line.id == "always"


def test_most_people_being_minors_leaves_family_and_house_ads() -> None:
    lines = line("anyone"), line("women", Target(gender="F")), line("family", Target(family=True), priority=0)
    assert pick(present(BOY, BOY, F30), *lines).line.id == "family"
    assert pick(present(BOY, BOY), *lines).line.id == "house"
    assert pick(present(BOY, BOY, F30, F20, M30), *lines).line.id == "family"
    assert pick(present(F30, F30, F20, BOY), *lines[:2]).line.id in ("anyone", "women")
    toys = line("toys", Target(ages=((0, 9),)))
    assert pick(present(BOY, BOY), toys).line.id == "house"
    assert pick(present(BOY, BOY), toys, minors=True).line.id == "toys"


def test_minors_who_look_or_who_are_rather_minors_leave_family_and_house_ads() -> None:
    lines = line("anyone"), line("women", Target(gender="F"))
    assert pick(present(F30, F30, F20), *lines).trigger != "fallback"
    assert pick(present(F30, F30, person(*BOY, looking=True)), *lines).trigger == "fallback"
    assert pick(present(F30, person(*F20, p_minor=0.6), person("F", None, p_minor=0.7)), *lines).trigger == "fallback"


def test_a_house_ad_says_whether_nobody_is_there_or_nobody_knows() -> None:
    assert pick(NOBODY, line("anyone")).reason == "nobody is there"
    assert pick(Present(0, measured=0.0), line("anyone")).reason == "no camera tells who is there"


def test_without_targeting_only_lines_for_anyone_play_and_without_paid_only_house() -> None:
    lines = line("women", Target(gender="F"), priority=90), line("anyone")
    assert pick(present(F20), *lines, targeting=False).line.id == "anyone"
    assert pick(present(BOY, BOY), *lines, targeting=False).line.id == "anyone"
    assert "F 20-29" not in pick(present(F20), *lines, targeting=False).reason
    assert pick(present(F20), *lines, paid=False).line.id == "house"


def test_at_least_so_many_watchers_and_such_a_share() -> None:
    ads = line("two", Target(gender="F", min_watchers=2)), line("half", Target(gender="M", min_share=0.5))
    assert pick(present(F20), *ads).line.id == "house"
    assert pick(present(F20, F30), *ads).line.id == "two"
    assert pick(present(F20, F30, M30), *ads).line.id == "two"
    assert pick(present(F20, M30), *ads).line.id == "half"


def test_dates_weekdays_and_dayparts_are_those_of_the_station() -> None:
    who = present(F20)
    noon = line("noon", dayparts=((660, 780),))
    assert pick(who, noon, at=NOON).line.id == "noon"
    assert pick(who, noon, at=NOON.astimezone(BERLIN)).line.id == "noon"
    assert pick(who, noon, at=NOON + timedelta(hours=1)).line.id == "house"
    assert pick(who, line("wed", weekdays=(2,))).line.id == "wed"
    assert pick(who, line("thu", weekdays=(3,))).line.id == "house"
    today = line("today", starts=NOON.date(), ends=NOON.date())
    assert pick(who, today).line.id == "today"
    assert pick(who, today, at=NOON.replace(hour=0)).line.id == "today"
    assert pick(who, today, at=NOON.replace(hour=23, minute=59)).line.id == "today"
    assert pick(who, today, at=NOON.replace(hour=0) + timedelta(days=1)).line.id == "house"
    assert pick(who, today, at=NOON.replace(hour=0) - timedelta(minutes=1)).line.id == "house"


def test_a_daypart_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    night = line("night", dayparts=((22 * 60, 2 * 60),), weekdays=(2,))
    who = present(F20)
    assert pick(who, night, at=NOON.replace(hour=23)).line.id == "night"
    assert pick(who, night, at=NOON.replace(hour=1) + timedelta(days=1)).line.id == "night"
    assert pick(who, night, at=NOON.replace(hour=1)).line.id == "house"


def test_a_daypart_over_midnight_belongs_to_that_day_for_the_dates_too() -> None:
    night = line("night", dayparts=((22 * 60, 2 * 60),), starts=NOON.date(), ends=NOON.date())
    who = present(F20)
    assert pick(who, night, at=NOON.replace(hour=1)).line.id == "house"
    assert pick(who, night, at=NOON.replace(hour=23)).line.id == "night"
    assert pick(who, night, at=NOON.replace(hour=1) + timedelta(days=1)).line.id == "night"
    assert pick(who, night, at=NOON.replace(hour=2) + timedelta(days=1)).line.id == "house"
    assert pick(who, night, at=NOON.replace(hour=23) + timedelta(days=1)).line.id == "house"


def test_the_leap_day_is_a_day() -> None:
    leap = line("leap", starts=date(2028, 2, 29), ends=date(2028, 2, 29))
    assert pick(present(F20), leap, at=datetime(2028, 2, 29, 12, tzinfo=SEOUL)).line.id == "leap"
    assert pick(present(F20), leap, at=datetime(2028, 3, 1, 0, tzinfo=SEOUL)).line.id == "house"


def test_dayparts_follow_the_local_clock_through_daylight_saving() -> None:
    def open_hours(day: date) -> int:
        """Hours of the day, by UTC, in which the 02:00-04:00 line may play."""
        begin = datetime(day.year, day.month, day.day, tzinfo=BERLIN).timestamp()
        lines = catalogue(line("early", dayparts=((120, 240),)), zone=BERLIN)
        hours = 0
        for hour in range(25):
            at = datetime.fromtimestamp(begin + 3600 * hour, BERLIN)
            moment = Moment(at, 0)
            decision = choose(present(F20), lines, History(), moment, Random(0), Rules())
            hours += decision is not None and decision.line.id == "early"
        return hours

    assert open_hours(date(2026, 3, 28)) == 2
    assert open_hours(date(2026, 3, 29)) == 1  # 02:00 to 03:00 does not exist
    assert open_hours(date(2026, 10, 25)) == 3  # 02:00 to 03:00 comes twice


def test_the_cap_counts_a_sliding_hour_and_the_gap_the_time_since_the_last_start() -> None:
    capped = line("capped", max_plays_per_hour=2)
    history = History()
    for at_ns in (100 * S, 700 * S):
        assert pick(present(F20), capped, history=history, mono_ns=at_ns).line.id == "capped"
        history.started(capped, "x", 0, at_ns)
    assert pick(present(F20), capped, history=history, mono_ns=100 * S + HOUR_NS - 1).line.id == "house"
    assert pick(present(F20), capped, history=history, mono_ns=100 * S + HOUR_NS).line.id == "capped"
    spaced = line("spaced", min_gap_s=60)
    history = History()
    history.started(spaced, "x", 0, 100 * S)
    assert pick(present(F20), spaced, history=history, mono_ns=160 * S - 1).line.id == "house"
    assert pick(present(F20), spaced, history=history, mono_ns=160 * S).line.id == "spaced"


def test_rivals_are_not_shown_one_after_the_other() -> None:
    cola, pepper = line("cola", separation="drinks"), line("pepper", separation="drinks")
    history = History()
    history.started(cola, "x", 0, 0)
    own, tea = line("own", advertiser=cola.advertiser), line("tea")
    assert winners(present(F20), cola, pepper, own, history=history, draws=20) == {"house": 20}  # cola gains nothing
    assert winners(present(F20), cola, pepper, own, tea, history=history, draws=20) == {"tea": 20}
    assert set(winners(present(F20), cola, own, history=history, draws=50)) == {"cola", "own"}  # nobody waits for it
    history.started(HOUSE, "y", 0, 0)
    assert set(winners(present(F20), cola, pepper, history=history, draws=50)) == {"cola", "pepper"}
    history.started(cola, "x", 0, 0)
    assert set(winners(present(F20), pepper, history=history, draws=5)) == {"house"}  # cola was ended meanwhile
    history.started(line("own", house=True, separation="drinks"), "y", 0, 0)
    assert set(winners(present(F20), cola, pepper, history=history, draws=50)) == {"cola", "pepper"}


def test_a_budget_ends_before_it_is_overspent_and_a_reservation_given_back_counts_again() -> None:
    ad = line("ad", budget=Decimal("1.00"), price=Decimal("0.40"), currency="EUR")
    history = History()
    for _ in range(2):
        decision = pick(present(F20), ad, history=history)
        assert decision.price == Decimal("0.40")
        history.started(ad, "x", int(decision.price * MICRO), 0)
    assert pick(present(F20), ad, history=history).line.id == "house"
    history.commit(ad, -400_000)
    assert pick(present(F20), ad, history=history).line.id == "ad"


def test_a_play_that_is_billed_by_people_reserves_what_those_of_the_target_may_cost() -> None:
    ad = line("ad", Target(gender="F"), price=Decimal("8.00"), per="1000 ots", currency="EUR")
    assert pick(present(F20, F30, M30), ad).price == Decimal("0.016")
    assert ad.reserve(2) == Decimal("0.016")


def test_even_pacing_spends_with_the_open_time_that_is_over() -> None:
    ad = line(
        "ad",
        starts=date(2026, 5, 4),
        ends=date(2026, 5, 8),
        dayparts=((480, 1200),),
        budget=Decimal(100),
        price=Decimal(1),
        pacing="even",
    )
    history = History()
    may = []
    for day in range(4, 9):
        for hour in (8, 14, 19):
            at = datetime(2026, 5, day, hour, 59, tzinfo=SEOUL)
            while pick(present(F20), ad, history=history, at=at).line.id == "ad":
                history.started(ad, "x", MICRO, 0)
            may.append(history.committed_by(ad) // MICRO)
    assert may[0] == 2  # one of 60 hours is over: at most 1.67, the play that crosses it included
    assert may[4] == pytest.approx(100 * 19 / 60, abs=1)
    assert may[-1] == 100
    assert may == sorted(may)


def test_the_same_picture_is_not_drawn_twice_in_a_row_where_there_is_another() -> None:
    ad = line("ad", ads=3)
    history = History()
    last = ""
    for seed in range(50):
        decision = pick(present(F20), ad, history=history, seed=seed)
        assert decision.creative.id != last
        last = decision.creative.id
        history.started(ad, last, 0, 0)


_people = st.lists(
    st.builds(
        person,
        st.sampled_from(["M", "F", "unknown"]),
        st.one_of(st.none(), st.floats(0, 120, allow_subnormal=False)),
        st.floats(10, 900),
        st.floats(0.5, 1.0),
    ),
    max_size=8,
)
_targets = st.builds(
    Target,
    gender=st.sampled_from([None, "M", "F"]),
    ages=st.lists(st.tuples(st.integers(0, 60), st.integers(60, 120)), max_size=2).map(tuple),
    min_watchers=st.integers(0, 3),
    min_share=st.sampled_from([0.0, 0.3, 0.6]),
)
_lines = st.lists(
    st.tuples(_targets, st.integers(0, 3), st.floats(0.1, 10), st.booleans(), st.sampled_from(["", "g"])), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(_people, _lines, st.sampled_from(get_args(Policy)), st.booleans(), st.integers(0, 99))
def test_invariants_of_every_choice(
    people: list[Person], specs: list[Any], policy: Any, minors: bool, seed: int
) -> None:
    lines = [
        line(f"l{n}", target, priority=priority, weight=weight, separation=group, max_plays_per_hour=1 if cap else None)
        for n, (target, priority, weight, cap, group) in enumerate(specs)
    ]
    history = History()
    for n, ad in enumerate(lines):
        if n % 2:
            history.started(ad, "x", 0, 10 * S)
    who = present(*people)
    decision = pick(who, *lines, history=history, policy=policy, minors=minors, seed=seed)
    again = pick(who, *lines, history=history, policy=policy, minors=minors, seed=seed)
    unnamed = {"decision_id": ""}
    assert msgspec.structs.replace(decision, **unnamed) == msgspec.structs.replace(again, **unnamed)
    assert decision.decision_id != again.decision_id
    assert 0 < decision.propensity <= 1
    assert decision.watchers == who.people == len(people)
    assert who.bins.sum() == pytest.approx(len(people))
    if decision.trigger == "fallback":
        assert decision.line.house
        return
    target = decision.line.target
    hits = matched(who, target, minors)
    assert decision.matched_watchers == hits >= target.min_watchers
    assert target.anyone or hits >= 1
    assert hits + 0.5 >= target.min_share * who.people
    assert decision.line.max_plays_per_hour is None or decision.line.key not in history.starts_ns
    sure = sum((target.gender in (None, p.gender)) and (not target.ages or p.age_years is not None) for p in people)
    assert hits <= sure


@pytest.mark.slow
def test_a_choice_among_10_000_campaigns_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    rng = Random(1)
    decades = [((10 * d, 10 * d + 9),) for d in range(2, 8)] + [((18, 34),), ((80, 120),)]
    lines = [
        line(
            f"l{n}",
            Target(gender=rng.choice(["M", "F", None]), ages=rng.choice(decades)),
            starts=date(2026, 1, 1),
            ends=date(2026, 12, 31),
            dayparts=((60 * rng.randrange(12), 1200),),
            weight=rng.random() + 0.1,
            min_gap_s=60,
            max_plays_per_hour=20,
            separation=f"g{n % 40}",
            budget=Decimal(1000),
            price=Decimal("0.12"),
            pacing="even" if n % 3 else "asap",
        )
        for n in range(10_000)
    ]
    full, history, took_ms = catalogue(*lines), History(), []
    for n in range(3000):
        who = present(*((rng.choice("MF"), rng.uniform(0, 90)) for _ in range(rng.randrange(5))))
        moment = Moment(NOON + timedelta(seconds=8 * n), 8 * n * S)
        began_s = time.thread_time()
        decision = choose(who, full, history, moment, rng, Rules())
        took_ms.append(1000 * (time.thread_time() - began_s))
        assert decision is not None
        history.started(decision.line, decision.creative.id, 120_000, moment.mono_ns)
    took_ms.sort()
    with capsys.disabled():
        print(
            f"\nchoice among 10,000: p50 {took_ms[1500]:.2f} ms, p99 {took_ms[2970]:.2f} ms, max {took_ms[-1]:.2f} ms"
        )
