"""A day of the demo, billed in all four ways: the same money in ledger, CSV, invoice and what is told of each play."""

import csv
import io
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import get_args

import msgspec
import pytest

from players.ads.campaigns import load_catalogue
from players.ads.catalogue import Catalogue
from players.ads.lines import Line, Per, micro
from players.ads.money import to_cents
from players.audience.present import of
from players.audience.tally import Tally
from players.choice.choose import Moment, Rules, choose
from players.choice.simulate import PLACE, Street, make_audience
from players.ledger import clock
from players.ledger.chain import verify
from players.ledger.export import read_plays, write_plays
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from players.ledger.snapshot import reading
from players.reports import queries
from players.reports.explain import explain
from tests.ads import SEOUL, S
from tests.players.recording import STATION, at

DEMO = Path(queries.__file__).parents[1] / "demo"
BEGINS = at(6, 0, zone=SEOUL)
PLAY_S = 240
"""Length of a play. Those of the demo are shorter, and a day has 10,000 of them."""
SMALL = Decimal("0.07")
"""Budget that less than a day spends."""
PRICES = {"play": "0.08", "1000 ots": "9.50", "1000 watchers": "23.45", "1000 attentive seconds": "7.77"}


@pytest.fixture(scope="module")
def demo() -> Catalogue:
    """The demo's lines, every one of them once for each kind of price; two have budgets that a day spends."""
    shipped = load_catalogue(DEMO, SEOUL, 8.0)
    lines = []
    for line in shipped.lines:
        ads = tuple(msgspec.structs.replace(ad, duration_ms=1000 * PLAY_S) for ad in line.creatives)
        for per in get_args(Per):
            lines.append(
                msgspec.structs.replace(
                    line,
                    id=f"{line.id}-{per.replace(' ', '-')}",
                    creatives=ads,
                    per=per,
                    price=Decimal(PRICES[per]),
                    bill_on="watched" if "watch" in per or "attentive" in per else "present",
                    budget=SMALL if len(lines) in (1, 3) else line.budget,
                )
            )
    return Catalogue(tuple(lines), shipped.house, SEOUL)


def test_a_day_of_the_demo_costs_the_same_in_ledger_csv_invoice_and_in_what_is_told_of_its_plays(
    demo: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger-main.sqlite"
    committed = play_a_day(demo, path, monkeypatch)
    assert not verify(path).problem
    with reading([path]) as db:
        rows = list(read_plays(db))
        text = io.StringIO()
        write_plays(read_plays(db), "csv", text)
        invoice = queries.billing(db, demo.lines)
    lines = {line.id: line for line in demo.lines}
    by_ledger, by_csv, by_hand, by_words = (defaultdict[str, Decimal](Decimal) for _ in range(4))
    for row, plain in zip(rows, csv.DictReader(io.StringIO(text.getvalue())), strict=True):
        by_ledger[row["line"]] += row["cost"]
        by_csv[row["line"]] += Decimal(plain["cost"])
        costs = [text for text in explain(row, SEOUL, "") if text.startswith("- It costs ")]
        by_words[row["line"]] += sum(Decimal(text.split()[3]) for text in costs)
        if row["billable"] and "budget had" not in row["bill_reason"]:
            by_hand[row["line"]] += owed(lines[row["line"]], plain)
    for row in invoice.rows:
        if name := row["line"]:
            assert row["spend"] == to_cents(by_ledger[name], "EUR") == to_cents(by_csv[name], "EUR")
            assert micro(by_ledger[name]) == micro(by_words[name]) == committed[name]
            if lines[name].budget == SMALL:
                assert by_hand[name] <= by_ledger[name] <= SMALL
            else:
                assert by_ledger[name] == by_hand[name]
    paid = {per: sum(by_ledger[line.id] for line in demo.lines if line.per == per) for per in get_args(Per)}
    assert all(paid.values()), "each kind of price has earned something"
    assert invoice.rows[-1]["spend"] == sum(row["spend"] for row in invoice.rows[:-1])


def owed(line: Line, row: dict[str, str]) -> Decimal:
    """Return what a play costs, reckoned anew from the columns of the CSV."""
    events = {
        "play": Decimal(1000),
        "1000 ots": Decimal(row["matched_ots"] or 0),
        "1000 watchers": Decimal(row["matched_looked"] or 0),
        "1000 attentive seconds": Decimal(row["matched_attention_ms"] or 0) / 1000,
    }[line.per]
    return (line.price * events / 1000).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def play_a_day(demo: Catalogue, path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Play a day to a made-up street through the ledger. Return the millionths that each line has committed."""
    now = [BEGINS]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return now[0].astimezone(tz)  # type: ignore[arg-type]

    monkeypatch.setattr(clock, "datetime", Clock)
    book = Ledger(path, STATION, "main")
    street, rng = Street(make_audience(24.0, BEGINS, Random(7)), 7), Random(7)
    for begin_s in range(0, 86_400, PLAY_S):
        now[0] = BEGINS + timedelta(seconds=begin_s)
        first = street.at(float(begin_s))
        moment = Moment(now[0], begin_s * S)
        decision = choose(of([first]), demo, book.history, moment, rng, Rules(policy="random"))
        assert decision
        play_id = book.start(decision, planned_ms=0)
        assert play_id
        tally = Tally([PLACE])
        for at_s in range(begin_s, begin_s + PLAY_S + 1, 2):
            tally.add(PLACE, street.at(at_s))
            tally.show(at_s * S)
        book.end(play_id, Shown(frames_expected=9, frames_presented=9, status="played", tally=tally))
    committed = {line.id: book.history.committed_by(line) for line in demo.lines}
    book.close()
    return committed
