"""The promises about people: no frame or crop is written to a disk, kept, dumped or sent."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
import psutil
import pytest

from pipeline.control import Status, ask
from pipeline.errors import UserError
from pipeline.operator.snapshot import Snapshot
from pipeline.operator.summary import summarise
from stages.capture.sample import render
from tests.conftest import wait_for

STATION = """
[station]
name = "canary"
state_dir = "state"
load_s = 150
[[cameras]]
name = "eye"
source = "photos"
fps = 8
[[screens]]
width_px = 320
height_px = 180
headless = true
screenshot = "screen.png"
screenshot_every_s = 0.2
"""
CANARY = np.random.default_rng(7).integers(0, 256, (64, 640, 3), np.uint8)
_TRACED = "openat,open,creat,rename,renameat,renameat2,connect,sendto,sendmsg"


class Run(NamedTuple):
    """Deeds of a station: files that it wrote, and lines of what it opened and called, which are None without strace.

    `core_bytes` are the limits of a core dump of each of its processes.
    """

    folder: Path
    written: list[Path]
    core_bytes: list[tuple[int, int]]
    trace: list[str] | None


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a station until it has seen people and shown an ad, watched by strace where that is there."""
    folder = tmp_path_factory.mktemp("station")
    trace = tmp_path_factory.mktemp("trace") / "trace"
    watch = ["strace", "--seccomp-bpf", "-f", "-qq", "-o", str(trace), "-e", f"trace={_TRACED}", "-e", "signal=none"]
    wrapper = watch if shutil.which("strace") else []
    path = make_station(folder)
    before = _writable(folder)
    with tempfile.TemporaryDirectory(prefix="sc-") as sockets, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", sockets)
        patch.setenv("XDG_DATA_HOME", f"{sockets}/data")
        command = [*wrapper, sys.executable, "-P", "-m", "pipeline.cli", "run", str(path)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as run:
            try:
                wait_for(lambda: run.poll() is not None or _has_seen_people(folder), "people and a play")
                assert run.poll() is None, "the station has ended"
                station = psutil.Process(run.pid).children()[0] if wrapper else psutil.Process(run.pid)
                core_bytes = [child.rlimit(psutil.RLIMIT_CORE) for child in station.children()]
            finally:  # strace would not end with what it watches
                with contextlib.suppress(psutil.NoSuchProcess):
                    for process in psutil.Process(run.pid).children() if wrapper else (run,):
                        process.terminate()
        assert run.returncode == 0
        written = [file for file, changed_ns in _writable(folder).items() if before.get(file) != changed_ns]
        yield Run(folder, written, core_bytes, trace.read_text(errors="replace").splitlines() if wrapper else None)


def _has_seen_people(folder: Path) -> bool:
    try:
        summary = summarise(msgspec.json.decode(ask("canary", Status()), type=Snapshot))
    except UserError:  # it does not listen yet
        return False
    seen = summary["faces"]["detected"] > 20 and summary["faces"]["classified"] > 0
    return seen and summary["plays"]["total"] > 0 and (folder / "screen.png").exists()


def make_station(folder: Path) -> Path:
    """Make a camera that sees people, each frame with a strip of noise that is found nowhere else in the world."""
    photos = folder / "photos"
    photos.mkdir()
    for i in range(12):
        scene = render("left", 8 + i / 4)
        scene[:64, :640] = CANARY
        cv2.imwrite(str(photos / f"{i:02}.png"), scene)
    path = folder / "station.toml"
    path.write_text(STATION)
    return path


def _needles() -> list[bytes]:
    """Pieces of the canary as they would lie in a file of raw pixels, in either order of the colours."""
    return [bytes(order[row, 100:116].tobytes()) for order in (CANARY, CANARY[..., ::-1]) for row in (5, 30, 60)]


def test_no_pixel_of_a_frame_reaches_a_file(ran: Run) -> None:
    assert ran.folder / "screen.png" in ran.written
    for path in ran.written:
        if ran.folder not in path.parents and not path.exists():
            continue  # another program's, gone again
        data = path.read_bytes()
        assert not any(needle in data for needle in _needles()), f"{path} holds pixels of a frame"
        if path.suffix in (".png", ".jpg", ".webp"):
            picture = cv2.imread(str(path))
            assert picture is not None and not _shows_canary(picture), f"{path} shows the camera"


def _writable(folder: Path) -> dict[Path, int]:
    """Every file that the station could have written (its folder, temporary folders, the shared memory, the cache) and
    when it was changed."""
    places = [folder, folder.parent, Path("/dev/shm"), Path("/var/tmp"), Path.home() / ".cache" / "stationcast"]
    found: dict[Path, int] = {}
    for place in places:
        for path in place.rglob("*") if place.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and "wheels" not in path.parts and "photos" not in path.parts:
                    found[path] = path.stat().st_mtime_ns
    return found


def _shows_canary(picture: np.ndarray) -> bool:
    patch = CANARY[:32, :32]
    if picture.shape[0] < 32 or picture.shape[1] < 32:
        return False
    return bool(cv2.matchTemplate(picture, patch, cv2.TM_CCOEFF_NORMED).max() > 0.6)


def test_only_the_ledger_and_the_screenshot_are_written_and_nobody_is_called(ran: Run) -> None:
    if ran.trace is None:
        pytest.skip("no strace: what the station opens was not watched")
    folder, lines = ran.folder, ran.trace
    assert len(lines) > 1000
    assert [line for line in lines if "AF_INET" in line] == []
    opened = [line.split('"')[1] for line in lines if ("O_WRONLY" in line or "O_RDWR" in line) and '"' in line]
    strange = {name for name in opened if not _may_be_written(name, folder)}
    assert strange == set()


def _may_be_written(name: str, folder: Path) -> bool:
    allowed = (f"{folder}/state/", f"{folder}/screen.png", f"{folder}/.screen.png.", "/dev/null", "/dev/tty")
    runtime = name.endswith(("canary.lock", "/control")) or "/canary/" in name
    return name.startswith(allowed) or runtime or "__pycache__" in name or name.startswith("/proc/self/")


def test_a_process_that_holds_frames_dumps_no_core(ran: Run) -> None:
    assert ran.core_bytes == [(0, 0)] * 7
