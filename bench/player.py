"""Cost and smoothness of a screen without a display: pictures, crossfades and films."""

import sqlite3
import tempfile
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import psutil

from bench.findings import Better, Findings, Plan, Say, Table
from bench.report import figure
from bench.rig.clips import make_clip, scene
from bench.timing import paired, percentile
from pipeline.job import Job
from pipeline.settings import Ads, Screen, Station, StationTable
from players.ledger.paths import ledger_path
from players.player import Player

COLUMNS: dict[str, Better] = {
    "frames presented, %": "higher",
    "tick late p95, ms": "lower",
    "tick late p99, ms": "lower",
    "ticks missed, %": "lower",
    "CPU, % of a core": "lower",
}
_SIZE = (1280, 720)
_HZ = 60
_AD_S = 2


def run(plan: Plan, say: Say) -> Findings:
    """Measure frames presented, punctuality of the ticks, and CPU, at 1280x720 px and 60 ticks per second."""
    findings = Findings()
    seconds = plan.pick(1.0, 2.0, 12.0)
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as name:
        folder = Path(name)
        say("making ads")
        make_ads(folder / "pictures", film=False)
        make_ads(folder / "films", film=True)
        shows = {
            "pictures, cut": partial(play, folder, "pictures", "cut", seconds),
            "pictures, crossfade": partial(play, folder, "pictures", "crossfade", seconds),
            "films": partial(play, folder, "films", "cut", seconds),
        }
        rows: list[tuple[str, ...]] = []
        for show, found in paired(shows, max(1, plan.repeats // 2), say).items():
            measures = [
                findings.measure(f"{show}, {what}", what, [values[i] for values in found], better, listed=False)
                for i, (what, better) in enumerate(COLUMNS.items())
            ]
            rows.append((show, *map(figure, measures)))
        title = f"a headless screen of {_SIZE[0]}x{_SIZE[1]} at {_HZ} ticks a second"
        findings.tables.append(Table(title=title, columns=("show", *COLUMNS), rows=rows))
    return findings


def make_ads(folder: Path, film: bool) -> None:
    """Write three house ads of 2 s each."""
    folder.mkdir()
    lines = ['advertiser = "bench"', 'campaign = "bench"']
    for i in range(3):
        file = f"{i}.mp4" if film else f"{i}.jpg"
        if film:
            make_clip(folder / file, _SIZE, 30 * _AD_S)
        else:
            cv2.imwrite(str(folder / file), scene(_SIZE, 4.0 * i))
        lines += [
            "[[lines]]",
            f'id = "ad-{i}"',
            "house = true",
            "[[lines.creatives]]",
            f'id = "ad-{i}"',
            f'file = "{file}"',
        ]
        lines += [] if film else [f"duration_s = {_AD_S}"]
    (folder / "bench.toml").write_text("\n".join(lines) + "\n")


def play(folder: Path, campaigns: str, transition: str, seconds: float) -> tuple[float, float, float, float, float]:
    """Play a folder. Return % presented, p95 and p99 of the ticks' lateness in ms, % of ticks missed, % of a core."""
    with tempfile.TemporaryDirectory(dir=folder) as state_dir:
        station = Station(station=StationTable(state_dir=state_dir), ads=Ads(campaigns=campaigns), folder=folder)
        job = Job(
            station=station,
            screen=Screen(headless=True, width_px=_SIZE[0], height_px=_SIZE[1], tick_hz=_HZ, transition=transition),  # type: ignore[arg-type]
            run_started_ms=time.time_ns() // 1_000_000,
        )
        player = Player(job)
        ticks_s: list[float] = []
        settled_s = time.monotonic() + 1.5
        while time.monotonic() < settled_s:
            player.step([])
        started_s, cpu_before_s = time.monotonic(), _cpu_s()
        while time.monotonic() < started_s + seconds:
            player.step([])
            ticks_s.append(time.monotonic())
        cpu_pct = 100 * (_cpu_s() - cpu_before_s) / (time.monotonic() - started_s)
        player.close()
        presented_pct = presented(ledger_path(station.station, job.screen.name, folder))
    late_ms, missed_pct = punctuality(ticks_s, _HZ)
    return presented_pct, percentile(late_ms, 0.95), percentile(late_ms, 0.99), missed_pct, cpu_pct


def _cpu_s() -> float:
    """Return the processor time, in s, of the player in this process, and of the processes that decode for it."""
    used_s = time.process_time()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            used_s += sum(process.cpu_times()[:4])  # its own, and that of its children which have ended
    return used_s


def presented(ledger: Path) -> float:
    """Return the % of the expected frames of all ended plays that were presented."""
    with sqlite3.connect(ledger) as db:
        shown, expected = db.execute("SELECT SUM(frames_presented), SUM(frames_expected) FROM plays").fetchone()
    db.close()
    return 100 * (shown or 0) / (expected or 1)


def punctuality(ticks_s: list[float], hz: float) -> tuple[list[float], float]:
    """Return the lateness of each tick in ms (0 if it came early), and the % of the periods without a tick."""
    gaps_s = [after - before for before, after in pairwise(ticks_s)]
    late_ms = [max(0.0, gap_s - 1 / hz) * 1e3 for gap_s in gaps_s] or [0.0]
    periods = (ticks_s[-1] - ticks_s[0]) * hz if gaps_s else 1.0
    return late_ms, max(0.0, 100 * (1 - len(gaps_s) / max(periods, 1e-9)))
