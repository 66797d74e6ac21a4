"""The chain: every harm to a row is found and named."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import UserError
from players.ledger.chain import verify
from players.ledger.export import read_plays
from players.ledger.ledger import Ledger
from players.ledger.schema import SCHEMAS, newest
from players.ledger.snapshot import reading
from tests.ads import F20, M30, present
from tests.players.ledger.plays import play, sound


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE plays SET price_micro = 990000 WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET billable = 1 WHERE started_seq = 5", "entry 6 (ended): what it says is not"),
        ("UPDATE plays SET ots_1s = 99 WHERE started_seq = 1", "entry 2 (ended): what it says is not"),
        ("UPDATE plays SET started_hash = hash WHERE started_seq = 3", "entry 3 (started): what it says is not"),
        ("DELETE FROM plays WHERE started_seq = 3", "entry 5 (started): entry 3 is missing before it"),
        ("UPDATE plays SET started_prev_hash = 'x' WHERE started_seq = 3", "entry 3 (started): it does not follow"),
        ("UPDATE plays SET ended_seq = NULL WHERE started_seq = 7", "it says how it ended without an entry"),
        ("UPDATE plays SET screen = X'99A8A7' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET watchers_2s = 9e999 WHERE started_seq = 5", "entry 6 (ended): what it says is not"),
        ("UPDATE plays SET ended_seq = 'x' WHERE started_seq = 5", "entry 7 (started): entry 6 is missing before it"),
        ("UPDATE plays SET price_micro = 'abc' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET context = X'0102' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET context = NULL WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET eligible = X'92' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET station = X'77' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET schema = 1 WHERE started_seq = 5", "entry 5 (started): it does not follow"),
        ("UPDATE plays SET schema = 'x' WHERE started_seq = 5", "entry 5 (started): what it says is not"),
        ("UPDATE plays SET bill_code = 'billed' WHERE started_seq = 5", "entry 6 (ended): what it says is not"),
        ("UPDATE texts SET text = 'f21' WHERE text = 'f20'", "entry 1 (started): what it says is not"),
        ("DELETE FROM texts WHERE text = 'stop-7'", "entry 1 (started): what it says is not"),
    ],
)
def test_verify_names_the_first_bad_row(ledger: Ledger, path: Path, harm: str, says: str) -> None:
    for who in (F20, F20, M30, F20):
        play(ledger, who=present(who))
    ledger.close()
    assert sound(path).entries == 8
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="stay"):
        db.execute(harm)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    names = [row[0].hex() for row in db.execute("SELECT play_id FROM plays ORDER BY started_seq")]
    db.execute(harm)
    db.commit()
    db.close()
    problem = verify(path).problem
    assert says in problem
    assert problem.split()[1].rstrip(",:") in names


def test_the_hashes_are_what_the_page_on_the_ledger_says(ledger: Ledger, path: Path) -> None:
    """The chain is followed without the ledger's own code, from values as SQL gives them."""
    for who in (F20, M30):
        play(ledger, who=present(who))
    ledger.close()
    with reading([path]) as db:
        rows = [dict(row) for row in db.execute("SELECT * FROM plays")]
    entries, schema = {}, SCHEMAS[newest()]
    for row in rows:
        row |= {"context": row["context"].hex(), "eligible": json.loads(row["eligible"])}
        entries[row["started_seq"]] = (
            row["started_hash"],
            ["started", *(row[name] for name in schema.started)],
        )
        content = ["ended", row["play_id"], row["started_hash"], *(row[name] for name in schema.ended)]
        entries[row["ended_seq"]] = row["hash"], content
    db = sqlite3.connect(path)
    (*begun, begun_hash) = db.execute("SELECT ledger, station, screen, begun_utc, hash FROM identity").fetchone()
    db.close()
    assert begun[1:3] == ["stop-7", "main"]
    entries[0] = begun_hash, ["begun", *begun]
    before = 64 * "0"
    for number in range(5):
        digest, content = entries[number]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        assert digest == hashlib.sha256(f"{before}\n{number}\n{text}".encode()).hexdigest()
        before = digest


def test_verify_notices_a_play_that_an_index_does_not_hold(ledger: Ledger, path: Path) -> None:
    """A report of a month reads plays by the index of their times: it would miss one, and its money."""
    for _ in range(3):
        play(ledger)
    ledger.close()
    without = """DROP TRIGGER plays_stay; CREATE TABLE kept AS SELECT * FROM plays WHERE started_seq = 3;
        CREATE TABLE index_of AS SELECT * FROM sqlite_master WHERE name = 'plays_by_time';
        DELETE FROM plays WHERE started_seq = 3; DELETE FROM sqlite_master WHERE name = 'plays_by_time'"""
    with_it = """INSERT INTO plays SELECT * FROM kept; INSERT INTO sqlite_master SELECT * FROM index_of;
        DROP TABLE kept; DROP TABLE index_of"""
    for script in (without, with_it):
        db = sqlite3.connect(path)
        db.executescript(f"PRAGMA writable_schema = ON; {script}")
        db.close()
    verdict = verify(path)
    with reading([path], proven=False) as db_of_report:
        assert len(list(read_plays(db_of_report, since="2000-01-01T00:00:00.000Z"))) == 2
        assert len(list(read_plays(db_of_report))) == verdict.plays == 3
    assert "reports would not find them all: row" in verdict.problem
    with pytest.raises(UserError, match="reports would not find them all"), reading([path]):
        pass
