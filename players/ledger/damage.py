"""Ledgers that are damaged: recognised, kept aside, and never taken for new ones."""

import os
import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path

from pipeline.medium import content_of
from pipeline.private import NotPrivateError, open_file
from pipeline.system import plain
from players.ledger import clock, outside
from players.ledger.entries import Identity
from players.ledger.schema import migrate

_MAGIC = b"SQLite format 3\0"
_WORDS = {
    sqlite3.SQLITE_NOTADB: "it is no ledger; name a ledger, or put back a backup",
    sqlite3.SQLITE_CORRUPT: "a part of it is damaged; put back a backup",
    sqlite3.SQLITE_BUSY: "another program has it open; end that one",
    sqlite3.SQLITE_LOCKED: "another program has it open; end that one",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; see whether its folder is there and may be written",
    sqlite3.SQLITE_READONLY: "this user may not write it; change its owner or its rights (chown, chmod)",
    sqlite3.SQLITE_PERM: "this user may not touch it; change its owner or its rights (chown, chmod)",
    sqlite3.SQLITE_FULL: "there is no room left on the disk; make room",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it; look at the disk",
    sqlite3.SQLITE_TOOBIG: "a value in it is too large; put back a backup",
    sqlite3.SQLITE_ERROR: "it has not the tables of a ledger; name a ledger, or put back a backup",
}
"""Meanings of the errors of SQLite, and the remedy of each."""
_BESIDE = ("", "-wal", "-journal")
"""Endings of the files that SQLite keeps for one database."""


def damage(path: Path) -> str:
    """Return what is wrong with a ledger's file, empty where nothing is to be seen or there is none. Raises OSError.

    A ledger is made under another name and then renamed, so that no file of the program's own is ever empty.
    """
    log = path.with_name(path.name + "-wal")
    has_log = log.exists() and log.stat().st_size > 0
    if not path.exists():
        return "only its log is there" if has_log else ""
    size_bytes = path.stat().st_size
    head = content_of(path, 100)
    if not head:
        return "it is empty"
    if len(head) < 100:
        return f"it is cut off after {len(head)} bytes"
    if not head.startswith(_MAGIC):
        return ""  # no ledger at all: SQLite refuses it, and it is left alone
    page_bytes = int.from_bytes(head[16:18], "big")
    said_bytes = int.from_bytes(head[28:32], "big") * (65536 if page_bytes == 1 else page_bytes)
    # Where there is a log, a copy of it into the file may have been interrupted, which SQLite goes on with.
    return f"it is cut off after {size_bytes} of {said_bytes} bytes" if size_bytes < said_bytes and not has_log else ""


def in_words(error: Exception) -> str:
    """Return what an error of SQLite, or of a value in a ledger, means, and the remedy, in plain words."""
    if isinstance(error, NotPrivateError):
        return f"{error.filename}: {error.strerror}; move it away, or set station.state_dir"
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.Error):  # of our own, in our own words
        return str(error)
    if code is None:
        return plain(error) if isinstance(error, OSError) else "a value in it is none of a ledger's; put back a backup"
    return _WORDS.get(code & 0xFF, f"it cannot be read or written (SQLite says {code}); look at the disk")


def begin(path: Path, station: str = "", screen: str = "") -> None:
    """Make a new ledger, which appears whole at its place. Raises OSError and sqlite3.Error.

    Its first entry names the station and the screen; without a station it has none.
    """
    new = path.with_name(path.name + ".new")
    for ending in _BESIDE:
        new.with_name(new.name + ending).unlink(missing_ok=True)
    os.close(open_file(new))
    db = sqlite3.connect(new, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = OFF")  # it is synchronised once, whole
        db.execute("PRAGMA journal_mode = MEMORY")
        migrate(db)
        if station:
            Identity(uuid.uuid4().hex, station, screen, clock.utc_text(clock.now())).write(db)
    finally:
        db.close()
    _synchronise(new)
    new.replace(path)
    _synchronise(path.parent)


def _synchronise(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def keep_aside(path: Path) -> Path:
    """Rename a damaged ledger, what SQLite kept beside it and the mark of its end, after the time. Raises OSError."""
    when = stamp()
    aside = path.with_name(f"{path.name}.damaged-{when}")
    for ending in _BESIDE:
        file = path.with_name(path.name + ending)
        if file.exists():
            file.replace(aside.with_name(aside.name + ending))
    outside.MarkFile(path).put_away(f"damaged-{when}")
    return aside


def lost(folder: Path, name: str = "ledger-*.sqlite") -> list[Path]:
    """Return the files of damaged ledgers in a folder whose loss nobody has accepted yet."""
    return sorted(folder.glob(f"{name}.damaged-*"))


def loss(path: Path) -> str:
    """Return why paid plays wait after a damage to the ledger at `path`; empty where they do not."""
    files = lost(path.parent, path.name)
    if not files:
        return ""
    return (
        f"{path.name} was damaged and is kept as {files[0].name}: what was spent is not known; put back a backup, "
        "then say `stationcast ledger accept-loss`"
    )


def accept(folder: Path) -> list[Path]:
    """Let paid plays begin again; return the new names of the damaged files, which stay. Raises OSError."""
    return [file.rename(file.with_name(file.name.replace(".damaged-", ".lost-"))) for file in lost(folder)]


def stamp() -> str:
    """Return the time for the name of a file that is kept aside, such as 20260501T081500Z."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
