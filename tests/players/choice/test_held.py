"""Lines that their money holds: each says why, and none that may play does; money of two currencies is never added."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from players.ads.lines import MICRO, Line, Target, micro
from players.audience.present import NOBODY
from players.choice.choose import Moment
from players.choice.held import OTHERS, Held, HeldLog, held_by_money
from players.choice.history import History
from tests.ads import F20, NOON, SEOUL, catalogue, line, pick, present


def held(*lines: Line, at: datetime = NOON, most: int | None = None, **spent: int) -> dict[str, Held]:
    """Return what holds these lines; `spent` are whole units that each has committed in its present currency."""
    history = History()
    for ad in lines:
        history.commit(ad, spent.get(ad.id, 0) * MICRO)
    return held_by_money(catalogue(*lines), history, Moment(at, 0), most)


def order(name: str = "ad", budget: str = "10", price: str = "3", currency: str = "EUR", **more: Any) -> Line:
    return line(name, budget=Decimal(budget), price=Decimal(price), currency=currency, **more)


@pytest.mark.parametrize(
    ("spent", "kind", "why"),
    [
        (0, None, ""),
        (7, None, ""),
        (8, "short", "2.00 EUR are left of its budget of 10.00 EUR, and one play costs 3.00 EUR"),
        (10, "spent", "its budget of 10.00 EUR is spent"),
        (12, "overspent", "it has spent 12.00 EUR, more than its budget of 10.00 EUR; raise the budget, or give a new"),
    ],
)
def test_a_line_says_what_holds_it(spent: int, kind: str | None, why: str) -> None:
    found = held(order(), ad=spent)
    assert ([one.kind for one in found.values()], set(found)) == ([kind] if kind else [], {"ad"} if kind else set())
    assert why in "".join(one.why for one in found.values())


def test_a_price_above_the_budget_and_a_cpm_of_many_watchers_are_said_too() -> None:
    dear = held(order(price="11"))["ad"]
    assert dear == ("short", "its budget of 10.00 EUR does not pay one play at 11.00 EUR; raise it")
    ad = line("mille", Target(min_watchers=4), budget=Decimal("0.03"), price=Decimal(9), per="1000 ots", currency="EUR")
    assert "does not pay one play at 0.036 EUR" in held(ad)["mille"].why


def test_a_spent_line_that_needs_nobody_does_not_go_on_for_nothing() -> None:
    """A play priced by people reserves nothing in an empty street, and whoever comes in the middle would be free."""
    ad = order(target=Target(min_watchers=0), price="10", budget="1", per="1000 ots")
    history = History()
    history.commit(ad, 990_000)
    assert pick(NOBODY, ad, history=history).line is ad
    assert not held_by_money(catalogue(ad), history, Moment(NOON, 0))
    history.commit(ad, 1)
    assert pick(NOBODY, ad, history=history).line.house
    assert held_by_money(catalogue(ad), history, Moment(NOON, 0))["ad"].kind == "short"


def test_even_pacing_says_what_is_due_only_while_the_line_is_open() -> None:
    ad = order(starts=date(2026, 5, 6), ends=date(2026, 5, 15), dayparts=((480, 1200),), pacing="even")
    assert held(ad) == {}
    assert held(ad, ad=1)["ad"] == ("pacing", "even pacing: it has spent 1.00 EUR, and 0.33 EUR are due by now")
    assert held(ad, ad=1, at=NOON.replace(hour=21)) == {}
    assert held(ad, ad=10, at=NOON + timedelta(days=30)) == {}, "its last day is over"


def test_of_many_held_lines_the_others_are_counted() -> None:
    found = held(*(order(f"ad{n:02}", price="11") for n in range(30)), most=20)
    assert len(found) == 21 and found[OTHERS] == ("others", "10 more lines are held by their money")


@given(
    st.integers(0, 12), st.integers(1, 12), st.sampled_from(["EUR", "KRW"]),
    st.lists(st.tuples(st.sampled_from(["EUR", "KRW", "USD"]), st.integers(1, 5)), max_size=8),
)  # fmt: skip
def test_a_line_plays_by_what_it_spent_in_its_own_currency_and_else_says_why(
    budget: int, price: int, currency: str, plays: list[tuple[str, int]]
) -> None:
    """Every line that is for anyone plays or is held, whatever it cost before under other currencies."""
    ad, history, spent = order(budget=str(budget), price=str(price), currency=currency), History(), Counter[str]()
    seen = catalogue(ad)
    history.columns(seen)
    for code, units in plays:
        history.started(order(currency=code), "x", units * MICRO, -(2**62))
        spent[code] += units
    assert {code: history.committed_by(order(currency=code)) for code in spent} == {
        code: units * MICRO for code, units in spent.items()
    }
    plays_now = pick(present(F20), ad, history=history).line.id == "ad"
    assert plays_now == (spent[currency] + price <= budget)
    assert plays_now == (not held_by_money(seen, history, Moment(NOON, 0)))
    assert history.columns(seen)[0].tolist() == [micro(Decimal(spent[currency]))]


def test_the_log_tells_a_reason_once_and_when_a_line_plays_again(capsys: pytest.CaptureFixture[str]) -> None:
    told, lines = HeldLog(), (order(), order("paced"))
    paced = {"paced": Held("pacing", "due")}
    for found in ({"ad": Held("spent", "all"), **paced}, {"ad": Held("spent", "all")}, paced, {}, paced):
        told.tell(found, lines)
    told.tell({"gone": Held("spent", "all")}, lines)
    told.tell({}, lines)
    said = [text for text in capsys.readouterr().err.splitlines() if "line_" in text]
    assert [("line_held" in text, "line=ad" in text, "line=paced" in text) for text in said] == [
        (True, True, False), (True, False, True), (False, True, False), (True, False, False),
    ]  # fmt: skip


def test_reasons_that_pass_are_logged_once_a_line_though_they_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    told, ad = HeldLog(), order()
    for _ in range(3):
        told.tell({"ad": Held("hours", "closed")}, (ad,))
        told.tell({"ad": Held("pacing", "due")}, (ad,))
        told.tell({}, (ad,))
    assert capsys.readouterr().err.count("line_held") == 1


def test_a_day_of_another_zone_does_not_end_a_line_early() -> None:
    ad = order(ends=date(2026, 5, 6))
    assert held(ad, ad=10, at=datetime(2026, 5, 6, 23, 59, tzinfo=SEOUL))
