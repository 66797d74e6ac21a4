"""One process as its parent sees it: what it was told, whether it lives, what it has used."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import psutil

from pipeline.cells import READY, Cell
from pipeline.graph import BROKER, Group
from pipeline.log import log
from pipeline.ring import Ring
from pipeline.stage import Spec
from pipeline.wanted import Order

_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.05, 30.0
_LEAVE_S = 10.0
"""Time in which a process that is told to leave may finish what it has in hand."""


class Child:
    """One process and what is known of it; it outlives the process itself, which may be started again.

    The broker has no order. `past` of a role adds up what its processes did that have left for good.
    """

    def __init__(self, worker: str, order: Order | None, cell_index: int, cell: Cell, role: str = BROKER) -> None:
        self.worker, self.order, self.cell_index, self.cell = worker, order, cell_index, cell
        self.role = order.group.role if order else role
        self.instance = order.group.instance if order else ""
        self.process: subprocess.Popen[bytes] | None = None
        self.told: Spec | None = None
        """Spec that the process was told last."""
        self.started_s = 0.0
        self.restart_at_s = 0.0
        self.leave_by_s = 0.0
        """Time at which a retired process is killed if it has not ended."""
        self.failures = 0
        self.restarts = 0
        self.retired = self.told_to_end = self.killed = self.past = False
        self.cpu_s = 0.0
        self.rss_mb = 0.0
        self._cpu_before_s = 0.0
        self.at_ready = {"in": 0, "out": 0, "faces": 0}
        self.cpu_at_ready_s = 0.0
        self.plays: dict[str, dict[str, Any]] = {}
        """Plays of the run so far as the screens' processes said that have left for good, by screen; of a past only."""

    @property
    def group(self) -> Group | None:
        """Its group; None for the broker."""
        return self.order.group if self.order else None

    @classmethod
    def past_of(cls, role: str) -> "Child":
        """Return a stand-in for the processes of a role that have left for good."""
        child = cls(f"{role}.past", None, -1, Cell.private(), role)
        child.retired = child.past = True
        return child

    @property
    def ready(self) -> bool:
        return self.process is not None and self.cell["state"] == READY

    def start(self, spec: Spec, stderr: int | None) -> None:
        """Start the process and tell it its work, or try again later."""
        self.cell["state"] = 0
        self.cell.beat()
        self.started_s = time.monotonic()
        self.told = spec
        rings = spec.job.rings.values() if spec.job else ()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.entry", str(os.getpid())],
                stdin=subprocess.PIPE,
                stderr=stderr,
                env=_environment(self.group),
                pass_fds=[spec.cells_fd, *(ring.fd for ring in rings)],
                process_group=0,
            )
        except OSError as error:  # no memory, too many processes or open files: it may pass
            self.again_later(str(error))
            return
        self._write(spec.encode())

    def tell(self, spec: Spec) -> None:
        """Tell the running process what has changed. One that has not read what it was told before is killed."""
        self.told = spec
        if self.process and self.process.stdin:
            os.set_blocking(self.process.stdin.fileno(), False)
            line = spec.encode()
            if self._write(line) < len(line):
                self.process.kill()

    def _write(self, line: bytes) -> int:
        assert self.process and self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `poll` will say
            try:
                return os.write(self.process.stdin.fileno(), line)
            except BlockingIOError:
                return 0
        return len(line)

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
        """Note that the station is ready: from now on its rates count."""
        self.sample()
        self.at_ready = {name: self.cell[name] for name in self.at_ready}
        self.cpu_at_ready_s = self.cpu_s

    def tell_to_end(self) -> None:
        """Have the process end; that is no failure of it."""
        if self.process:
            self.told_to_end = True
            self.process.terminate()

    def retire(self) -> None:
        """Have the process end for good."""
        self.retired = True
        self.leave_by_s = time.monotonic() + _LEAVE_S
        self.tell_to_end()

    def again_later(self, reason: str) -> None:
        """Have the process started again, each time later."""
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self.failures, 12)) * random.uniform(0.8, 1.0)
        self.failures += 1
        self.restart_at_s = time.monotonic() + delay_s
        log(
            "restarting",
            severity="warning",
            worker=self.worker,
            reason=reason,
            failures=self.failures,
            delay_s=round(delay_s, 2),
        )

    def blank(self, max_age_s: float) -> None:
        """Blank the older frames of a capture process that cannot do it itself."""
        if self.order and self.order.group.row.rings == "own":
            for ref in self.order.job.rings.values():
                ring = Ring.at(ref)
                ring.expire(max_age_s)
                ring.close()

    def close_pipe(self) -> None:
        """Close the standard input of a process that has ended."""
        if self.process and self.process.stdin:
            self.process.stdin.close()

    def gone(self) -> None:
        """Note that the process has ended: keep its CPU time, forget the rest."""
        self.close_pipe()
        self.process = None
        self.told_to_end = self.killed = False
        self._cpu_before_s = self.cpu_s
        self.rss_mb = 0.0
        self.cell["state"] = 0

    def absorb(self, other: "Child") -> None:
        """Add up what another process did, which has ended for good, so that the figures of the run stay whole."""
        self.cell.absorb(other.cell)
        self.restarts += other.restarts
        self.cpu_s += other.cpu_s
        self.cpu_at_ready_s += other.cpu_at_ready_s
        for name, count in other.at_ready.items():
            self.at_ready[name] += count
        plays = other.cell.status().get("plays")
        if plays:
            self.plays[other.instance] = plays


def free_name(group: Group, children: Sequence[Child]) -> str:
    """Return a name for another worker of the group that no process has: its socket has it too."""
    taken = {child.worker for child in children}
    return next(name for number in itertools.count() if (name := f"{group.name}.{number}") not in taken)


def _environment(group: Group | None) -> dict[str, str]:
    """Return what a process inherits: a display only where its row says so, else a library may open OpenGL (58 MB)."""
    without = () if group and group.row.display else ("DISPLAY", "WAYLAND_DISPLAY")
    return {name: value for name, value in os.environ.items() if name not in without}
