"""Examination of this machine: what it has and lacks for a station, and how to mend it.

Libraries are tried in processes of their own. One that crashes or hangs is then a finding, not the end.
"""

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import click
import msgspec
import platformdirs
import psutil
from msgspec import Struct
from rich.markup import escape
from rich.table import Table

from pipeline import wire
from pipeline.cameras import webcam_problem
from pipeline.errors import UserError
from pipeline.runtime import runtime_root
from pipeline.streams import Terminal
from pipeline.system import plain

Status = Literal["ok", "warn", "fail"]
_TRY_S = 60
_SWAPS = Path("/proc/swaps")
_FRAMES_BYTES = 6 * 1920 * 1080 * 3

SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}
"""Shared libraries that the wheels expect of the system, with the Debian and Ubuntu packages that hold them."""

WINDOW_LIBRARIES = {"libX11.so.6": "libx11-6", "libXext.so.6": "libxext6"}
"""Shared libraries that SDL loads besides, to open a window under X11."""

MODULES = {
    "cv2": "frames",
    "ai_edge_litert.interpreter": "detection",
    "mediapipe.tasks.python.vision": "another detection",
    "onnxruntime": "classification",
    "pygame": "the screen",
    "zmq": "messages",
    "av": "video ads",
    "numpy": "pictures",
    "cryptography": "keys",
}
NEEDLESS = {"mediapipe": "only detect.runtime = 'mediapipe' needs it, and it has no wheel for Arm"}
"""Packages that a station can do without, and what for."""


class Elsewhere(Struct, frozen=True):
    """Check that another folder makes: `module:function`, called in a process of its own."""

    name: str
    check: str
    broken: Status
    """Status where the function raises, or its process dies or hangs."""
    remedy: str


_HEADLESS = "mend what fails above; headless stations keep a screenshot file instead"
ELSEWHERE = {
    "the display": Elsewhere("display", "players.checks:display", "warn", _HEADLESS),
    "the GPU": Elsewhere("GPU", "models.checks:gpu", "warn", "mend what fails above"),
    "models": Elsewhere("models", "models.checks:files", "fail", "mend what fails above, then stationcast models pull"),
    "fonts": Elsewhere("fonts", "players.checks:fonts", "fail", "install stationcast anew"),
}


class Check(Struct, frozen=True):
    """Finding of the doctor. `remedy` is empty where there is nothing to do."""

    name: str
    status: Status
    found: str
    remedy: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine has and lacks, and how to mend it; exit code 1 if a station cannot run here."""
    checks: list[Check] = []
    with Terminal(stderr=True).status("examining this machine ...") as status:
        for name, examine in EXAMINATIONS.items():
            status.update(f"examining {name} ...")
            checks += examine()
    ok = all(check.status != "fail" for check in checks)
    if as_json:
        click.echo(msgspec.json.encode({"ok": ok, "checks": checks}).decode())
    else:
        _print(checks)
    raise SystemExit(0 if ok else 1)


def _print(checks: list[Check]) -> None:
    marks = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}
    table = Table(title="stationcast doctor", title_justify="left")
    for column in ("what", "state", "found", "to mend it"):
        table.add_column(column, overflow="fold")
    for check in checks:
        table.add_row(check.name, marks[check.status], escape(check.found), escape(check.remedy))
    console = Terminal()
    console.print(table)
    counts = {status: sum(check.status == status for check in checks) for status in marks}
    console.print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} to mend before a station can run")


def _system() -> Iterator[Check]:
    bits = platform.architecture()[0]
    found = f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        yield Check("system", "fail", found, "run it on Linux: its frames travel in memfd rings")
    elif sys.version_info < (3, 11) or bits != "64bit":
        yield Check("system", "fail", f"{found}, {bits}", "install a 64-bit Python 3.11 or later")
    else:
        yield Check("system", "ok", found)
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    found = f"{cores} cores, {_size(memory.total)} of memory, {_size(memory.available)} free"
    enough = cores >= 2 and memory.available > 1 << 30
    yield Check("processor", "ok" if enough else "warn", found, "" if enough else "plan 2 cores and 1 GiB a station")
    yield Check("SQLite", "ok", sqlite3.sqlite_version)


def _libraries() -> Iterator[Check]:
    yield _library_check("system libraries", SYSTEM_LIBRARIES, "fail")
    yield _library_check("window libraries", WINDOW_LIBRARIES, "warn")


def _library_check(name: str, libraries: dict[str, str], status: Status) -> Check:
    missing = [library for library in libraries if not _loads(library)]
    if not missing:
        return Check(name, "ok", f"all {len(libraries)} there")
    packages = " ".join(sorted({libraries[library] for library in missing}))
    return Check(name, status, f"missing: {', '.join(missing)}", f"sudo apt-get install {packages}")


def _modules() -> Iterator[Check]:
    for module, purpose in MODULES.items():
        package = module.partition(".")[0]
        if package in NEEDLESS and not importlib.util.find_spec(package):
            yield Check(f"{package} ({purpose})", "ok", f"not installed: {NEEDLESS[package]}")
            continue
        answer = _run("-c", f"import {module}, {package}\nprint(getattr({package}, '__version__', ''))")
        name = f"{package} ({purpose})"
        if isinstance(answer, str):
            yield Check(name, "ok", answer.splitlines()[-1] if answer else "loads")
            continue
        lacks = next((package for library, package in SYSTEM_LIBRARIES.items() if library in str(answer)), None)
        remedy = f"sudo apt-get install {lacks}" if lacks else "install stationcast anew into an environment of its own"
        yield Check(name, "fail", str(answer), remedy)
    versions = {name: _version(name) for name in ("opencv-python", "opencv-contrib-python")}
    if len(set(versions.values()) - {_NOT_INSTALLED}) > 1:
        found = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Check("OpenCV", "fail", f"{found}: both own the folder cv2", "install both in one and the same version")


def _cameras() -> Iterator[Check]:
    problems = {path: webcam_problem(path) for path in map(str, sorted(Path("/dev").glob("video*")))}
    usable = [path for path, problem in problems.items() if not problem]
    troubled = sorted({problem for problem in problems.values() if problem and "no camera" not in problem})
    if usable:
        yield Check("cameras", "ok", ", ".join(usable))
    for problem in troubled:
        found, _, remedy = problem.partition("; ")
        yield Check("cameras", "warn", found, remedy)
    if not usable and not troubled:
        remedy = "attach a webcam, or name a network camera; the sample camera works without"
        yield Check("cameras", "warn", "no webcam here", remedy)


def _storage() -> Iterator[Check]:
    places = {
        "state folder": platformdirs.user_data_dir("stationcast"),
        "cache": platformdirs.user_cache_dir("stationcast"),
    }
    for name, place in places.items():
        try:
            folder = next(path for path in (Path(place), *Path(place).parents) if path.is_dir())
            free = shutil.disk_usage(folder).free
        except OSError as error:  # such as the home of another user, which a service was given
            found, _, remedy = plain(error).partition("; ")
            yield Check(name, "fail", f"{place}: {found}", remedy)
            continue
        found = f"{place}, {_size(free)} free"
        if not os.access(folder, os.W_OK):
            yield Check(name, "fail", f"{found}, cannot be written", f"give this user the folder {folder}")
        elif free < 1 << 30:
            yield Check(name, "fail" if free < 1 << 27 else "warn", found, "free at least 1 GiB")
        else:
            yield Check(name, "ok", found)


def _memory_for_frames() -> Iterator[Check]:
    try:
        fd = os.memfd_create("stationcast-doctor")
        try:
            os.posix_fallocate(fd, 0, _FRAMES_BYTES)
        finally:
            os.close(fd)
    except OSError as error:
        remedy = "free memory, or raise the memory limit of the container or service"
        yield Check("shared memory", "fail", f"no ring for a 1080p camera ({_size(_FRAMES_BYTES)}): {error}", remedy)
    else:
        yield Check("shared memory", "ok", f"a ring for a 1080p camera ({_size(_FRAMES_BYTES)}) can be had")


def _swap() -> Iterator[Check]:
    on = [line.split()[0] for line in _SWAPS.read_text().splitlines()[1:]] if _SWAPS.exists() else []
    on_disk = [place for place in on if not place.startswith("/dev/zram")]
    if on_disk:
        found = f"{', '.join(on_disk)}: frames in memory may be written to a disk there"
        yield Check("swap", "warn", found, "sudo swapoff -a and take it out of /etc/fstab, or swap to zram")
    else:
        yield Check("swap", "ok", "none on a disk")


def _limits() -> Iterator[Check]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = files >= 1024
    yield Check("open files", "ok" if enough else "warn", f"limit {files}", "" if enough else "ulimit -n 4096")
    try:
        folder = runtime_root()
        wire.endpoint(folder / ("n" * 32), "w" * 40)
    except (OSError, ValueError, UserError) as error:
        yield Check("runtime folder", "fail", str(error), "set XDG_RUNTIME_DIR to a short path that you own")
    else:
        yield Check("runtime folder", "ok", str(folder))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _run(*arguments: str) -> str | RuntimeError:
    """Run Python with these arguments in a process of its own; return what it printed, or why it could not."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", *arguments], capture_output=True, text=True, timeout=_TRY_S, check=False
        )
    except subprocess.TimeoutExpired:
        return RuntimeError(f"no answer within {_TRY_S} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return RuntimeError(lines[-1] if lines else f"ended with {done.returncode}")
    return done.stdout.strip()


def _elsewhere(name: str) -> Iterator[Check]:
    """Make another folder's check."""
    row = ELSEWHERE[name]
    answer = _run("-m", "pipeline.operator.doctor", row.check)
    try:
        status, found, remedy = msgspec.json.decode(str(answer).rpartition("\n")[2], type=tuple[Status, str, str])
    except msgspec.MsgspecError:
        yield Check(row.name, row.broken, f"cannot be examined: {answer}", row.remedy)
    else:
        yield Check(row.name, status, found, remedy)


_NOT_INSTALLED = "not installed"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return _NOT_INSTALLED


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 1 << 30 else f"{n_bytes / 2**20:.0f} MiB"


EXAMINATIONS: dict[str, Callable[[], Iterator[Check]]] = {
    "the system": _system,
    "system libraries": _libraries,
    "Python packages": _modules,
    "cameras": _cameras,
    **{name: partial(_elsewhere, name) for name in ("the display", "the GPU", "models")},
    "storage": _storage,
    "shared memory": _memory_for_frames,
    "swap": _swap,
    "limits": _limits,
    "fonts": partial(_elsewhere, "fonts"),
}


def _main() -> None:
    """Make the check named as `module:function` and print its answer as JSON."""
    module, _, function = sys.argv[1].partition(":")
    click.echo(msgspec.json.encode(getattr(importlib.import_module(module), function)()))


if __name__ == "__main__":
    _main()
