"""Another account of the machine cannot stop a station, and another program of the same account cannot flood or read
it."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline.control import Status, ask
from pipeline.runtime import runtime_root
from tests.conftest import HANG_S, RunningStation, wait_for
from tests.pipeline.test_private import SOMEBODY, as_root, mode_of

STATION = """
[station]
name = "guarded"
mode = "count"
state_dir = "state"
[[cameras]]
name = "eye"
source = "rtsp://user:S3cretWord@127.0.0.1:9/stream"
[[screens]]
width_px = 320
height_px = 180
headless = true
"""


@pytest.fixture
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let sockets be where a service has them, below a folder that anybody may write; return that folder."""
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    tmp.chmod(0o1777)
    monkeypatch.setattr("pipeline.runtime._TEMPORARY", tmp)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    return tmp


@as_root
@pytest.mark.parametrize("what", ["folder", "file", "link", "dangling link"])
def test_nobody_can_take_the_runtime_folder_beforehand_or_later(what: str, own_place: Path) -> None:
    def take(name: str) -> None:
        place = own_place / name
        if what == "folder":
            place.mkdir()
        elif what == "file":
            place.touch()
        else:
            place.symlink_to(own_place if what == "link" else own_place / "nowhere")
        os.chown(place, SOMEBODY, -1, follow_symlinks=False)

    take(f"stationcast-{os.getuid()}")
    first = runtime_root()
    assert mode_of(first) == 0o700 and first.lstat().st_uid == os.geteuid() and runtime_root() == first
    first.rmdir()  # as a cleaner of /tmp does
    assert runtime_root() == first
    first.rmdir()
    take(first.name)
    second = runtime_root()
    assert second != first and mode_of(second) == 0o700 and runtime_root() == second


def test_processes_that_ask_at_once_agree_on_the_runtime_folder(own_place: Path) -> None:
    found: set[Path] = set()
    threads = [threading.Thread(target=lambda: found.add(runtime_root())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1 and list(own_place.iterdir()) == list(found)


def test_a_flood_on_the_control_socket_does_not_stall_the_station(running: RunningStation) -> None:
    with running(cameras=1) as supervisor:
        path, over = str(supervisor.runtime_dir / "control"), threading.Event()

        def flood(data: bytes) -> None:
            while not over.is_set():
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(0.5)
                    try:
                        client.connect(path)
                        client.sendall(data)
                        over.wait(0.01)
                    except OSError:
                        over.wait(0.01)

        silent = []
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(path)
            silent.append(client)
        threads = [
            threading.Thread(target=flood, args=(data,))
            for data in (b"", b"\x81\xa4type\xa8status.1", b"\xff" * 70_000)
        ]
        for thread in threads:
            thread.start()
        try:
            cpu_s, from_s = _cpu_s(), time.monotonic()
            child = next(child for child in supervisor.children if child.worker == "detect.0")
            before = child.cell["out"]
            assert child.process
            child.process.kill()
            wait_for(lambda: child.restarts and child.ready, "the restart amid the flood")
            wait_for(lambda: child.cell["out"] > before + 20, "frames amid the flood")
            assert supervisor.ready_s and (_cpu_s() - cpu_s) / (time.monotonic() - from_s) < 0.9
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for client in silent:
                client.close()
        wait_for(lambda: _answers(supervisor.station.station.name), "an answer after the flood")


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def _answers(name: str) -> bool:
    try:
        return bool(ask(name, Status(), timeout_ms=1000))
    except Exception:
        return False


@as_root
def test_another_account_is_not_answered(running: RunningStation) -> None:
    script = (
        "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(60)\nos.setuid(int(sys.argv[2]))\n"
    )
    script += "s.connect(sys.argv[1])\ns.sendall(b'\\x81\\xa4type\\xa8status.1')\ns.shutdown(1)\nprint(len(s.recv(9)))"
    with running(cameras=1) as supervisor:
        control = supervisor.runtime_dir / "control"
        control.chmod(0o777)
        for folder in (supervisor.runtime_dir, runtime_root(), runtime_root().parent):
            folder.chmod(0o755)
        command = [sys.executable, "-I", "-c", script, str(control)]
        said = [subprocess.run([*command, str(uid)], capture_output=True, timeout=HANG_S) for uid in (0, SOMEBODY)]
    assert said[0].stdout == b"9\n" and said[1].stdout != b"9\n"
    assert b"refused" not in said[1].stderr and b"ermission" not in said[1].stderr


# Root without CAP_SYS_PTRACE may no more than any other account: PR_CAPBSET_DROP is 24, the capability's number 19.
_WEAK = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 19); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
WEAK_PYTHON = [sys.executable, "-I", "-c", _WEAK]
_SPY = """
import os, sys
folder = f"/proc/{sys.argv[1]}/fd"
try:
    print([os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)])
except PermissionError:
    print("refused")
"""


def _spied(pid: int) -> str:
    command = [*WEAK_PYTHON, "-I", "-c", _SPY, str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANG_S).stdout


def test_an_ordinary_process_is_open_to_other_programs() -> None:
    with subprocess.Popen([*WEAK_PYTHON, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdin and process.stdout and process.stdout.readline() == b"\n"
        assert "pipe:" in _spied(process.pid)
        process.stdin.write(b"\n")


def test_no_process_of_a_station_is_open_to_other_programs_or_shows_a_password(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(STATION)
    (tmp_path / "state").mkdir(mode=0o755)
    command = [*WEAK_PYTHON, "-P", "-m", "pipeline.cli", "run", "station.toml"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.PIPE, text=True
    ) as run:
        try:
            wait_for(lambda: list((tmp_path / "state").glob("*.ballast")), "the ledger")
            family = [run.pid, *(child.pid for child in psutil.Process(run.pid).children())]
            assert len(family) >= 5
            for pid in family:
                wait_for(lambda pid=pid: _spied(pid) == "refused\n", "a process to keep to itself")
                for name in ("cmdline", "environ", "comm"):
                    assert b"S3cretWord" not in Path(f"/proc/{pid}/{name}").read_bytes()
            state = tmp_path / "state"
            assert mode_of(state) == 0o700 and {mode_of(path) for path in state.iterdir()} == {0o600}
        finally:
            run.terminate()
            said = run.communicate(timeout=HANG_S)[1]
    assert "S3cretWord" not in said
