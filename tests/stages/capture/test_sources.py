"""Sources of every kind: real files, a real MJPEG server, and a webcam driver that misbehaves when told to."""

import contextlib
import http.server
import os
import threading
import time
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.assets import resolve
from models.detector import FaceDetector
from pipeline.profiles import BT709, matrix_profile
from pipeline.ring import Ring
from pipeline.settings import Camera
from stages.capture.sources import Images, open_source
from tests import films
from tests.conftest import HANG_S, wait_for
from tests.pictures import QUARTERS, as_bytes, corners, near, quarters
from tests.stages.capture.conftest import Clock, number_of, open_capture, run, write_video


def test_a_video_runs_at_its_own_clock_and_loops(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    write_video(tmp_path / "v.avi", frames=20, fps=20)
    capture = open_capture(ring, tmp_path, "v.avi", fps=120)
    taken = run(capture, ring, 2.49, clock=clock)
    numbers = [number_of(image) for _, image in taken]
    assert numbers == [*range(20), *range(20), *range(10)]
    gaps_s = np.diff([frame.captured_ns for frame, _ in taken]) / 1e9
    assert gaps_s == pytest.approx(0.05, abs=0.001)
    capture.close()


def test_a_recording_without_a_rate_is_paced_by_its_frames(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    times_ms = [0, 30, 110, 170, 200, 310, 380, 400]
    with av.open(str(tmp_path / "v.mkv"), "w") as file:
        stream = file.add_stream("mpeg4", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 8 * i, np.uint8), format="bgr24")
            frame.pts = time_ms
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    capture = open_capture(ring, tmp_path, "v.mkv", fps=120, loop=False)
    taken = run(capture, ring, 2, clock=clock)
    assert [number_of(image) for _, image in taken] == list(range(8))
    shown_ms = [(frame.captured_ns - taken[0][0].captured_ns) / 1e6 for frame, _ in taken]
    assert shown_ms == pytest.approx(times_ms, abs=1)
    capture.close()


def test_a_video_that_takes_long_to_decode_holds_up_no_heartbeat(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    write_video(tmp_path / "v.avi", frames=30, fps=30)
    capture = open_capture(ring, tmp_path, "v.avi", fps=30)
    run(capture, ring, 1, at_most=1, clock=clock)
    clock.sleep(0.4)
    clock.look_ns = 10**8
    [(_, image)] = run(capture, ring, 3, at_most=1, clock=clock)
    assert number_of(image) < 10, "all that was late was decoded in one step"
    capture.close()


def test_a_video_that_is_over_sooner_than_it_is_opened_holds_up_no_heartbeat(
    ring: Ring, tmp_path: Path, clock: Clock
) -> None:
    write_video(tmp_path / "v.avi", frames=1, fps=30)
    clock.look_ns = 18 * 10**6  # opening it anew takes a little longer than its picture lasts
    capture = open_capture(ring, tmp_path, "v.avi", fps=30)
    taken = run(capture, ring, 60, clock=clock)
    assert len(taken) > 100
    assert clock.monotonic_ns() - taken[-1][0].captured_ns < 10**9
    capture.close()


def test_a_slower_camera_skips_frames_of_a_video_in_real_time(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    write_video(tmp_path / "v.avi", frames=30, fps=20)
    capture = open_capture(ring, tmp_path, "v.avi", fps=5, loop=False)
    taken = run(capture, ring, 2.2, clock=clock)
    numbers = [number_of(image) for _, image in taken]
    assert numbers == [0, 3, 7, 11, 15, 19, 23, 27]  # the camera started a moment before the video
    assert capture.status["state"] == "ended"
    started_s = clock.monotonic()
    assert capture.step([]) == []
    assert clock.monotonic() - started_s < 0.5
    capture.close()


def test_a_folder_of_images(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    for i in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((90, 160, 3), 8 * i, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "3.jpg").write_bytes(b"not an image either")
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50)
    numbers = [number_of(image) for _, image in run(capture, ring, 5, at_most=7, clock=clock)]
    assert numbers == [0, 1, 2, 0, 1, 2, 0]
    capture.close()
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50, loop=False)
    assert len(run(capture, ring, 1, clock=clock)) == 3
    assert capture.status["state"] == "ended"
    capture.close()


def test_pictures_of_any_name_and_depth(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    for name, image in (
        ("a.png", np.full((90, 160), 8 << 8, np.uint16)),
        ("b 정류장.png", np.full((90, 160, 4), (16, 16, 16, 255), np.uint8)),
        (os.fsdecode(b"c\xff.png"), np.full((90, 160), 24, np.uint8)),
    ):
        (tmp_path / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (tmp_path / "d.png").mkdir()
    (tmp_path / "e.png").touch()
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50, loop=False)
    assert [number_of(image) for _, image in run(capture, ring, 2, clock=clock)] == [1, 2, 3]
    capture.close()


def test_pictures_of_a_folder_are_seen_as_the_screen_shows_them(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Upright, in sRGB and by content; a file that is no picture says why."""
    stored = quarters(160, 90).transpose(Image.Transpose.ROTATE_90)
    for name, kind in (("1.jpg", "AVIF"), ("2.webp", "WEBP"), ("3.tif", "TIFF"), ("4.png", "PNG")):
        exif = Image.Exif()
        exif[0x0112] = 6
        (tmp_path / name).write_bytes(as_bytes(stored, kind, exif=exif, quality=100))
    (tmp_path / "5.gif").write_bytes(as_bytes(quarters(160, 90), "GIF"))
    linear = as_bytes(Image.new("RGB", (160, 90), (55, 55, 55)), "PNG", icc_profile=matrix_profile(BT709, 1.0))
    (tmp_path / "6.png").write_bytes(linear)
    (tmp_path / "7.jpg").write_bytes(b"<svg/>")
    (tmp_path / "8.jpg").touch()
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50, loop=False)
    images = [
        Image.fromarray(np.ascontiguousarray(image[..., ::-1])) for _, image in run(capture, ring, 2, clock=clock)
    ]
    assert len(images) == 6
    for image in images[:5]:
        assert image.size == (160, 90)
        assert all(near(a, b, 12) for a, b in zip(corners(image), QUARTERS, strict=True))
    assert near(corners(images[5])[0], (128, 128, 128), 3)
    _, bad, empty, _ = capsys.readouterr().err.splitlines()
    assert "7.jpg" in bad and "it is a drawing (SVG); export it as PNG" in bad
    assert "8.jpg" in empty and "it is empty (0 bytes); copy it here again" in empty
    capture.close()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_as_a_camera_is_seen_as_the_screen_shows_it(
    ring: Ring, tmp_path: Path, clock: Clock, kind: str
) -> None:
    stored = quarters(160, 90).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "still.jpg").write_bytes(as_bytes(stored, kind, exif=exif, quality=100))
    capture = open_capture(ring, tmp_path, "still.jpg", fps=50)
    taken = run(capture, ring, 1, at_most=3, clock=clock)
    assert len(taken) == 3
    for _, image in taken:
        seen = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
        assert seen.size == (160, 90)
        assert all(near(a, b, 12) for a, b in zip(corners(seen), QUARTERS, strict=True))
    capture.close()


def test_a_folder_that_becomes_empty_or_unreadable_is_looked_at_again(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    image = tmp_path / "0.png"
    cv2.imwrite(str(image), np.full((90, 160, 3), 8, np.uint8))
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50)
    assert len(run(capture, ring, 1, at_most=3, clock=clock)) == 3
    for spoil in (image.unlink, partial(image.write_bytes, b"not an image")):
        spoil()
        assert run(capture, ring, 1.0, clock=clock) == []
        assert capture.status["state"] == "retrying"
        cv2.imwrite(str(image), np.full((90, 160, 3), 8, np.uint8))
        assert run(capture, ring, 10, at_most=3, clock=clock)
    capture.close()


def test_pictures_that_have_left_a_folder_are_remembered_no_longer(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(cv2.imencode(".png", np.zeros((9, 16, 3), np.uint8))[1].tobytes())
    source = open_source(Camera(name="door", source=str(tmp_path)), tmp_path)
    assert isinstance(source, Images)
    for number in range(5):  # as where a camera uploads its pictures, and old ones are removed
        bad = tmp_path / f"bad{number}.png"
        bad.write_bytes(b"no picture")
        for _ in range(4):
            source.read()
        bad.unlink()
    assert len(source._named) <= 1
    source.close()


class MjpegCamera(http.server.ThreadingHTTPServer):
    """Network camera that sends frames at 30 fps until told to hang up.

    The greys of a frame's two halves are the two digits, to the base 30, of its number.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), MjpegHandler)
        self.hang_up = threading.Event()
        self.sent = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.hang_up.set()
        self.shutdown()
        self.server_close()


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    server: MjpegCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for i in range(10**6):
            if self.server.hang_up.is_set():
                return
            image = np.full((120, 160, 3), 8 * (i % 30), np.uint8)
            image[:, 80:] = 8 * (i // 30)
            _, jpeg = cv2.imencode(".jpg", image)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            except OSError:
                return
            self.server.sent = i
            time.sleep(1 / 30)

    def log_message(self, *_: object) -> None:
        pass


def test_a_network_camera_is_read_newest_first_and_found_again(
    ring: Ring, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = MjpegCamera()
    port = camera.server_address[1]
    capture = open_capture(ring, tmp_path, f"http://user:secret@127.0.0.1:{port}/stream?token=secret", fps=5)
    while camera.sent <= 100:
        [(_, image)] = run(capture, ring, HANG_S, at_most=1)
        behind = camera.sent - number_of(image[:, :70]) - 30 * number_of(image[:, 90:])
    assert behind < camera.sent / 2  # had the camera's frames been queued, 5 of 6 would be waiting now
    camera.end()
    wait_for(lambda: capture.step([]) == [] and capture.status["state"] == "retrying", "the loss to be noticed")
    camera = MjpegCamera(port)
    assert run(capture, ring, HANG_S, at_most=3)
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
    taken = run(capture, ring, HANG_S, at_most=20)
    span_s = (taken[-1][0].captured_ns - taken[0][0].captured_ns) / 1e9
    assert number_of(taken[-1][1]) / span_s < 30, "frames of a 20 fps recording came at more than 30 fps"
    capture.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("source", ["/dev/video63", "/dev/null", 99, 10**10])
def test_a_webcam_that_is_not_there_is_no_reason_to_stop(ring: Ring, tmp_path: Path, source: str | int) -> None:
    capture = open_capture(ring, tmp_path, source)
    wait_for(lambda: capture.step([]) == [] and capture.status["state"] == "retrying", "the source to be given up")
    device = f"/dev/video{source}" if isinstance(source, int) else source
    assert device in capture.status["problem"]
    capture.close()


class Driver:
    """Webcam driver that misbehaves as `trouble` says; no real driver hangs when told to."""

    trouble, over = "", threading.Event()

    def __init__(self, *_: object) -> None:
        self.over.clear()

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, *_: object) -> float:
        return 0.0

    def set(self, *_: object) -> bool:
        return True

    def grab(self) -> bool:
        time.sleep(0.03)
        if self.trouble == "grab":
            self.over.wait()
        return self.trouble != "release"

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        return (False, None) if self.trouble else (True, np.zeros((90, 160, 3), np.uint8))

    def release(self) -> None:
        if self.trouble == "release":
            self.over.wait()


@pytest.mark.parametrize("trouble", ["retrieve", "grab", "release"])
def test_a_webcam_that_gives_no_picture_any_more_is_lost(
    ring: Ring, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.capture.live.cv2.VideoCapture", Driver)
    monkeypatch.setattr("stages.capture.live._DARK_S", 1.0)
    monkeypatch.setattr(Driver, "trouble", "")
    capture = open_capture(ring, tmp_path, 0)
    assert len(run(capture, ring, HANG_S, at_most=3)) == 3
    monkeypatch.setattr(Driver, "trouble", trouble)
    wait_for(lambda: not capture.step([]) and capture.status["state"] == "retrying", "the loss")
    if trouble != "retrieve":  # the thread that hangs holds the device until its process ends
        with pytest.raises(SystemExit):
            run(capture, ring, HANG_S)
    Driver.over.set()
    wait_for(lambda: all(thread.name != "camera" for thread in threading.enumerate()), "its thread to end")
    monkeypatch.setattr(Driver, "trouble", "")
    assert run(capture, ring, HANG_S, at_most=1) and capture.status["state"] == "live"
    capture.close()


@pytest.mark.parametrize("encode", ["sdr", "hlg"])
def test_a_camera_that_is_a_film_shows_what_its_maker_saw(
    ring: Ring, tmp_path: Path, clock: Clock, encode: str
) -> None:
    """A film stored upside down, in BT.709 or as HLG."""
    picture, tags = films.coded(films.quarters(64, 720)[::-1], 1), (2, 0, 2, 2)
    codec, options = "libx264", {"qp": "0"}
    if encode == "hlg":
        signal = np.where(films.quarters(64, 720)[::-1] > 0.5, 0.75, 0.0)  # in the primaries of BT.709
        picture, tags = films.coded(signal, 9, bits=10), (9, 1, 1, 18)
        codec, options = "libx265", {"x265-params": "log-level=0:bframes=0"}
    matrix = (65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)
    films.write_film(tmp_path / "v.mp4", [picture] * 4, codec, options=options, tags=tags, display_matrix=matrix)
    capture = open_capture(ring, tmp_path, "v.mp4", fps=10)
    [(_, image)] = run(capture, ring, HANG_S, at_most=1, clock=clock)
    assert films.near(films.corners(image[..., ::-1]), [films.RED, films.GREEN, films.BLUE, films.WHITE])
    capture.close()


def test_faces_are_upright_where_the_camera_is_a_film_mirrored_upside_down(ring: Ring, shared_dir: Path) -> None:
    capture = open_capture(ring, shared_dir, str(shared_dir / "cases/films/face_up_by_vflip.mp4"), fps=5)
    with FaceDetector(resolve("mediapipe-full-range", shared_dir)) as detector:
        for _, image in run(capture, ring, HANG_S, at_most=3):
            assert len(detector.detect(image)) == 2
    capture.close()


def test_a_film_that_breaks_off_ends_there(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    noise = np.random.default_rng(1).random((30, 64, 64, 3))
    frames = [films.coded(picture) for picture in noise]
    films.write_film(tmp_path / "v.mp4", frames, options={"crf": "1", "g": "5"}, muxing={"movflags": "faststart"})
    content = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(content[: len(content) * 3 // 4])
    capture = open_capture(ring, tmp_path, "v.mp4", fps=10, loop=False)
    taken = run(capture, ring, 4, clock=clock)
    assert 5 < len(taken) < 30
    assert capture.status["state"] == "ended"
    capture.close()


def test_real_clips_play(ring: Ring, shared_dir: Path) -> None:
    clip = shared_dir / "clips" / "one-by-one-person-detection.mp4"
    capture = open_capture(ring, shared_dir, str(clip), fps=10)
    taken = run(capture, ring, HANG_S, at_most=12)
    assert len(taken) == 12
    assert all(image.std() > 10 for _, image in taken)
    capture.close()


def test_a_pipe_that_is_put_in_the_place_of_a_picture_after_a_look_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "camera.png"
    Image.new("RGB", (64, 48)).save(place)
    look = Path.is_file

    def exchanged(path: Path) -> bool:
        is_file = look(path)
        if path == place and is_file:
            place.unlink()
            os.mkfifo(place)
        return is_file

    monkeypatch.setattr(Path, "is_file", exchanged)
    camera = Camera(name="door", source=str(place))
    with contextlib.suppress(OSError):
        source = open_source(camera, tmp_path)
        source.read()
        source.close()
