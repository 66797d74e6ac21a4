"""Copies of ledgers, for reading them while their players write on."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError
from pipeline.system import plain
from players.ledger import outside
from players.ledger.damage import in_words
from players.ledger.schema import migrate

_TRIES = 20


@contextmanager
def copied(paths: list[Path]) -> Iterator[list[Path]]:
    """Give copies of ledgers, brought to the newest schema; errors of SQLite while they are in use are UserError.

    Beside each lies its mark as it was before: the player writes on, and a later one would be ahead of the copy.
    Raises UserError where there is no ledger, or one cannot be read or has not the parts of a ledger. The process
    that holds a ledger open must not call this: reading the file there gives its lock away.
    """
    if not paths:
        raise UserError("there is no ledger yet; let the station play first, or name a file with --ledger")
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        copies = []
        for number, path in enumerate(paths):
            with unsound([path]):
                mark = outside.MarkFile(path).data() if path.is_file() else b""
                copies.append(copy_of(path, Path(folder) / str(number)))
                if mark:
                    outside.MarkFile(copies[-1]).path.write_bytes(mark)
                _update(copies[-1], path)
        with unsound(paths):
            yield copies


@contextmanager
def unsound(paths: list[Path]) -> Iterator[None]:
    """Turn errors of SQLite, and of values that are none of a ledger's, into a UserError that names the ledgers."""
    try:
        yield
    except (sqlite3.DatabaseError, ValueError, TypeError, ArithmeticError) as error:  # a time or price that is none
        names = ", ".join(str(path) for path in paths)
        raise UserError(f"{names}: not a sound ledger: {in_words(error)}") from None


def copy_of(path: Path, folder: Path) -> Path:
    """Copy a ledger, or a file like it, and its log into a new folder, again until neither changed meanwhile."""
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: it is a link that leads nowhere; put the ledger back, or name another")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: it is no plain file, and so no ledger; put the ledger back, or name another")
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


def _state(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_size, info.st_mtime_ns
