"""Copies of ledgers for reading, so that the players that write them go on undisturbed."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError
from players.ledger.schema import AUDIENCE, column_types, migrate

_TRIES = 20


@contextmanager
def reading(paths: list[Path]) -> Iterator[sqlite3.Connection]:
    """Open copies of ledgers as one database of the newest schema, with sqlite3.Row for rows.

    `plays`, `audience_hours` and `audience_groups` hold the rows of all of them. Raises UserError where there is
    no ledger, one cannot be read, or two hold the same play. The process that holds a ledger open must not call this:
    reading the file there gives its lock away.
    """
    if not paths:
        raise UserError("there is no ledger yet; let the station play first, or name a file with --ledger")
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        copies = [_copy(path, Path(folder) / str(number)) for number, path in enumerate(paths)]
        try:
            for copy in copies:
                _update(copy)
            db = sqlite3.connect(copies[0] if len(copies) == 1 else Path(folder) / "all", isolation_level=None)
            try:
                if len(copies) > 1:
                    _join(db, copies)
                db.row_factory = sqlite3.Row
                yield db
            finally:
                db.close()
        except (sqlite3.DatabaseError, ValueError, TypeError, ArithmeticError) as error:  # a time or price that is none
            names = ", ".join(str(path) for path in paths)
            raise UserError(f"{names}: not a sound ledger ({error}); restore it from a backup") from None


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
            raise UserError(f"{path}: cannot be copied to {folder.parent}: {error.strerror}; mend that") from None
        if before == (_state(path), _state(log)):
            return folder / path.name
    raise UserError(f"{path}: it changes too fast to be read; try again")


def _update(copy: Path) -> None:
    """Bring a copy to the newest schema; the ledger itself stays as it is."""
    db = sqlite3.connect(copy, isolation_level=None)
    try:
        if db.execute("PRAGMA user_version").fetchone() == (0,):
            raise sqlite3.DatabaseError("it has no table of plays")
        migrate(db)
    finally:
        db.close()


def _join(db: sqlite3.Connection, ledgers: list[Path]) -> None:
    """Put the tables of all ledgers into one file; a play in two of them would be billed twice."""
    for number, ledger in enumerate(ledgers):
        db.execute("ATTACH ? AS one", (str(ledger),))
        for table, columns in {"plays": column_types(), **AUDIENCE}.items():
            into = f"INSERT INTO {table}" if number else f"CREATE TABLE {table} AS"
            db.execute(f"{into} SELECT {', '.join(columns)} FROM one.{table}")  # noqa: S608
        db.execute("DETACH one")
    twice = db.execute("SELECT play_id FROM plays GROUP BY play_id HAVING COUNT(*) > 1").fetchone()
    if twice:
        raise UserError(f"play {twice[0]} is in two of the ledgers; name each ledger once")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_size, info.st_mtime_ns
