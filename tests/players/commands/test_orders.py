"""Orders that change: money of two currencies is never added, and what a line has spent is told where it is checked."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.settings import StationTable
from players.ads.campaigns import load_catalogue
from players.choice.choose import Rules, choose, moment_in
from players.commands.campaigns import campaigns as campaigns_command
from players.commands.report import report as report_command
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, present, tally_of
from tests.players.campaign_files import UTC

MOKA = """
advertiser = "Moka"
campaign = "c-moka"
currency = "{currency}"
[[lines]]
id = "l-moka"
budget = "{budget}"
price = "{price}"
[[lines.creatives]]
id = "a-moka"
file = "ad.png"
"""


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """Make a station whose campaigns lie in `campaigns` and whose ledgers lie in `state`."""
    (tmp_path / "campaigns").mkdir()
    Image.new("RGB", (16, 9)).save(tmp_path / "campaigns" / "ad.png")
    path = tmp_path / "station.toml"
    path.write_text(
        '[station]\nstate_dir = "state"\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    return path


def write(station: Path, currency: str, budget: str, price: str) -> None:
    text = MOKA.format(currency=currency, budget=budget, price=price)
    (station.parent / "campaigns" / "a.toml").write_text(text)


def play(station: Path, times: int, screen: str = "main", screens: int = 1) -> int:
    """Let a player's choice and ledger play to a woman; return how often the paid line was chosen."""
    book = Ledger(station.parent / "state" / f"ledger-{screen}.sqlite", StationTable(), screen)
    catalogue = load_catalogue(station.parent / "campaigns", UTC, 8.0, screens=screens)
    paid = 0
    for seed in range(times):
        chosen = choose(present(F20), catalogue, book.history, moment_in(0), Random(seed), Rules())
        play_id = book.start(chosen, planned_ms=0) if chosen else None
        if chosen and play_id:
            tally = tally_of(present(F20))
            book.end(play_id, Shown(frames_expected=9, frames_presented=9, status="played", tally=tally))
            paid += 1
    book.close()
    return paid


def billing(station: Path) -> dict[str, list[str | int | None]]:
    done = CliRunner().invoke(report_command, ["billing", "--station", str(station), "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = [row for row in json.loads(done.stdout)["rows"] if row["line"]]
    return {row["currency"]: [row["contracted"], row["billable"], row["spend"], row["left"]] for row in rows}


def check(station: Path, code: int = 0) -> str:
    done = CliRunner().invoke(campaigns_command, ["check", "--station", str(station)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_line_that_changes_its_currency_is_a_new_order(station: Path) -> None:
    write(station, "KRW", "1000000", "1200")
    assert play(station, 4) == 4
    write(station, "USD", "1000.00", "1.00")
    expected = {"KRW": [None, 4, "4800", None], "USD": ["1000.00", 0, "0.00", "1000.00"]}
    assert billing(station) == expected
    assert "l-moka: 4800 KRW were billed before it changed to USD." in check(station)
    assert play(station, 3) == 3
    assert billing(station) == {**expected, "USD": ["1000.00", 3, "3.00", "997.00"]}
    write(station, "KRW", "6000", "1200")
    assert play(station, 3) == 1, "back in its first currency, it goes on where it was"
    assert billing(station)["KRW"] == ["6000", 5, "6000", "0"]


def test_the_currency_of_the_cases_is_changed_and_the_line_plays(station: Path, shared_dir: Path) -> None:
    for name, paid in (("currency_krw", 4), ("currency_usd", 2)):
        shutil.rmtree(station.parent / "campaigns")
        shutil.copytree(shared_dir / "cases" / "campaigns" / name, station.parent / "campaigns")
        if name == "currency_usd":
            assert billing(station)["USD"] == ["1000.00", 0, "0.00", "1000.00"]
        assert play(station, paid) == paid
    assert billing(station) == {"KRW": [None, 4, "4800", None], "USD": ["1000.00", 2, "2.00", "998.00"]}


def test_check_says_what_a_line_has_spent_where_it_cannot_play_on(station: Path) -> None:
    write(station, "EUR", "1.00", "0.30")
    assert "Not played" not in check(station)
    assert play(station, 9) == 3
    told = CliRunner().invoke(campaigns_command, ["check", "--station", str(station), "--json"])
    (row,) = json.loads(told.stdout)["lines"]
    assert row["held"] == "0.10 EUR are left of its budget of 1.00 EUR, and one play costs 0.30 EUR"
    assert "no money" in check(station)
    said = "Not played: l-moka: 0.10 EUR are left of its budget of 1.00 EUR, and one play costs 0.30 EUR."
    assert said in check(station)
    write(station, "EUR", "0.90", "0.30")
    assert "Not played: l-moka: its budget of 0.90 EUR is spent." in check(station)
    write(station, "EUR", "0.50", "0.30")
    assert play(station, 1) == 0
    over = "problem: line l-moka: budget: it has spent 0.90 EUR, more than its budget of 0.50 EUR; raise the budget, or"
    assert over in check(station, code=2)
    assert billing(station) == {"EUR": ["0.50", 3, "0.90", "-0.40"]}
    ledger = str(station.parent / "state" / "ledger-main.sqlite")
    named = CliRunner().invoke(campaigns_command, ["check", str(station.parent / "campaigns"), "--ledger", ledger])
    assert over in named.output
    bare = CliRunner().invoke(campaigns_command, ["check", str(station.parent / "campaigns")])
    assert bare.exit_code == 0, "without a station no ledger is known"


def test_check_holds_each_screen_to_its_part_of_a_budget(station: Path) -> None:
    station.write_text(station.read_text() + '[[screens]]\nname = "left"\n[[screens]]\nname = "right"\n')
    write(station, "EUR", "1.20", "0.30")
    assert play(station, 9, "left", screens=2) == 2
    assert play(station, 1, "right", screens=2) == 1
    said = [text for text in check(station).splitlines() if text.startswith("Not played")]
    assert said == ["Not played: l-moka: its budget of 0.60 EUR is spent (ledger-left.sqlite)."]
    assert "plays" in next(text for text in check(station).splitlines() if text.startswith("│ l-moka"))


def test_check_says_that_a_ledger_cannot_be_read(station: Path) -> None:
    write(station, "EUR", "1.00", "0.30")
    (station.parent / "state").mkdir()
    (station.parent / "state" / "ledger-main.sqlite").write_bytes(b"no database" * 1000)
    assert "problem: paid lines do not play: " in check(station, code=2)
