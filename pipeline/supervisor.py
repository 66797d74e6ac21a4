"""The only parent: one station as a state that is wanted, and the processes that are brought to it step by step.

`_apply` compares what is wanted with what runs: it starts what is missing, replaces what is outdated, and retires what
is not wanted any more. Start, scale and reload only change what is wanted. The supervisor never loads OpenCV,
LiteRT, MediaPipe, ONNX Runtime or pygame, and nothing it does needs a message from a child.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.cells import Cells
from pipeline.control import ControlSocket, Reload, Scale, Status
from pipeline.errors import UserError
from pipeline.graph import BROKER, TABLE, Graph, Group, Row, build, roles
from pipeline.log import log, skip
from pipeline.operator.snapshot import Snapshot, take
from pipeline.process import Child, free_name
from pipeline.ring import Rings
from pipeline.runtime import CONTROL, claim, lock_path
from pipeline.settings import Station, load
from pipeline.stage import Spec
from pipeline.state import state_dir
from pipeline.wanted import Order, Wanted

_TICK_MS = 100
_SILENT_S, _SILENT_SHARE = 5.0, 1 / 6
"""Time after which a silent process is taken for hung, and the share of `station.load_s` that it is at the least."""
_SAY_FIRST_S, _SAY_AGAIN_S = 10.0, 60.0
"""A station that is not ready so long after its start says what it waits for, and again from time to time."""
_STALLED_S = 1.0
"""A supervisor that was itself held up for so long lets its children catch up before it calls any of them silent."""
_HEALTHY_S = 60.0
_STOP_S = 10.0
_SAMPLE_S = 1.0
_FRAME_S = 1.5
"""A capture process blanks frames as old as this; the supervisor does it for one that is silent or gone."""


class Supervisor:
    """One station. `run` starts it and returns when it has stopped; `children` can be read while it runs.

    UserError: a station of that name runs already, or a process refused what the user wrote (it said why).
    """

    def __init__(
        self,
        station: Station,
        table: tuple[Row, ...] = TABLE,
        stderr: int | None = None,
        station_file: str = "",
        read: Callable[[Path], Station] = load,
    ) -> None:
        """Make a station that does not run yet. `read` returns the station of a changed station file."""
        self.table, self.roles = table, roles(table)
        self._wanted = Wanted(station=station, graph=build(station, table))
        self.children: list[Child] = []
        self.run_started_ms = time.time_ns() // 1_000_000
        self.ready_s = self.ended_s = 0.0
        self.settled = False
        """True if what runs is what is wanted: nothing loads, leaves, or is outdated."""
        self.station_file = station_file
        """Path of the station file that is followed; empty for the demo."""
        self._stderr, self._read = stderr, read
        self._stopping = 0
        self._patience_until_s = 0.0
        self._refused = ""
        self._news = False
        """True if running processes may have to be told of what has changed: links, or the number of screens."""
        self._rings = Rings()

    @property
    def station(self) -> Station:
        return self._wanted.station

    @property
    def graph(self) -> Graph:
        return self._wanted.graph

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
            stack.callback(self._rings.close_all_but, ())
            self._want(self.station, self.graph)
            control = ControlSocket(
                {Scale: self._answer_scale, Reload: self._answer_reload, Status: self._answer_status}
            )
            stack.callback(control.close)
            control.bind(self.runtime_dir)
            try:
                self._add(BROKER, None)
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
            station_file=self.station_file,
            started_ms=self.run_started_ms,
            ready_s=self.ready_s,
            ended_s=self.ended_s,
        )

    def scale(self, name: str, workers: int) -> str:
        """Want another number of workers of a group. Return what is done. UserError: it cannot be."""
        group = self.graph.group(name)
        if not group.row.scalable:
            others = ", ".join(other.name for other in self.graph.groups if other.row.scalable) or "none"
            raise UserError(f"{name}: is one process only; stages that can be scaled: {others}")
        scaled = msgspec.structs.replace(group, workers=workers)
        groups = tuple(scaled if other is group else other for other in self.graph.groups)
        self._want(self.station, msgspec.structs.replace(self.graph, groups=groups))
        return f"{name}: {group.workers} -> {workers} workers"

    def reload(self, station: Station) -> str:
        """Want what a changed station file says. Return what is done. UserError: it cannot be, and nothing is done."""
        for key, now, then in (
            ("name", self.station.station.name, station.station.name),
            ("state_dir", _ledgers_at(self.station), _ledgers_at(station)),
        ):
            if now != then:
                raise UserError(f"station.{key}: is {now!r} while the station runs, not {then!r}; stop and start it")
        before = self._wanted
        self._want(station, build(station, self.table))
        return f"{station.station.name}: {before.differences(self._wanted)}"

    def _want(self, station: Station, graph: Graph) -> None:
        """Make this what is wanted. UserError: there is no room for it, and nothing changes."""
        self._wanted = self._wanted.changed_to(station, graph, self._rings, self.run_started_ms)
        self.settled = False
        self._news = True

    def _apply(self) -> str:
        """Compare what is wanted with what runs and take a step towards it. Return what is still waited for."""
        if self._news:
            self._news = False
            for child in self.children:
                if child.process and not self._outdated(child) and child.told != (spec := self._spec(child)):
                    child.tell(spec)
        for child in self.children:
            if child.group and not child.retired and child.group.name not in self._wanted.orders:
                child.retire()
        late = self._late(sources=False)
        for group in self.graph.groups:
            if group.row.scalable:
                self._apply_workers(group)
            elif group.row.kind != "source" or not late:  # no frame is taken before somebody can look at it
                self._apply_one(group)
        return late or self._late(sources=True)

    def _apply_workers(self, group: Group) -> None:
        """Replace outdated workers one at a time, the new one ready before the old one leaves; mend the number."""
        order = self._wanted.orders[group.name]
        active = [child for child in self._of(group) if not child.retired]
        current = [child for child in active if child.order is order]
        outdated = [child for child in active if child.order is not order]
        for child in outdated:
            if child.process is None:
                child.retire()
        if not outdated:
            for _ in range(group.workers - len(current)):
                self._add(free_name(group, self.children), order)
            for child in current[group.workers :]:
                child.retire()
        elif all(child.ready for child in current):
            if len(active) > group.workers:
                min(outdated, key=lambda child: child.ready).retire()  # one that still loads does no work yet
            else:
                self._add(free_name(group, self.children), order)

    def _apply_one(self, group: Group) -> None:
        """Start the one process of a group once the one before has ended, which holds a device, a display, a ledger."""
        order, mine = self._wanted.orders[group.name], self._of(group)
        for child in mine:
            if child.order is not order and not child.retired:
                child.retire()
        if not mine:
            self._add(group.name, order)

    def _of(self, group: Group) -> list[Child]:
        return [child for child in self.children if child.group and child.group.name == group.name]

    def _outdated(self, child: Child) -> bool:
        return child.retired or (
            child.group is not None and self._wanted.orders.get(child.group.name) is not child.order
        )

    def _late(self, sources: bool) -> str:
        """Return the names of what the wanted station waits for: of processes that failed, those for which no other
        does the work."""
        done = {child.role for child in self.children if child.ready}
        late = {
            child.worker: None
            for child in self.children
            if not child.past
            and (sources or not child.group or child.group.row.kind != "source")
            and (self._outdated(child) or not (child.ready or (child.failures and child.role in done)))
        }
        for group in self.graph.groups:
            if (sources or group.row.kind != "source") and len(self._of(group)) < group.workers:
                late[group.name] = None
        return ", ".join(late)

    def _add(self, worker: str, order: Order | None) -> None:
        if self.cells.room:  # else some process has to leave first
            index = self.cells.take()
            child = Child(worker, order, index, self.cells.cell(index))
            self.children = [*self.children, child]
            child.start(self._spec(child), self._stderr)

    def _forget(self, child: Child) -> None:
        """Give back what a process had that has left for good; what it did is added up in the past of its role."""
        pasts = [other for other in self.children if other.past and other.role == child.role]
        past = pasts[0] if pasts else Child.past_of(child.role)
        past.absorb(child)
        self.children = [*(other for other in self.children if other not in (child, past)), past]
        self.cells.free(child.cell_index)

    def _spec(self, child: Child) -> Spec:
        return Spec(
            worker=child.worker,
            group=child.group,
            job=child.order.job if child.order else None,
            links=() if child.order else self.graph.links,
            cameras=() if child.order else tuple(camera.name for camera in self.station.cameras),
            runtime_dir=self.runtime_dir,
            cells_fd=self.cells.fd,
            cell=child.cell_index,
        )

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
            for child in self.children:
                self._look_after(child, now_s)
            wanted = self._wanted
            late = self._apply()
            if now_s >= sample_at_s:
                sample_at_s = now_s + _SAMPLE_S
                for child in self.children:
                    child.sample()
                if not (self.runtime_dir / CONTROL).exists():
                    self._move(control, stack)
            if late and not self.ready_s and now_s >= say_at_s:
                say_at_s = now_s + _SAY_AGAIN_S
                log("not_ready", severity="warning", station=self.station.station.name, waits_for=late)
            if not late and not self.settled and wanted is self._wanted:
                self._settle(now_s)
            by_s = began_s + 2 * self.station.station.load_s  # a run without a length tries for ever to be ready
            if duration_s is not None and now_s >= (self.ready_s or by_s) + duration_s:
                if not self.ready_s:
                    self._refused = f"{late}: not ready within {now_s - began_s:.0f} s; its messages stand above"
                return
            if on_tick:
                on_tick(self)

    def _settle(self, now_s: float) -> None:
        """Note that what runs is what is wanted, and give back what nobody uses any more."""
        self.settled = True
        used = [ref for child in self.children if child.order for ref in child.order.job.rings.values()]
        self._rings.close_all_but([*used, *self._wanted.rings.values()])
        ready = sum(child.ready for child in self.children)
        event = "settled" if self.ready_s else "ready"
        log(event, severity="notice", station=self.station.station.name, processes=ready)
        if not self.ready_s:
            self.ready_s = now_s
            for child in self.children:
                child.mark_ready()

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
            if child.retired and not child.past:
                self._forget(child)
            elif not child.retired and now_s >= child.restart_at_s:
                child.start(self._spec(child), self._stderr)
            return
        code = process.poll()
        if code is None:
            silent_s = now_s - child.cell["heartbeat_ns"] / 1e9
            patient = now_s < self._patience_until_s
            if silent_s > _FRAME_S:
                child.blank(_FRAME_S)
            load_s = self.station.station.load_s
            allowed_s = max(_SILENT_S, _SILENT_SHARE * load_s) if child.ready else load_s
            if not patient and not child.killed and silent_s > allowed_s:
                log("silent", severity="warning", worker=child.worker, silent_s=round(silent_s, 1))
                process.kill()
                child.killed = True  # it may take its time to die: in a driver that hangs, for ever
            elif child.retired and not child.killed and now_s > child.leave_by_s:
                log("killed_at_leave", severity="warning", worker=child.worker)
                process.kill()
                child.killed = True
            elif child.failures and child.ready and now_s - child.started_s > _HEALTHY_S:
                child.failures = 0
            return
        was_ready, told_to_end = child.ready, child.told_to_end
        child.gone()
        child.blank(0.0)
        if told_to_end or child.retired or self._stopping:  # a service's SIGTERM may go to all of them
            return
        if code == 2 and not was_ready and not self.ready_s:
            self._refused = f"{child.worker}: does not start; its own message stands above"
            self._stopping += 1
            return
        child.restarts += 1
        child.again_later(signal.Signals(-code).name if code < 0 else f"exit {code}")

    def _answer_reload(self, request: Reload) -> str:
        text = self.reload(self._read(Path(request.station_file)))
        self.station_file = request.station_file
        log("reloaded", severity="notice", text=text)
        return text

    def _answer_scale(self, request: Scale) -> str:
        text = self.scale(request.group, request.workers)
        log("scaled", severity="notice", text=text)
        return text

    def _answer_status(self, _: Status) -> str:
        return msgspec.json.encode(self.snapshot()).decode()

    def _stop_all(self) -> None:
        """Stop players first (they close their ledger row), with cameras and the stage that cameras feed. A frame that
        still waits would only grow old; the broker drops it. Then stop each stage after the one that feeds it, so that
        it finishes what is on its way. Stop the broker last, and kill what is left."""
        self.ended_s = time.monotonic()
        deadline_s = self.ended_s + _STOP_S
        for child in self.children:
            child.sample()
        workers = [group.name for group in self.graph.groups if group.row.kind == "worker"]
        turns = {name: max(0, turn) for turn, name in enumerate(dict.fromkeys(workers))}
        last = len(turns)
        for turn in range(last + 1):
            batch = [c for c in self.children if (turns.get(c.group.name, 0) if c.group else last) == turn]
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
                child.close_pipe()


def _ledgers_at(station: Station) -> str:
    """Return the real path of a station's state folder: a relative one moves with the station file."""
    return os.path.realpath(state_dir(station.station, station.folder))
