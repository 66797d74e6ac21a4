"""Network streams as they are: real servers that refuse, hang, change their pictures, or ask for a password."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.ring import Ring
from pipeline.settings import Camera
from stages.capture.live import LiveStream
from stages.capture.network import NetworkVideo
from stages.capture.trouble import SourceError, local_trouble
from tests.conftest import HANG_S, as_nobody, wait_for
from tests.stages.capture.conftest import Clock, open_capture, run
from tests.stages.capture.servers import (
    RtspCamera,
    closed_port,
    film,
    http_camera,
    interlaced,
    moving_bar,
)

SECRET = "s3cr%23t"


def opened(url: str, **settings: str) -> NetworkVideo:
    return NetworkVideo(Camera(name="door", source=url, **settings), Path("/"))


def why_not(url: str, **settings: str) -> str:
    with pytest.raises(SourceError) as error:
        opened(url, **settings)
    text = str(error.value)
    assert "secret" not in text and SECRET not in text and "s3cr" not in text and "Errno" not in text
    assert "; " in text, "a remedy"
    return text


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (401, "the camera refuses the user or the password (401)"),
        (403, "forbids this user to see the stream (403)"),
        (404, "no stream of that path (404)"),
        (410, "turns the request down (4xx)"),
        (429, "too many requests (429)"),
        (500, "a fault of its own (5xx)"),
        (503, "a fault of its own (5xx)"),
        (200, "no video"),
    ],
)
def test_why_a_web_camera_does_not_open(status: int, word: str) -> None:
    with http_camera(status=status) as port:
        assert word in why_not(f"http://admin:{SECRET}@127.0.0.1:{port}/video?password=secret")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (401, "the camera refuses the user or the password (401)"),
        (403, "forbids this user to see the stream (403)"),
        (404, "no stream of that path (404)"),
        (453, "turns the request down (4xx)"),
        (454, "turns the request down (4xx)"),
        (500, "a fault of its own (5xx)"),
        (503, "a fault of its own (5xx)"),
    ],
)
def test_why_an_rtsp_camera_does_not_open(status: int, word: str) -> None:
    with RtspCamera(status) as camera:
        assert word in why_not(f"rtsp://admin:{SECRET}@127.0.0.1:{camera.port}/live")


def test_a_camera_that_wants_a_password_and_gets_none_says_so() -> None:
    with RtspCamera(401) as camera:
        assert "asks for a user and a password (401)" in why_not(f"rtsp://127.0.0.1:{camera.port}/live")


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtsps", "https"])
def test_a_port_on_which_nothing_listens(scheme: str) -> None:
    assert "connection refused" in why_not(f"{scheme}://admin:{SECRET}@127.0.0.1:{closed_port()}/live")


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_host_that_is_not_there(scheme: str) -> None:
    assert "no host of that name" in why_not(f"{scheme}://admin:{SECRET}@no-such-camera.invalid/live")


@pytest.mark.parametrize("scheme", ["HTTP", "Http", "RTSP", "rtSP"])
def test_a_scheme_in_capitals_is_known(scheme: str) -> None:
    with RtspCamera(404) if scheme.lower() == "rtsp" else http_camera(status=404) as camera:
        port = camera if isinstance(camera, int) else camera.port
        assert "no stream of that path (404)" in why_not(f"{scheme}://127.0.0.1:{port}/live")


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_a_camera_without_tls(scheme: str) -> None:
    with http_camera() as port:
        assert "does not speak TLS" in why_not(f"{scheme}://admin:{SECRET}@127.0.0.1:{port}/live")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_does_not_answer(scheme: str) -> None:
    with RtspCamera(silent=True) as camera:
        assert "no answer within 5 s" in why_not(f"{scheme}://admin:{SECRET}@127.0.0.1:{camera.port}/live")


def test_a_codec_that_is_not_known() -> None:
    with RtspCamera(codec="X-FUTURE") as camera:
        text = why_not(f"rtsp://127.0.0.1:{camera.port}/live")
        assert "codec is not known" in text


def test_the_reason_is_in_log_and_status_without_the_password(
    ring: Ring, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RtspCamera(404) as camera:
        capture = open_capture(ring, tmp_path, f"rtsp://admin:{SECRET}@127.0.0.1:{camera.port}/live?token=secret")
        wait_for(lambda: capture.step([]) == [] and capture.status["state"] == "retrying", "the refusal")
        capture.close()
    assert capture.status["problem"] == "the camera has no stream of that path (404); look up the path in its manual"
    output = capfd.readouterr()
    assert capture.status["problem"] in output.err
    assert "secret" not in output.out + output.err and "s3cr" not in output.out + output.err + str(capture.status)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
@example("s3cr#t")
@example("a/?#[]@:%20 b")
@settings(max_examples=20)
def test_an_escaped_password_reaches_the_camera_as_it_is(password: str) -> None:
    with http_camera(film(64, 48, frames=5), password=password) as port:
        video = opened(f"http://admin:{quote(password, safe='')}@127.0.0.1:{port}/live")
        video.grab()
        video.release()


SIZES = [(320, 180), (160, 120), (180, 320)]


def corners(image: NDArray[np.uint8]) -> str:
    """Return the first letters of the colours of the four quarters of a BGR picture, from the top left."""
    height, width = image.shape[:2]
    names = {"b": (255, 0, 0), "g": (0, 255, 0), "r": (0, 0, 255), "w": (255, 255, 255)}

    def name(y: int, x: int) -> str:
        return min(names, key=lambda n: int(np.abs(image[y, x].astype(int) - names[n]).sum()))

    return "".join(name(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4))


@pytest.fixture(params=["http", "rtsp"])
def switching(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a camera that switches through `SIZES`."""
    with ExitStack() as stack:
        if request.param == "rtsp":
            films = tuple(film(w, h, container="h264") for w, h in SIZES)
            yield f"rtsp://127.0.0.1:{stack.enter_context(RtspCamera(films=films)).port}/live"
        else:
            body = b"".join(film(w, h, starts_s=1.2 * i) for i, (w, h) in enumerate(SIZES))
            yield f"http://127.0.0.1:{stack.enter_context(http_camera(body, lasts_s=6))}/live"


def test_a_stream_that_changes_its_size_keeps_each_shape(
    ring: Ring, tmp_path: Path, switching: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capture = open_capture(ring, tmp_path, switching, fps=100, max_width_px=240, max_height_px=240)
    seen: list[tuple[int, int]] = []
    while len(seen) < 3:
        for frame, image in run(capture, ring, HANG_S, at_most=1):
            size = (frame.width_px, frame.height_px)
            if size not in seen[-1:]:
                seen.append(size)
            assert image.shape == (*size[::-1], 3)
            assert corners(image) == "rgbw", "nothing is stretched, torn or turned"
    capture.close()
    assert seen == [(240, 135), (160, 120), (135, 240)]
    assert capfd.readouterr().err.count("frame_size_changes") == 1


def grabbed(url: str, pictures: int) -> list[NDArray[np.uint8]]:
    video = opened(url)
    images = []
    for _ in range(pictures):
        video.grab()
        image = video.retrieve()
        assert image is not None
        images.append(image)
    video.release()
    return images


def test_pixels_that_are_not_square_are_made_square_also_when_they_change() -> None:
    ratios = [Fraction(16, 11), Fraction(12, 11), Fraction(1)]
    body = b"".join(film(176, 144, ratio=ratio, starts_s=1.2 * i) for i, ratio in enumerate(ratios))
    with http_camera(body) as port:
        images = grabbed(f"http://127.0.0.1:{port}/live", 85)
    widths = list(dict.fromkeys(image.shape[1] for image in images))
    assert widths == [256, 192, 176]
    assert {image.shape[0] for image in images} == {144}


def test_a_camera_file_that_changes_its_size_keeps_each_shape(ring: Ring, tmp_path: Path) -> None:
    sizes = [*SIZES, (352, 288)]
    (tmp_path / "v.ts").write_bytes(b"".join(film(w, h, starts_s=1.2 * i) for i, (w, h) in enumerate(sizes)))
    capture = open_capture(ring, tmp_path, "v.ts", fps=50, loop=False)
    seen: list[tuple[int, int]] = []
    while capture.status["state"] != "ended":
        for frame, image in run(capture, ring, 1):
            assert corners(image) == "rgbw"
            seen += [(frame.width_px, frame.height_px)] if (frame.width_px, frame.height_px) not in seen[-1:] else []
    capture.close()
    assert seen == sizes


@pytest.mark.parametrize("starts_s", [0.0, 3600.0])
def test_recordings_that_were_joined_play_one_after_the_other(
    ring: Ring, tmp_path: Path, clock: Clock, starts_s: float
) -> None:
    """The clock of the second part jumps back or forth; its pictures follow at once and at their pace."""
    parts = [film(352, 288, frames=25), film(192, 144, frames=25, starts_s=starts_s)]
    (tmp_path / "v.ts").write_bytes(b"".join(parts))
    capture = open_capture(ring, tmp_path, "v.ts", fps=50, loop=False)
    taken = run(capture, ring, 3, clock=clock)
    assert [frame.width_px for frame, _ in taken] == [352] * 25 + [192] * 25
    gaps_s = np.diff([frame.captured_ns for frame, _ in taken]) / 1e9
    assert gaps_s == pytest.approx(0.04, abs=0.005)
    capture.close()


def test_pixels_that_are_not_square_over_rtsp() -> None:
    films = (film(176, 144, container="h264", ratio=Fraction(16, 11)),)
    with RtspCamera(films=films) as camera:
        (image,) = grabbed(f"rtsp://127.0.0.1:{camera.port}/live", 1)
    assert image.shape == (144, 256, 3)
    assert corners(image) == "rgbw"


@given(
    st.lists(
        st.tuples(st.integers(8, 200), st.integers(8, 200)).map(lambda size: (2 * size[0], 2 * size[1])),
        min_size=2,
        max_size=4,
    )
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_sizes_may_follow_each_other(sizes: list[tuple[int, int]]) -> None:
    body = b"".join(film(w, h, frames=10, starts_s=0.4 * i) for i, (w, h) in enumerate(sizes))
    with http_camera(body) as port:
        images = grabbed(f"http://127.0.0.1:{port}/live", 10 * len(sizes) - 5)
    found = [image.shape[1::-1] for image in images]
    order = [size for i, size in enumerate(found) if i == 0 or found[i - 1] != size]
    assert order == [size for i, size in enumerate(sizes) if i == 0 or sizes[i - 1] != size]
    assert {corners(image) for image in images} == {"rgbw"}


def test_damage_on_the_way_is_passed_over() -> None:
    body = bytearray(film(320, 180, frames=60))
    body[len(body) // 3 : len(body) // 3 + 2000] = os.urandom(2000)
    with http_camera(bytes(body)) as port:
        images = grabbed(f"http://127.0.0.1:{port}/live", 30)
    assert corners(images[-1]) == "rgbw"


def test_the_last_picture_is_shown_however_soon_the_stream_ends() -> None:
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 128, np.uint8))
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg.tobytes())
    headers = (("Content-Type", "multipart/x-mixed-replace; boundary=b"),)
    with http_camera(part, headers=headers) as port:
        stream = LiveStream(Camera(name="door", source=f"http://127.0.0.1:{port}/video"), Path("/"))
        stream._wanted.set()
        stream._thread.join(HANG_S)
        stream.advance()
        assert stream.read()
        with pytest.raises(SourceError, match="the camera ended the stream"):
            stream.advance()
        stream.close()


def test_a_url_of_one_picture_is_asked_again_for_each_and_is_no_lost_camera(
    ring: Ring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 128, np.uint8))
    asked: list[str] = []
    with http_camera(jpeg.tobytes(), headers=(("Content-Type", "image/jpeg"),), asked=asked) as port:
        capture = open_capture(ring, tmp_path, f"http://127.0.0.1:{port}/picture.jpg", fps=5)
        taken = run(capture, ring, HANG_S, at_most=8)
        assert len(taken) == 8 and capture.status["state"] == "live" and len(asked) <= 10
    wait_for(lambda: not capture.step([]) and capture.status["state"] == "retrying", "the loss")
    capture.close()
    assert capsys.readouterr().err.count("source_lost") == 1


def test_a_playlist_from_the_network_opens_no_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "v.ts").write_bytes(film(64, 48))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/v.ts\n#EXT-X-ENDLIST\n"
    with http_camera(playlist.encode()) as port:
        why_not(f"http://127.0.0.1:{port}/live.m3u8")


def test_interlaced_streams_are_made_whole() -> None:
    with http_camera(interlaced()) as port:
        image = grabbed(f"http://127.0.0.1:{port}/live", 5)[3]
    between, combed = (np.abs(np.diff(x[..., 1].astype(int), axis=0)).mean() for x in (image, moving_bar(3)))
    assert image[..., 1].max() > 200
    assert between < combed / 4


def test_files_say_why_they_do_not_open(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a film")
    (tmp_path / "folder").mkdir()
    for source, word in (
        ("gone.mp4", "no such file"),
        ("text.mp4", "is no film that can be read"),
        ("folder", "no picture in"),
        ("/dev/video63", "no such device: /dev/video63"),
        ("/dev/null", "/dev/null is no camera"),
    ):
        capture = open_capture(ring, tmp_path, source)
        wait_for(lambda c=capture: c.step([]) == [] and c.status["state"] == "retrying", "the reason")  # type: ignore[misc]
        assert word in capture.status["problem"] and "Errno" not in capture.status["problem"]
        assert "; " in capture.status["problem"]
        capture.close()


def test_a_source_that_may_not_be_read_is_told_with_its_remedy(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "v.mp4").write_bytes(film(64, 48, container="mp4"))
    (tmp_path / "v.mp4").chmod(0o000)
    (tmp_path / "pictures").mkdir(0o000)
    code = f"""
from pathlib import Path
from pipeline.settings import Camera
from stages.capture.sources import open_source
from stages.capture.trouble import local_trouble
for source in ("v.mp4", "pictures"):
    try:
        open_source(Camera(name="door", source=source), Path("{tmp_path}"))
    except OSError as error:
        print(local_trouble(error, Path(source)))
"""
    done = as_nobody([sys.executable, "-c", code])
    remedy = "let the station's user read it (chmod a+rX)"
    assert done.stdout.splitlines() == [f"no permission to read {name}; {remedy}" for name in ("v.mp4", "pictures")]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.EIO, "Input/output error"), "the disk or share of v.mp4 does not answer"),
        (OSError(errno.ESTALE, "Stale file handle"), "the disk or share of v.mp4 does not answer"),
        (OSError("anything"), "v.mp4 cannot be read"),
    ],
)
def test_a_disk_that_fails_is_told_plainly(error: OSError, word: str) -> None:
    assert word in local_trouble(error, Path("v.mp4"))
