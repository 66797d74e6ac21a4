"""Ledgers of every schema: those that older code wrote are read, proved and written on for ever."""

import json
import shutil
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.settings import StationTable
from players.ledger.chain import verify
from players.ledger.export import read_plays
from players.ledger.ledger import Ledger
from players.ledger.snapshot import reading
from players.reports import queries

DATA = Path(__file__).parents[1] / "data"
V1_HEAD = "9989e7de7a0d53202bcae352bfcfc135cd26b21e9cfd4cfc2192283bd5b3a9e4"
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A ledger of schema 1: `data/ledger_v1.py` wrote it with the code of commit 243b5b7.

    It holds 13 plays of one screen: paid and house plays in two currencies, played, partial, failed and aborted ones,
    each with its reason, and one that is still open. `data/ledger-v1.jsonl` is the export of that commit.
    """
    path = tmp_path / "state" / "ledger-main.sqlite"
    path.parent.mkdir()
    shutil.copyfile(DATA / "ledger-v1.sqlite", path)
    return path


def test_a_ledger_of_schema_1_verifies(v1: Path) -> None:
    verdict = verify(v1)
    assert (verdict.plays, verdict.billable, verdict.head, verdict.problem) == (13, 5, V1_HEAD, "")


def test_a_ledger_of_schema_1_is_exported_as_the_code_that_wrote_it_did(v1: Path) -> None:
    before = [json.loads(text) for text in (DATA / "ledger-v1.jsonl").read_text().splitlines()]
    with reading([v1]) as db:
        rows = list(read_plays(db))
    for row, old in zip(rows, before, strict=True):
        assert {name: row[name] for name in old} == {**old, "price": Decimal(old["price"])}


def test_a_ledger_of_schema_1_is_reported(v1: Path) -> None:
    with reading([v1]) as db:
        billing = queries.billing(db)
        plays = queries.plays(db, ("line",), SEOUL)
        audience = queries.audience(db, ("gender", "decade"), SEOUL)
    invoices = [(row["line"], row["plays"], row["billable"], row["not billed"], row["spend"]) for row in billing.rows]
    assert invoices == [
        ("crowd", 1, 1, "", Decimal("0.02")),
        ("women", 5, 2, "1 aborted, 1 cut short, 1 target not met", Decimal("0.24")),
        ("men", 5, 2, "2 failed, 1 not ended", Decimal(700)),
        ("", 6, 3, "", Decimal("0.26")),
        ("", 5, 2, "", Decimal(700)),
    ]
    counts = [
        (
            row["plays"],
            row["partial"],
            row["failed"],
            row["aborted"],
            row["shown_s"],
            row["frames_pct"],
            row["watchers"],
        )
        for row in plays.rows
    ]
    assert counts == [
        (1, 0, 0, 0, 8.0, 100.0, "hidden"),
        (2, 1, 0, 0, 12.0, 100.0, "hidden"),
        (5, 0, 2, 0, 32.0, 50.0, "hidden"),
        (5, 2, 0, 1, 25.2, 100.0, "hidden"),
        (13, 3, 2, 1, 77.2, 79.3, 13),
    ]
    people = [(row["gender"], row["decade"], row["people"]) for row in audience.parts]
    assert people == [("M", "30-39", 15), ("F", "20-29", 30), ("unknown", "unknown", 15)]


def test_a_ledger_of_schema_1_is_written_on(v1: Path) -> None:
    """The play that was left open ends as aborted; the money that was spent still counts."""
    book = Ledger(v1, StationTable(name="stop-7"), "main")
    assert book.accepts_paid
    assert book.history.committed == {"women": 240_000, "men": 700_000_000, "crowd": 19_000}
    book.close()
    verdict = verify(v1)
    assert (verdict.plays, verdict.billable, verdict.problem) == (13, 5, "")
    with reading([v1]) as db:
        last = list(read_plays(db))[-1]
    assert (last["schema"], last["status"], last["bill_reason"]) == (1, "aborted", "not billed: the play was aborted")
