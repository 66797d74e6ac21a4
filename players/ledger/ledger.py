"""Proof of play: one row a play, committed `started` before its first flip and `ended` after its last.

Each screen has one SQLite file, which one exclusive connection writes. Both commits of a row are entries of one sha256
chain: `started` covers what was promised; `ended` covers that entry and what came of it. An ended row never changes.
"""

import sqlite3
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.log import log, skip
from pipeline.settings import StationTable
from players.ads.holders import Holders
from players.ads.lines import Line, micro
from players.audience.present import pack
from players.choice.choose import Decision
from players.choice.history import History
from players.choice.measures import Measures, level_of
from players.ledger import clock, damage, opening
from players.ledger.ballast import Ballast, is_full
from players.ledger.billing import ABORTED, bill
from players.ledger.damage import in_words
from players.ledger.entries import ChainEnd, Started, is_open, open_starts
from players.ledger.outside import Mark, MarkFile
from players.ledger.past import Totals, first_of_run, read_history, read_holders, totals_from
from players.ledger.paths import own_files
from players.ledger.schema import OPENOOH_TAXONOMY, newest
from players.ledger.shown import Shown

RETRY_S = 5.0
"""Pause between attempts to get well again."""


class _Open(Struct):
    """A play in progress."""

    started: Started
    line: Line
    minors: bool
    reserved_micro: int
    planned_ms: int
    started_mono_ns: int


class Ledger:
    """The plays of one screen; thread-safe.

    Trouble with the disk raises nothing. While `accepts_paid` is false, house ads go on; they are recorded as long as
    the 16 MB last that were kept back for this. When the trouble is over, paid plays are accepted again.
    """

    def __init__(
        self,
        path: Path,
        station: StationTable,
        screen: str,
        min_presented: float = 0.75,
        retry_s: float = RETRY_S,
        run: str = "",
    ) -> None:
        """Open the ledger; `min_presented` (0 to 1) is the share of frames that a billable play must have presented.

        `run` names the station's run, which a player that is started again goes on with; without it a run begins.
        """
        self.path = path
        self.history = History()
        self._station = station
        self._screen = screen
        self._run = run or uuid.uuid4().hex
        self._run_first_seq = 1
        self._min_presented = min_presented
        self._retry_s = retry_s
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._open: dict[str, _Open] = {}
        self._pending: list[tuple[_Open, dict[str, Any]]] = []
        self._totals: Totals | None = None
        self._ballast = Ballast(path)
        self._marks = MarkFile(path)
        self._inode = 0
        self._problem = ""
        self._broken = False
        self._retry_at_s = 0.0
        self._chain = ChainEnd()
        self._ledger_id = ""
        self._synchronised = False
        self._version = opening.app_version()
        self._connect()

    @property
    def problem(self) -> str:
        """Reason why no paid play can be recorded; empty while the ledger is well."""
        return self._problem

    @property
    def accepts_paid(self) -> bool:
        """True where a paid play can be recorded; else none may be shown. Asking tries to heal what is not well."""
        if self._problem:
            with self._lock:
                self._heal()
        return not self._problem

    def start(self, decision: Decision, *, planned_ms: int) -> str | None:
        """Commit that a play begins, before its first flip; its id, or None where that cannot be recorded.

        Without an id a paid ad must not be shown; a house ad may. A paid play that would overspend gets None too.
        """
        with self._lock:
            self._heal()
            line, reserved_micro = decision.line, micro(decision.price)
            if not line.house and not self._affordable(line, reserved_micro):
                return None
            play_id, mono_ns = uuid.uuid4().hex, time.monotonic_ns()
            row = {
                "play_id": play_id,
                "schema": newest(),
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
                "started_utc": clock.utc_text(clock.now()),
                "started_mono_ns": mono_ns,
                "clock_synced": int(clock.is_synchronised()),
                "time_zone": self._station.timezone,
                "planned_ms": planned_ms,
                "price_micro": micro(line.price) if line.per == "play" else 0,
                "price_per": None if line.house else line.per,
                "rate_micro": None if line.house else micro(line.price),
                "reserved_micro": None if line.house else reserved_micro,
                "bill_on": None if line.house else line.bill_on,
                "currency": line.currency,
                "model_sha256": decision.present.model_sha256,
                "app_version": self._version,
                "context": pack(decision.present).hex(),
                "eligible": decision.eligible,
            }
            if not self._commit(row):
                skip("play_not_recorded", severity="err", creative=decision.creative.id, problem=self._problem)
                return None
            self.history.started(line, decision.creative.id, reserved_micro, mono_ns)
            started = Started(self._chain.seq, self._chain.hash, play_id, newest())
            self._open[play_id] = _Open(started, line, decision.minors, reserved_micro, planned_ms, mono_ns)
            if self._totals is not None:
                self._totals.total += 1
                self._totals.by_ad[decision.creative.id] += 1
            return play_id

    def end(self, play_id: str, shown: Shown) -> None:
        """Commit what came of a play. Where the disk is full it is kept in memory and tried again."""
        with self._lock:
            play = self._open.pop(play_id)
            mono_ns, measures = time.monotonic_ns(), Measures.of(shown.tally, play.line, minors=play.minors)
            why_stopped = shown.stop_reason.encode("utf-8", "backslashreplace").decode()  # may name a file in bytes
            shown = msgspec.structs.replace(shown, stop_reason=why_stopped)
            shown_ms = (mono_ns - play.started_mono_ns) // 1_000_000 if shown.shown_ms is None else shown.shown_ms
            answer = bill(
                play.line,
                shown,
                measures,
                shown_ms=shown_ms,
                planned_ms=play.planned_ms,
                min_presented=self._min_presented,
                left_micro=self._left_micro(play),
            )
            row = msgspec.structs.asdict(measures) | {
                "exposure_zone": shown.exposure_zone,
                "calibration": shown.calibration,
                "measure_level": level_of(play.line) if measures.measured_share else None,
                "ended_utc": clock.utc_text(clock.now()),
                "ended_mono_ns": mono_ns,
                "shown_ms": shown_ms,
                "frames_expected": shown.frames_expected,
                "frames_presented": shown.frames_presented,
                "status": shown.status,
                "stop_reason": shown.stop_reason,
                "billable": int(answer.billable),
                "bill_reason": answer.words,
                "bill_code": answer.code,
                "cost_micro": answer.cost_micro,
            }
            self._pending.append((play, row))
            if self._totals is not None:
                self._totals.billable += answer.billable
            self.history.commit(play.line, answer.cost_micro - play.reserved_micro)
            self._commit()

    def tell_holders(self, holders: Holders) -> None:
        """Tell who had the ids of the plays so far."""
        with self._lock:
            try:
                holders.learn(read_holders(self._need_db()))
            except (sqlite3.Error, ValueError) as error:
                skip("ledger_unreadable", severity="err", error=error)

    def totals(self) -> dict[str, Any]:
        """Return {"total", "billable", "by_ad": {creative: plays}} of the plays of this run.

        The ads played least are summed as one where there are many.
        """
        with self._lock:
            if self._totals is None:
                try:
                    self._totals = totals_from(self._need_db(), self._run_first_seq)
                except sqlite3.Error as error:
                    skip("ledger_unreadable", severity="err", error=error)
                    self._totals = Totals()
            return self._totals.as_dict()

    def close(self) -> None:
        """Write what is left and close the file; a play still open is found as aborted at the next start."""
        with self._lock:
            if self._db is not None:
                self._commit()
                self._mark(durable=True)
                self._db.close()
                self._db = None

    def _need_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError(self._problem or "closed")
        return self._db

    def _connect(self) -> None:
        """Open the file, mark open rows aborted, and learn what was spent and shown."""
        self._retry_at_s = time.monotonic() + self._retry_s
        for _ in range(2):
            try:
                own_files(self.path)
                opening.need_file(self.path, self._station.name, self._screen)
                db = sqlite3.connect(self.path, timeout=2.0, isolation_level=None, check_same_thread=False)
            except (OSError, sqlite3.Error) as error:
                self._fail(f"cannot open {self.path}: {in_words(error)}")
                if is_full(error) and self._ballast.give():
                    continue
                return
            try:
                self._prepare(db)
            except (sqlite3.Error, ValueError, TypeError, LookupError) as error:  # a time or a number that is none
                db.close()
                self._fail(f"cannot use {self.path}: {in_words(error)}")
                if not (is_full(error) and self._ballast.give()):
                    return
            else:
                self._db, self._problem, self._inode = db, "", opening.inode(self.path)
                self._take_ballast()
                return

    def _prepare(self, db: sqlite3.Connection) -> None:
        self._ledger_id = opening.prepare(db, self.path, self._station.name, self._screen)
        db.execute("BEGIN EXCLUSIVE")
        self._chain = ChainEnd.of(db)
        self._run_first_seq = first_of_run(db, self._run, self._chain.seq + 1)
        aborted = self._abort_open(db)
        self._learn(db)
        db.execute("COMMIT")
        self._mark(durable=True)
        if aborted:
            log("plays_aborted", severity="warning", count=aborted, reason="the player had stopped without ending them")

    def _learn(self, db: sqlite3.Connection) -> None:
        """Learn what was spent and shown, from the file and from what waits to be written to it."""
        self._synchronised = clock.is_synchronised()
        history = read_history(db)
        for play in self._open.values():
            history.commit(play.line, play.reserved_micro)
        for play, row in self._pending:
            if is_open(db, play.started):
                history.commit(play.line, row["cost_micro"])
        history.last = self.history.last or history.last
        self.history = history

    def _abort_open(self, db: sqlite3.Connection) -> int:
        """End the rows that an earlier life left open, each under the schema of its start; return their number."""
        mine = {play.started.seq for play in (*self._open.values(), *(play for play, _ in self._pending))}
        orphans = [started for started in open_starts(db) if started.seq not in mine]
        for started in orphans:
            row: dict[str, Any] = {"ended_utc": clock.utc_text(clock.now()), "status": "aborted"}
            row |= {"stop_reason": "the player stopped without ending it"}
            row |= {"billable": 0, "bill_reason": ABORTED.words, "bill_code": ABORTED.code, "cost_micro": 0}
            self._chain = self._chain.end(db, started, row)
        return len(orphans)

    def _heal(self) -> None:
        """Try to get well again, after the pause; read the times of plays again once the clock is synchronised."""
        if self._db is not None and clock.is_synchronised() > self._synchronised:
            try:
                self._learn(self._db)
            except (sqlite3.Error, ValueError, TypeError) as error:
                skip("ledger_unreadable", severity="err", error=error)
        if self._db is not None and opening.inode(self.path) != self._inode:
            remedy = "put it back, or stop the station and start it again: it then says how to go on"
            self._fail(f"{self.path} was taken away or exchanged; {remedy}")
            return
        if not self._problem or time.monotonic() < self._retry_at_s:
            return
        self._retry_at_s = time.monotonic() + self._retry_s
        if self._broken and self._db is not None:
            self._db.close()
            self._db = None
        if self._db is None:
            self._connect()
        else:
            self._take_ballast()
        if not self._problem:
            log("ledger_well_again", severity="notice", path=self.path)

    def _affordable(self, line: Line, reserved_micro: int) -> bool:
        """Return whether a paid play of the line may begin: the ledger is well, and its budget has what it reserves."""
        if self._problem:
            return False
        if line.budget is None:
            return True
        return self.history.committed_by(line) + reserved_micro <= micro(line.budget)

    def _left_micro(self, play: _Open) -> int | None:
        """Return the most that a play in progress may cost: what it reserved, and what is left of the budget."""
        if play.line.budget is None:
            return None
        return micro(play.line.budget) - self.history.committed_by(play.line) + play.reserved_micro

    def _commit(self, start: dict[str, Any] | None = None) -> bool:
        """Commit one durable transaction: ends that still wait, then the start of a play.

        On a full disk the ballast is given up for it. Return False where nothing could be written.
        """
        for _ in range(2):
            chain = self._chain
            try:
                db = self._need_db()
                db.execute("BEGIN IMMEDIATE")
                for play, row in self._pending:
                    if is_open(db, play.started):
                        chain = chain.end(db, play.started, row)
                    else:
                        skip("play_ended_before", play_id=play.started.play_id)
                if start is not None:
                    chain = chain.start(db, start)
                db.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                self._fail(in_words(error))
                self._broken = getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL
                if not (is_full(error) and self._ballast.give()):
                    return False
            else:
                self._chain = chain
                self._pending.clear()
                self._broken = False
                self._mark()
                return True
        return False

    def _mark(self, *, durable: bool = False) -> None:
        """Note the newest entry outside the ledger, which is committed; a mark that cannot be written lags behind."""
        try:
            self._marks.write(Mark(self._ledger_id, self._chain.seq, self._chain.hash), durable=durable)
        except OSError as error:
            skip("ledger_mark_not_written", error=in_words(error))

    def _roll_back(self) -> None:
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            skip("ledger_rollback", severity="err", error=error)

    def _fail(self, problem: str) -> None:
        if not self._problem:
            log("ledger_trouble", severity="err", problem=problem, effect="only house ads play until it is well again")
        self._problem = problem

    def _take_ballast(self) -> None:
        """Keep space back for a full disk. Without it, or after a loss that nobody has accepted, no paid ad plays."""
        problem = self._ballast.take() or damage.loss(self.path)
        if problem:
            self._fail(problem)
        else:
            self._problem = ""
