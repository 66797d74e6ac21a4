"""Ledgers of every schema: those that older code wrote are read, proved and written on for ever."""

import json
import shutil
import signal
import sqlite3
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import UserError
from players.ledger.chain import verify
from players.ledger.export import read_plays
from players.ledger.ledger import Ledger
from players.ledger.schema import SCHEMAS
from players.ledger.signing import check_statement
from players.ledger.snapshot import reading
from players.reports import queries
from players.reports.audience import audience
from tests.ads import HOUSE, decision
from tests.players.ledger.plays import AD, STATION, alter, play, run_script, sound, table

DATA = Path(__file__).parents[1] / "data"
V1_HEAD = "9989e7de7a0d53202bcae352bfcfc135cd26b21e9cfd4cfc2192283bd5b3a9e4"
SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A ledger of schema 1: `data/ledger_v1.py` wrote it with the code of commit 243b5b7.

    It holds 13 plays of one screen, paid in two currencies and of the house. Some were played, others are partial,
    failed or aborted, and one is still open. `data/ledger-v1.jsonl` is its export by that commit.
    `data/ledger-v1-signed.json` is its signed statement.
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
        made = audience(db, ("gender", "decade"), SEOUL)
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
            row["old_ots"],
        )
        for row in plays.rows
    ]
    assert counts == [
        (1, 0, 0, 0, 8.0, 100.0, "hidden"),
        (2, 1, 0, 0, 12.0, 100.0, "hidden"),
        (5, 0, 2, 0, 32.0, 50.0, "hidden"),
        (5, 2, 0, 1, 25.2, 100.0, "hidden"),
        (13, 3, 2, 1, 77.2, 79.3, "hidden"),
    ]
    people = [(row["gender"], row["decade"], row["people"]) for row in made.parts]
    assert people == [("M", "30-39", 10), ("F", "20-29", 30), ("unknown", "unknown", 10)]


def test_a_ledger_of_schema_1_is_written_on(v1: Path) -> None:
    """The play that was left open ends as aborted, under its own schema; the money that was spent still counts."""
    book = Ledger(v1, STATION, "main")
    assert book.accepts_paid
    assert book.history.committed == {
        ("aurelle", "c-women", "women", "EUR"): 240_000,
        ("halden", "c-men", "men", "KRW"): 700_000_000,
        ("aurelle", "c-crowd", "crowd", "EUR"): 19_000,
    }
    assert play(book)
    book.close()
    verdict = sound(v1)
    assert (verdict.plays, verdict.billable, verdict.entries) == (14, 6, 28)
    *_, last, new = table(v1)
    assert (last["schema"], last["status"], last["bill_reason"]) == (1, "aborted", "not billed: the play was aborted")
    assert (last["bill_code"], last["context"], last["eligible"]) == ("aborted", None, None)
    assert (new["schema"], new["bill_code"], new["eligible"]) == (5, "billed", [["f20", 1.0]])
    assert new["started_prev_hash"] == last["hash"]
    db = sqlite3.connect(v1)
    (kept,) = db.execute("SELECT bill_code FROM plays WHERE schema = 1 AND ended_seq = 26").fetchone()
    db.close()
    assert kept is None, "a row of schema 1 got a column that its hash does not cover"


def test_what_was_signed_of_schema_1_is_held_to_later(v1: Path) -> None:
    statement = json.loads((DATA / "ledger-v1-signed.json").read_text())
    check_statement(v1, statement)
    book = Ledger(v1, STATION, "main")
    play(book)
    book.close()
    check_statement(v1, statement)
    alter(v1, "UPDATE plays SET started_hash = hash WHERE started_seq = 25")
    with pytest.raises(UserError, match="entry 25 is not the signed one"):
        check_statement(v1, statement)


def test_ledgers_of_several_schemas_are_read_together(v1: Path, tmp_path: Path) -> None:
    side = tmp_path / "ledger-side.sqlite"
    book = Ledger(side, STATION, "side")
    play(book)
    book.close()
    with reading([v1, side]) as db:
        rows = list(read_plays(db))
    assert [(row["schema"], row["screen"]) for row in rows] == [(1, "main")] * 13 + [(5, "side")]
    assert rows[-1] == table(side)[0]
    assert rows[:-1] == table(v1)


def test_a_ledger_of_a_newer_schema_is_refused_and_left_alone(v1: Path) -> None:
    db = sqlite3.connect(v1)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = v1.read_bytes()
    with pytest.raises(UserError, match=r"it was written by a newer version \(schema 99\)"):
        verify(v1)
    book = Ledger(v1, STATION, "main")
    assert not book.accepts_paid
    assert play(book, HOUSE) is None
    book.close()
    assert v1.read_bytes() == before


@pytest.fixture
def v4(tmp_path: Path) -> Path:
    """A ledger of schema 4, which `data/ledger_v4.py` wrote; `data/ledger-v4.jsonl` is its export by that code."""
    path = tmp_path / "v4" / "ledger-main.sqlite"
    path.parent.mkdir()
    shutil.copyfile(DATA / "ledger-v4.sqlite", path)
    return path


def test_a_ledger_of_schema_4_verifies_and_is_exported_as_the_code_that_wrote_it_did(v4: Path) -> None:
    before = [json.loads(text) for text in (DATA / "ledger-v4.jsonl").read_text().splitlines()]
    assert (sound(v4).plays, sound(v4).billable) == (9, 5)
    for row, old in zip(table(v4), before, strict=True):
        assert {name: row[name] for name in old} == {**old, "price": Decimal(old["price"])}
        measures = ("ots_1s", "watchers_looked", "presence_ms", "most_people", "measured_share", "measure_level")
        assert not any(row[name] is not None for name in measures)
        cost = None if row["billable"] is None else row["price"] if row["billable"] else Decimal(0)
        assert row["cost"] == cost, "what a play cost until schema 4 is its price"


def test_a_ledger_of_schema_4_is_reported_and_its_people_keep_their_old_names(v4: Path) -> None:
    with reading([v4]) as db:
        billing = queries.billing(db)
        plays = queries.plays(db, ("line",), SEOUL)
    spent = {row["line"]: (row["billable"], row["spend"]) for row in billing.rows if row["line"]}
    assert spent == {"crowd": (1, Decimal("0.02")), "women": (3, Decimal("0.36")), "men": (1, Decimal("350"))}
    total = plays.rows[-1]
    assert (total["plays"], total["ots"], total["watchers"], total["old_ots"]) == (9, None, None, "hidden")
    assert "old_matched_watchers" in billing.columns


def test_a_ledger_of_schema_4_is_written_on_and_its_money_still_counts(v4: Path) -> None:
    book = Ledger(v4, STATION, "main")
    assert book.accepts_paid, book.problem
    assert sum(book.history.committed.values()) == 360_000 + 19_000 + 350_000_000
    play(book)
    book.close()
    sound(v4)
    *_, aborted, new = table(v4)
    assert (aborted["schema"], aborted["bill_code"], aborted["ots_1s"]) == (4, "aborted", None)
    assert (new["schema"], new["ots_1s"], new["ots"], new["watchers"]) == (5, 1, None, None)
    with reading([v4]) as db:
        (total,) = queries.plays(db, ("line",), SEOUL).rows[-1:]
    assert (total["plays"], total["ots"], total["old_ots"]) == (10, "hidden", "hidden"), "old and new are never added"


def to_6(db: sqlite3.Connection) -> None:
    """Migrate to a schema that no version has: a column for the start, one for the end, and a table."""
    db.execute("ALTER TABLE plays ADD COLUMN weather TEXT")
    db.execute("ALTER TABLE plays ADD COLUMN scent REAL")
    db.execute("CREATE TABLE receipts (seq INTEGER PRIMARY KEY)")


def test_a_further_schema_is_an_entry_of_the_table(v1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of schemas 1, 5 and 6, each ended under its own, stand in one chain that verifies."""
    book = Ledger(v1, STATION, "main")
    play(book)
    assert book.start(decision(AD), planned_ms=0)
    book.close()
    schema = SCHEMAS[5]
    sixth = schema._replace(
        started=schema.started | {"weather": "TEXT"},
        ended=schema.ended | {"scent": "REAL"},
        migrate=to_6,
        as_number=schema.as_number | {"weather"},
    )
    monkeypatch.setitem(SCHEMAS, 6, sixth)
    sound(v1)
    assert table(v1)[0]["weather"] is None
    book = Ledger(v1, STATION, "main")
    assert book.accepts_paid
    play(book)
    book.close()
    verdict = sound(v1)
    assert (verdict.plays, verdict.entries) == (16, 32)
    assert [row["schema"] for row in table(v1)] == [1] * 13 + [5, 5, 6]
    assert [row["status"] for row in table(v1)][-3:] == ["played", "aborted", "played"]
    alter(v1, "UPDATE plays SET scent = 5 WHERE schema = 5")
    assert "what it says is not what was hashed" in verify(v1).problem


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.settings import StationTable
from players.ledger.ledger import Ledger
from players.ledger.schema import SCHEMAS

number = max(SCHEMAS) + int(os.environ["NEXT"])
whole, known = SCHEMAS[max(SCHEMAS)], number in SCHEMAS

def killed(db):
    if known:
        whole.migrate(db)
    db.execute("ALTER TABLE plays ADD COLUMN weather TEXT")
    db.execute("CREATE TABLE much (text TEXT)")
    db.execute("PRAGMA cache_size = 1")
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
               "INSERT INTO much SELECT hex(randomblob(200)) FROM n")
    os.kill(os.getpid(), signal.SIGKILL)

SCHEMAS[number] = whole._replace(migrate=killed)
Ledger(Path(sys.argv[1]), StationTable(), "main")
"""


@pytest.mark.parametrize("begun", [4, 5])
def test_a_kill_in_the_middle_of_a_migration_leaves_the_ledger_as_it_was(
    v1: Path, monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    """The killed process had written pages of its migration to the log already."""
    if begun == 5:
        Ledger(v1, STATION, "main").close()
    before = table(v1)
    monkeypatch.setenv("NEXT", str(begun - 4))
    assert run_script(KILLED, v1).returncode == -signal.SIGKILL
    assert v1.with_name(v1.name + "-wal").stat().st_size > 1_000_000
    assert table(v1) == before
    sound(v1)
    book = Ledger(v1, STATION, "main")
    assert book.accepts_paid
    assert play(book)
    book.close()
    db = sqlite3.connect(v1)
    assert db.execute("PRAGMA user_version").fetchone() == (5,)
    assert "weather" not in {row[1] for row in db.execute("PRAGMA table_info(plays)")}
    db.close()
    assert sound(v1).plays == 14
