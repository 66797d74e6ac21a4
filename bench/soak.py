"""Growth of memory, open files and shared memory while a station runs."""

import contextlib
import os
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from bench.findings import Curve, Findings, Plan, Say
from bench.rig.station import make_station, run_station
from bench.timing import slope
from pipeline.graph import TABLE
from pipeline.settings import StationTable
from pipeline.supervisor import Supervisor


def run(plan: Plan, say: Say) -> Findings:
    """Measure two sample cameras at 10 fps with a screen, for `plan.soak_s` seconds, else ten minutes."""
    findings = Findings()
    seconds = plan.soak_s or plan.pick(2.0, 20.0, 600.0)
    every_s = max(0.2, seconds / 120)
    samples: list[tuple[float, float, float, float]] = []
    due_s = [0.0]

    def look(supervisor: Supervisor) -> None:
        now_s = time.monotonic() - supervisor.ready_s
        if now_s < due_s[0]:
            return
        due_s[0] = now_s + every_s
        say(f"{now_s:.0f} of {seconds:.0f} s")
        samples.append((now_s, *_state(supervisor)))

    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        station = make_station(2, 10)
        table = StationTable(name=station.station.name, mode="measure", state_dir=folder)
        station = msgspec.structs.replace(station, station=table)
        run_station(station, TABLE, settle_s=0.0, seconds=seconds, during=look)
    settled = [sample for sample in samples if sample[0] >= seconds / 3]
    for i, (what, unit) in enumerate((("memory", "MB"), ("open files", "files"), ("shared memory", "MB")), 1):
        growth = slope([(sample[0], sample[i]) for sample in settled]) * 60
        findings.measure(what, unit, [settled[-1][i]], "lower")
        findings.measure(f"{what}, growth", f"{unit} a minute", [growth])
        findings.goal(f"growth of {what}, {unit} a minute", growth, at_most=1.0 if i == 1 else 0.05)
        line = {what: [(sample[0], sample[i]) for sample in samples]}
        findings.curves.append(Curve(title=f"Soak: {what}", x="s", y=unit, lines=line))
    return findings


def _state(supervisor: Supervisor) -> tuple[float, float, float]:
    """Return private memory (MB), open files and shared memory (MB) of a station and its supervisor, this process."""
    own_mb = files = 0.0
    shared: set[tuple[int, int]] = set()
    for pid in (os.getpid(), *(child.process.pid for child in supervisor.children if child.process)):
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            own_mb += process.memory_full_info().uss / 1e6
            files += process.num_fds()
            shared |= _memfds(Path(f"/proc/{process.pid}/fd"))
    return own_mb, files, sum(size for _, size in shared) / 1e6


def _memfds(folder: Path) -> set[tuple[int, int]]:
    """Return (inode, bytes) of each anonymous shared memory that a process holds open."""
    found = set()
    for link in folder.iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith("/memfd:"):
                stat = link.stat()
                found.add((stat.st_ino, stat.st_size))
    return found
