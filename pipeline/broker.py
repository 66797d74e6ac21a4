"""The one process between the stages: it holds what waits, and sends only to a worker that asked.

High-water marks do not bound staleness, so nothing waits in a socket: each link keeps the newest message of each camera
(or all, up to a limit), and a worker gets a batch only against the credit it pushed. Cameras take turns.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import zmq
from msgspec import Struct

from pipeline import wire
from pipeline.cells import Cell
from pipeline.errors import UserError
from pipeline.graph import BROKER, MESSAGES, TAP, Link
from pipeline.log import log, skip
from pipeline.messages import Credit

_DRAIN = 64
_ALL_MAX = 1000
_WORKERS_MAX = 64  # of one group: each is a socket
_FORGET_S = 5.0
_HOUSEKEEPING_S = 0.25
_SHORTEST_SLEEP_NS = 1_000_000  # of a poll: a batch rather goes so much too soon than too late


class Waiting(Struct, frozen=True):
    """A message on its way: its parts, and when its frame was captured and when its turn began (monotonic, ns): when
    it came here, or the older one whose place it took."""

    parts: Sequence[bytes]
    captured_ns: int
    came_ns: int


class LinkQueue:
    """What waits on one link, by the link's keep rule. Pure: the caller tells the time."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.dropped = 0
        self._waiting: OrderedDict[object, Waiting] = OrderedDict()
        self._cameras: set[str] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, camera: str, message: Waiting) -> None:
        """Add a message. `latest`: it takes the place of the camera's older one, and its turn."""
        self._number += 1
        self._cameras.add(camera)
        key = camera if self.link.keep == "latest" else self._number
        if key in self._waiting:
            self.dropped += 1
            message = msgspec.structs.replace(message, came_ns=self._waiting[key].came_ns)
        elif len(self._waiting) >= _ALL_MAX:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._waiting[key] = message

    def drop_old(self, now_ns: int) -> None:
        """Drop and count what is older than the link allows."""
        limit_ns = now_ns - self.link.max_age_ms * 1_000_000
        for key in [key for key, message in self._waiting.items() if message.captured_ns < limit_ns]:
            del self._waiting[key]
            self.dropped += 1

    def drop_all(self) -> None:
        """Drop and count whatever waits."""
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def due_in_ns(self, now_ns: int) -> int | None:
        """How long until a batch may go: 0 now (it is full, or has waited enough), None while nothing waits. It is also
        full when it holds every camera there is: waiting would not make it grow."""
        if not self._waiting:
            return None
        most = len(self._cameras) if self.link.keep == "latest" else self.link.batch
        if len(self._waiting) >= min(self.link.batch, most):
            return 0
        oldest_ns = min(message.came_ns for message in self._waiting.values())
        left_ns = oldest_ns + int(self.link.wait_ms * 1e6) - now_ns
        return left_ns if left_ns >= _SHORTEST_SLEEP_NS else 0

    def head(self) -> list[Waiting]:
        """The next batch, whoever has waited longest first; it stays until `remove_head`."""
        return list(islice(self._waiting.values(), self.link.batch))

    def remove_head(self, n: int) -> None:
        """The first `n` messages have gone."""
        for _ in range(n):
            self._waiting.popitem(last=False)


class Worker:
    """A process that asks for batches, as the broker knows it."""

    def __init__(self, credit: Credit, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.incarnation = credit.incarnation
        self.sent = credit.received
        self.free = False
        self.sent_ns = self.seen_ns = 0

    def credited(self, credit: Credit, now_ns: int) -> None:
        """It waits for a batch; one that was sent over a second ago and has not come is lost."""
        self.seen_ns = now_ns
        self.free = credit.received == self.sent or now_ns - self.sent_ns > 1e9
        if self.free:
            self.sent = credit.received


class Broker:
    """The broker's loop: `run` until `stopping()`."""

    def __init__(self, runtime_dir: Path, links: Sequence[Link], cell: Cell) -> None:
        self._runtime_dir, self._cell = runtime_dir, cell
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._inbox = wire.pull(self._context, wire.endpoint(runtime_dir, BROKER))
        taps = [Link(message=message, target=TAP, keep="latest", batch=_DRAIN) for message in MESSAGES]
        self._queues = [LinkQueue(link) for link in (*links, *taps)]
        self._by_message: dict[str, list[LinkQueue]] = {
            message: [queue for queue in self._queues if queue.link.message == message] for message in MESSAGES
        }
        self._poller = zmq.Poller()
        self._poller.register(self._inbox, zmq.POLLIN)
        self._workers: dict[str, OrderedDict[str, Worker]] = {q.link.target: OrderedDict() for q in self._queues}
        self._dropped_before = dict(cell.status().get("dropped", {}))

    def run(self, stopping: Callable[[], bool]) -> None:
        """Receive, keep, send, until told to stop; what waits then is dropped and counted."""
        cell = self._cell
        housekeeping_ns = 0
        while not stopping():
            now_ns = time.monotonic_ns()
            if now_ns > housekeeping_ns:
                self._housekeeping(now_ns)
                housekeeping_ns = now_ns + int(_HOUSEKEEPING_S * 1e9)
            if self._poller.poll(self._patience_ms(now_ns)):
                self._drain()
            self._dispatch(time.monotonic_ns())
            cell.beat()
        for queue in self._queues:
            queue.drop_all()
        self._housekeeping(time.monotonic_ns())

    def close(self) -> None:
        """Close every socket."""
        self._context.destroy(linger=0)

    def _drain(self) -> None:
        """Take in what has come, as long as there is more; asking costs less than being refused."""
        for _ in range(_DRAIN):
            try:
                parts = self._inbox.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._take(parts)
            if not int(self._inbox.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return

    def _take(self, parts: list[bytes]) -> None:
        try:
            message = wire.decode_head(parts)
        except wire.WireError as error:
            self._cell.add("skipped")
            skip("hostile_message", error=error)
            return
        now_ns = time.monotonic_ns()
        if isinstance(message, Credit):
            self._credit(message, now_ns)
            return
        self._cell.add("in")
        self._cell.arrived(max(0, now_ns - message.captured_ns))
        for queue in self._by_message[type(message).__name__]:
            link = queue.link
            if link.target == TAP and not self._workers[TAP]:
                continue
            if not link.cameras or message.camera in link.cameras:
                sent = parts[:1] if link.target == TAP else parts  # whoever looks on gets no crops
                queue.put(message.camera, Waiting(sent, message.captured_ns, now_ns))

    def _credit(self, credit: Credit, now_ns: int) -> None:
        workers = self._workers.get(credit.group)
        if workers is None:
            skip("credit_of_a_stranger", group=credit.group)
            return
        worker = workers.get(credit.worker)
        if worker is not None and (credit.leaving or worker.incarnation != credit.incarnation):
            workers.pop(credit.worker).socket.close()
            worker = None
        if credit.leaving:
            return
        if worker is None:
            if len(workers) >= _WORKERS_MAX:
                skip("more_workers_than_can_be", group=credit.group)
                return
            try:
                socket = wire.push(self._context, wire.endpoint(self._runtime_dir, credit.worker))
            except UserError as error:
                skip("credit_of_a_stranger", error=error)
                return
            worker = workers[credit.worker] = Worker(credit, socket)
        worker.credited(credit, now_ns)

    def _dispatch(self, now_ns: int) -> None:
        for queue in self._queues:
            if not queue:
                continue
            queue.drop_old(now_ns)
            workers = self._workers[queue.link.target]
            for name, worker in list(workers.items()):
                if queue.due_in_ns(now_ns) != 0:
                    break
                if not worker.free:
                    continue
                batch = queue.head()
                if wire.try_send(worker.socket, wire.join(message.parts for message in batch)):
                    queue.remove_head(len(batch))
                    worker.sent += 1
                    worker.sent_ns = now_ns
                    worker.free = False
                    workers.move_to_end(name)
                    self._cell.add("out", len(batch))

    def _patience_ms(self, now_ns: int) -> int:
        """How long to wait for the next message: until a micro-batch is due that somebody is free to take."""
        patience_ms = int(_HOUSEKEEPING_S * 1000)
        for queue in self._queues:
            due_in_ns = queue.due_in_ns(now_ns) if queue else None
            if due_in_ns is not None and any(worker.free for worker in self._workers[queue.link.target].values()):
                patience_ms = min(patience_ms, max(1, due_in_ns // 1_000_000))
        return patience_ms

    def _housekeeping(self, now_ns: int) -> None:
        dropped = dict(self._dropped_before)
        for queue in self._queues:
            queue.drop_old(now_ns)
            if queue.link.target == TAP:
                continue
            name = f"{queue.link.message.lower()}>{queue.link.target}"
            dropped[name] = dropped.get(name, 0) + queue.dropped
        self._cell["dropped"] = sum(dropped.values())
        self._cell.publish({"dropped": dropped})
        for workers in self._workers.values():
            for name, worker in list(workers.items()):
                if now_ns - worker.seen_ns > _FORGET_S * 1e9:
                    log("worker_forgotten", worker=name)
                    workers.pop(name).socket.close()
