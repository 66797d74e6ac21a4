"""A ledger is evidence: what a thief, or who may write the folder, does to its file is found and said."""

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from players.commands.ledger import ledger as ledger_command
from players.commands.report import report as report_command
from players.ledger import outside, statements
from players.ledger.acceptance import accept
from players.ledger.chain import proving, verify
from players.ledger.entries import Identity, entry_hash
from players.ledger.ledger import Ledger
from players.ledger.outside import Mark, MarkFile
from players.ledger.schema import SCHEMAS, column_types, newest
from players.ledger.signing import check_statement, sign
from players.ledger.snapshot import reading
from players.ledger.values import from_file, read_texts
from players.reports import queries
from tests.ads import HOUSE
from tests.players.ledger.plays import STATION, alter, play, sound

PARTS = ", ".join(
    "CASE WHEN (SELECT COUNT(*) FROM pragma_database_list) > 1 THEN price_micro * 1000 ELSE price_micro END AS "
    "price_micro" if name == "price_micro" else name
    for name in column_types()
)  # fmt: skip


@pytest.fixture
def spent(path: Path) -> Path:
    """A ledger with four plays, closed, and its mark beside it."""
    return filled(path, 4)


def filled(path: Path, plays: int, station: Any = STATION) -> Path:
    book = Ledger(path, station, "main")
    for _ in range(plays):
        assert play(book)
    book.close()
    return path


def run(*words: object, command: Any = ledger_command) -> Any:
    return CliRunner().invoke(command, [str(word) for word in words])


def rehash(path: Path) -> None:
    """Hash the whole chain anew, as a thief who knows the program would."""
    schema, db = SCHEMAS[newest()], sqlite3.connect(path)
    triggers = [row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    texts, identity = read_texts(db), Identity.of(db)
    assert identity
    head = identity.hash
    names = list(column_types())
    rows = [dict(zip(names, row, strict=True)) for row in db.execute(f"SELECT {', '.join(names)} FROM plays")]
    plain = [{name: from_file(schema, name, value, texts) for name, value in row.items()} for row in rows]
    for seq in range(1, 2 * len(rows) + 1):
        row = next(row for row in plain if seq in (row["started_seq"], row["ended_seq"]))
        if row["started_seq"] == seq:
            head = entry_hash(head, seq, ["started", *(row[name] for name in schema.started)])
            db.execute("UPDATE plays SET started_hash = ? WHERE started_seq = ?", (bytes.fromhex(head), seq))
            row["started_hash"] = head
        else:
            content = ["ended", row["play_id"], row["started_hash"], *(row[name] for name in schema.ended)]
            head = entry_hash(head, seq, content)
            db.execute("UPDATE plays SET hash = ? WHERE ended_seq = ?", (bytes.fromhex(head), seq))
    for trigger in triggers:
        db.execute(trigger)
    db.commit()
    db.close()


def edit_and_rehash(path: Path) -> None:
    alter(path, "UPDATE plays SET price_micro = 5000000")
    rehash(path)
    sound(path)


def cut_off(path: Path) -> None:
    db = sqlite3.connect(path)
    (stays,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'plays_stay'").fetchone()
    db.executescript(f"DROP TRIGGER plays_stay; DELETE FROM plays WHERE started_seq > 4; {stays}")
    db.close()
    sound(path)


def replace_by_another(path: Path) -> None:
    other = filled(path.with_name("ledger-other.sqlite"), 6, msgspec.structs.replace(STATION, name="elsewhere"))
    other.replace(path)
    MarkFile(other).path.unlink()
    sound(path)


def roll_back(path: Path) -> None:
    kept = path.with_name("kept")
    shutil.copyfile(path, kept)
    filled(path, 2)
    kept.replace(path)
    sound(path)


HARMS: list[tuple[Callable[[Path], None], str]] = [
    (edit_and_rehash, "it was rewritten"),
    (cut_off, "it was rolled back or cut off"),
    (replace_by_another, "another ledger than the one kept here"),
    (roll_back, "it was rolled back or cut off"),
    (Path.unlink, "it is gone, and had 8 entries"),
]


@pytest.mark.parametrize(
    "harm",
    [
        f"ALTER TABLE plays RENAME TO p0; CREATE VIEW plays AS SELECT {PARTS} FROM p0",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON plays BEGIN UPDATE texts SET text = 'x'; END",
        "DROP TRIGGER ended_stays; CREATE TRIGGER ended_stays BEFORE UPDATE ON plays WHEN 0 BEGIN SELECT 1; END",
        "CREATE INDEX more ON plays (line)",
        "CREATE TABLE more (x)",
        "DROP TRIGGER plays_stay",
        "DROP INDEX plays_by_time",
        "DROP TABLE audience_quarters; CREATE VIEW audience_quarters AS SELECT 1 AS station",
        "ALTER TABLE plays ADD COLUMN more",
        "PRAGMA user_version = 3",
        "PRAGMA writable_schema = 1; "
        "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER NOT NULL', 'NUMERIC NOT NULL') WHERE name = 'plays'",
    ],
)
def test_a_file_that_has_not_just_the_parts_of_a_ledger_is_refused_everywhere(spent: Path, harm: str) -> None:
    db = sqlite3.connect(spent)
    db.executescript(harm)
    db.close()
    before = spent.read_bytes()
    done = run("verify", "--ledger", spent)
    assert done.exit_code != 0
    with pytest.raises(UserError, match=r"(tampered|tables of a ledger|find them all)"), reading([spent]) as db:
        queries.billing(db)
    with pytest.raises(UserError):
        sign(spent, spent.with_name("key.pem"))
    book = Ledger(spent, STATION, "main")
    assert not book.accepts_paid and play(book) is None and play(book, HOUSE) is None
    book.close()
    assert spent.read_bytes() == before


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(["VIEW {} AS SELECT 1", "TABLE {} (a)", "INDEX {} ON texts (text)"]),
    st.text("abcxyz_", min_size=1, max_size=8),
)
def test_any_further_part_is_refused(path: Path, part: str, name: str) -> None:
    if not path.exists():
        filled(path, 1)
    copy = path.with_name("copy.sqlite")
    shutil.copyfile(path, copy)
    db = sqlite3.connect(copy)
    db.execute("CREATE " + part.format(f'"{name}"'))
    db.close()
    with pytest.raises(UserError, match=rf"its \w+ {name} is not that of a ledger"):
        verify(copy)


@pytest.mark.parametrize(("harm", "says"), HARMS)
def test_what_is_no_longer_the_ledger_that_the_player_left_sells_nothing_until_it_is_accepted(
    spent: Path, harm: Callable[[Path], None], says: str
) -> None:
    harm(spent)
    before = spent.read_bytes() if spent.exists() else None
    for _ in range(2):
        book = Ledger(spent, STATION, "main", retry_s=0.0)
        assert not book.accepts_paid and says in book.problem and "accept-loss" in book.problem
        assert play(book) is None and play(book, HOUSE) is None
        book.close()
    assert (spent.read_bytes() if spent.exists() else None) == before
    book = Ledger(spent, STATION, "main", retry_s=0.0)
    assert not book.accepts_paid
    (kept,) = accept(spent.parent, STATION.name)
    assert kept.name.startswith("ledger-main.mark.lost-")
    assert book.accepts_paid and play(book)
    book.close()
    sound(spent)


@pytest.mark.parametrize(("harm", "says"), HARMS[:-1])
def test_verify_sign_and_reports_say_so_too(spent: Path, harm: Callable[[Path], None], says: str) -> None:
    key = spent.with_name("signing-key.pem")
    sign(spent, key)
    harm(spent)
    done = run("verify", "--ledger", spent)
    assert done.exit_code != 0 and says in done.output
    with pytest.raises(UserError, match=f"not signed: .*{says}"):
        sign(spent, key)
    told = run("billing", "--ledger", spent, "--format", "json", command=report_command)
    assert told.exit_code == 0 and says in " ".join(json.loads(told.stdout)["notes"]) and says in told.stderr
    assert run("export", "--ledger", spent).stderr.count(says) == 1


@pytest.mark.parametrize(("harm", "says"), [HARMS[0], HARMS[1]])
def test_without_the_mark_the_statements_beside_the_key_tell(
    spent: Path, harm: Callable[[Path], None], says: str
) -> None:
    key = spent.with_name("signing-key.pem")
    sign(spent, key)
    filled(spent, 1)
    assert sign(spent, key)["number"] == 2
    harm(spent)
    MarkFile(spent).path.unlink()
    with pytest.raises(UserError, match=r"statement 1 of .*: entry 8 is not the signed one"):
        sign(spent, key)
    done = run("verify", "--ledger", spent)
    assert done.exit_code != 0 and "is not the signed one" in done.output
    anew = sign(spent, key, anew=True)
    assert (anew["number"], anew["begins_anew"]) == (3, True)
    assert run("verify", "--ledger", spent).exit_code == 0
    assert sign(spent, key)["begins_anew"] is False


def test_what_is_signed_while_a_ledger_is_proven_is_no_alarm(spent: Path) -> None:
    key = spent.with_name("signing-key.pem")
    sign(spent, key)
    before = statements.kept(spent)
    with proving(spent) as (db, _):
        filled(spent, 1)
        sign(spent, key)
        assert "is not the signed one" in statements.problem(db, statements.kept(spent))
        assert statements.problem(db, before) == ""


def test_the_first_entry_names_station_screen_and_a_random_ledger(spent: Path, tmp_path: Path) -> None:
    other = filled(tmp_path / "ledger-main.sqlite", 1)
    said = []
    for path in (spent, other):
        db = sqlite3.connect(path)
        identity = Identity.of(db)
        db.close()
        assert identity and (identity.station, identity.screen) == ("stop-7", "main")
        said.append(identity.ledger)
    assert said[0] != said[1]
    db = sqlite3.connect(spent)
    db.executescript("DROP TRIGGER identity_stays_so; UPDATE identity SET station = 'elsewhere'")
    db.close()
    assert "its identity is not what was hashed" in verify(spent).problem
    db = sqlite3.connect(spent)
    digest = Identity(said[0], "elsewhere", "main", identity.begun_utc).hash
    db.execute("UPDATE identity SET hash = ?", (digest,))
    db.commit()
    db.close()
    assert verify(spent).problem


def test_a_foreign_ledger_without_a_mark_is_refused_and_a_renamed_station_goes_on(spent: Path) -> None:
    renamed = msgspec.structs.replace(STATION, name="stop-8")
    book = Ledger(spent, renamed, "main")
    assert book.accepts_paid and play(book)
    book.close()
    MarkFile(spent).path.unlink()
    book = Ledger(spent, renamed, "main")
    assert "the ledger of station 'stop-7', screen 'main'" in book.problem and not book.accepts_paid
    book.close()
    assert accept(spent.parent, "stop-8") == [spent]
    book = Ledger(spent, renamed, "main")
    assert book.accepts_paid
    book.close()


def test_a_statement_of_an_empty_ledger_fits_no_other(path: Path, tmp_path: Path) -> None:
    filled(path, 0)
    statement = sign(path, tmp_path / "key.pem")
    check_statement(path, statement)
    other = filled(tmp_path / "ledger-main.sqlite", 1)
    with pytest.raises(UserError, match="entry 0 is not the signed one"):
        check_statement(other, statement)


def test_statements_that_are_removed_moved_changed_or_anothers_are_found(spent: Path, tmp_path: Path) -> None:
    key = spent.with_name("signing-key.pem")
    for _ in range(3):
        filled(spent, 1)
        sign(spent, key)
    file = statements.file_of(key)
    assert file.stat().st_mode & 0o777 == 0o600
    lines = file.read_text().splitlines()
    changed = lines[1].replace('"plays":6', '"plays":7')
    assert changed != lines[1]
    for kept, says in (
        (lines[1:], "statement 1 does not follow"),
        ([lines[0], lines[2]], "statement 2 does not follow"),
        ([lines[1], lines[0], lines[2]], "statement 1 does not follow"),
        ([lines[0], changed, lines[2]], "statement 2: the signed statement is not what its key signed"),
        ([lines[0], "[", lines[2]], "statement 2 cannot be read"),
    ):
        file.write_text("".join(f"{line}\n" for line in kept))
        done = run("verify", "--ledger", spent)
        assert done.exit_code != 0 and says in done.output
        with pytest.raises(UserError, match=says.split(":")[0]):
            sign(spent, key)
    file.write_text("\n".join(lines) + "\n")
    assert run("verify", "--ledger", spent).exit_code == 0


def test_a_signature_by_another_key_is_said(spent: Path, tmp_path: Path) -> None:
    own = sign(spent, spent.with_name("signing-key.pem"))
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(sign(spent, tmp_path / "thief.pem")))
    good, public = tmp_path / "good.json", tmp_path / "operator.pub"
    good.write_text(json.dumps(own))
    public.write_text(own["public_key"] + "\n")
    words = ("verify", "--ledger", spent, "--signed")
    assert run(*words, good).exit_code == 0
    assert "by another key" in run(*words, forged).output
    away = tmp_path / "away" / spent.name
    away.parent.mkdir()
    shutil.copyfile(spent, away)
    words = ("verify", "--ledger", away, "--signed")
    assert "whose key that is was not checked" in run(*words, forged).stdout
    assert "was not checked" not in run(*words, good, "--public-key", public).stdout
    assert "by another key" in run(*words, forged, "--public-key", public).output
    kept = ("--statements", statements.file_of(tmp_path / "thief.pem"))
    assert run("verify", "--ledger", away, *kept).exit_code == 0
    assert "by another key" in run("verify", "--ledger", away, *kept, "--public-key", public).output
    wrong = tmp_path / "wrong.pub"
    wrong.write_text("no key")
    assert "not a public key" in run(*words, good, "--public-key", wrong).output
    pem = Ed25519PrivateKey.generate().public_key()
    assert len(base64.b64decode(own["public_key"])) == len(pem.public_bytes_raw())


def test_a_ledger_that_is_written_on_while_its_chain_is_followed_was_not_cut_off(spent: Path) -> None:
    """A chain of months takes longer to follow than a play."""
    book = Ledger(spent, STATION, "main")
    with proving(spent) as (db, verdict):
        assert play(book)
        assert MarkFile(spent).read().entries > verdict.entries  # type: ignore[union-attr]
        assert outside.problem(db, STATION.name, "main") == ""
    book.close()


def test_the_mark_only_grows_and_a_torn_record_leaves_the_one_before(spent: Path) -> None:
    marks = MarkFile(spent)
    newest = marks.read()
    assert newest and newest.entries == 8
    data = bytearray(marks.path.read_bytes())
    half = max((0, 256), key=lambda at: int(data[at : at + 256].split()[1]))
    data[half : half + 40] = b"x" * 40
    marks.path.write_bytes(bytes(data))
    torn = marks.read()
    assert torn and torn.ledger == newest.ledger and torn.entries <= 8
    book = Ledger(spent, STATION, "main")
    assert book.accepts_paid
    book.close()
    assert marks.read() == newest


def test_a_kill_leaves_a_mark_that_lags_and_never_leads(path: Path) -> None:
    """The commit comes first: a mark of an older entry is no contradiction."""
    filled(path, 1)
    marks = MarkFile(path)
    old = marks.path.read_bytes()
    filled(path, 3)
    marks.path.write_bytes(old)
    book = Ledger(path, STATION, "main")
    assert book.accepts_paid and play(book)
    book.close()
    now = marks.read()
    assert now and now.entries == sound(path).entries == 10


def test_an_old_ledger_is_told_to_be_without_identity(path: Path) -> None:
    path.parent.mkdir()
    shutil.copyfile(Path(__file__).parents[1] / "data" / "ledger-v1.sqlite", path)
    assert "without identity" in run("verify", "--ledger", path).stdout
    filled(path, 1)
    assert "without identity" in run("verify", "--ledger", path).stdout
    mark = MarkFile(path).read()
    assert mark == Mark("-", 28, sound(path).head)


def test_it_is_said_that_no_hash_covers_the_audience(spent: Path) -> None:
    assert "no hash covers its counts of the audience" in run("verify", "--ledger", spent).stdout


@pytest.mark.parametrize("what", ["fifo", "link", "folder", "noise", "huge"])
def test_a_mark_that_is_none_is_said_in_one_line_and_holds_nobody_up(spent: Path, what: str) -> None:
    mark = MarkFile(spent).path
    mark.unlink()
    if what == "fifo":
        os.mkfifo(mark)
    elif what == "link":
        mark.symlink_to("/dev/zero")
    elif what == "folder":
        mark.mkdir()
    else:
        mark.write_bytes(b"\xff\0 x" * 3 if what == "noise" else b"a 99999999999 b c\n" * 10_000)
    done = run("verify", "--ledger", spent)
    book = Ledger(spent, STATION, "main")
    if what in ("noise", "huge"):
        assert done.exit_code == 0 and book.accepts_paid
    else:
        assert done.exit_code == 2 and "its mark ledger-main.mark cannot be read" in done.output
        assert "cannot be read" in book.problem and play(book) is None
    book.close()
