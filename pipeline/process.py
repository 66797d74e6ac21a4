"""One process as its parent sees it."""

import contextlib
import os
import subprocess

import psutil

from pipeline.cells import READY, Cell
from pipeline.graph import BROKER, Group


class Child:
    """One process and what is known of it; it outlives the process itself, which may be replaced."""

    def __init__(self, worker: str, group: Group | None, cell_index: int, cell: Cell) -> None:
        self.worker, self.group, self.cell_index, self.cell = worker, group, cell_index, cell
        self.role = group.role if group else BROKER
        self.instance = group.instance if group else ""
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.restart_at_s = 0.0
        self.failures = 0
        self.restarts = 0
        self.retired = self.told_to_end = self.killed = False
        self.cpu_s = 0.0
        self.rss_mb = 0.0
        self._cpu_before_s = 0.0
        self.at_ready = {"in": 0, "out": 0, "faces": 0}
        self.cpu_at_ready_s = 0.0

    @property
    def ready(self) -> bool:
        return self.process is not None and self.cell["state"] == READY

    def sample(self) -> None:
        """Note the CPU time and memory that the process has used."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(self.process.pid)
            times = process.cpu_times()
            self.cpu_s = self._cpu_before_s + times.user + times.system
            self.rss_mb = process.memory_info().rss / 1e6

    def mark_ready(self) -> None:
        """The station is ready: from now on its rates count."""
        self.sample()
        self.at_ready = {name: self.cell[name] for name in self.at_ready}
        self.cpu_at_ready_s = self.cpu_s

    def tell_to_end(self) -> None:
        """Have the process end; that is no failure of it."""
        if self.process:
            self.told_to_end = True
            self.process.terminate()

    def gone(self) -> None:
        """The process has ended: keep its CPU time, forget the rest."""
        self.process = None
        self.told_to_end = self.killed = False
        self._cpu_before_s = self.cpu_s
        self.rss_mb = 0.0
        self.cell["state"] = 0


def environment(group: Group | None) -> dict[str, str]:
    """Return what a process inherits: a display only where its row says so, else MediaPipe opens OpenGL (58 MB)."""
    without = () if group and group.row.display else ("DISPLAY", "WAYLAND_DISPLAY")
    return {name: value for name, value in os.environ.items() if name not in without}


def worker_name(group: Group, number: int) -> str:
    return f"{group.name}.{number}" if group.row.kind == "worker" else group.name
