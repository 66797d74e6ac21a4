"""What a camera costs: decoding as fast as it goes, and the real capture stage at its pace, for each kind of source."""

import http.server
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.harness import Findings, Plan, Say, Table, call_rate, paired, percentile
from bench.report import figure
from pipeline.ring import Ring
from pipeline.settings import Camera, CaptureSettings, RingRef
from stages.capture import sample
from stages.capture.stage import Capture

SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
_FPS = 15
_CLIP_FPS = 30


def run(plan: Plan, say: Say) -> Findings:
    """Frames a second that can be decoded; CPU and punctuality of a camera at 15 fps."""
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


def scene(size: tuple[int, int], t_s: float) -> NDArray[np.uint8]:
    """The sample scene at a size, uint8 BGR."""
    return np.asarray(cv2.resize(sample.render("bench", t_s), size), np.uint8)


def make_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Write an H.264 clip of the sample scene, 30 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(_CLIP_FPS), options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            picture = av.VideoFrame.from_ndarray(scene(size, i / _CLIP_FPS), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def make_images(folder: Path, size: tuple[int, int], images: int) -> None:
    """Write JPEGs of the sample scene."""
    folder.mkdir()
    for i in range(images):
        cv2.imwrite(str(folder / f"{i:03}.jpg"), scene(size, i / 2))


def decode_rate(source: Path, seconds: float) -> float:
    """Frames a second of the bare library call."""
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
    """Run the capture stage at 15 fps -> (% of a core, frames a second, p95 of how late a frame was, ms)."""
    ring = Ring.create("bench", 1920 * 1080 * 3)
    camera = Camera(name="bench", source=source, fps=_FPS)
    ref = RingRef(fd=ring.fd, slots=ring.slots, slot_bytes=ring.slot_bytes)
    capture = Capture(CaptureSettings(camera=camera, ring=ref, folder=folder))
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
    """How much later than the beat each frame came; the beat is set by the most punctual one."""
    offsets_s = [at_s - i / fps for i, at_s in enumerate(arrivals_s)]
    return [(offset_s - min(offsets_s)) * 1e3 for offset_s in offsets_s] or [0.0]


@contextmanager
def mjpeg_camera(folder: Path) -> Iterator[str]:
    """A network camera that sends the folder's JPEGs at 30 fps -> its URL."""
    jpegs = [path.read_bytes() for path in sorted(folder.iterdir())]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for i in range(10**9):
                    jpeg = jpegs[i % len(jpegs)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                    time.sleep(1 / _CLIP_FPS)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
