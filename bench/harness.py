"""How everything here is measured: each benchmark in processes of its own, warmed up, repeated, paired within one run.

A benchmark is a module of this folder with `run(plan, say) -> Findings`, or with an iterator of what it found so far.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import psutil
from msgspec import Struct

from pipeline.errors import UserError

Better = Literal["higher", "lower", "neither"]
Size = Literal["tiny", "quick", "full"]
Say = Callable[[str], None]
T = TypeVar("T")

_PACKAGES = (
    "av",
    "mediapipe",
    "msgspec",
    "numpy",
    "onnxruntime-gpu",
    "onnxruntime",
    "opencv-python",
    "pygame",
    "pyzmq",
)
_TIE = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))  # PR_SET_PDEATHSIG
os.getppid() == int(sys.argv[2]) or sys.exit(1)
os.execvp(sys.argv[3], sys.argv[3:])"""
_STOP_S = 60.0


class Measure(Struct, frozen=True, kw_only=True):
    """One thing measured `len(values)` times. Not `listed`: a table of the benchmark's own shows it better."""

    name: str
    unit: str
    values: tuple[float, ...]
    better: Better = "neither"
    listed: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the largest and the smallest value."""
        return (max(self.values) - min(self.values)) / 2


class Goal(Struct, frozen=True, kw_only=True):
    """What was promised, and what came out."""

    text: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Curve(Struct, frozen=True, kw_only=True):
    """A plot: labelled lines of (x, y). `marks` are horizontal lines such as a limit."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    marks: dict[str, float] = {}
    log_x: bool = False
    log_y: bool = False


class Table(Struct, frozen=True, kw_only=True):
    """A table for people."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Findings(Struct, kw_only=True):
    """What a benchmark found."""

    measures: list[Measure] = []
    goals: list[Goal] = []
    curves: list[Curve] = []
    tables: list[Table] = []
    notes: list[str] = []

    def measure(
        self, name: str, unit: str, values: list[float], better: Better = "neither", *, listed: bool = True
    ) -> Measure:
        """Add a measure; at least one value."""
        self.measures.append(Measure(name=name, unit=unit, values=tuple(values), better=better, listed=listed))
        return self.measures[-1]

    def goal(self, text: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """Add a goal: exactly one of the two limits."""
        limit = at_least if at_least is not None else at_most
        assert limit is not None
        self.goals.append(Goal(text=text, value=value, limit=limit, at_least=at_least is not None))


class Plan(Struct, frozen=True, kw_only=True):
    """How much to do. `tiny` is for tests: everything runs, no figure means anything."""

    size: Size = "full"
    soak_s: float | None = None
    """How long `soak` runs, instead of what the size says."""

    def pick(self, tiny: T, quick: T, full: T) -> T:
        """The value for this size."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.size]

    @property
    def repeats(self) -> int:
        return self.pick(1, 2, 5)

    def command(self, what: str) -> str:
        """The command line that measures so much."""
        size = "" if self.size == "full" else f" --{self.size}"
        soak = f" --soak-s {self.soak_s:g}" if self.soak_s is not None and what == "soak" else ""
        return f"stationcast bench {what}{size}{soak}"


class Result(Struct, kw_only=True):
    """A benchmark's findings, with where, when and how they were made. `busy_elsewhere` is how many cores other
    programs kept busy meanwhile."""

    what: str
    command: str
    size: Size
    started: str
    took_s: float
    busy_elsewhere: float
    machine: dict[str, str]
    findings: Findings


def call_rate(call: Callable[[], object], seconds: float, warm_up: int = 3) -> float:
    """Calls a second of a function, called again and again for so long."""
    for _ in range(warm_up):
        call()
    calls, started_s = 0, time.perf_counter()
    while (passed_s := time.perf_counter() - started_s) < seconds:
        call()
        calls += 1
    return calls / passed_s


def call_times_ms(call: Callable[[], object], calls: int, warm_up: int = 3) -> list[float]:
    """How long each of so many calls took."""
    for _ in range(warm_up):
        call()
    times_ms = []
    for _ in range(calls):
        started_s = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - started_s) * 1e3)
    return times_ms


def paired(ways: Mapping[str, Callable[[], T]], repeats: int, say: Say) -> dict[str, list[T]]:
    """Measure several ways in turn, so that a slow minute of the machine falls on all of them."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for i in range(repeats):
        for name, measure in ways.items():
            say(f"{name} ({i + 1}/{repeats})")
            found[name].append(measure())
    return found


def percentile(values: list[float], q: float) -> float:
    """The q-quantile (0..1) of at least one value: that with a share q of the values below it, of few the largest."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def slope(points: list[tuple[float, float]]) -> float:
    """Growth of y by x, by least squares; 0 for fewer than two x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    squares = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / squares if squares else 0.0


def run_benchmark(what: str, plan: Plan, say: Say, keep: Callable[[Result], object] = lambda _: None) -> Result:
    """Run one benchmark in a process of its own -> its result, given to `keep` too, as far as it has come, whenever
    there is more of it. UserError: it failed."""
    started_s, busy_before = time.monotonic(), _busy_s()
    own_before = _children_s()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def result(findings: Findings) -> Result:
        took_s = time.monotonic() - started_s
        busy_s = _busy_s() - busy_before - (_children_s() - own_before)
        return Result(
            what=what,
            command=plan.command(what),
            size=plan.size,
            started=stamp,
            took_s=round(took_s, 1),
            busy_elsewhere=round(max(0.0, busy_s / took_s), 2),
            machine=machine(),
            findings=findings,
        )

    whole = result(in_child(what, plan, say, keep=lambda findings: keep(result(findings))))
    keep(whole)  # once more: what the process itself has used is known now that it has ended
    return whole


def in_child(
    what: str,
    plan: Plan,
    say: Say,
    *arguments: str,
    limit_s: float | None = None,
    keep: Callable[[Findings], object] = lambda _: None,
) -> Findings:
    """Call `run(plan, say, *arguments)` of bench/WHAT.py in a process of its own -> its findings; each that it gives on
    the way goes to `keep`. UserError: it failed, or took longer than the limit."""
    until_s = time.monotonic() + (limit_s or math.inf)
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            tied(sys.executable, "-m", "bench.child", what, msgspec.json.encode(plan).decode(), *arguments),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        assert child.stdout
        clock = threading.Timer(limit_s or 0.0, _stop, [child])
        if limit_s:
            clock.start()
        findings = None
        try:
            for line in child.stdout:
                answer = json.loads(line)
                if "say" in answer:
                    say(answer["say"])
                elif "error" in answer:
                    raise UserError(f"bench {what}: {answer['error']}")
                elif "findings" in answer:
                    findings = msgspec.convert(answer["findings"], Findings)
                    keep(findings)
                elif findings is not None:
                    return findings
            child.wait()
            if time.monotonic() >= until_s:
                raise UserError(f"bench {what}: not done after {limit_s:g} s")
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().splitlines()[-12:]
            raise UserError(f"bench {what}: ended with {child.returncode}:\n" + "\n".join(last))
        except BaseException:
            child.terminate()
            raise
        finally:
            clock.cancel()
            _end(child)
            child.stdout.close()


def _stop(child: "subprocess.Popen[str]") -> None:
    """Let it stop what it started and remove its folders, or kill it."""
    child.terminate()
    _end(child)


def _end(child: "subprocess.Popen[str]") -> None:
    """Give it time to end by itself, then kill it and what shares its group."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def peer(module: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """Start `python -m MODULE ARGUMENTS`, a benchmark's other process; it ends with this one at the latest."""
    return subprocess.Popen(
        tied(sys.executable, "-m", module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )


def tied(*command: str, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command as one that gets that signal when this process dies. By a `preexec_fn` it would be shorter, but what
    a signal handler raises while Python runs its fork hooks is lost, and with it the order to stop."""
    return [sys.executable, "-I", "-S", "-c", _TIE, str(int(by)), str(os.getpid()), *command]


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> dict[str, str]:
    """What the figures were made on."""
    cores = len(os.sched_getaffinity(0))
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "processor": _processor(),
        "cores": str(cores),
        "memory": memory,
        "gpu": gpu_name() or "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


@cache
def gpu_name() -> str:
    """Name of the first NVIDIA card, or "" where there is none."""
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
