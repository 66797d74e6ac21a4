"""Opening of a ledger by its player: it is the file, and goes on from the entry, that the player left."""

import importlib.metadata
import sqlite3
from pathlib import Path

from pipeline.log import log
from players.ledger import damage, outside
from players.ledger.chain import follow_newest
from players.ledger.schema import migrate, missing_part

FOLLOWED_AT_START = 10_000
"""Largest number of newest entries whose hashes a player follows when it starts, which takes about 0.3 s."""
_REMEDY = (
    "put it back as it was, or say `stationcast ledger accept-loss` to go on with what is there; nothing was changed"
)


def need_file(path: Path, station: str, screen: str) -> None:
    """Keep a damaged file aside, and begin a new one where there is none. Raises OSError and sqlite3.Error.

    Where a ledger with plays is gone, none is begun: what was spent is not known.
    """
    problem = damage.damage(path)
    if problem:
        kept = damage.keep_aside(path)
        log("ledger_damaged", severity="err", file=path, problem=problem, kept=kept)
    if not path.exists():
        marks = outside.MarkFile(path)
        mark = marks.read()
        if mark and mark.entries:
            raise sqlite3.DatabaseError(f"it is gone, and had {mark.entries} entries: {_REMEDY}")
        marks.put_away(f"unused-{damage.stamp()}")
        damage.begin(path, station, screen)
        log("ledger_begun", severity="notice", file=path, effect="nothing counts as spent yet")


def prepare(db: sqlite3.Connection, path: Path, station: str, screen: str) -> str:
    """Make a connection the exclusive owner of a ledger of the newest schema; return the ledger's random name.

    Raises sqlite3.DatabaseError where the file is not the ledger that the player left, or its newest entries are not
    what was hashed.
    """
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("PRAGMA journal_size_limit = 4194304")
    migrate(db)
    now, before = outside.Mark.of(db), outside.MarkFile(path).read()
    strange = outside.problem(db, station, screen)
    if strange:
        raise sqlite3.DatabaseError(f"{strange}; {_REMEDY}")
    broken = follow_newest(db, now.entries, FOLLOWED_AT_START) or missing_part(db)
    if broken:
        raise sqlite3.DatabaseError(f"it is not as it was written: {broken}; put back a backup")
    if before is None and now.entries:
        log("ledger_mark_begun", severity="warning", file=path, effect="whether it was rolled back is not known")
    return now.ledger


def inode(path: Path) -> int:
    """Return the inode of the file that lies there; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def app_version() -> str:
    """Return the version of this program."""
    try:
        return importlib.metadata.version("stationcast")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
