"""Fixtures of all tests, and the rule for them: no process, socket, file descriptor or thread outlives a test."""

import contextlib
import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import hypothesis
import msgspec
import psutil
import pytest

from pipeline.graph import Row
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.supervisor import Supervisor
from tests.toys import TOYS

# Take the same examples each time, and as long as each needs: a busy machine fails no test.
hypothesis.settings.register_profile(
    "stationcast", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("stationcast")

HANG_S = 300
"""Time after which something is taken to hang, s. Nothing that a test waits for takes so long on a loaded machine."""


def as_nobody(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as the user `nobody`; skip the test where that cannot be."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    imports = [*nobody, sys.executable, "-c", "import pipeline.cameras"]
    if shutil.which("setpriv") is None or subprocess.run(imports, capture_output=True, check=False).returncode:
        pytest.skip("no program of this checkout may be run as another user here: this was not tried")
    return subprocess.run([*nobody, *command], capture_output=True, text=True, timeout=HANG_S, check=False)


_SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of shared data beside the checkout; skip the test where there is none."""
    if not _SHARED.is_dir():
        pytest.skip(f"no shared data folder beside the checkout ({_SHARED.name}/): this test did not run")
    return _SHARED


def _open_fds() -> dict[int, str]:
    """Return what is open, but for libraries' own files and for fonts, which matplotlib keeps open."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 (a thousand Paths a test take milliseconds)
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 (a Path would drop what follows "(deleted)")
        except OSError:
            continue
        if target.startswith(("socket:", "pipe:", "/memfd:", "anon_inode:[eventfd]", "anon_inode:[eventpoll]")) or (
            target.startswith("/")
            and not target.startswith(("/dev/", "/proc/"))
            and "/site-packages/" not in target
            and not target.endswith(".otf")
        ):
            found[int(fd)] = target
    return found


def pytest_configure() -> None:
    """Restore Ctrl-C, which a suite started in the background ignores, as would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


_NUMBERS = ctypes.CDLL(None)
_AS_THE_STANDARD_HAS_THEM = ctypes.c_void_p(-1)
"""FE_DFL_ENV of C."""


def pytest_runtest_setup() -> None:
    """Let numbers near zero be numbers again: a classifier's session makes them zero in the process that runs it."""
    _NUMBERS.fesetenv(_AS_THE_STANDARD_HAS_THEM)


_FIRST = ("test_station.py", "models", "test_privacy.py", "test_readme.py", "test_setup.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files of few long tests, so that none is left at the end while all else is done.

    Beside the real station, whose rates are judged, run tests of models, which start none.
    """

    def rank(item: pytest.Item) -> int:
        return next((n for n, name in enumerate(_FIRST) if item.nodeid.startswith(f"tests/{name}")), len(_FIRST))

    items.sort(key=rank)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say that training is not tried, where it is not: its tests need PyTorch."""
    if "not train" in config.option.markexpr:
        return ["training is NOT tested here: it needs PyTorch; `make test-train` does"]
    return []


def _descendants() -> set[psutil.Process]:
    """Return all processes under this one. Where the kernel knows of no child, the table of processes is not read."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, a thread of its own or a file descriptor behind."""
    fds, threads, children = _open_fds(), set(threading.enumerate()), _descendants()
    yield
    request.node.funcargs.clear()
    deadline_s = time.monotonic() + 60
    while True:
        processes = [p for p in _descendants() - children if lives(p)]
        new_fds = {fd: target for fd, target in _open_fds().items() if fds.get(fd) != target}
        new_threads = [t.name for t in threading.enumerate() if t not in threads and not t.daemon]
        if not processes and not new_fds and not new_threads:
            return
        if time.monotonic() > deadline_s:
            pytest.fail(f"left behind: processes {processes}, file descriptors {new_fds}, threads {new_threads}")
        gc.collect()  # a fifth of a second, once the heavy libraries are loaded: only where something is left
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def private_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test folders of its own for sockets and ledgers, short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setenv("XDG_DATA_HOME", f"{folder}/data")
        yield


def lives(process: psutil.Process) -> bool:
    """Return whether a process still runs; a zombie does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


RunningStation = Callable[..., AbstractContextManager[Supervisor]]


@pytest.fixture
def running(tmp_path: Path) -> RunningStation:
    """Run a station of toy stages, or of any graph: `with running(cameras=2, detect=1) as supervisor:`."""

    @contextmanager
    def run(
        cameras: int = 2,
        fps: float = 20.0,
        workers: dict[str, int] | None = None,
        table: tuple[Row, ...] = TOYS,
        screens: tuple[str, ...] = ("main",),
    ) -> Iterator[Supervisor]:
        station = Station(
            station=StationTable(name="toys"),
            cameras=tuple(
                Camera(name=f"c{i}", source="sample", fps=fps, max_width_px=320, max_height_px=240)
                for i in range(cameras)
            ),
            workers=workers or {},
            screens=tuple(Screen(name=name) for name in screens),
            folder=tmp_path,
        )
        supervisor = Supervisor(station, table)
        errors: list[Exception] = []

        def target() -> None:
            try:
                supervisor.run()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=target)
        thread.start()
        try:
            wait_for(lambda: supervisor.ready_s or errors, "the station to be ready")
            if not errors:
                yield supervisor
        finally:
            supervisor.stop()
            thread.join(timeout=HANG_S)
        if errors:
            raise errors[0]

    return run


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = HANG_S) -> float:
    """Wait until `condition()` is true. Return the s that it took; fail the test with `what` after `timeout_s`."""
    started_s = time.monotonic()
    while not condition():
        if time.monotonic() - started_s > timeout_s:
            pytest.fail(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.01)
    return time.monotonic() - started_s


def waited_for_a_core_s(pid: int) -> float:
    """Return the seconds that a process could have run and had no core: what the machine's load took from it."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def replaced(table: tuple[Row, ...], name: str, stage: str) -> tuple[Row, ...]:
    """Return the stage table with another class in the rows of one name."""
    return tuple(msgspec.structs.replace(row, stage=stage) if row.name == name else row for row in table)
