"""The one loop that runs any stage, in a process of its own, as its Spec on standard input says.

The process ends when told to (SIGTERM), with its parent (pipeline/guard.py), or when its stage cannot go on.
"""

import importlib
import math
import os
import secrets
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, get_origin

import click
import msgspec
import zmq
from msgspec import Struct

from pipeline import wire
from pipeline.broker import Broker
from pipeline.cells import LOADING, READY, Cell, Cells
from pipeline.clean import clean
from pipeline.graph import BROKER, Group, Link
from pipeline.guard import limit_memory
from pipeline.job import Job, narrowed
from pipeline.log import log, name_process, prefix, skip, skipped, skipped_status
from pipeline.messages import AnyMessage, Credit, Message, message_types

_PATIENCE_MS = 250
_CREDIT_AGAIN_S = 0.5
_LEAVE_MS = 100
"""Time that a worker which leaves waits for a batch that was on its way when it said so."""
_FAILURES_MAX = 20
_AHEAD_MAX_S = 0.2
"""After a step that took longer, the next batch is not asked for ahead: it would grow too old meanwhile."""


class Stage(Protocol):
    """Methods of a stage. `__init__(job)` opens what it needs. An optional `status` dict is shown to the operator.

    An optional `update(job)` takes in another number of screens while the stage runs. An optional `alive_by(beat)` is
    given what tells that the stage is alive, to be called where one message may take longer than the supervisor waits.
    """

    def step(self, batch: list[Any]) -> Iterable[Message]:
        """Turn a batch of messages into others; a source gets []."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Spec(Struct, frozen=True, kw_only=True):
    """All that a child process is told, as one line of JSON on its standard input (never in its arguments: URLs hold
    passwords). A later line tells a running process what has changed: links, cameras, the number of screens."""

    worker: str
    runtime_dir: Path
    cells_fd: int
    cell: int
    group: Group | None = None
    """Its group; None for the broker."""
    job: Job | None = None
    """Job of its stage; None for the broker."""
    links: tuple[Link, ...] = ()
    """All links, for the broker."""
    cameras: tuple[str, ...] = ()
    """Names of all cameras, for the broker."""

    def encode(self) -> bytes:
        """Return the Spec as one line of JSON."""
        return msgspec.json.encode(self, enc_hook=lambda x: x.__name__ if isinstance(x, type) else str(x)) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Spec":
        """Return the Spec that a line of JSON holds."""

        def plain(kind: Any, text: str) -> Any:
            return message_types()[text] if get_origin(kind) is type else kind(text)

        return msgspec.json.decode(line, type=cls, dec_hook=plain)


class News:
    """Lines on a file descriptor: the first is waited for, later ones are looked for now and then."""

    def __init__(self, fd: int) -> None:
        self._fd, self._data, self._look_s = fd, b"", 0.0

    def first(self) -> Spec:
        """Wait for a Spec. EOFError: the parent is gone."""
        while b"\n" not in self._data:
            data = os.read(self._fd, 1 << 16)
            if not data:
                raise EOFError
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return Spec.decode(line)

    def look(self) -> Spec | None:
        """Return the next Spec if one has come; the file descriptor is looked at every quarter of a second."""
        now_s = time.monotonic()
        if now_s < self._look_s:
            return None
        self._look_s = now_s + _PATIENCE_MS / 1000
        if b"\n" not in self._data and not select.select([self._fd], [], [], 0)[0]:
            return None
        try:
            return self.first()
        except EOFError:  # the parent is gone, and this process ends with it
            self._look_s = math.inf
            return None


class Inbox:
    """Socket from which a process gets its batches: it says that it is free, and waits."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], runtime_dir: Path, worker: str, group: str, outbox: "Outbox"
    ) -> None:
        self._socket = wire.pull(context, wire.endpoint(runtime_dir, worker))
        self._outbox = outbox
        self._credit = Credit(group=group, worker=worker, incarnation=secrets.token_hex(8), received=0)
        self._say_again_s = 0.0

    def receive(self, patience_ms: int) -> list[AnyMessage]:
        """Return the next batch; [] if none came in time. What is no message is counted and passed over."""
        return _decoded(self.receive_parts(patience_ms))

    def rest(self) -> list[AnyMessage]:
        """Return a batch that was on its way when this worker left; [] if there is none."""
        return _decoded(wire.split(self._socket.recv_multipart())) if self._socket.poll(_LEAVE_MS) else []

    def receive_parts(self, patience_ms: int) -> list[list[bytes]]:
        """Return the parts of each message of the next batch, as they are; [] if none came in time."""
        if time.monotonic() >= self._say_again_s and not self._socket.poll(0):
            self.say_free()
        if not self._socket.poll(patience_ms):
            return []
        batch = wire.split(self._socket.recv_multipart())
        self._credit = msgspec.structs.replace(self._credit, received=self._credit.received + 1)
        self._say_again_s = 0.0
        return batch

    def leave(self) -> None:
        """Say that this worker takes no more."""
        self._outbox.send(msgspec.structs.replace(self._credit, leaving=True))

    def say_free(self) -> None:
        """Ask for a batch."""
        self._outbox.send(self._credit)
        self._say_again_s = time.monotonic() + _CREDIT_AGAIN_S


def _decoded(batch: list[list[bytes]]) -> list[AnyMessage]:
    messages: list[AnyMessage] = []
    for parts in batch:
        try:
            messages.append(wire.decode(parts))
        except wire.WireError as error:
            skip("hostile_message", error=error)
    return messages


class Outbox:
    """Socket through which the processes of a role send their results to the broker, never waiting."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], runtime_dir: Path, role: str) -> None:
        self._socket = wire.push(context, wire.endpoint(runtime_dir, BROKER))
        self._sender = role.encode()

    def send(self, message: AnyMessage) -> bool:
        """Send a message -> False if the broker is away: the message is lost."""
        return wire.try_send(self._socket, [self._sender, *wire.encode(message)])


def run_stage(spec: Spec, group: Group, job: Job, cell: Cell, news: News) -> None:
    """Load the stage and feed it until SIGTERM."""
    row = group.row
    os.nice(row.nice)
    module, _, name = row.stage.partition(":")
    job = msgspec.structs.replace(job, station=narrowed(job.station, row.reads))
    stage: Stage = getattr(importlib.import_module(module), name)(job)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    if row.memory_mib:
        limit_memory(row.memory_mib)
    try:
        outbox = Outbox(context, spec.runtime_dir, group.role)
        inbox = Inbox(context, spec.runtime_dir, spec.worker, group.name, outbox) if group.fed else None
        patience_ms = _PATIENCE_MS if row.kind == "worker" else 0
        failures, step_s = 0, 0.0
        _ready(cell)
        update = getattr(stage, "update", None)
        if alive_by := getattr(stage, "alive_by", None):
            alive_by(cell.beat)
        while not _stopping:
            cell.beat()
            told = news.look()  # also where the stage has no `update`, else the pipe fills up
            if update and told and told.job:
                update(msgspec.structs.replace(told.job, station=narrowed(told.job.station, row.reads)))
            batch = inbox.receive(patience_ms) if inbox else []
            if not batch and row.kind == "worker":
                _publish(stage, cell)
                continue
            if inbox and row.ahead and step_s < _AHEAD_MAX_S:
                inbox.say_free()
            began_s = time.monotonic()
            failures = 0 if _feed(stage, batch, outbox, cell) else failures + 1
            step_s = time.monotonic() - began_s
            if failures == _FAILURES_MAX:
                raise RuntimeError(f"{_FAILURES_MAX} steps failed in a row")
            batch = []
            _publish(stage, cell)
        if inbox:
            inbox.leave()
            while row.kind == "worker" and (batch := inbox.rest()):
                _feed(stage, batch, outbox, cell)
    finally:
        try:
            stage.close()
            _publish(stage, cell)
        finally:
            context.destroy(linger=200)


def _feed(stage: Stage, batch: list[Any], outbox: Outbox, cell: Cell) -> bool:
    """Do one step and count it -> False if the stage raised. No reference to a frame or a crop outlives it."""
    now_ns = time.monotonic_ns()
    cell.add("in", len(batch))
    for message in batch:
        cell.arrived(max(0, now_ns - message.captured_ns))
    try:
        for result in stage.step(batch):
            cell.beat()  # a batch may take longer than the supervisor's patience
            cell.add("out" if outbox.send(result) else "dropped")
            cell.add("faces", result.counted)
            cell.left(max(0, time.monotonic_ns() - result.captured_ns))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        skip(f"{type(error).__name__}_at_{Path(place.filename).name}:{place.lineno}", error=error)
        return False
    return True


def _publish(stage: Stage, cell: Cell) -> None:
    status = getattr(stage, "status", None)
    if status:  # an empty one would take away what the process before this one said
        cell.publish(status | skipped_status())
    cell["skipped"] = _skipped_before + sum(skipped.values())


_stopping = False
_skipped_before = 0


def _stop(_signal: int, _frame: object) -> None:
    global _stopping
    _stopping = True


def _ready(cell: Cell) -> None:
    cell.beat()
    cell["ready_ns"] = time.monotonic_ns()
    cell["state"] = READY


def main() -> int:
    """Run one process of a station; exit code 2 says that what the user wrote is wrong."""
    global _skipped_before
    signal.signal(signal.SIGTERM, _stop)
    news = News(sys.stdin.fileno())
    spec = news.first()
    name_process(spec.worker)
    cells = Cells(spec.cells_fd)
    cell = cells.cell(spec.cell)
    cell["state"] = LOADING
    cell.beat()
    _skipped_before = cell["skipped"]
    try:
        if spec.group is None or spec.job is None:
            broker = Broker(spec.runtime_dir, spec.links, cell)
            _ready(cell)
            broker.run(lambda: _stopping, lambda: (told.links, told.cameras) if (told := news.look()) else None)
            broker.close()
        else:
            run_stage(spec, spec.group, spec.job, cell, news)
    except click.ClickException as error:
        sys.stderr.write(f"{prefix('err')}stationcast: error: {clean(' '.join(error.message.split()))}\n")
        return 2
    except Exception as error:
        log("failed", severity="err", error=f"{type(error).__name__}: {error}")
        raise
    return 0
