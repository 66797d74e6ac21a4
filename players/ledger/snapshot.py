"""Copies of ledgers for reading, so that the players that write them go on undisturbed."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipeline.errors import UserError
from pipeline.system import plain
from players.ledger.billing import code_of_words
from players.ledger.damage import in_words
from players.ledger.schema import AUDIENCE, FIRST_HASH, SCHEMAS, column_types, migrate
from players.ledger.values import read_texts, text_of, unpack_eligible

_TRIES = 20


@contextmanager
def reading(paths: list[Path]) -> Iterator[sqlite3.Connection]:
    """Open copies of ledgers as one database of the newest schema, with sqlite3.Row for rows.

    `plays` and the tables of AUDIENCE hold the rows of all of them; `plays.ledger` is the number of a row's ledger.
    Raises UserError where there is no ledger, one cannot be read, or two hold the same play. The process that holds a
    ledger open must not call this: reading the file there gives its lock away.
    """
    if not paths:
        raise UserError("there is no ledger yet; let the station play first, or name a file with --ledger")
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        copies = [_copy(path, Path(folder) / str(number)) for number, path in enumerate(paths)]
        try:
            for path, copy in zip(paths, copies, strict=True):
                _update(copy, path)
            db = sqlite3.connect(copies[0] if len(copies) == 1 else Path(folder) / "all", isolation_level=None)
            try:
                if len(copies) > 1:
                    _join(db, copies)
                else:
                    _prepare_values(db, "main")
                    db.execute(f"CREATE TEMP VIEW plays AS {_plays('main', 0)}")
                db.row_factory = sqlite3.Row
                yield db
            finally:
                db.close()
        except (sqlite3.DatabaseError, ValueError, TypeError, ArithmeticError) as error:  # a time or price that is none
            names = ", ".join(str(path) for path in paths)
            raise UserError(f"{names}: not a sound ledger: {in_words(error)}") from None


def _copy(path: Path, folder: Path) -> Path:
    """Copy a ledger and its log, again until neither changed meanwhile."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such ledger; let the station play first")
    folder.mkdir()
    log = path.with_name(path.name + "-wal")
    for _ in range(_TRIES):
        before = _state(path), _state(log)
        try:
            shutil.copyfile(path, folder / path.name)
            (folder / log.name).unlink(missing_ok=True)
            if before[1] is not None:
                shutil.copyfile(log, folder / log.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: cannot be copied to {folder.parent}: {plain(error)}") from None
        if before == (_state(path), _state(log)):
            return folder / path.name
    raise UserError(f"{path}: it changes too fast to be read; try again")


def _update(copy: Path, name: Path) -> None:
    """Bring a copy of the ledger `name` to the newest schema; the ledger itself stays as it is."""
    db = sqlite3.connect(copy, isolation_level=None)
    try:
        if db.execute("PRAGMA user_version").fetchone() == (0,):
            raise UserError(f"{name}: not a sound ledger: it has no plays; name a ledger, or put back a backup")
        migrate(db)
    finally:
        db.close()


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
    Plays of schema 1, which have only the words of their bill, get its code.
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
        query[name] = f"COALESCE(NULLIF({name}, ''), ({started}), ({ended}), CASE {seq} WHEN 1 THEN '{FIRST_HASH}' END)"
    query["eligible"] = "eligible_json(eligible)"
    query["ledger"] = str(ledger)
    query["bill_code"] = "COALESCE(bill_code, code_of_words(bill_reason))"
    return f"SELECT {', '.join(f'{value} AS {name}' for name, value in query.items())} FROM {of}.plays AS this"  # noqa: S608


def _state(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_size, info.st_mtime_ns
