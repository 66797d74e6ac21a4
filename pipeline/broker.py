"""The one process between the stages: it holds what waits, and sends only to a worker that asked.

High-water marks do not bound staleness, so nothing waits in a socket. Each link keeps the newest message of each
camera, or all up to a limit. A worker gets a batch only against the credit it pushed. Cameras take turns. On a sticky
link, a camera keeps its worker.

It is one file: the queue of a link, and the loop that fills and empties all of them.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import zmq
from msgspec import Struct

from pipeline import wire
from pipeline.cells import Cell
from pipeline.errors import UserError
from pipeline.graph import BROKER, TAP, Link
from pipeline.log import log, skip, skipped_status
from pipeline.messages import Credit, Frame, Message, message_types

_DRAIN = 64
_ALL_MAX = 1000
_WORKERS_MAX = 64
"""Largest number of workers of one group: each has a socket."""
_FORGET_S = 5.0
_HOUSEKEEPING_S = 0.25
_SHORTEST_SLEEP_NS = 1_000_000
"""Shortest poll: a batch rather goes so much too soon than too late."""
_QUIET_NS = 2_000_000_000
"""A batch waits for no camera that has sent nothing for so long: it is slow, or is no longer there."""


class Waiting(Struct, frozen=True):
    """A message on its way, with monotonic times."""

    camera: str
    parts: Sequence[bytes]
    since_ns: int
    """Time from which its age counts: the capture of a frame, else its coming here."""
    came_ns: int
    """Begin of its turn: when it came here, or the older one did whose place it takes."""


class LinkQueue:
    """Messages that wait on one link, by the link's keep rule. Pure: the caller tells the time.

    On a sticky link each camera has an owner, the worker that gets its messages. A camera changes its owner only when
    that leaves, or when a worker comes and has too few.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.dropped = 0
        self.moved = 0
        """Number of times that a camera of a sticky link came to another worker, or its worker was replaced."""
        self.owners: dict[str, str] = {}
        """Worker of each camera of a sticky link; empty while there is no worker."""
        self._waiting: OrderedDict[object, Waiting] = OrderedDict()
        self._overdue_ns: dict[str, int] = {}
        """Begin of the turn of each camera whose message grew too old before it was sent."""
        self._seen_ns: dict[str, int] = {}
        self._workers: list[str] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Waiting) -> None:
        """Add a message. `latest`: it takes the place of the camera's older one, and its turn."""
        self._number += 1
        camera = message.camera
        self._seen_ns[camera] = message.came_ns
        if self.link.sticky and camera not in self.owners:
            self.owners[camera] = self._least_busy()
        key = camera if self.link.keep == "latest" else self._number
        if key in self._waiting:
            self.dropped += 1
            message = msgspec.structs.replace(message, came_ns=self._waiting[key].came_ns)
        elif len(self._waiting) >= _ALL_MAX:
            self._waiting.popitem(last=False)
            self.dropped += 1
        overdue_ns = self._overdue_ns.get(camera)
        if overdue_ns is None:
            self._waiting[key] = message
            return
        # Cameras that began together bring their frames together: without this the last ones would never be served.
        self._waiting[key] = msgspec.structs.replace(message, came_ns=overdue_ns)
        self._waiting = OrderedDict(sorted(self._waiting.items(), key=lambda item: item[1].came_ns))

    def drop_old(self, now_ns: int) -> None:
        """Drop and count what is older than the link allows. A camera whose newest message it was keeps its turn."""
        limit_ns = now_ns - self.link.max_age_ms * 1_000_000
        for key in [key for key, message in self._waiting.items() if message.since_ns < limit_ns]:
            message = self._waiting.pop(key)
            if self.link.keep == "latest":
                self._overdue_ns[message.camera] = message.came_ns
            self.dropped += 1

    def forget_quiet(self, now_ns: int) -> None:
        """Wait no longer for cameras that have sent nothing for 2 s."""
        self._seen_ns = {camera: ns for camera, ns in self._seen_ns.items() if ns >= now_ns - _QUIET_NS}

    def drop_all(self) -> None:
        """Drop and count whatever waits."""
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def due_in_ns(self, now_ns: int, worker: str = "") -> int | None:
        """Return how long until a batch may go to the worker: 0 now (it is full, or has waited enough), None while
        nothing waits for it. It is also full when it holds every camera there is: waiting would not make it grow."""
        if not self._waiting:
            return None
        keys = list(self._keys(worker))
        if not keys:
            return None
        most = self._cameras_of(worker) if self.link.keep == "latest" else self.link.batch
        if len(keys) >= min(self.link.batch, most):
            return 0
        oldest_ns = min(self._waiting[key].came_ns for key in keys)
        left_ns = oldest_ns + int(self.link.wait_ms * 1e6) - now_ns
        return left_ns if left_ns >= _SHORTEST_SLEEP_NS else 0

    def head(self, worker: str = "") -> list[Waiting]:
        """Return the worker's next batch, what has waited longest first; it stays until `remove_head`."""
        return [self._waiting[key] for key in islice(self._keys(worker), self.link.batch)]

    def remove_head(self, n: int, worker: str = "") -> None:
        """Remove the first `n` messages of the worker: they have gone."""
        for key in list(islice(self._keys(worker), n)):
            self._overdue_ns.pop(self._waiting.pop(key).camera, None)

    def keep_owners_of(self, cameras: Collection[str]) -> None:
        """Forget the owners and turns of all other cameras: they are no longer there."""
        self.owners = {camera: owner for camera, owner in self.owners.items() if camera in cameras}
        self._overdue_ns = {camera: ns for camera, ns in self._overdue_ns.items() if camera in cameras}

    def share(self, workers: Collection[str]) -> None:
        """Spread the cameras of a sticky link over these workers and move as few as can be. Those of a worker that left
        go to whoever has fewest. A worker that came takes some until no other has two more than it has."""
        if not self.link.sticky:
            return
        came = set(workers) - set(self._workers)
        self._workers = list(workers)
        homeless = [camera for camera, owner in self.owners.items() if owner not in workers]
        self.moved += sum(bool(self.owners[camera]) for camera in homeless)
        for camera in homeless:
            self.owners[camera] = ""
        for camera in homeless:
            self.owners[camera] = self._least_busy()
        while came:
            owned = list(self.owners.values())
            least, most = self._least_busy(), max(workers, key=owned.count)
            if owned.count(most) - owned.count(least) < 2:
                return
            self.owners[next(camera for camera, owner in self.owners.items() if owner == most)] = least
            self.moved += 1

    def replaced(self, worker: str) -> None:
        """Note that another process has taken a worker's name, which knows nothing of its cameras."""
        self.moved += list(self.owners.values()).count(worker)

    def _least_busy(self) -> str:
        owned = list(self.owners.values())
        return min(self._workers, key=owned.count, default="")

    def _keys(self, worker: str) -> Iterator[object]:
        """Keys of the messages that may go to the worker, what has waited longest first."""
        if not self.link.sticky:
            return iter(self._waiting)
        return (key for key, message in self._waiting.items() if self.owners.get(message.camera) == worker)

    def _cameras_of(self, worker: str) -> int:
        """Number of cameras whose messages may be expected soon, and go to the worker."""
        if not self.link.sticky:
            return len(self._seen_ns)
        return sum(self.owners.get(camera) == worker for camera in self._seen_ns)


def _ends(link: Link) -> tuple[str, type[Message], str]:
    """Return what makes a link the same as another: its ends and its messages."""
    return link.source, link.message, link.target


def _name(link: Link) -> str:
    """Return the link's name in counts of dropped messages, such as `frame>detect`."""
    return f"{link.message.__name__.lower()}>{link.target}"


class Worker:
    """Process that asks for batches, as the broker knows it."""

    def __init__(self, credit: Credit, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.incarnation = credit.incarnation
        self.sent = credit.received
        self.free = False
        self.sent_ns = self.seen_ns = 0

    def credited(self, credit: Credit, now_ns: int) -> None:
        """Note that it waits for a batch; one that was sent over a second ago and has not come is lost."""
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
        self._taps = {
            kind: LinkQueue(Link(message=kind, source="", target=TAP, keep="latest", batch=_DRAIN))
            for kind in message_types().values()
        }
        self._queues = list(self._taps.values())
        self._routes: dict[tuple[bytes, type[Message]], list[LinkQueue]] = {}
        self._workers: dict[str, OrderedDict[str, Worker]] = {TAP: OrderedDict()}
        self._poller = zmq.Poller()
        self._poller.register(self._inbox, zmq.POLLIN)
        self._dropped_before = dict(cell.status().get("dropped", {}))
        self._moved_before = dict(cell.status().get("moved", {}))
        self.follow(links, ())

    def follow(self, links: Sequence[Link], cameras: Collection[str]) -> None:
        """Take these links in place of those before. What waits on a link that stays goes on waiting; what waits on one
        that goes is dropped and counted. Sticky links forget cameras that are not named."""
        before = {_ends(queue.link): queue for queue in self._queues if queue.link.target != TAP}
        queues = []
        for link in links:
            queue = before.pop(_ends(link)) if _ends(link) in before else LinkQueue(link)
            queue.link = link
            queue.keep_owners_of(cameras)
            queues.append(queue)
        for queue in before.values():
            queue.drop_all()
            name = _name(queue.link)
            self._dropped_before[name] = self._dropped_before.get(name, 0) + queue.dropped
            self._moved_before[name] = self._moved_before.get(name, 0) + queue.moved
        self._queues = [*queues, *self._taps.values()]
        self._routes = {}
        for queue in queues:
            self._routes.setdefault((queue.link.source.encode(), queue.link.message), []).append(queue)
        targets = {queue.link.target for queue in self._queues}
        for group in self._workers.keys() - targets:
            for worker in self._workers.pop(group).values():
                worker.socket.close()
        for group in targets:
            self._workers.setdefault(group, OrderedDict())
            self._share(group)

    def run(
        self,
        stopping: Callable[[], bool],
        news: Callable[[], tuple[Sequence[Link], Collection[str]] | None] = lambda: None,
    ) -> None:
        """Receive, keep, send, until told to stop; what waits then is dropped and counted. `news` returns the links and
        the names of the cameras when these have changed."""
        cell = self._cell
        housekeeping_ns = 0
        while not stopping():
            now_ns = time.monotonic_ns()
            if now_ns > housekeeping_ns:
                self._housekeeping(now_ns)
                if changed := news():
                    self.follow(*changed)
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
        sender, *parts = parts
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
        # A frame is blanked soon after its capture. What was found in it is worth as much after a long search.
        since_ns = message.captured_ns if isinstance(message, Frame) else now_ns
        waiting = Waiting(message.camera, parts, since_ns, now_ns)
        for queue in self._routes.get((sender, type(message)), ()):
            if not queue.link.cameras or message.camera in queue.link.cameras:
                queue.put(waiting)
        if self._workers[TAP]:  # whoever looks on gets no crops
            self._taps[type(message)].put(Waiting(message.camera, parts[:1], since_ns, now_ns))

    def _credit(self, credit: Credit, now_ns: int) -> None:
        workers = self._workers.get(credit.group)
        if workers is None:
            skip("credit_of_a_stranger", group=credit.group)
            return
        worker = workers.get(credit.worker)
        if worker is not None and (credit.leaving or worker.incarnation != credit.incarnation):
            workers.pop(credit.worker).socket.close()
            worker = None
            if not credit.leaving:
                for queue in self._queues_to(credit.group):
                    queue.replaced(credit.worker)
        if credit.leaving:
            self._share(credit.group)
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
            self._share(credit.group)
        worker.credited(credit, now_ns)

    def _share(self, group: str) -> None:
        for queue in self._queues_to(group):
            queue.share(self._workers[group])

    def _queues_to(self, group: str) -> list[LinkQueue]:
        return [queue for queue in self._queues if queue.link.target == group]

    def _dispatch(self, now_ns: int) -> None:
        for queue in self._queues:
            if not queue:
                continue
            queue.drop_old(now_ns)
            workers = self._workers[queue.link.target]
            for name, worker in list(workers.items()):
                if not worker.free:
                    continue
                if queue.due_in_ns(now_ns, name) != 0:
                    if queue.link.sticky:
                        continue
                    break
                batch = queue.head(name)
                if wire.try_send(worker.socket, wire.join(message.parts for message in batch)):
                    queue.remove_head(len(batch), name)
                    worker.sent += 1
                    worker.sent_ns = now_ns
                    worker.free = False
                    workers.move_to_end(name)
                    self._cell.add("out", len(batch))

    def _patience_ms(self, now_ns: int) -> int:
        """Return how long to wait for the next message: until a batch is due that somebody is free to take."""
        patience_ms = int(_HOUSEKEEPING_S * 1000)
        for queue in self._queues:
            if not queue:
                continue
            free = [name for name, worker in self._workers[queue.link.target].items() if worker.free]
            for name in free if queue.link.sticky else free[:1]:
                due_in_ns = queue.due_in_ns(now_ns, name)
                if due_in_ns is not None:
                    patience_ms = min(patience_ms, max(1, due_in_ns // 1_000_000))
        return patience_ms

    def _housekeeping(self, now_ns: int) -> None:
        dropped, moved = dict(self._dropped_before), dict(self._moved_before)
        for queue in self._queues:
            queue.drop_old(now_ns)
            queue.forget_quiet(now_ns)
            if queue.link.target == TAP:
                continue
            name = _name(queue.link)
            dropped[name] = dropped.get(name, 0) + queue.dropped
            if queue.link.sticky:
                moved[name] = moved.get(name, 0) + queue.moved
        self._cell["dropped"] = sum(dropped.values())
        self._cell.publish({"dropped": dropped, "moved": moved} | skipped_status())
        for group, workers in self._workers.items():
            for name, worker in list(workers.items()):
                if now_ns - worker.seen_ns > _FORGET_S * 1e9:
                    log("worker_forgotten", worker=name)
                    workers.pop(name).socket.close()
                    self._share(group)
