"""Media, and decoders that they have taken over: nothing that they do to a player goes beyond their own play."""

import hashlib
import math
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import psutil
import pytest
from PIL import Image

from bench.rig import coded_ads
from pipeline.medium import BLOCK_BYTES, CHANGED, MediumError
from pipeline.pictures import PictureError
from players.decoding import decoders as decoders_module
from players.decoding import moving as moving_module
from players.decoding.decoders import Decoders
from players.decoding.frames import FPS_MAX, Frames
from players.decoding.moving import AHEAD_FRAMES, Moving
from players.screen.layout import Layout
from tests import hostile
from tests.conftest import HANG_S, lives, wait_for
from tests.players.decoding.opened import creative, moving, still

SIZE = (320, 180)
LAYOUT = Layout(*SIZE)


def decoder_of(decoders: Decoders) -> psutil.Process:
    """Return the process of the only medium that is decoded."""
    (process,) = (child for child in psutil.Process(decoders._server.pid).children() if lives(child))
    return process


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a film of 4 s."""
    path = tmp_path_factory.mktemp("made") / "film.mp4"
    coded_ads.make_clip(path, 9, 120, SIZE)
    return path


@pytest.fixture
def film(made: Path, tmp_path: Path) -> Path:
    """Copy the film for a test that may change it."""
    return Path(shutil.copy(made, tmp_path))


def begun(decoders: Decoders, path: Path) -> Moving:
    """Begin to show a film, in an hour: time passes only where a test says so."""
    video = moving(decoders, path, LAYOUT)
    assert video.wait(HANG_S) is not None, video.error
    video.begin(time.monotonic() + 3600)
    return video


def test_a_decoder_has_three_files_open_and_limits(decoders: Decoders, film: Path) -> None:
    video = begun(decoders, film)
    try:
        process = decoder_of(decoders)
        limits = {what: process.rlimit(what) for what in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)}
        assert limits == {resource.RLIMIT_CPU: (60, 60), resource.RLIMIT_FSIZE: (4 << 20, 4 << 20)}
        assert process.rlimit(resource.RLIMIT_AS)[1] < (5 << 30)
        assert process.rlimit(resource.RLIMIT_CORE)[1] == 0
        try:
            files = sorted(map(os.readlink, Path(f"/proc/{process.pid}/fd").iterdir()))
        except PermissionError:
            return  # only root may look; that this account may not is a promise of its own
        assert {name.partition(":")[0] for name in files if name not in ("/dev/null", str(film))} <= {
            "/memfd", "socket", "/memfd:stationcast-frames (deleted)"
        }  # fmt: skip
        assert files.count("/dev/null") == 3 and files.count(str(film)) == 1
        assert sum(name.startswith("socket:") for name in files) == 1
    finally:
        video.close()


def test_a_decoder_that_is_killed_ends_its_film_after_the_frames_that_wait(decoders: Decoders, film: Path) -> None:
    video = begun(decoders, film)
    try:
        decoder_of(decoders).kill()
        wait_for(lambda: video.error, "the end of the decoder to be noticed")
        shown = 0
        while not video.finished:
            at_s = video._frames.at_s(video._given)
            assert video._began_s is not None
            shown += video.due(video._began_s + at_s + 0.001) is not None
        assert AHEAD_FRAMES <= shown < 120
        assert video.error.startswith("its decoder died")
    finally:
        video.close()


def test_a_decoder_that_hangs_ends_its_film(decoders: Decoders, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_module, "STALLED_S", 0.2)
    video = moving(decoders, film, LAYOUT)
    try:
        assert video.wait(HANG_S) is not None
        process = decoder_of(decoders)
        process.suspend()
        video.begin(time.monotonic())
        wait_for(lambda: video.due(time.monotonic()) or video.finished, "the frames that wait, and then the end")
        wait_for(lambda: video.due(time.monotonic()) or video.error, "the hang to be noticed")
        wait_for(lambda: video.due(time.monotonic()) is None and video.finished, "the end of the film")
        assert "did nothing" in video.error
        wait_for(lambda: not lives(process), "its end")
        assert video.expected(4.0) > 100, "what was not decoded counts as missing"
    finally:
        video.close()


def test_a_medium_that_takes_too_much_memory_fails_alone(
    decoders: Decoders, tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "memory_bytes", 4 << 20)
    Image.new("RGB", (4000, 3000), "red").save(tmp_path / "still.png")
    with pytest.raises(PictureError, match="too much memory"):
        still(decoders, tmp_path / "still.png", LAYOUT)
    video = moving(decoders, film, LAYOUT)
    try:
        assert video.wait(HANG_S) is None and video.error
    finally:
        video.close()


def test_a_picture_that_takes_too_much_time_fails_alone(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "CPU_S", 1)
    monkeypatch.setattr(decoders_module, "STILL_TIMEOUT_S", HANG_S)
    slow = hostile.slow_jpeg(tmp_path / "slow.jpg", 199, 7000, 7000, skips=False)
    with pytest.raises(PictureError, match="time of a processor"):
        still(decoders, slow, LAYOUT)
    monkeypatch.setattr(decoders_module, "CPU_S", 20)
    monkeypatch.setattr(decoders_module, "STILL_TIMEOUT_S", 0.01)
    with pytest.raises(PictureError, match="time allowed"):
        still(decoders, slow, LAYOUT)
    assert not [child for child in psutil.Process(decoders._server.pid).children() if lives(child)]


def replaced_by_another(path: Path) -> None:
    """Put a film of the same size and times in its place."""
    info = path.stat()
    coded_ads.make_clip(path, 8, 120, SIZE)
    with path.open("ab") as file:
        file.truncate(info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def put(path: Path, make: Callable[[Path], object]) -> None:
    path.rename(path.with_suffix(".away"))
    make(path)


SWAPS: dict[str, Callable[[Path], object]] = {
    "another of the same size and times": replaced_by_another,
    "a link to the same": lambda path: put(path, lambda place: place.symlink_to(path.with_suffix(".away"))),
    "a link to a device": lambda path: put(path, lambda place: place.symlink_to("/dev/zero")),
    "a pipe": lambda path: put(path, os.mkfifo),
    "a second name of another": lambda path: put(path, lambda place: place.hardlink_to(__file__)),
    "a folder": lambda path: put(path, Path.mkdir),
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_what_was_put_in_its_place_after_the_examination_is_not_shown(
    decoders: Decoders, film: Path, swap: Callable[[Path], object]
) -> None:
    examined = creative(film)
    try:
        swap(film)
    except OSError as error:
        pytest.skip(f"not possible here: {error}")
    with pytest.raises(MediumError):
        video = decoders.moving(examined, LAYOUT)
        try:
            assert video.wait(HANG_S) is None
            assert video.error == CHANGED
        finally:
            video.close()
        raise MediumError(video.error)


def shown(video: Moving) -> list[bytes]:
    """Return the hashes of the frames of a film, to its end."""
    hashes = []
    while not video.finished:
        wait_for(lambda: video.ended or video.waiting, "a frame of the film")
        if video.waiting and video._began_s is not None:
            frame = video.due(video._began_s + video._frames.at_s(video._given) + 0.001)
            assert frame is not None
            hashes.append(hashlib.sha256(frame.get_buffer().raw).digest())
    return hashes


def spread_film(path: Path) -> bytes:
    """Write a film of 120 frames in eight parts, each in another block of the file, and return its bytes."""
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "15", "sc_threshold": "0"})
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for number in range(120):
            picture = coded_ads.picture(9, number, SIZE)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content, at, spread = path.read_bytes(), 0, b""
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if kind == b"moof":
            spread += struct.pack(">I4s", BLOCK_BYTES, b"free") + bytes(BLOCK_BYTES - 8)
        spread += content[at : at + size] if kind != b"mfra" else b""
        at += size
    path.write_bytes(spread)
    assert len(spread) > 8 * BLOCK_BYTES
    return spread


def test_a_film_that_changes_while_it_is_on_is_shown_as_it_was_and_then_ends(
    decoders: Decoders, tmp_path: Path
) -> None:
    """No frame comes from bytes that were not hashed, and nothing ends the player."""
    path = tmp_path / "film.mp4"
    content = spread_film(path)
    video = begun(decoders, path)
    whole = shown(video)
    video.close()
    assert len(whole) == 120 and not video.error
    for change in (lambda: os.truncate(path, 10), lambda: path.write_bytes(content[::-1])):
        path.write_bytes(content)
        video = begun(decoders, path)
        try:
            change()
            seen = shown(video)
            assert video.error == CHANGED
            assert 0 < len(seen) < 120 and seen == whole[: len(seen)]
        finally:
            video.close()


def test_shared_memory_cannot_be_made_shorter_by_who_writes_it() -> None:
    fd = Frames.create(2, 1000)
    try:
        for length in (0, 1 << 30):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, length)
    finally:
        os.close(fd)


@pytest.mark.parametrize("lie", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_whatever_a_decoder_writes_is_taken_for_a_number(lie: float) -> None:
    fd = Frames.create(2, 1000)
    try:
        frames = Frames(fd, 2, 1000)
        frames.push(lie, 10**9)
        frames.ends_s = frames.fps = lie
        frames._counts[:] = (1 << 64) - 1
        assert frames.written <= 2, "whatever it says was released"
        frames.released = 1
        frames._counts[:] = 0
        assert frames.written == 1, "what was shown was written"
        frames.released = 0
        frames._counts[:] = (1 << 64) - 1
        frames._map[2048:2052] = b"\xff" * 4
        assert 0 < frames.fps <= FPS_MAX and frames.ends_s >= 0 and not math.isnan(frames.at_s(0))
        assert frames.written <= 2 and len(frames.view(0)) <= 1000 and len(frames.error) < 1000
    finally:
        os.close(fd)


def test_a_server_that_was_killed_is_started_again(film: Path) -> None:
    still_ad = film.with_suffix(".png")
    coded_ads.make_image(still_ad, 3, SIZE)
    decoders = Decoders()
    try:
        video = begun(decoders, film)
        process = decoder_of(decoders)
        os.kill(decoders._server.pid, signal.SIGKILL)
        wait_for(lambda: not lives(process), "the decoder to end with its server")
        assert still(decoders, still_ad, LAYOUT).get_size() == SIZE
        assert video.error
        video.close()
    finally:
        decoders.close()


PLAYS = """
import sys, time
from pathlib import Path
from players.decoding.decoders import Decoders
from players.screen.layout import Layout
from tests.players.decoding.opened import creative
decoders = Decoders()
video = decoders.moving(creative(Path(sys.argv[1])), Layout(320, 180))
video.wait(300)
print("on", flush=True)
time.sleep(300)
"""


def test_a_player_that_is_killed_leaves_no_decoder(film: Path) -> None:
    player = psutil.Popen(
        [sys.executable, "-c", PLAYS, str(film)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert player.stdout is not None
    with player.stdout:
        assert player.stdout.readline() == b"on\n"
        descendants = player.children(recursive=True)
        assert len(descendants) == 2
        player.kill()
        player.wait()
    wait_for(lambda: not any(map(lives, descendants)), "the end of its decoders")
