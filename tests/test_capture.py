"""Cameras of every kind, with real files, a real MJPEG server and the real ring."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.messages import Frame
from pipeline.ring import Ring
from pipeline.settings import Camera, CaptureSettings, RingRef, SettingsError
from pipeline.sources import find_webcams, public_name, source_kind, validate_source
from stages.capture import Capture, fit

SLOT_BYTES = 1280 * 720 * 3


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create("test", SLOT_BYTES)
    yield ring
    ring.close()
    os.close(ring.fd)


def open_capture(ring: Ring, folder: Path, source: str | int, **knobs: object) -> Capture:
    knobs = {"max_width_px": 1280, "max_height_px": 720} | knobs
    camera = msgspec.convert({"name": "door", "source": source} | knobs, Camera)
    ref = RingRef(fd=ring.fd, slots=ring.slots, slot_bytes=ring.slot_bytes)
    return Capture(CaptureSettings(camera=camera, ring=ref, folder=folder))


def run(capture: Capture, ring: Ring, seconds: float, at_most: int = 10**6) -> list[tuple[Frame, NDArray[np.uint8]]]:
    """Step for so long -> the frames and their pixels as a reader finds them."""
    taken: list[tuple[Frame, NDArray[np.uint8]]] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and len(taken) < at_most:
        started_s = time.monotonic()
        for frame in capture.step([]):
            image = ring.read(frame.slot, frame.version, frame.height_px, frame.width_px)
            assert image is not None
            taken.append((frame, image))
        assert time.monotonic() - started_s < 1.5
    return taken


def write_video(path: Path, frames: int, fps: float = 20, size: tuple[int, int] = (320, 240)) -> None:
    """Write frames whose grey level is 8 times their number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 8 * i, np.uint8))
    writer.release()


def number_of(image: NDArray[np.uint8]) -> int:
    return round(float(image.mean()) / 8)


def test_sample_is_paced_and_dated(ring: Ring, tmp_path: Path) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=20)
    taken = run(capture, ring, 1.5)
    assert 25 <= len(taken) <= 32
    assert [frame.seq for frame, _ in taken] == list(range(1, len(taken) + 1))
    gaps_s = np.diff([frame.captured_ns for frame, _ in taken]) / 1e9
    assert np.median(gaps_s) == pytest.approx(0.05, abs=0.005)
    assert capture.status == {"source": "sample", "state": "live", "width_px": 1280, "height_px": 720}
    capture.close()


def test_a_slow_camera_still_beats_and_blanks_its_old_frames(ring: Ring, tmp_path: Path) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=0.1)
    [(frame, _)] = run(capture, ring, 0.5, at_most=1)
    started_s = time.monotonic()
    while time.monotonic() - started_s < 2.2:
        step_s = time.monotonic()
        assert capture.step([]) == []
        assert 0.3 < time.monotonic() - step_s < 0.5
    assert ring.read(frame.slot, frame.version, frame.height_px, frame.width_px) is None
    capture.close()


def test_frames_too_large_are_scaled_down_in_shape(ring: Ring, tmp_path: Path) -> None:
    capture = open_capture(ring, tmp_path, "sample", max_width_px=640, max_height_px=480)
    [(frame, image)] = run(capture, ring, 2, at_most=1)
    assert (frame.width_px, frame.height_px) == (640, 360)
    assert image.shape == (360, 640, 3)
    assert image.std() > 10
    capture.close()
    assert fit(np.zeros((100, 50, 3), np.uint8), 64, 64).shape == (64, 32, 3)
    assert fit(np.zeros((10, 10, 3), np.uint8), 64, 64).shape == (10, 10, 3)


def test_a_video_runs_at_its_own_clock_and_loops(ring: Ring, tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", frames=20, fps=20)
    capture = open_capture(ring, tmp_path, "v.avi", fps=120)
    taken = run(capture, ring, 2.5)
    numbers = [number_of(image) for _, image in taken]
    assert numbers[:18] == list(range(18))
    assert 42 <= len(numbers) <= 52
    assert numbers.count(5) in (2, 3)
    capture.close()


def test_a_slower_camera_skips_frames_of_a_video_in_real_time(ring: Ring, tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", frames=30, fps=20)
    capture = open_capture(ring, tmp_path, "v.avi", fps=5, loop=False)
    taken = run(capture, ring, 2.2)
    numbers = [number_of(image) for _, image in taken]
    assert 6 <= len(numbers) <= 8
    assert all(2 <= step <= 6 for step in np.diff(numbers))
    assert capture.status["state"] == "ended"
    started_s = time.monotonic()
    assert capture.step([]) == []
    assert time.monotonic() - started_s < 0.5
    capture.close()


def test_a_vanished_file_is_opened_again(ring: Ring, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = open_capture(ring, tmp_path, "late.avi", fps=20)
    assert run(capture, ring, 1.0) == []
    assert capture.status["state"] == "retrying"
    write_video(tmp_path / "late.avi", frames=20)
    assert run(capture, ring, 4, at_most=3)
    assert capture.status["state"] == "live"
    capture.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["source_lost", "source_live"]


def test_a_folder_of_images(ring: Ring, tmp_path: Path) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((90, 160, 3), 8 * i, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "3.jpg").write_bytes(b"not an image either")
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50)
    numbers = [number_of(image) for _, image in run(capture, ring, 5, at_most=7)]
    assert numbers == [0, 1, 2, 0, 1, 2, 0]
    capture.close()
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50, loop=False)
    assert len(run(capture, ring, 1)) == 3
    assert capture.status["state"] == "ended"
    capture.close()


class MjpegCamera(http.server.ThreadingHTTPServer):
    """A network camera that sends numbered frames at 30 fps until told to hang up."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), MjpegHandler)
        self.hang_up = threading.Event()
        self.clients = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.hang_up.set()
        self.shutdown()
        self.server_close()


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    server: MjpegCamera

    def do_GET(self) -> None:
        self.server.clients += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for i in range(10**6):
            if self.server.hang_up.is_set():
                return
            _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 8 * (i % 30), np.uint8))
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            except OSError:
                return
            time.sleep(1 / 30)

    def log_message(self, *_: object) -> None:
        pass


def test_a_network_camera_is_read_newest_first_and_found_again(
    ring: Ring, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = MjpegCamera()
    port = camera.server_address[1]
    capture = open_capture(ring, tmp_path, f"http://user:secret@127.0.0.1:{port}/stream?token=secret", fps=5)
    run(capture, ring, 10, at_most=1)
    taken = run(capture, ring, 3)
    assert 12 <= len(taken) <= 18
    steps = np.diff([number_of(image) for _, image in taken]) % 30
    assert np.median(steps) == pytest.approx(6, abs=1)  # 5 of 30 fps: the newest each time, none queued
    camera.end()
    run(capture, ring, 1.5)
    assert capture.status["state"] == "retrying"
    camera = MjpegCamera(port)
    assert run(capture, ring, 10, at_most=3)
    assert capture.status["state"] == "live"
    assert capture.status["source"] == f"http://127.0.0.1:{port}"
    capture.close()
    camera.end()
    output = capfd.readouterr()
    assert "secret" not in output.out + output.err
    assert output.err.count("source_lost") == 1


def test_a_recording_behind_a_url_is_paced(ring: Ring, tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", frames=30, fps=20)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    capture = open_capture(ring, tmp_path, f"http://127.0.0.1:{server.server_address[1]}/v.avi", fps=60)
    run(capture, ring, 10, at_most=1)
    taken = run(capture, ring, 1.0)
    assert 15 <= len(taken) <= 24
    capture.close()
    server.shutdown()
    server.server_close()


def test_a_webcam_that_is_not_there_is_no_reason_to_stop(ring: Ring, tmp_path: Path) -> None:
    capture = open_capture(ring, tmp_path, "/dev/video63")
    assert run(capture, ring, 1.0) == []
    assert capture.status["state"] == "retrying"
    capture.close()


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("nowhere.mp4", "no such file"),
        (-1, "negative"),
        ("ftp://host/x", "scheme"),
        ("rtsp://user:secret@/x", "names no host"),
        ("http://host:99999/x", "ort"),
        ("empty", "no image"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, source: str | int, word: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError) as error:
        validate_source(Camera(name="door", source=source), tmp_path)
    text = str(error.value)
    assert "cameras.door.source" in text
    assert word in text
    assert "\n" not in text
    assert "secret" not in text


def test_good_sources_pass(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    kinds = {"sample": "sample", 0: "webcam", "1": "webcam", "/dev/video7": "webcam", "rtsp://u:p@h/x": "url"}
    kinds |= {"v.mp4": "file"}
    for source, kind in kinds.items():
        camera = Camera(name="door", source=source)
        validate_source(camera, tmp_path)
        assert source_kind(camera, tmp_path) == kind


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@10.0.0.1:554/user=a&password=p?token=p#p", "rtsp://10.0.0.1:554"),
        ("rtsp://u:p/p@10.0.0.1/x", "rtsp://..."),
        ("http://cam/p?p", "http://cam"),
        ("sample", "sample"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert public_name(url) == shown


def test_webcams_are_devices_that_capture() -> None:
    assert all(Path(path).exists() for path in find_webcams())


def test_real_clips_play(ring: Ring, shared_dir: Path) -> None:
    clip = shared_dir / "clips" / "one-by-one-person-detection.mp4"
    capture = open_capture(ring, shared_dir, str(clip), fps=10)
    taken = run(capture, ring, 2)
    assert len(taken) >= 12
    assert all(image.std() > 10 for _, image in taken)
    capture.close()
