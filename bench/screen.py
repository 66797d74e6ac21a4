"""Gaps, black and frozen frames on a real screen (Xvfb, 1920x1080) while a station plays 200 coded ads on it.

The framebuffer is read 250 times a second: it holds an ad, one of its frames, or black.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from bench.findings import Findings, Plan, Say
from bench.rig import coded_ads, xvfb
from bench.rig.processes import tied
from bench.rig.xvfb import Monitor
from bench.timing import percentile
from pipeline.errors import UserError
from pipeline.settings import StationTable
from players.ledger.paths import ledger_path

SIZE = (1920, 1080)
HZ, FILM_FPS = 60, 30
PICTURE_S, FILM_S = 2, 3
SAMPLE_S = 1 / 250
BLACK = 16
STATION = """
[station]
name = "bench"
mode = "measure"
state_dir = "state-{transition}"
{cameras}
[[screens]]
fullscreen = true
transition = "{transition}"
[ads]
campaigns = "ads"
"""
CAMERA = """
[[cameras]]
name = "{name}"
source = "sample"
fps = 10
"""


class Sample(NamedTuple):
    """Screen at `at_s` (CLOCK_MONOTONIC): (ad, frame), None if it cannot be read, and whether it is black."""

    at_s: float
    code: tuple[int, int] | None
    black: bool


class Played(Struct):
    """Findings of one run, from the recording and the ledger."""

    ads: int
    gaps_ms: list[float]
    """Times between two ads in which the screen showed neither."""
    pause_ms: float
    """Longest time between two looks at the screen."""
    stills_ms: list[float]
    black: int
    samples: int
    film_seen_pct: float
    pictures_pct: float
    films_pct: float
    worst_pct: float


def run(plan: Plan, say: Say) -> Findings:
    """Measure gaps between ads, black and frozen frames, and frames presented: with cuts, then with crossfades."""
    if not xvfb.available():
        raise UserError("there is no Xvfb: install the package xvfb")
    findings = Findings()
    ads = plan.pick(3, 30, 200)
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as name:
        folder = Path(name)
        say("making coded ads")
        make_ads(folder / "ads", plan.pick(1, 4, 8))
        for transition, count in (("cut", ads), ("crossfade", max(3, ads // 4))):
            say(f"playing {count} ads with a {transition}")
            played = play(folder, transition, count)
            _report(findings, transition, played)
    return findings


def _report(findings: Findings, transition: str, played: Played) -> None:
    measures = [
        ("ads", "ads", played.ads),
        ("black samples of the screen", "samples", played.black),
        ("pictures presented", "% of the frames", played.pictures_pct),
        ("films presented", "% of the frames", played.films_pct),
        ("films, frames seen on the screen", "% of the frames", played.film_seen_pct),
        ("longest time between two looks at the screen", "ms", played.pause_ms),
        ("worst ad presented", "% of the frames", played.worst_pct),
    ]
    if transition == "cut":
        measures += [
            ("last frame of a film still, p50", "ms", percentile(played.stills_ms, 0.5)),
            ("last frame of a film still, longest", "ms", max(played.stills_ms)),
            ("neither of two ads, longest", "ms", max(played.gaps_ms)),
        ]
        findings.goal("nothing between two ads for longer than one frame", max(played.gaps_ms), at_most=1e3 / HZ)
    for name, unit, value in measures:
        findings.measure(f"{transition}: {name}", unit, [value])
    findings.goal(f"{transition}: no black frame", played.black, at_most=0)
    findings.goal(f"{transition}: pictures presented", played.pictures_pct / 100, at_least=0.99)
    findings.goal(f"{transition}: films presented", played.films_pct / 100, at_least=0.97)


def make_ads(folder: Path, each: int) -> None:
    """Write `each` coded pictures (odd numbers) and films of 30 fps (even numbers), in one line for anyone."""
    folder.mkdir()
    text = ['advertiser = "bench"', 'campaign = "bench"', "[[lines]]", 'id = "any"', "target = { min_watchers = 0 }"]
    for i in range(each):
        coded_ads.make_image(folder / f"{2 * i + 1}.png", 2 * i + 1, SIZE)
        coded_ads.make_clip(folder / f"{2 * i + 2}.mp4", 2 * i + 2, FILM_S * FILM_FPS, SIZE, FILM_FPS)
        for number, file in ((2 * i + 1, f"{2 * i + 1}.png"), (2 * i + 2, f"{2 * i + 2}.mp4")):
            text += ["[[lines.creatives]]", f'id = "{number}"', f'file = "{file}"', f"duration_s = {PICTURE_S}"]
            if file.endswith(".mp4"):
                text.pop()
    (folder / "bench.toml").write_text("\n".join(text) + "\n")


def play(folder: Path, transition: str, ads: int, cameras: int = 2) -> Played:
    """Run a station until so many ads have played, then read screen and ledger. UserError: it did not play them."""
    station = folder / f"{transition}.toml"
    listed = "".join(CAMERA.format(name=f"camera{i}") for i in range(cameras))
    station.write_text(STATION.format(transition=transition, cameras=listed))
    ledger = ledger_path(StationTable(name="bench", state_dir=f"state-{transition}"), "main", folder)
    log = folder / f"{transition}.log"
    with xvfb.monitor(*SIZE) as monitor, _playing(station, monitor, log) as process, recording(monitor) as samples:
        deadline_s = time.monotonic() + 60 + ads * (FILM_S + 1)
        while changes(samples) < ads:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise UserError(f"the station did not play {ads} ads: {log}: {_tail(log)}")
            time.sleep(0.5)
    return analyse(samples, ledger)


@contextmanager
def _playing(station: Path, monitor: Monitor, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a station on the monitor; it ends with this process at the latest."""
    command = tied(sys.executable, "-m", "pipeline.cli", "run", str(station))
    environment = os.environ | {"DISPLAY": monitor.name}
    environment.pop("WAYLAND_DISPLAY", None)
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def _tail(path: Path) -> str:
    return " | ".join(path.read_text(errors="replace").splitlines()[-5:])


@contextmanager
def recording(monitor: Monitor) -> Iterator[list[Sample]]:
    """Sample the monitor in a thread, from its first picture on."""
    samples: list[Sample] = []
    stop = threading.Event()

    def record() -> None:
        while not stop.wait(SAMPLE_S):
            now_s = time.monotonic()
            code = coded_ads.read(monitor.pixels)
            black = int(monitor.pixels[::60, ::60, :3].max()) < BLACK
            if samples or not black:
                samples.append(Sample(now_s, code, black))

    thread = threading.Thread(target=record, name="recorder")
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def changes(samples: list[Sample]) -> int:
    """Return the number of times that the ad changed."""
    ads = [sample.code[0] for sample in list(samples) if sample.code]
    return sum(1 for before, after in pairwise(ads) if before != after)


def analyse(samples: list[Sample], ledger: Path) -> Played:
    """Return the gaps between ads, the stills at the end of films, and the shares of frames seen and presented."""
    first = next(i for i, sample in enumerate(samples) if sample.code)
    last = len(samples) - next(i for i, sample in enumerate(reversed(samples)) if sample.code)
    played = samples[first:last]
    readable = [sample for sample in played if sample.code]
    gaps_ms, stills_ms, seen, expected = [], [], 0, 0
    segments = [list(group) for _, group in groupby(readable, key=lambda sample: sample.code and sample.code[0])]
    unreadable_s = np.array([sample.at_s for sample in played if not sample.code])
    for before, after in pairwise(segments):
        between_s = unreadable_s[(unreadable_s > before[-1].at_s) & (unreadable_s < after[0].at_s)]
        gaps_ms.append((after[0].at_s - between_s[0]) * 1e3 if len(between_s) else 0.0)
    for segment in segments[1:-1]:
        ad = segment[0].code
        if not ad or ad[0] % 2:
            continue
        frames = [sample.code for sample in segment]
        seen += len(set(frames))
        expected += FILM_S * FILM_FPS
        final = next(sample.at_s for sample in segment if sample.code == frames[-1])
        stills_ms.append((segment[-1].at_s - final) * 1e3)
    with sqlite3.connect(ledger) as db:
        rows = db.execute("SELECT creative, frames_presented, frames_expected FROM plays WHERE status = 'played'")
        shares = [(int(creative), presented, wanted) for creative, presented, wanted in rows]
    db.close()
    pictures = np.array([(p, e) for creative, p, e in shares if creative % 2]).sum(axis=0)
    films = np.array([(p, e) for creative, p, e in shares if not creative % 2]).sum(axis=0)
    return Played(
        ads=len(segments),
        gaps_ms=gaps_ms,
        pause_ms=1e3 * max(after.at_s - before.at_s for before, after in pairwise(played)),
        stills_ms=stills_ms,
        black=sum(sample.black for sample in samples[:last]),
        samples=last,
        film_seen_pct=100 * seen / expected,
        pictures_pct=float(100 * pictures[0] / pictures[1]),
        films_pct=float(100 * films[0] / films[1]),
        worst_pct=100 * min(presented / wanted for _, presented, wanted in shares),
    )
