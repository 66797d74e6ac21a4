"""Prices: what a play costs by what was measured of it, within its line's budget, to the millionth."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from players.ads.lines import Line, Target
from players.audience.tally import Tally
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, F30, M30, PLACE, decision, line, present, tally_of
from tests.players.ledger.plays import STATION, sound, table

WATCHED = {"bill_on": "watched", "currency": "EUR"}
BOTH = present(F20, F30, M30)
"""Two women, whom the lines are for, and a man."""


def women(**more: Any) -> Line:
    return line("women", Target(gender="F"), **{"price": Decimal("9.50"), "currency": "EUR", **more})


def billed(book: Ledger, ad: Line, tally: Tally, matched: int = 2) -> str | None:
    play_id = book.start(decision(ad, matched), planned_ms=0)
    if play_id:
        book.end(play_id, Shown(frames_expected=9, frames_presented=9, status="played", tally=tally))
    return play_id


def dark() -> Tally:
    tally = Tally([PLACE])
    tally.show(0)
    tally.show(8_000_000_000)
    return tally


@pytest.mark.parametrize(
    ("ad", "looked_ms", "cost", "words"),
    [
        (women(), 0, "9.5", ""),
        (women(per="1000 ots"), 0, "0.019", "; 2 ots at 9.50 EUR per 1000 ots: 0.019 EUR"),
        (women(per="1000 watchers", **WATCHED), 300, "0.019", "; 2 watchers at 9.50 EUR per 1000 watchers: 0.019 EUR"),
        (women(per="1000 attentive seconds", **WATCHED), 2345, "0.044555", "; 4.690 attentive seconds at 9.50 EUR"),
        (women(per="1000 attentive seconds", price=Decimal("0.01"), **WATCHED), 333, "0.000007", "; 0.666 attentive"),
        (women(per="1000 ots", bill_on="watched"), 300, "0.019", " was met by 2 who watched, 100 % shown; 2 ots"),
    ],
)
def test_a_play_costs_its_price_or_what_the_people_of_its_target_come_to(
    ledger: Ledger, path: Path, ad: Line, looked_ms: int, cost: str, words: str
) -> None:
    assert billed(ledger, ad, tally_of(BOTH, looked_ms=looked_ms))
    assert ledger.history.committed_by(ad) == Decimal(cost) * 1_000_000
    ledger.close()
    (row,) = table(path)
    assert (row["cost"], row["bill_code"], row["price_per"]) == (Decimal(cost), "billed", ad.per)
    assert (row["rate"], row["price"]) == (ad.price, ad.price if ad.per == "play" else 0)
    assert words in row["bill_reason"]
    sound(path)


@pytest.mark.parametrize("per", ["play", "1000 ots", "1000 watchers", "1000 attentive seconds"])
def test_what_is_billed_on_watching_costs_nothing_where_nobody_of_the_target_looked(
    ledger: Ledger, path: Path, per: str
) -> None:
    ad = women(per=per, **WATCHED)
    billed(ledger, ad, tally_of(BOTH))
    billed(ledger, ad, tally_of(present(M30), looked_ms=4000))
    assert ledger.history.committed_by(ad) == 0
    ledger.close()
    assert [(row["bill_code"], row["cost"]) for row in table(path)] == [("target_not_met", 0)] * 2
    assert table(path)[0]["bill_reason"].endswith("was met by 0 who watched while it was shown")


@pytest.mark.parametrize("per", ["play", "1000 ots"])
def test_what_was_not_measured_costs_nothing_and_gives_back_what_it_reserved(
    ledger: Ledger, path: Path, per: str
) -> None:
    ad = women(per=per)
    billed(ledger, ad, dark())
    assert ledger.history.committed_by(ad) == 0
    ledger.close()
    (row,) = table(path)
    assert (row["bill_code"], row["cost"], row["measured_share"]) == ("not_measured", 0, 0.0)
    assert (row["ots_1s"], row["attention_ms"], row["measure_level"]) == (None, None, None)
    assert row["bill_reason"] == "not billed: no camera told who was there"


def test_a_play_of_more_people_than_were_reserved_for_costs_no_more_than_the_budget_has_left(
    ledger: Ledger, path: Path
) -> None:
    ad = women(per="1000 ots", budget=Decimal("0.03"))
    crowd = tally_of(present(*[F20] * 5))
    assert billed(ledger, ad, tally_of(BOTH))
    assert billed(ledger, ad, crowd, matched=1), "0.011 are left, and one person costs 0.0095"
    assert ledger.history.committed_by(ad) == 30_000
    assert billed(ledger, ad, crowd, matched=1) is None, "the budget is spent"
    ledger.close()
    first, second = table(path)
    assert (first["cost"], second["cost"]) == (Decimal("0.019"), Decimal("0.011"))
    assert second["reserved"] == Decimal("0.0095")
    assert second["bill_reason"].endswith("0.0475 EUR, of which the budget had 0.011 EUR left")


def test_plays_in_progress_reserve_and_a_restart_remembers_what_they_cost(path: Path) -> None:
    ad = women(per="1000 ots", budget=Decimal("0.04"))
    book = Ledger(path, STATION, "main")
    assert billed(book, ad, tally_of(BOTH))
    assert book.start(decision(ad, 2), planned_ms=0)
    assert book.history.committed_by(ad) == 38_000
    assert book.start(decision(ad, 2), planned_ms=0) is None
    book.close()
    again = Ledger(path, STATION, "main")
    assert again.history.committed_by(ad) == 19_000
    again.close()
    assert [(row["bill_code"], row["cost"]) for row in table(path)] == [("billed", Decimal("0.019")), ("aborted", 0)]


def test_house_ads_have_no_price(ledger: Ledger, path: Path) -> None:
    house = msgspec.structs.replace(line("house", house=True), price=Decimal(0))
    billed(ledger, house, tally_of(BOTH, looked_ms=1000))
    ledger.close()
    (row,) = table(path)
    assert (row["price_per"], row["rate"], row["reserved"], row["bill_on"], row["cost"]) == (None, None, None, None, 0)
    assert (row["ots_1s"], row["watchers_looked"], row["matched_ots"]) == (3, 3, 0)
