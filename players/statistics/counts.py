"""The file of counts: who came, how long, who looked, by minute, place, gender and decade. It names nobody.

The statistics process alone writes it. A minute is merged into five minutes, an hour and a day as it grows old.
"""

import os
import sqlite3
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct, field, structs

from pipeline.log import log
from pipeline.private import open_file, own_folder, secure_file
from pipeline.settings import StationTable, Statistics
from pipeline.state import state_dir
from players.ledger import damage
from players.statistics.times import DAY_S, LENGTHS_S, MINUTE_S, begin_s, month_begins_s

MEASURES = ("visits", "ots", "watchers", "watchers_2s", "presence_ms", "dwell_ms", "attention_ms")
"""Numbers of a cell. All but `presence_ms` are of the stays that began in its time; `presence_ms` was spent in it."""
SCHEMA = 1
_BASIS = ("station", "mode", "place", "camera", "screens", "model_sha256", "angles_deg", "zone_sha256")
_BESIDE = ("", "-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps for one database."""
_TABLES = (
    f"CREATE TABLE bases (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT NOT NULL' for name in _BASIS)}, "
    f"UNIQUE ({', '.join(_BASIS)}))",
    "CREATE TABLE counts (length_s INTEGER, begins_s INTEGER, basis INTEGER, gender INTEGER, decade INTEGER, "
    f"{', '.join(f'{name} INTEGER NOT NULL' for name in MEASURES)}, "
    "PRIMARY KEY (length_s, begins_s, basis, gender, decade)) WITHOUT ROWID",
    "CREATE TABLE measured (length_s INTEGER, begins_s INTEGER, basis INTEGER, measured_ms INTEGER NOT NULL, "
    "most_at_once INTEGER NOT NULL, PRIMARY KEY (length_s, begins_s, basis)) WITHOUT ROWID",
    "CREATE TABLE counted (boot TEXT NOT NULL, until_ns INTEGER NOT NULL)",
)
_BASIS_NUMBER = f"SELECT id FROM bases WHERE {' AND '.join(f'{name} = ?' for name in _BASIS)}"  # noqa: S608
_ADD_BASIS = f"INSERT OR IGNORE INTO bases ({', '.join(_BASIS)}) VALUES ({', '.join('?' * len(_BASIS))})"  # noqa: S608
_ADD_COUNTS = (
    f"INSERT INTO counts VALUES ({', '.join('?' * (5 + len(MEASURES)))}) "  # noqa: S608
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in MEASURES)}"
)
_ADD_MEASURED = (
    "INSERT INTO measured VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "measured_ms = measured_ms + excluded.measured_ms, most_at_once = MAX(most_at_once, excluded.most_at_once)"
)


class Basis(Struct, frozen=True, kw_only=True):
    """Grounds of a figure. Figures of two of these are never added up in the file."""

    station: str
    mode: str
    place: str
    """Camera, or overlap group of cameras, where people are counted once."""
    camera: str
    """Camera that counted: itself, or the one of the group that saw most."""
    screens: str = ""
    """Names of the screens that the camera faces, with commas."""
    model_sha256: str = ""
    """Hash of the classifier's model; empty where nobody is classified."""
    angles_deg: str = ""
    """Direction and size of the screen as seen from the cameras of the place (players/audience/basis.py)."""
    zone_sha256: str = ""
    """First 16 digits of the hashes of the zones of the cameras of the place; empty for the whole picture."""


Cell = tuple[int, Basis, int, int]
"""Minute (UTC epoch, s), basis, and gender and decade as indices of GENDERS and DECADES (unknown last)."""


class Pending(Struct):
    """Numbers that are not in the file yet."""

    counts: dict[Cell, list[int]] = field(default_factory=dict)
    """Numbers of MEASURES by cell; one may be negative, where an answer came later."""
    measured: dict[tuple[int, Basis], list[int]] = field(default_factory=dict)
    """Time measured (ns) and most people at once, by minute and basis."""

    def add(self, cell: Cell, numbers: list[int]) -> None:
        """Add numbers of MEASURES to a cell."""
        known = self.counts.get(cell)
        self.counts[cell] = list(numbers) if known is None else [a + b for a, b in zip(known, numbers, strict=True)]

    def add_measured(self, minute_s: int, basis: Basis, measured_ns: int, people: int) -> None:
        """Add time in which so many people were there at most."""
        known = self.measured.setdefault((minute_s, basis), [0, 0])
        known[0] += measured_ns
        known[1] = max(known[1], people)


def counts_path(station: StationTable, folder: Path) -> Path:
    """Return the path of a station's file of counts; `folder` is the station file's."""
    return state_dir(station, folder) / "audience.sqlite"


def make_tables(db: sqlite3.Connection) -> None:
    """Make the tables in an empty database. sqlite3.DatabaseError: a newer version of the program made it."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise sqlite3.DatabaseError(f"it was written by a newer version (schema {version}); install that version")
    if version < SCHEMA:
        db.execute("BEGIN EXCLUSIVE")
        for table in _TABLES:
            db.execute(table)
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")


class CountsFile:
    """The open file. Errors of the disk are raised as OSError and sqlite3.Error; nothing is lost by them."""

    def __init__(self, path: Path, zone: ZoneInfo, keep: Statistics) -> None:
        """Open the file, or begin one. A damaged one is kept aside."""
        self._zone, self._keep = zone, keep
        self._bases: dict[Basis, int] = {}
        self._merged_s = 0
        self._path = path
        own_folder(path.parent)
        for ending in _BESIDE:
            secure_file(path.with_name(path.name + ending))
        problem = damage.damage(path)
        if problem and path.exists() and path.stat().st_size:
            _keep_aside(path, problem)
        try:
            self._db, self.newest_s = _opened(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _keep_aside(path, damage.in_words(error))
            self._db, self.newest_s = _opened(path)
        self._inode = path.stat().st_ino

    @property
    def is_there(self) -> bool:
        """True while the file lies at its place."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def counted_until_ns(self, boot: str) -> int:
        """Return the monotonic time until which everybody is counted, of this boot of the machine; else 0."""
        row = self._db.execute("SELECT until_ns FROM counted WHERE boot = ?", (boot,)).fetchone()
        return int(row[0]) if row and boot else 0

    def write(self, pending: Pending, boot: str, until_ns: int, now_s: int) -> None:
        """Add the numbers and merge what is old at `now_s` (UTC epoch), in one durable transaction."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for (minute_s, basis, gender, decade), numbers in pending.counts.items():
                if any(numbers):
                    row = (MINUTE_S, minute_s, self._number(basis), gender, decade, *numbers)
                    self._db.execute(_ADD_COUNTS, row)
            for (minute_s, basis), (measured_ns, people) in pending.measured.items():
                row = (MINUTE_S, minute_s, self._number(basis), measured_ns // 1_000_000, people)
                self._db.execute(_ADD_MEASURED, row)
            self._db.execute("DELETE FROM counted")
            self._db.execute("INSERT INTO counted VALUES (?, ?)", (boot, until_ns))
            if now_s // 600 != self._merged_s // 600:
                merge(self._db, now_s, self._zone, self._keep)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._bases.clear()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._merged_s = now_s

    def today(self, now_s: int) -> tuple[int, int]:
        """Return how many people have come today, by the station's clocks, and how many of them watched."""
        since_s = begin_s(now_s, DAY_S, self._zone)
        query = "SELECT COALESCE(SUM(visits), 0), COALESCE(SUM(watchers), 0) FROM counts WHERE begins_s BETWEEN ? AND ?"
        people, watchers = self._db.execute(query, (since_s, now_s)).fetchone()
        return int(people), int(watchers)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put_aside(self, problem: str) -> None:
        """Close the file, in which a part is damaged, and keep it aside. Raises OSError."""
        self._db.close()
        _keep_aside(self._path, problem)

    def _number(self, basis: Basis) -> int:
        if basis not in self._bases:
            values = structs.astuple(basis)
            self._db.execute(_ADD_BASIS, values)
            (self._bases[basis],) = self._db.execute(_BASIS_NUMBER, values).fetchone()
        return self._bases[basis]


def merge(db: sqlite3.Connection, now_s: int, zone: ZoneInfo, keep: Statistics) -> None:
    """Merge periods into longer ones, and forget days, that are older than they are kept; in a transaction.

    Hours are merged, and days forgotten, by whole months, as reports tell each month for itself. One that lost its
    hours day by day would be told anew each day. The differences would tell what each report hides.
    """
    kept_days = (keep.minute_days, keep.five_minute_days, keep.hour_days, keep.day_days)
    for i, (length_s, days) in enumerate(zip(LENGTHS_S, kept_days, strict=True)):
        longer_s = LENGTHS_S[i + 1] if i + 1 < len(LENGTHS_S) else 0
        kept_s = now_s - days * DAY_S
        before_s = begin_s(kept_s, longer_s, zone) if 0 < longer_s < DAY_S else month_begins_s(kept_s, zone)
        for table, add in (("counts", _ADD_COUNTS), ("measured", _ADD_MEASURED)):
            old = f"FROM {table} WHERE length_s = {length_s} AND begins_s < {before_s}"
            for row in db.execute(f"SELECT * {old}").fetchall() if longer_s else ():
                db.execute(add, (longer_s, begin_s(row[1], longer_s, zone), *row[2:]))
            db.execute(f"DELETE {old}")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file, or a part of it, is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _opened(path: Path) -> tuple[sqlite3.Connection, int | None]:
    """Return the exclusive connection to the file, and when its newest period begins (UTC epoch); None without one.

    The file is made where it is missing.
    """
    os.close(open_file(path))
    db = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA journal_size_limit = 4194304")
        make_tables(db)
        (newest_s,) = db.execute("SELECT MAX(begins_s) FROM measured").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db, newest_s


def _keep_aside(path: Path, problem: str) -> None:
    """Rename a damaged file and its log after the time."""
    aside = path.with_name(f"{path.name}.damaged-{damage.stamp()}")
    for ending in _BESIDE:
        file = path.with_name(path.name + ending)
        if file.exists():
            file.replace(aside.with_name(aside.name + ending))
    log("statistics_damaged", severity="err", file=path, problem=problem, kept=aside)
