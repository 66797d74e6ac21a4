"""Measure the plays that the ledger commits durably a second, beside bare SQLite and a bare fsync on the same disk."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import platformdirs

from bench.findings import Findings, Plan, Say
from bench.timing import call_rate, call_times_ms, paired, percentile
from pipeline.settings import StationTable
from players.ads.campaigns import DEMO, load_catalogue
from players.audience.present import NOBODY
from players.audience.tally import Tally
from players.choice.choose import Decision, Moment, Rules, choose
from players.choice.history import History
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown


def run(plan: Plan, say: Say) -> Findings:
    """Measure commits a second; a play is two of them."""
    findings = Findings()
    seconds = plan.pick(0.1, 0.7, 3.0)
    decision = house_decision()
    home = Path(platformdirs.user_data_dir("stationcast", False))
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=home) as name:
        folder = Path(name)
        ledger = Ledger(folder / "ledger.sqlite", StationTable(), "main")
        play = partial(play_once, ledger, decision)
        with (folder / "bare").open("wb", buffering=0) as file:
            bare = bare_sqlite(folder / "bare.sqlite")
            ways = {
                "ledger": lambda: 2 * call_rate(play, seconds),
                "bare SQLite, the same durability": lambda: call_rate(bare, seconds),
                "bare write and fsync": lambda: call_rate(lambda: write_through(file.fileno()), seconds),
            }
            for name, rates in paired(ways, plan.repeats, say).items():
                findings.measure(name, "commits/s", rates, "higher")
        times = call_times_ms(play, plan.pick(5, 100, 500))
        findings.measure("a play (started and ended), p50", "ms", [percentile(times, 0.5)], "lower")
        findings.measure("a play (started and ended), p99", "ms", [percentile(times, 0.99)], "lower")
        ledger.close()
    return findings


def house_decision() -> Decision:
    """Return the choice when nobody is there: a house ad of the demo set."""
    catalogue = load_catalogue(DEMO, ZoneInfo("UTC"), 8.0)
    moment = Moment(datetime.now(UTC), time.monotonic_ns())
    decision = choose(NOBODY, catalogue, History(), moment, Random(1), Rules())
    assert decision is not None
    return decision


def play_once(ledger: Ledger, decision: Decision) -> None:
    """Record one play: two durable commits."""
    play_id = ledger.start(decision, planned_ms=8000)
    assert play_id is not None
    shown = Shown(frames_expected=480, frames_presented=480, status="played", tally=Tally())
    ledger.end(play_id, shown)


def bare_sqlite(path: Path) -> Callable[[], object]:
    """Return a function that commits one row of 300 bytes, with the ledger's pragmas."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE plays (id INTEGER PRIMARY KEY, row TEXT)")
    return lambda: db.execute("INSERT INTO plays (row) VALUES (?)", ("x" * 300,))


def write_through(fd: int) -> None:
    """Append 4 KiB and have it on the disk."""
    os.write(fd, b"\0" * 4096)
    os.fsync(fd)
