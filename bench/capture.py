"""Cost of a camera of each kind: decoding at full speed, and the real capture stage at its own rate."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2

from bench.findings import Findings, Plan, Say, Table
from bench.report import figure
from bench.rig.clips import make_clip, make_images, mjpeg_camera
from bench.timing import call_rate, paired, percentile
from pipeline.job import Job
from pipeline.ring import Ring
from pipeline.settings import Camera, Station
from stages.capture import sample
from stages.capture.stage import Capture

SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
_FPS = 15


def run(plan: Plan, say: Say) -> Findings:
    """Measure the frames per second that can be decoded, and CPU and punctuality of a camera at 15 fps."""
    findings = Findings()
    seconds = plan.pick(0.3, 0.6, 2.0)
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as name:
        folder = Path(name)
        sources = {"sample 720p": "sample"}
        for size in plan.pick(("480p",), ("1080p",), tuple(SIZES)):
            say(f"making {size} clips")
            make_clip(folder / f"{size}.mp4", SIZES[size], plan.pick(10, 30, 60))
            make_images(folder / f"{size}-images", SIZES[size], 10)
            sources |= {f"H.264 file {size}": f"{size}.mp4", f"JPEG folder {size}": f"{size}-images"}
        decode = {kind: partial(decode_rate, folder / source, seconds) for kind, source in sources.items()}
        bare = {
            kind: findings.measure(f"{kind}, bare decode", "frames/s", rates, "higher", listed=False)
            for kind, rates in paired(decode, plan.repeats, say).items()
        }
        with mjpeg_camera(folder / f"{size}-images") as url:
            sources[f"MJPEG over http {size}"] = url
            paced = {kind: partial(paced_camera, source, folder, seconds) for kind, source in sources.items()}
            rows: list[tuple[str, ...]] = []
            for kind, found in paired(paced, plan.repeats, say).items():
                cpu, fps, late = ([values[i] for values in found] for i in range(3))
                measures = (
                    findings.measure(f"{kind}, CPU", "% of a core", cpu, "lower", listed=False),
                    findings.measure(f"{kind}, taken", "frames/s", fps, "higher", listed=False),
                    findings.measure(f"{kind}, late p95", "ms", late, "lower", listed=False),
                )
                rows.append((kind, figure(bare[kind]) if kind in bare else "", *map(figure, measures)))
        columns = ("source", "bare decode, frames/s", "CPU, % of a core", "taken, frames/s", "late p95, ms")
        title = f"sources, and what the stage makes of them at {_FPS} fps"
        findings.tables.append(Table(title=title, columns=columns, rows=rows))
    return findings


def decode_rate(source: Path, seconds: float) -> float:
    """Return the frames per second of the bare library call."""
    if source.name == "sample":
        return call_rate(lambda: sample.render("bench", time.monotonic()), seconds)
    if source.is_dir():
        paths = sorted(source.iterdir())
        turn = iter(range(10**9))
        return call_rate(lambda: cv2.imread(str(paths[next(turn) % len(paths)])), seconds)
    video = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def read() -> None:
        if not video.read()[0]:
            video.set(cv2.CAP_PROP_POS_FRAMES, 0)
            video.read()

    return call_rate(read, seconds)


def paced_camera(source: str, folder: Path, seconds: float) -> tuple[float, float, float]:
    """Run the capture stage at 15 fps. Return % of a core, frames per second, and p95 of the frames' lateness in ms."""
    ring = Ring.create("bench", 1920 * 1080 * 3)
    camera = Camera(name="bench", source=source, fps=_FPS)
    capture = Capture(Job(station=Station(folder=folder), camera=camera, rings={camera.name: ring.ref}))
    try:
        until_s = time.monotonic() + 5
        while not capture.step([]) and time.monotonic() < until_s:
            pass
        arrivals_s: list[float] = []
        started_s, cpu_before_s = time.monotonic(), time.process_time()
        while (now_s := time.monotonic()) < started_s + seconds:
            arrivals_s += [time.monotonic()] * len(capture.step([]))
        cpu_pct = 100 * (time.process_time() - cpu_before_s) / (now_s - started_s)
    finally:
        capture.close()
        ring.close()
        os.close(ring.fd)
    return cpu_pct, len(arrivals_s) / (now_s - started_s), percentile(lateness_ms(arrivals_s, _FPS), 0.95)


def lateness_ms(arrivals_s: list[float], fps: float) -> list[float]:
    """Return the lateness of each frame in ms, relative to the most punctual one."""
    offsets_s = [at_s - i / fps for i, at_s in enumerate(arrivals_s)]
    return [(offset_s - min(offsets_s)) * 1e3 for offset_s in offsets_s] or [0.0]
