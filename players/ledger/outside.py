"""Marks of ledgers outside their files, by which a ledger that was rolled back, swapped or rewritten is found.

The mark is a small file beside the ledger. It names the newest entry of the chain that the player is sure of, and only
grows. It is written after a commit, so that after a crash it may lag behind the ledger and is never ahead of it.
"""

import os
import sqlite3
import stat
import zlib
from pathlib import Path

from msgspec import Struct

from pipeline.private import NotPrivateError, open_file
from pipeline.system import plain
from players.ledger.entries import ChainEnd, Identity, hash_of
from players.ledger.values import read_texts, text_of

_RECORD_BYTES = 256
"""Size of one record. Two take turns, so that one is whole at any moment."""


class Mark(Struct, frozen=True):
    """Newest entry of a ledger that is known outside it."""

    ledger: str
    """Random name of the ledger; `-` for one without identity."""
    entries: int
    head: str

    @staticmethod
    def of(db: sqlite3.Connection) -> "Mark":
        """Return the mark of a ledger's own file as it is now. ValueError: its identity is unsound."""
        identity, end = Identity.of(db), ChainEnd.of(db)
        return Mark(identity.ledger if identity else "-", end.seq, end.hash)


class MarkFile:
    """File of the mark of one ledger."""

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_suffix(".mark")
        self._written = 0

    def data(self) -> bytes:
        """Return what the file holds, empty where there is none. sqlite3.DatabaseError: it cannot be read."""
        try:
            return read_plain(self.path)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise sqlite3.DatabaseError(f"its mark {self.path.name} cannot be read: {plain(error)}") from None

    def read(self) -> Mark | None:
        """Return the mark; None where there is none. sqlite3.DatabaseError: it cannot be read."""
        data = self.data()
        records = [_record(data[:_RECORD_BYTES]), _record(data[_RECORD_BYTES:])]
        return max((mark for mark in records if mark), key=lambda mark: mark.entries, default=None)

    def write(self, mark: Mark, *, durable: bool = False) -> None:
        """Write the mark over the older of the two records; on the disk at once if `durable`. Raises OSError."""
        text = f"{mark.ledger} {mark.entries} {mark.head}"
        line = f"{text} {zlib.crc32(text.encode()):08x}".ljust(_RECORD_BYTES - 1) + "\n"
        descriptor = open_file(self.path)
        try:
            os.pwrite(descriptor, line.encode(), self._written % 2 * _RECORD_BYTES)
            self._written += 1
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def put_away(self, ending: str) -> Path | None:
        """Rename the file, which is evidence and stays; return its new name, None where there is none."""
        if not self.path.exists():
            return None
        return self.path.replace(self.path.with_name(f"{self.path.name}.{ending}"))


def read_plain(path: Path) -> bytes:
    """Return what a plain file holds, whoever owns it; links, pipes and devices are refused. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPrivateError("it is no plain file", path)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def contradiction(db: sqlite3.Connection, mark: Mark) -> str:
    """Return how a ledger's own file contradicts a mark of it; empty where it goes on from the mark."""
    now = Mark.of(db)
    if now.ledger != mark.ledger:
        return "it is another ledger than the one kept here before"
    if now.entries < mark.entries:
        return f"it ends at entry {now.entries}, but had {mark.entries}: it was rolled back or cut off"
    if hash_of(db, mark.entries) != mark.head:
        return f"entry {mark.entries} is not the one that was recorded: it was rewritten"
    return ""


def problem(db: sqlite3.Connection, station: str = "", screen: str = "") -> str:
    """Return why a ledger's own file cannot be the one that the player left; empty if it can.

    It must go on from the mark beside it. Without a mark it must be the ledger of `station` and `screen`, if given. A
    station that changed its name goes on with its ledger, as the mark shows.
    """
    (_, _, file), *_ = db.execute("PRAGMA database_list")
    mark = MarkFile(Path(file)).read()
    if mark:
        return contradiction(db, mark)
    whose = owner(db)
    if not station or whose in (None, (station, screen)):
        return ""
    return f"it is the ledger of station {whose[0]!r}, screen {whose[1]!r}"


def owner(db: sqlite3.Connection) -> tuple[str, str] | None:
    """Return the station and screen of a ledger's own file: those of its identity, or else of its first play."""
    identity = Identity.of(db)
    if identity:
        return identity.station, identity.screen
    found = db.execute("SELECT station, screen FROM main.plays ORDER BY started_seq LIMIT 1").fetchone()
    if found is None:
        return None
    texts = read_texts(db)
    return text_of(found[0], texts), text_of(found[1], texts)


def _record(data: bytes) -> Mark | None:
    """Return the mark of a record; None where it is not whole."""
    try:
        text, _, check = data.decode("ascii").strip().rpartition(" ")
        ledger, entries, head = text.split(" ")
        return Mark(ledger, int(entries), head) if int(check, 16) == zlib.crc32(text.encode()) else None
    except ValueError:
        return None
