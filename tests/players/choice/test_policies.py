"""The policies: who wins, how often, and what a decision says of it."""

from collections import Counter
from typing import Any, get_args

import pytest

from pipeline.settings import Policy
from players.ads.lines import Line, Target
from players.audience.present import NOBODY
from players.choice.choose import ELIGIBLE_MAX
from players.choice.history import History
from players.choice.policies import POLICIES
from tests.ads import (
    F20,
    F30,
    M30,
    line,
    person,
    pick,
    present,
    winners,
)


def test_the_group_with_most_people_wins() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    assert pick(present(F20, M30, M30), *ads).line.id == "m30"
    assert pick(present(F20, F20, M30), *ads).line.id == "f20"


def test_of_equal_groups_the_nearer_faces_win() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    assert pick(present(person(*F20, 50.0), person(*M30, 200.0)), *ads).line.id == "m30"
    assert pick(present(person(*F20, 200.0), person(*M30, 50.0)), *ads).line.id == "f20"


def test_where_anybody_looks_their_group_wins_over_the_larger_one() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    looks = person(*F20, looking=True, attention_ms=1000)
    decision = pick(present(looks, person(*M30), person(*M30)), *ads)
    assert decision.line.id == "f20"
    assert decision.reason.startswith("watching: F 20-29 (1 of 1 who look)")
    assert pick(present(person(*F20, looking=False), person(*M30), person(*M30)), *ads).line.id == "m30"


def test_of_those_who_look_attention_and_nearness_decide() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    her, him = person(*F20, looking=True, attention_ms=4000), person(*M30, looking=True, attention_ms=1000)
    assert pick(present(her, him), *ads).line.id == "f20"
    near = person(*M30, 400, looking=True, attention_ms=3000)
    assert pick(present(her, near), *ads).line.id == "m30"


def test_where_no_line_is_for_those_who_look_it_goes_by_who_is_there() -> None:
    ad = line("m30", Target(gender="M", ages=((30, 39),)))
    looks = person(*F20, looking=True, attention_ms=1000)
    decision = pick(present(looks, person(*M30)), ad)
    assert decision.line.id == "m30" and decision.reason.startswith("most present: M 30-39 (1 of 2 people)")
    unsure = person("unknown", None, looking=True)
    assert pick(present(unsure, person(*M30)), ad, line("anyone")).line.id in ("m30", "anyone")


def test_weighted_expects_only_those_who_look_where_anybody_does() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    looks = person(*F20, looking=True, attention_ms=5000)
    decision = pick(present(looks, person(*M30), person(*M30)), *ads, policy="weighted")
    # Of her, .81 are a woman of 20 to 29 and .1 x .0125 a man of 30 to 39.
    assert dict(decision.eligible)["f20"] == pytest.approx(0.81 / (0.81 + 0.00125), abs=1e-4)
    assert decision.reason.startswith("watching: expected matches among those who look")


def test_an_ad_of_the_winning_group_is_drawn_at_random() -> None:
    target = Target(gender="F", ages=((20, 29),))
    drawn = winners(present(F20), line("a", target), line("b", target))
    assert 140 < drawn["a"] < 260
    assert drawn["a"] + drawn["b"] == 400


def test_weight_is_the_share_of_voice_and_priority_comes_before_it() -> None:
    target = Target(gender="F")
    drawn = winners(present(F20), line("one", target, weight=1.0), line("three", target, weight=3.0))
    assert 250 < drawn["three"] < 350
    drawn = winners(present(F20), line("low", target, priority=10, weight=1000.0), line("high", target, priority=90))
    assert drawn == {"high": 400}


def test_a_group_that_nobody_asks_for_gives_way_to_the_next_one() -> None:
    ad = line("m30", Target(gender="M", ages=((30, 39),)))
    assert pick(present(F20, F20, M30), ad).line.id == "m30"


def test_a_gender_is_enough_for_an_ad_for_that_gender() -> None:
    ad = line("women", Target(gender="F"))
    decision = pick(present(("F", None)), ad)
    assert (decision.line.id, decision.matched_watchers) == ("women", 1)


def test_weighted_draws_by_expected_people_and_random_alike() -> None:
    ads = line("f20", Target(gender="F", ages=((20, 29),))), line("m30", Target(gender="M", ages=((30, 39),)))
    who = present(F20, F20, F20, M30)
    drawn = winners(who, *ads, policy="weighted")
    assert 250 < drawn["f20"] < 350
    drawn = winners(who, *ads, policy="random")
    assert 140 < drawn["f20"] < 260


@pytest.mark.parametrize("policy", get_args(Policy))
def test_the_propensity_is_the_frequency(policy: Any) -> None:
    ads = line("a", Target(gender="F"), ads=2, weight=2.0), line("b", Target(ages=((20, 29),)), ads=3)
    history = History()
    drawn: Counter[str] = Counter()
    promised: dict[str, float] = {}
    for seed in range(3000):
        decision = pick(present(F20, F30), *ads, history=history, seed=seed, policy=policy)
        drawn[decision.creative.id] += 1
        promised[decision.creative.id] = decision.propensity
    assert sum(promised.values()) == pytest.approx(1.0)
    for name, probability in promised.items():
        assert drawn[name] / 3000 == pytest.approx(probability, abs=0.04)


def test_policies_have_the_names_that_a_station_file_may_use() -> None:
    assert set(POLICIES) == set(get_args(Policy))


@pytest.mark.parametrize("policy", get_args(Policy))
def test_a_decision_lists_the_lines_that_could_have_been_drawn_and_their_odds(policy: Any) -> None:
    women, twenties = Target(gender="F"), Target(ages=((20, 29),))
    ads = line("a", women, weight=2.0), line("men", Target(gender="M")), line("b", twenties, weight=1.0)
    who = present(F20, F20)
    drawn = pick(who, *ads, policy=policy)
    alike = {"a": 0.5, "b": 0.5}
    assert dict(drawn.eligible) == pytest.approx(alike if policy == "random" else {"a": 2 / 3, "b": 1 / 3}, abs=0.01)
    assert drawn.present is who


def test_a_house_decision_lists_the_house_lines() -> None:
    houses = line("h1", house=True), line("h2", house=True, weight=3.0), line("low", house=True, priority=1)
    assert dict(pick(NOBODY, *houses).eligible) == pytest.approx({"h1": 0.25, "h2": 0.75})


def test_of_many_lines_a_decision_lists_the_likeliest_and_the_drawn_one() -> None:
    rare = [line(f"rare{n}", weight=0.5) for n in range(200)]
    likely = [line(f"likely{n}", weight=2.0 + n / 100) for n in range(ELIGIBLE_MAX)]
    seen: Counter[bool] = Counter()
    for seed in range(60):
        drawn = pick(present(F20), *rare, *likely, seed=seed)
        *named, rest = drawn.eligible
        is_rare = drawn.line.id.startswith("rare")
        seen[is_rare] += 1
        assert len(named) == ELIGIBLE_MAX and dict(named)[drawn.line.id] == pytest.approx(drawn.propensity)
        assert {name for name, _ in named} >= {f"likely{n}" for n in range(1, ELIGIBLE_MAX)}
        assert rest[0] == "" and rest[1] == pytest.approx(1 - sum(share for _, share in named))
    assert seen[True] and seen[False]


def test_neither_weight_nor_number_of_lines_nor_priority_gives_more_than_the_operator_allows() -> None:
    rival = line("rival", weight=2.0)
    flood = [line(f"l{n}", advertiser="Evil", weight=1e6, priority=100) for n in range(100)]
    free = choose_shares(rival, *flood, draws=200)
    assert free["rival"] == 0
    kept = choose_shares(rival, *flood, max_priority=50, max_weight=2.0)
    assert kept["rival"] == pytest.approx(0.5, abs=0.05)


def choose_shares(*lines: Line, draws: int = 1000, **rules: Any) -> dict[str, float]:
    drawn = Counter(pick(present(F20), *lines, seed=n, **rules).line.id for n in range(draws))
    return {name: drawn[name] / drawn.total() for name in ("rival", "l0")}
