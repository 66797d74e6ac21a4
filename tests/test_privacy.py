"""The promises about people: no frame or crop is written to a disk, kept, dumped or sent."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from stages.capture.sample import render
from tests.conftest import HANG_S, wait_for

STATION = """
[station]
name = "canary"
state_dir = "state"
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


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    """A camera that sees people, each frame with a strip of noise that is found nowhere else in the world."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(12):
        scene = render("left", 8 + i / 4)
        scene[:64, :640] = CANARY
        cv2.imwrite(str(photos / f"{i:02}.png"), scene)
    path = tmp_path / "station.toml"
    path.write_text(STATION)
    return path


def _needles() -> list[bytes]:
    """Pieces of the canary as they would lie in a file of raw pixels, in either order of the colours."""
    return [bytes(order[row, 100:116].tobytes()) for order in (CANARY, CANARY[..., ::-1]) for row in (5, 30, 60)]


def _run(station_file: Path, *wrapper: str) -> None:
    command = [*wrapper, sys.executable, "-P", "-m", "pipeline.cli", "run", station_file, "--duration", "6"]
    done = subprocess.run(command, cwd=station_file.parent, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    assert " 0 faces found" not in done.stdout


def test_no_pixel_of_a_frame_reaches_a_file(station_file: Path) -> None:
    folder = station_file.parent
    sources = set(folder.rglob("*"))
    before = _writable(folder)
    _run(station_file)
    written = [path for path, changed_ns in _writable(folder).items() if before.get(path) != changed_ns]
    assert {path.name for path in written if folder in path.parents} - {path.name for path in sources} >= {"screen.png"}
    for path in written:
        if folder not in path.parents and not path.exists():
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


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace: what the station opens was not watched")
def test_only_the_ledger_and_the_screenshot_are_written_and_nobody_is_called(station_file: Path) -> None:
    folder = station_file.parent
    trace = folder.parent / f"{folder.name}.trace"
    _run(station_file, "strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={_TRACED}", "-e", "signal=none")
    lines = trace.read_text(errors="replace").splitlines()
    assert len(lines) > 1000
    assert [line for line in lines if "AF_INET" in line] == []
    opened = [line.split('"')[1] for line in lines if ("O_WRONLY" in line or "O_RDWR" in line) and '"' in line]
    strange = {name for name in opened if not _may_be_written(name, folder)}
    assert strange == set()


def _may_be_written(name: str, folder: Path) -> bool:
    allowed = (f"{folder}/state/", f"{folder}/screen.png", f"{folder}/.screen.png.", "/dev/null", "/dev/tty")
    runtime = name.endswith(("canary.lock", "/control")) or "/canary/" in name
    return name.startswith(allowed) or runtime or "__pycache__" in name or name.startswith("/proc/self/")


def test_a_process_that_holds_frames_dumps_no_core(station_file: Path) -> None:
    command = [sys.executable, "-P", "-m", "pipeline.cli", "run", station_file]
    with subprocess.Popen(command, cwd=station_file.parent, stdout=subprocess.DEVNULL) as station:
        parent = psutil.Process(station.pid)
        wait_for(lambda: len(parent.children()) == 7, "the station's processes")
        wait_for(lambda: all(_core_limit(child.pid) == (0, 0) for child in parent.children()), "no core dumps")
        station.terminate()


def _core_limit(pid: int) -> tuple[int, int]:
    return psutil.Process(pid).rlimit(psutil.RLIMIT_CORE)
