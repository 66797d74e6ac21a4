"""Proof of play: one row a play, committed `started` before its first flip and `ended` after its last.

One SQLite file a screen, with one exclusive connection. Both commits of a row are links of one sha256 chain: `started`
covers what was promised, `ended` covers that link and what came of it, and an ended row never changes again.
"""

import ctypes
import importlib.metadata
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
from msgspec import Struct, field

from pipeline.log import log, skip
from pipeline.settings import StationTable
from players.ads.lines import Line, micro
from players.audience.present import Present
from players.choice.choose import Decision
from players.choice.history import HOUR_NS, History, LastPlay
from players.ledger.exposure import AudienceCount, Shown
from players.ledger.schema import (
    ENDED,
    FIRST_HASH,
    OPENOOH_TAXONOMY,
    SCHEMA,
    SCHEMA_SQL,
    STARTED,
    as_stored,
    head,
    link_hash,
)

ADS_TOLD, OTHER_ADS = 200, "(others)"
"""Of how many ads the totals tell the plays, and what the rest is called: what a process says of itself is limited."""
BALLAST_BYTES = 16 << 20
RETRY_S = 5.0
PLAYS_A_DAY = 86_400
DAY_NS = 24 * HOUR_NS
AUDIENCE_NS = 60_000_000_000
"""Counts of the audience wait no longer than this for a play to be written with."""


class _Open(Struct):
    """A play in progress."""

    line: Line
    price_micro: int
    planned_ms: int
    started_mono_ns: int
    started_hash: str


class _Totals(Struct):
    """Plays since a time, kept up to date."""

    total: int = 0
    billable: int = 0
    by_ad: Counter[str] = field(default_factory=Counter)


def ledger_path(station: StationTable, screen: str, folder: Path) -> Path:
    """Where the ledger of a screen lies; `folder` is the station file's. One a screen: each has one exclusive owner."""
    return state_dir(station, folder) / f"ledger-{screen}.sqlite"


def state_dir(station: StationTable, folder: Path) -> Path:
    """`station.state_dir`, else a folder of the station's in the user's data directory."""
    if station.state_dir:
        return folder / Path(station.state_dir).expanduser()
    return Path(platformdirs.user_data_dir("stationcast")) / station.name


class Ledger:
    """The plays of one screen. Thread-safe. Trouble with the disk never raises: while `accepts_paid` is false, house
    ads go on (recorded as long as the 16 MB that were kept back for this last), and it heals when space returns."""

    def __init__(self, path: Path, station: StationTable, screen: str, min_presented: float = 0.75) -> None:
        self.path = path
        self.history = History()
        self._station = station
        self._screen = screen
        self._min_presented = min_presented
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._open: dict[str, _Open] = {}
        self._pending: list[tuple[str, _Open, dict[str, Any]]] = []
        self._audience = AudienceCount()
        self._audience_due_ns = 0
        self._totals: dict[int, _Totals] = {}
        self._ballast = path.with_suffix(".ballast")
        self._inode = 0
        self._problem = ""
        self._broken = False
        self._retry_at_s = 0.0
        self._seq, self._head = 0, FIRST_HASH
        self._synced = 0
        self._version = _app_version()
        self._connect()

    @property
    def accepts_paid(self) -> bool:
        """Whether a paid play can be recorded; without that none may be shown. Tries to heal what is not well."""
        if self._problem:
            with self._lock:
                self._heal()
        return not self._problem

    def start(self, decision: Decision, *, planned_ms: int, model_sha256: str = "") -> str | None:
        """Commit that a play begins, before its first flip; its id, or None where that cannot be recorded.

        Without an id a paid ad must not be shown; a house ad may. A paid play that would overspend gets None too.
        """
        with self._lock:
            self._heal()
            line, price_micro = decision.line, micro(decision.price)
            if not line.house and not self._affordable(line, price_micro):
                return None
            play_id, mono_ns = uuid.uuid4().hex, time.monotonic_ns()
            row = {
                "play_id": play_id,
                "schema": SCHEMA,
                "station": self._station.name,
                "screen": self._screen,
                "venue_type": self._station.venue_type,
                "venue_taxonomy": OPENOOH_TAXONOMY,
                "lat": self._station.lat,
                "lon": self._station.lon,
                "advertiser": line.advertiser,
                "campaign": line.campaign,
                "line": line.id,
                "creative": decision.creative.id,
                "creative_sha256": decision.creative.sha256,
                "decision_id": decision.decision_id,
                "policy": decision.policy,
                "propensity": decision.propensity,
                "trigger": decision.trigger,
                "target": decision.target,
                "reason": decision.reason,
                "started_utc": _utc(),
                "started_mono_ns": mono_ns,
                "clock_synced": _clock_synced(),
                "time_zone": self._station.timezone,
                "planned_ms": planned_ms,
                "price_micro": price_micro,
                "currency": line.currency,
                "model_sha256": model_sha256,
                "app_version": self._version,
            }
            if not self._commit(lambda db: self._insert(db, row)):
                skip("play_not_recorded", creative=decision.creative.id, problem=self._problem)
                return None
            self.history.started(line, decision.creative.id, price_micro, mono_ns)
            self._open[play_id] = _Open(line, price_micro, planned_ms, mono_ns, self._head)
            for counts in self._totals.values():
                counts.total += 1
                counts.by_ad[decision.creative.id] += 1
            return play_id

    def end(self, play_id: str, shown: Shown) -> None:
        """Commit what came of a play. Where the disk is full it is kept in memory and tried again."""
        with self._lock:
            play = self._open.pop(play_id)
            mono_ns, exposure = time.monotonic_ns(), shown.exposure
            why_stopped = shown.stop_reason.encode("utf-8", "backslashreplace").decode()  # may name a file in bytes
            shown = msgspec.structs.replace(shown, stop_reason=why_stopped)
            shown_ms = (mono_ns - play.started_mono_ns) // 1_000_000 if shown.shown_ms is None else shown.shown_ms
            billable, why = self._bill(play, shown, shown_ms)
            row = {
                "matched_watchers": 0 if play.line.house else exposure.matched_watchers,
                "watchers": exposure.watchers,
                "watchers_2s": None,
                "attention_ms": None,
                "person_ms": exposure.person_ms,
                "ots": exposure.ots,
                "qty_multiplier": float(exposure.ots),
                "ended_utc": _utc(),
                "ended_mono_ns": mono_ns,
                "shown_ms": shown_ms,
                "frames_expected": shown.frames_expected,
                "frames_presented": shown.frames_presented,
                "status": shown.status,
                "stop_reason": shown.stop_reason,
                "billable": int(billable),
                "bill_reason": why,
            }
            self._pending.append((play_id, play, row))
            for counts in self._totals.values():
                counts.billable += billable
            if not billable:
                self.history.commit(play.line.id, -play.price_micro)
            self._commit(lambda db: None)

    def measure(self, present: Present, mono_ns: int) -> None:
        """Count who is there (numbers by hour, gender and decade; nobody is told apart); written with the next play,
        and once a minute where nothing plays."""
        with self._lock:
            self._audience.add(present, mono_ns, datetime.now(UTC).strftime("%Y-%m-%dT%H"))
            if mono_ns >= self._audience_due_ns:
                self._audience_due_ns = mono_ns + AUDIENCE_NS
                self._commit(lambda db: None)

    def totals(self, since_ms: int) -> dict[str, Any]:
        """{"total", "billable", "by_ad": {creative: plays}} of the plays that began since then (UTC epoch); the ads
        that were played least are told as one."""
        with self._lock:
            if since_ms not in self._totals:
                self._totals = {since_ms: self._count_totals(since_ms)}
            counts = self._totals[since_ms]
            by_ad = dict(counts.by_ad.most_common(ADS_TOLD))
            if rest := counts.by_ad.total() - sum(by_ad.values()):
                by_ad[OTHER_ADS] = rest
            return {"total": counts.total, "billable": counts.billable, "by_ad": by_ad}

    def _count_totals(self, since_ms: int) -> "_Totals":
        counts = _Totals()
        try:
            rows = self._need_db().execute(
                "SELECT creative, COUNT(*), SUM(COALESCE(billable, 0)) FROM plays WHERE started_utc >= ? GROUP BY 1",
                (_utc(since_ms / 1000),),
            )
            for creative, plays, billable in rows:
                counts.by_ad[creative] = plays
                counts.total += plays
                counts.billable += billable
        except sqlite3.Error as error:
            skip("ledger_unreadable", error=error)
        return counts

    def close(self) -> None:
        """Write what is left and close the file; a play still open is found as aborted at the next start."""
        with self._lock:
            if self._db is not None:
                self._commit(lambda db: None)
                self._db.close()
                self._db = None

    def _need_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError(self._problem or "closed")
        return self._db

    def _connect(self) -> None:
        """Open the file, mark open rows aborted, and learn what was spent and shown."""
        self._retry_at_s = time.monotonic() + RETRY_S
        for _ in range(2):
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                db = sqlite3.connect(self.path, timeout=2.0, isolation_level=None, check_same_thread=False)
            except (OSError, sqlite3.Error) as error:
                self._fail(f"cannot open {self.path}: {error}")
                return
            try:
                self._prepare(db)
            except (sqlite3.Error, ValueError, TypeError) as error:  # a time or a number that is none
                db.close()
                self._fail(f"cannot use {self.path}: {error}")
                if not (_is_full(error) and self._deflate()):
                    return
            else:
                self._db, self._problem, self._inode = db, "", _inode(self.path)
                self._inflate()
                return

    def _prepare(self, db: sqlite3.Connection) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA journal_size_limit = 4194304")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise sqlite3.DatabaseError(f"it was written by a newer version (schema {version})")
        db.execute("BEGIN EXCLUSIVE")
        if version < SCHEMA:
            for statement in SCHEMA_SQL:
                db.execute(statement)
        self._seq, self._head = head(db)
        aborted = self._abort_open(db)
        self._learn(db)
        db.execute("COMMIT")
        if aborted:
            log("plays_aborted", count=aborted, reason="the player had stopped without ending them")

    def _learn(self, db: sqlite3.Connection) -> None:
        """What was spent and shown, by the file and by what waits to be written to it."""
        self._synced = _clock_synced()
        history = _history(db)
        waiting = [play for play_id, play, row in self._pending if row["billable"] and _is_open(db, play_id)]
        for play in (*self._open.values(), *waiting):
            history.commit(play.line.id, play.price_micro)
        history.last = self.history.last or history.last
        self.history = history

    def _abort_open(self, db: sqlite3.Connection) -> int:
        """End the rows that an earlier life left open."""
        mine = {*self._open, *(play_id for play_id, _, _ in self._pending)}
        rows = db.execute("SELECT play_id, started_hash FROM plays WHERE ended_seq IS NULL ORDER BY started_seq")
        orphans = [(play_id, started_hash) for play_id, started_hash in rows if play_id not in mine]
        for play_id, started_hash in orphans:
            row: dict[str, Any] = dict.fromkeys(ENDED)
            row |= {"ended_utc": _utc(), "status": "aborted", "stop_reason": "the player stopped without ending it"}
            row |= {"billable": 0, "bill_reason": "not billed: the play was aborted"}
            self._update(db, play_id, started_hash, row)
        return len(orphans)

    def _heal(self) -> None:
        """Try to get back to normal, at most every few seconds; times of plays are told anew once the clock is set."""
        if self._db is not None and _clock_synced() > self._synced:
            try:
                self._learn(self._db)
            except (sqlite3.Error, ValueError, TypeError) as error:
                skip("ledger_unreadable", error=error)
        if self._db is not None and _inode(self.path) != self._inode:
            self._fail(f"{self.path} was taken away; put it back, or restart the player to begin a new one")
            return
        if not self._problem or time.monotonic() < self._retry_at_s:
            return
        self._retry_at_s = time.monotonic() + RETRY_S
        if self._broken and self._db is not None:
            self._db.close()
            self._db = None
        if self._db is None:
            self._connect()
        else:
            self._inflate()
        if not self._problem:
            log("ledger_well_again", path=self.path)

    def _affordable(self, line: Line, price_micro: int) -> bool:
        """Whether a paid play of the line may begin: the ledger is well, and its budget covers the price."""
        if self._problem:
            return False
        if line.budget is None:
            return True
        return self.history.committed.get(line.id, 0) + price_micro <= micro(line.budget)

    def _bill(self, play: _Open, shown: Shown, shown_ms: int) -> tuple[bool, str]:
        """Whether a play is billable, and why. Of a play that was cut short the frames of the rest are missing, too."""
        line = play.line
        share = shown.frames_presented / shown.frames_expected if shown.frames_expected else 0.0
        if shown_ms < play.planned_ms:
            share *= shown_ms / play.planned_ms
        matched_watchers = shown.exposure.matched_watchers
        if line.house:
            return False, "not billed: a house ad"
        if shown.status == "failed":
            return False, f"not billed: it failed ({shown.stop_reason or 'no reason given'})"
        if not shown.frames_presented or share < self._min_presented:
            return False, f"not billed: only {100 * share:.0f} % of it was shown"
        if matched_watchers < max(1, line.target.min_watchers):
            return (
                False,
                f"not billed: the target ({line.target.text()}) was met by {matched_watchers} while it was shown",
            )
        return (
            True,
            f"billed: the target ({line.target.text()}) was met by {matched_watchers}, {100 * share:.0f} % shown",
        )

    def _commit(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """One durable transaction: ends that still wait, counts of the audience, then `work`. A full disk gets the
        ballast; False where nothing could be written."""
        for _ in range(2):
            seq, head = self._seq, self._head
            try:
                db = self._need_db()
                db.execute("BEGIN IMMEDIATE")
                for play_id, play, row in self._pending:
                    if _is_open(db, play_id):
                        self._update(db, play_id, play.started_hash, row)
                    else:
                        skip("play_ended_before", play_id=play_id)
                self._audience.write(db, self._station.name, self._screen)
                work(db)
                db.execute("COMMIT")
            except sqlite3.Error as error:
                self._seq, self._head = seq, head
                self._roll_back()
                self._fail(str(error))
                self._broken = getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL
                if not (_is_full(error) and self._deflate()):
                    return False
            else:
                self._pending.clear()
                self._audience.written()
                self._broken = False
                return True
        return False

    def _roll_back(self) -> None:
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            skip("ledger_rollback", error=error)

    def _insert(self, db: sqlite3.Connection, row: dict[str, Any]) -> None:
        content = as_stored(STARTED, row)
        digest = self._link(["started", *content])
        values = [*content, self._seq, *digest]
        names = (*STARTED, "started_seq", "started_prev_hash", "started_hash")
        marks = ", ".join("?" * len(names))
        db.execute(f"INSERT INTO plays ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608

    def _update(self, db: sqlite3.Connection, play_id: str, started_hash: str, row: dict[str, Any]) -> None:
        content = as_stored(ENDED, row)
        digest = self._link(["ended", play_id, started_hash, *content])
        names = (*ENDED, "ended_seq", "prev_hash", "hash")
        values = [*content, self._seq, *digest, play_id]
        db.execute(f"UPDATE plays SET {', '.join(f'{name} = ?' for name in names)} WHERE play_id = ?", values)  # noqa: S608

    def _link(self, content: list[Any]) -> tuple[str, str]:
        """Append a link to the chain: the hash before it and its own."""
        before = self._head
        self._seq += 1
        self._head = link_hash(before, self._seq, content)
        return before, self._head

    def _fail(self, problem: str) -> None:
        if not self._problem:
            log("ledger_trouble", problem=problem, effect="only house ads play until it is well again")
        self._problem = problem

    def _inflate(self) -> None:
        """Keep 16 MB back for a full disk; without them paid ads do not play."""
        try:
            with self._ballast.open("ab") as stream:
                os.posix_fallocate(stream.fileno(), 0, BALLAST_BYTES)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            self._fail(f"no {BALLAST_BYTES >> 20} MB are free beside {self.path}: {error}")
        else:
            self._problem = ""

    def _deflate(self) -> bool:
        """Give the ballast to the disk; False when it was gone already."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True


def _is_open(db: sqlite3.Connection, play_id: str) -> bool:
    """Whether a play's end is still to be written: a commit that failed in its last moment may have got through."""
    return db.execute("SELECT 1 FROM plays WHERE play_id = ? AND ended_seq IS NULL", (play_id,)).fetchone() is not None


def _inode(path: Path) -> int:
    """Which file lies there; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _is_full(error: Exception) -> bool:
    """Whether a disk without space (or a file size limit, or a quota) is what stopped a write."""
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def _history(db: sqlite3.Connection) -> History:
    """Money billed by line, the starts of the last day on this process's monotonic clock, and the last play.

    Plays of this boot (the newest ones, as far back as the monotonic clock falls) are timed by that clock. Others by
    the wall clock, which may stand before the newest play until it is set: then that play is as if of just now.
    """
    history = History()
    spent = db.execute("SELECT line, SUM(price_micro) FROM plays WHERE billable = 1 GROUP BY line")
    history.committed = dict(spent.fetchall())
    utc, mono_ns = datetime.now(UTC), time.monotonic_ns()
    after_ns = mono_ns
    for line, creative, advertiser, started, started_ns in db.execute(
        "SELECT line, creative, advertiser, started_utc, started_mono_ns FROM plays ORDER BY started_seq DESC LIMIT ?",
        (PLAYS_A_DAY,),
    ):
        began = datetime.fromisoformat(started)
        if history.last is None:
            history.last = LastPlay(line, creative, advertiser)
            utc = max(utc, began)
        after_ns = started_ns if started_ns <= after_ns else 0
        age_ns = mono_ns - after_ns if after_ns else max(0, round((utc - began).total_seconds() * 1e9))
        if age_ns < HOUR_NS or (age_ns < DAY_NS and line not in history.starts_ns):
            history.starts_ns.setdefault(line, []).append(mono_ns - age_ns)
    for starts in history.starts_ns.values():
        starts.sort()
    return history


def _utc(epoch_s: float | None = None) -> str:
    moment = datetime.now(UTC) if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _clock_synced() -> int:
    """1 where the kernel says that the clock is synchronised (adjtimex), 0 where not or where it cannot be asked."""
    try:
        timex = ctypes.create_string_buffer(512)
        return int(ctypes.CDLL(None).adjtimex(timex) not in (-1, 5))
    except (OSError, AttributeError):
        return 0


def _app_version() -> str:
    try:
        return importlib.metadata.version("stationcast")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
