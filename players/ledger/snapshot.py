"""Ledgers as one database for reading, proven first; the players that write them go on undisturbed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from pipeline.errors import UserError
from players.ledger import outside, statements
from players.ledger.billing import code_of_words
from players.ledger.chain import follow
from players.ledger.copies import copied
from players.ledger.paths import screen_of
from players.ledger.schema import AUDIENCE, FIRST_HASH, SCHEMAS, column_types
from players.ledger.statements import Statement
from players.ledger.values import read_texts, text_of, unpack_eligible


@contextmanager
def reading(paths: list[Path], *, station: str = "", proven: bool = True) -> Iterator[sqlite3.Connection]:
    """Open copies of ledgers as one database of the newest schema, with sqlite3.Row for rows.

    The chain of each copy is followed first, and what is read is that very copy, unless it need not be `proven`. That
    takes about 50 us a play. `plays` and the tables of AUDIENCE hold the rows of all of them; `plays.ledger` is the
    number of a row's ledger, `ledgers` has the problems that the files beside them tell. With `station` they must be
    the ledgers of its screens, after which their files are named. Raises UserError where there is no ledger, one
    cannot be read, its chain is broken, or two hold the same play.
    """
    signed = [statements.kept(path) for path in paths] if proven else []
    with copied(paths) as copies:
        problems = [_proven(*each, station) for each in zip(paths, copies, signed, strict=True)] if proven else []
        place = copies[0] if len(copies) == 1 else copies[0].parent.parent / "all"
        db = sqlite3.connect(place, isolation_level=None)
        try:
            if len(copies) > 1:
                _join(db, copies)
            else:
                _prepare_values(db, "main")
                db.execute(f"CREATE TEMP VIEW plays AS {_plays('main', 0)}")
            db.execute("CREATE TEMP TABLE ledgers (problem TEXT NOT NULL)")
            db.executemany("INSERT INTO ledgers VALUES (?)", [(problem,) for problem in problems if problem])
            db.row_factory = sqlite3.Row
            yield db
        finally:
            db.close()


def _proven(path: Path, copy: Path, signed: list[Statement] | UserError, station: str) -> str:
    """Return what the files beside a ledger say against it, empty if nothing. UserError: its chain is broken."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        verdict = follow(db)
        if verdict.problem:
            raise UserError(f"{path}: not a sound ledger: {verdict.problem}; put back a backup")
        screen = screen_of(path)
        problem = outside.problem(db, station, screen) or statements.problem(db, signed)
    return f"{path.name}: {problem}" if problem else ""


def _join(db: sqlite3.Connection, ledgers: list[Path]) -> None:
    """Put the tables of all ledgers into one file; a play in two of them would be billed twice."""
    for number, ledger in enumerate(ledgers):
        db.execute("ATTACH ? AS one", (str(ledger),))
        _prepare_values(db, "one")
        selects = {name: f"SELECT {', '.join(columns)} FROM one.{name}" for name, columns in AUDIENCE.items()}  # noqa: S608
        for table, select in {"plays": _plays("one", number), **selects}.items():
            db.execute(f"INSERT INTO {table} {select}" if number else f"CREATE TABLE {table} AS {select}")
        db.execute("DETACH one")
    twice = db.execute("SELECT play_id FROM plays GROUP BY play_id HAVING COUNT(*) > 1").fetchone()
    if twice:
        raise UserError(f"play {twice[0]} is in two of the ledgers; name each ledger once")


def _prepare_values(db: sqlite3.Connection, of: str) -> None:
    """Define the functions by which `_plays` reads values, for one of the connection's databases."""
    texts = read_texts(db, of)

    def eligible_json(data: bytes | None) -> str | None:
        return None if data is None else msgspec.json.encode(unpack_eligible(data, texts)).decode()

    db.create_function("eligible_json", 1, eligible_json)
    db.create_function("text_of", 1, lambda value: text_of(value, texts))
    db.create_function("code_of_words", 1, code_of_words)


def _plays(of: str, ledger: int) -> str:
    """Return a query of all plays of one of a connection's databases, with their values as they are exported.

    Texts and hashes are whole, and `eligible` is JSON. The hash before an entry is that of the entry before it.
    Plays of schema 1, which have only the words of their bill, get its code. Until schema 4 the price is the cost.
    """
    query = {name: name for name in column_types()}
    for schema in SCHEMAS.values():
        query |= {
            name: f"CASE typeof({name}) WHEN 'blob' THEN lower(hex({name})) ELSE {name} END" for name in schema.as_bytes
        }
        query |= {name: f"text_of({name})" for name in schema.as_number}
    query["context"] = "context"
    for seq, name in (("started_seq", "started_prev_hash"), ("ended_seq", "prev_hash")):
        started = f"SELECT {query['started_hash']} FROM {of}.plays WHERE started_seq = this.{seq} - 1"  # noqa: S608
        ended = f"SELECT {query['hash']} FROM {of}.plays WHERE ended_seq = this.{seq} - 1"  # noqa: S608
        first = f"COALESCE((SELECT hash FROM {of}.identity), '{FIRST_HASH}')"  # noqa: S608
        query[name] = f"COALESCE(NULLIF({name}, ''), ({started}), ({ended}), CASE {seq} WHEN 1 THEN {first} END)"
    query["eligible"] = "eligible_json(eligible)"
    query["ledger"] = str(ledger)
    query["cost_micro"] = "COALESCE(cost_micro, CASE billable WHEN 1 THEN price_micro WHEN 0 THEN 0 END)"
    query["bill_code"] = "COALESCE(bill_code, code_of_words(bill_reason))"
    return f"SELECT {', '.join(f'{value} AS {name}' for name, value in query.items())} FROM {of}.plays AS this"  # noqa: S608
