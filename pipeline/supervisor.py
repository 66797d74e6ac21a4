"""The only parent: starts every process of a station, watches heartbeats, restarts, scales, stops in order.

It never loads OpenCV, MediaPipe, ONNX Runtime or pygame, and nothing it does needs a message from a child.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import zmq

from pipeline.cells import CELLS, Cells
from pipeline.control import ControlSocket, Scale, Status
from pipeline.errors import UserError
from pipeline.graph import BROKER, TABLE, Graph, Group, Row, build, roles
from pipeline.job import job_of
from pipeline.log import log, skip
from pipeline.operator.snapshot import Snapshot, take
from pipeline.process import Child, environment, worker_name
from pipeline.ring import SLOTS, Ring
from pipeline.runtime import CONTROL, claim, lock_path
from pipeline.settings import Camera, Station
from pipeline.stage import Spec

_TICK_MS = 100
_SILENT_S, _LOADING_S = 5.0, 30.0
_START_S = 60.0
"""A run of a given length is given up when the station is not ready so long after its start; others try for ever."""
_SAY_FIRST_S, _SAY_AGAIN_S = 10.0, 60.0
"""A station that is not ready so long after its start says what it waits for, and again from time to time."""
_STALLED_S = 1.0
"""A supervisor that was itself held up for so long lets its children catch up before it calls any of them silent."""
_BACKOFF_FIRST_S, _BACKOFF_MAX_S, _HEALTHY_S = 0.05, 30.0, 60.0
_STOP_S = 10.0
_SAMPLE_S = 1.0
_FRAME_S = 1.5
"""A capture process blanks frames as old as this; the supervisor does it for one that is silent or gone."""


class Supervisor:
    """One station. `run` starts it and returns when it has stopped; `children` can be read while it runs.

    UserError: a station of that name runs already, or a process refused what the user wrote (it said why).
    """

    def __init__(self, station: Station, table: tuple[Row, ...] = TABLE, stderr: int | None = None) -> None:
        self.station, self.roles = station, roles(table)
        self.graph: Graph = build(station, table)
        self.children: list[Child] = []
        self.run_started_ms = time.time_ns() // 1_000_000
        self.ready_s = self.ended_s = 0.0
        self._stderr = stderr
        self._stopping = 0
        self._sources_started = False
        self._patience_until_s = 0.0
        self._refused = ""
        self._indices: dict[str, int] = {}

    def stop(self, number: int = signal.SIGTERM, *_: object) -> None:
        """End the run; a Ctrl-C after that, at once. Safe in a signal handler. Other signals may come several times:
        when a terminal closes, it and its shell send SIGHUP each."""
        if number == signal.SIGINT or not self._stopping:
            self._stopping += 1

    def run(self, duration_s: float | None = None, on_tick: Callable[["Supervisor"], None] | None = None) -> None:
        """Run the station until `stop` or, once everything is ready, for `duration_s`."""
        with contextlib.ExitStack() as stack:
            self.runtime_dir = claim(self.station.station.name, stack)
            self.cells = Cells.create()
            stack.callback(os.close, self.cells.fd)
            rings: dict[str, Ring] = {}
            for camera in self.station.cameras if self.station.station.mode != "off" else ():
                ring = _ring_of(camera)
                stack.callback(os.close, ring.fd)
                rings[camera.name] = ring
            self._rings = {name: ring.ref for name, ring in rings.items()}
            for ring in rings.values():
                ring.close()
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            stack.callback(context.destroy, linger=200)
            control = ControlSocket(context, {Scale: self._answer_scale, Status: self._answer_status})
            control.bind(self.runtime_dir)
            try:
                self._add(BROKER, None)
                self._add_groups(source=False)
                self._watch(control, stack, duration_s, on_tick)
            finally:
                self._stop_all()
        if self._refused:
            raise UserError(self._refused)

    def snapshot(self) -> Snapshot:
        """Return the station's state now; after `run`, as it was at the end."""
        return take(
            self.station,
            self.graph,
            self.roles,
            self.children,
            started_ms=self.run_started_ms,
            ready_s=self.ready_s,
            ended_s=self.ended_s,
        )

    def scale(self, name: str, workers: int) -> str:
        """Change the number of workers of a group while it runs -> what was done. UserError: it cannot be."""
        group = self.graph.group(name)
        if not group.row.scalable:
            others = ", ".join(other.name for other in self.graph.groups if other.row.scalable) or "none"
            raise UserError(f"{name}: is one process only; stages that can be scaled: {others}")
        known = {child.worker: child for child in self.children if child.group and child.group.name == name}
        before = sum(not child.retired for child in known.values())
        wanted = [worker_name(group, number) for number in range(workers)]
        for worker, child in known.items():
            child.retired = worker not in wanted
            if child.retired:
                child.tell_to_end()
        for worker in wanted:
            if worker not in known:
                self._add(worker, group)
        return f"{name}: {before} -> {workers} workers"

    def _add_groups(self, source: bool) -> None:
        """Start the sources, or all the others: no frame is taken before somebody can look at it."""
        for group in self.graph.groups:
            if (group.row.kind == "source") == source:
                for number in range(group.workers):
                    self._add(worker_name(group, number), group)

    def _add(self, worker: str, group: Group | None) -> None:
        index = self._indices.setdefault(worker, len(self._indices))
        if index >= CELLS:
            raise UserError(f"workers: more than {CELLS} processes; split the station")
        child = Child(worker, group, index, self.cells.cell(index))
        self.children.append(child)
        self._start(child)

    def _start(self, child: Child) -> None:
        job = job_of(child.group, self.station, self._rings, self.run_started_ms) if child.group else None
        spec = Spec(
            worker=child.worker,
            group=child.group,
            job=job,
            links=() if child.group else self.graph.links,
            runtime_dir=self.runtime_dir,
            cells_fd=self.cells.fd,
            cell=child.cell_index,
        )
        child.cell["state"] = 0
        child.cell.beat()
        child.started_s = time.monotonic()
        try:
            child.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.entry", str(os.getpid())],
                stdin=subprocess.PIPE,
                stderr=self._stderr,
                env=environment(child.group),
                pass_fds=[self.cells.fd, *(ring.fd for ring in (job.rings.values() if job else ()))],
                process_group=0,
            )
        except OSError as error:  # no memory, too many processes or open files: it may pass
            self._again_later(child, str(error))
            return
        assert child.process.stdin
        with contextlib.suppress(BrokenPipeError), child.process.stdin as stdin:
            stdin.write(spec.encode())

    def _watch(
        self,
        control: ControlSocket,
        stack: contextlib.ExitStack,
        duration_s: float | None,
        on_tick: Callable[["Supervisor"], None] | None,
    ) -> None:
        sample_at_s = 0.0
        began_s = last_s = time.monotonic()
        say_at_s = began_s + _SAY_FIRST_S
        while not self._stopping:
            control.serve(_TICK_MS)
            now_s = time.monotonic()
            if now_s - last_s > _STALLED_S:
                log("stalled", severity="warning", seconds=round(now_s - last_s, 1))
                self._patience_until_s = now_s + _SILENT_S
            last_s = now_s
            for child in list(self.children):
                self._look_after(child, now_s)
            if now_s >= sample_at_s:
                sample_at_s = now_s + _SAMPLE_S
                for child in self.children:
                    child.sample()
                if not (self.runtime_dir / CONTROL).exists():
                    self._move(control, stack)
            late = "" if self.ready_s else self._waited_for()
            if late and now_s >= say_at_s:
                say_at_s = now_s + _SAY_AGAIN_S
                log("not_ready", severity="warning", station=self.station.station.name, waits_for=late)
            if not self.ready_s and not late:
                if any(g.row.kind == "source" for g in self.graph.groups) and not self._sources_started:
                    self._sources_started = True
                    self._add_groups(source=True)
                    continue
                self.ready_s = now_s
                for child in self.children:
                    child.mark_ready()
                log(
                    "ready",
                    severity="notice",
                    station=self.station.station.name,
                    processes=sum(child.ready for child in self.children),
                )
            if duration_s is not None and now_s >= (self.ready_s or began_s + _START_S) + duration_s:
                if not self.ready_s:
                    self._refused = f"{late}: not ready within {_START_S + duration_s:g} s; its messages stand above"
                return
            if on_tick:
                on_tick(self)

    def _waited_for(self) -> str:
        """Names of the processes that the station is not ready without: of those that failed, the ones for which no
        other does the work."""
        done = {child.role for child in self.children if child.ready}
        late = [c for c in self.children if not (c.ready or c.retired or (c.failures and c.role in done))]
        return ", ".join(child.worker for child in late)

    def _move(self, control: ControlSocket, stack: contextlib.ExitStack) -> None:
        """Somebody has removed the sockets (such as a cleaner of /tmp): without them no process could ever be replaced.
        Start all anew, where sockets can be, or try again later."""
        before = self.runtime_dir
        try:
            if lock_path(before).exists():
                before.mkdir(mode=0o700, exist_ok=True)
            else:
                self.runtime_dir = claim(self.station.station.name, stack)
            control.bind(self.runtime_dir)
        except (OSError, UserError) as error:
            skip("sockets_gone", folder=before, error=error)
            return
        log("sockets_gone", severity="warning", folder=before, new=self.runtime_dir)
        for child in self.children:
            child.tell_to_end()

    def _look_after(self, child: Child, now_s: float) -> None:
        """Start again what has died, kill what is silent."""
        process = child.process
        if process is None:
            if not child.retired and now_s >= child.restart_at_s:
                self._start(child)
            return
        code = process.poll()
        if code is None:
            silent_s = now_s - child.cell["heartbeat_ns"] / 1e9
            patient = now_s < self._patience_until_s
            if silent_s > _FRAME_S:
                self._blank(child, _FRAME_S)
            if not patient and not child.killed and silent_s > (_SILENT_S if child.ready else _LOADING_S):
                log("silent", severity="warning", worker=child.worker, silent_s=round(silent_s, 1))
                process.kill()
                child.killed = True  # it may take its time to die: in a driver that hangs, for ever
            elif child.failures and child.ready and now_s - child.started_s > _HEALTHY_S:
                child.failures = 0
            return
        was_ready, told_to_end = child.ready, child.told_to_end
        child.gone()
        self._blank(child, 0.0)
        if told_to_end or child.retired or self._stopping:  # a service's SIGTERM may go to all of them
            return
        if code == 2 and not was_ready and not self.ready_s:
            self._refused = f"{child.worker}: does not start; its own message stands above"
            self._stopping += 1
            return
        child.restarts += 1
        self._again_later(child, signal.Signals(-code).name if code < 0 else f"exit {code}")

    def _again_later(self, child: Child, reason: str) -> None:
        """Have a process started again, each time later."""
        delay_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(child.failures, 12)) * random.uniform(0.8, 1.0)
        child.failures += 1
        child.restart_at_s = time.monotonic() + delay_s
        log(
            "restarting",
            severity="warning",
            worker=child.worker,
            reason=reason,
            failures=child.failures,
            delay_s=round(delay_s, 2),
        )

    def _blank(self, child: Child, max_age_s: float) -> None:
        """Blank the older frames of a capture process that cannot do it itself."""
        if child.group and child.group.row.rings == "own":
            ring = Ring.at(self._rings[child.instance])
            ring.expire(max_age_s)
            ring.close()

    def _answer_scale(self, request: Scale) -> str:
        text = self.scale(request.group, request.workers)
        log("scaled", severity="notice", text=text)
        return text

    def _answer_status(self, _: Status) -> str:
        return msgspec.json.encode(self.snapshot()).decode()

    def _stop_all(self) -> None:
        """First players (they close their ledger row), cameras, and the stage that cameras feed: a frame that still
        waits would only grow old, the broker drops it. Then each stage after the one that feeds it, so that it finishes
        what is on its way, and the broker; then the knife."""
        self.ended_s = time.monotonic()
        deadline_s = self.ended_s + _STOP_S
        for child in self.children:
            child.sample()
        workers = [{group.name} for group in self.graph.groups if group.row.kind == "worker"]
        first = {group.name for group in self.graph.groups if group.row.kind != "worker"}.union(*workers[:1])
        for names in (first, *workers[1:], {BROKER}):
            batch = [child for child in self.children if (child.group.name if child.group else BROKER) in names]
            running = [child.process for child in batch if child.process]
            for process in running:
                process.terminate()
            for process in running:
                while process.poll() is None and time.monotonic() < deadline_s and self._stopping < 2:
                    time.sleep(0.01)
        for child in self.children:
            if child.process and child.process.poll() is None:
                log("killed_at_stop", severity="warning", worker=child.worker)
                child.process.kill()
            if child.process:
                child.process.wait()


def _ring_of(camera: Camera) -> Ring:
    slot_bytes = camera.max_width_px * camera.max_height_px * 3
    try:
        return Ring.create(camera.name, slot_bytes)
    except OSError as error:
        raise UserError(
            f"cameras.{camera.name}: no {SLOTS * slot_bytes / 1e6:.0f} MB of memory for its frames ({error.strerror}); "
            "lower max_width_px and max_height_px"
        ) from None
