"""The keep rules of a link, and a real broker between real sockets."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from pipeline import wire
from pipeline.broker import Broker, LinkQueue, Waiting
from pipeline.cells import Cells
from pipeline.graph import Link
from pipeline.messages import Credit, Face, Faces, Frame
from pipeline.stage import Inbox, Outbox
from tests.conftest import HANG_S, wait_for

MS = 1_000_000
LINK = Link(message=Frame, source="capture", target="detect", keep="latest")


def _queue(**changes: object) -> LinkQueue:
    return LinkQueue(msgspec.structs.replace(LINK, **changes))


def _put(queue: LinkQueue, camera: str, number: int, at_ms: int = 0) -> None:
    queue.put(Waiting(camera, [f"{camera}{number}".encode()], at_ms * MS, at_ms * MS))


def _take(queue: LinkQueue) -> list[str]:
    batch = [message.parts[0].decode() for message in queue.head()]
    queue.remove_head(len(batch))
    return batch


def test_latest_keeps_the_newest_of_each_camera_and_counts_the_rest() -> None:
    queue = _queue()
    for number in range(5):
        _put(queue, "a", number)
    _put(queue, "b", 0)
    assert (queue.dropped, _take(queue), _take(queue), _take(queue)) == (4, ["a4"], ["b0"], [])


def test_cameras_take_turns_however_fast_one_is() -> None:
    queue = _queue()
    served = []
    for turn in range(6):
        for number in range(10):
            _put(queue, "fast", turn * 10 + number)
        if turn % 2 == 0:
            _put(queue, "slow", turn)
        served += _take(queue)
    assert [name[:4] for name in served] == ["fast", "slow", "fast", "slow", "fast", "slow"]


def test_all_keeps_everything_up_to_a_limit() -> None:
    queue = _queue(keep="all", batch=64)
    for number in range(1010):
        _put(queue, "a", number)
    assert len(queue) == 1000 and queue.dropped == 10 and _take(queue)[0] == "a10"


def test_what_is_too_old_is_dropped_and_counted() -> None:
    queue = _queue(max_age_ms=100)
    _put(queue, "a", 0, at_ms=0)
    _put(queue, "b", 0, at_ms=60)
    queue.drop_old(120 * MS)
    assert queue.dropped == 1 and _take(queue) == ["b0"]


def test_cameras_that_bring_their_frames_together_are_all_served_though_some_frames_grow_too_old() -> None:
    queue = _queue(max_age_ms=500)
    served, free_ms = [], 0
    for begin_ms in range(0, 120_000, 10_000):
        for at_ms in range(begin_ms, begin_ms + 1000):
            if at_ms < begin_ms + 4:
                _put(queue, "abcd"[at_ms - begin_ms], 0, at_ms=at_ms)
            queue.drop_old(at_ms * MS)
            if at_ms >= free_ms and len(queue):
                served += _take(queue)
                free_ms = at_ms + 300
    assert len(served) == 24, "two of four in each round, for a search takes 300 ms"
    assert min(served.count(f"{camera}0") for camera in "abcd") >= 4


def test_a_micro_batch_goes_when_it_is_full_or_has_waited() -> None:
    queue = _queue(batch=3, wait_ms=5)
    assert queue.due_in_ns(0) is None
    for camera in "abcd":
        _put(queue, camera, 9)
    assert _take(queue) == ["a9", "b9", "c9"] and _take(queue) == ["d9"]
    _put(queue, "a", 0, at_ms=10)
    assert queue.due_in_ns(11 * MS) == 4 * MS
    assert queue.due_in_ns(15 * MS) == 0
    _put(queue, "b", 0, at_ms=11)
    _put(queue, "c", 0, at_ms=11)
    assert queue.due_in_ns(11 * MS) == 0 and _take(queue) == ["a0", "b0", "c0"]


def test_a_micro_batch_does_not_wait_for_more_cameras_than_there_are() -> None:
    queue = _queue(batch=16, wait_ms=5)
    _put(queue, "a", 0, at_ms=10)
    assert queue.due_in_ns(10 * MS) == 0 and _take(queue) == ["a0"]
    _put(queue, "b", 0, at_ms=20)
    assert queue.due_in_ns(20 * MS) == 5 * MS
    _put(queue, "a", 1, at_ms=21)
    assert queue.due_in_ns(21 * MS) == 0 and _take(queue) == ["b0", "a1"]


def test_who_is_overtaken_keeps_its_turn() -> None:
    queue = _queue(batch=2, wait_ms=100)
    _put(queue, "gone", 0)
    _put(queue, "a", 0)
    assert _take(queue) == ["gone0", "a0"]
    for number in range(10):
        _put(queue, "a", number, at_ms=1000 + 30 * number)
    assert queue.due_in_ns(1099 * MS) == 1 * MS and queue.due_in_ns(1100 * MS) == 0, "newer frames put it off for ever"


def test_a_batch_waits_for_no_camera_that_has_long_sent_nothing() -> None:
    queue = _queue(batch=16, wait_ms=5)
    _put(queue, "a", 0)
    _put(queue, "gone", 0)
    assert _take(queue) == ["a0", "gone0"]
    _put(queue, "a", 1, at_ms=1900)
    queue.forget_quiet(1900 * MS)
    assert queue.due_in_ns(1900 * MS) == 5 * MS
    queue.forget_quiet(2100 * MS)
    assert queue.due_in_ns(1900 * MS) == 0


def test_a_sticky_camera_keeps_its_worker_while_that_lives() -> None:
    queue = _queue(sticky=True)
    queue.share(["w0", "w1"])
    for camera in "abcd":
        _put(queue, camera, 0)
    first = dict(queue.owners)
    assert sorted(first.values()) == ["w0", "w0", "w1", "w1"]
    queue.share(["w1", "w0"])
    assert queue.owners == first
    own = [camera for camera in "abcd" if first[camera] == "w0"]
    for camera in own:
        assert [message.camera for message in queue.head("w0")] == [camera]
        queue.remove_head(1, "w0")
    assert queue.head("w0") == [] and queue.due_in_ns(0, "w0") is None and queue.due_in_ns(0, "w1") == 0


def test_what_a_camera_loses_with_its_worker_is_counted() -> None:
    queue = _queue(sticky=True)
    queue.share(["w0", "w1"])
    for camera in "abcd":
        _put(queue, camera, 0)
    assert queue.moved == 0
    queue.replaced("w0")
    assert queue.moved == 2, "a new process of that name knows nobody"
    queue.share(["w0"])
    assert queue.moved == 4
    queue.share(["w0", "w2"])
    assert queue.moved == 6
    queue.share([])
    assert queue.moved == 10
    queue.share(["w0"])
    assert queue.moved == 10


def test_cameras_of_a_sticky_link_move_only_when_workers_come_and_go() -> None:
    queue = _queue(sticky=True)
    for camera in "abcdef":
        _put(queue, camera, 0)
    queue.share(["w0", "w1"])
    before = dict(queue.owners)
    queue.share(["w0", "w1", "w2"])
    after = dict(queue.owners)
    assert sorted(after.values()) == ["w0", "w0", "w1", "w1", "w2", "w2"]
    assert all(after[camera] in (before[camera], "w2") for camera in after)
    queue.share(["w0", "w2"])
    assert all(queue.owners[camera] == after[camera] for camera in after if after[camera] != "w1")
    assert sorted(queue.owners.values()) == ["w0", "w0", "w0", "w2", "w2", "w2"]
    queue.share([])
    queue.share(["w3"])
    assert set(queue.owners.values()) == {"w3"}


class _Worker:
    """A worker's sockets, its credits said by hand."""

    def __init__(self, context: zmq.Context, folder: Path, name: str = "detect.0", **more: str) -> None:
        self.inbox = wire.pull(context, wire.endpoint(folder, name))
        self.outbox = wire.push(context, wire.endpoint(folder, "broker"))
        self.credit = Credit(**{"group": "detect", "worker": name, "incarnation": "i", "received": 0} | more)

    def say(self, received: int, **changes: object) -> None:
        credit = msgspec.structs.replace(self.credit, received=received, **changes)
        wait_for(lambda: wire.try_send(self.outbox, [b"detect", *wire.encode(credit)]), "the broker's socket")

    def frame(self, camera: str, seq: int, age_ms: int = 0) -> None:
        frame = Frame(
            camera=camera,
            seq=seq,
            captured_ns=time.monotonic_ns() - age_ms * MS,
            slot=0,
            version=2,
            width_px=8,
            height_px=8,
        )
        wait_for(lambda: wire.try_send(self.outbox, [b"capture", *wire.encode(frame)]), "the broker's socket")

    def faces(self, camera: str, seq: int, age_ms: int) -> None:
        at_ns = time.monotonic_ns() - age_ms * MS
        faces = Faces(camera=camera, seq=seq, captured_ns=at_ns, width_px=8, height_px=8, detected_ns=at_ns, faces=())
        wait_for(lambda: wire.try_send(self.outbox, [b"detect", *wire.encode(faces)]), "the broker's socket")

    def got(self, timeout_ms: float = 1000 * HANG_S) -> list[tuple[str, int]]:
        if not self.inbox.poll(timeout_ms):
            return []
        return [(m.camera, m.seq) for m in map(wire.decode, wire.split(self.inbox.recv_multipart()))]


MakeWorker = Callable[..., _Worker]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("b")


@pytest.fixture
def worker_of(folder: Path) -> Iterator[MakeWorker]:
    context = zmq.Context()
    made: list[_Worker] = []

    def make(**names: str) -> _Worker:
        made.append(_Worker(context, folder, **names))
        return made[-1]

    yield make
    for worker in made:
        worker.inbox.close()
        worker.outbox.close()
    context.term()


class _RunningBroker:
    def __init__(self, folder: Path, cells: Cells, link: Link = LINK) -> None:
        self.cell = cells.cell(0)
        self._stop = threading.Event()
        self._broker = Broker(folder, (link,), self.cell)
        self._thread = threading.Thread(target=self._broker.run, args=(self._stop.is_set,))
        self._thread.start()

    @property
    def workers(self) -> list[str]:
        return list(self._broker._workers["detect"])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.close()


@pytest.fixture
def broker(folder: Path) -> Iterator[_RunningBroker]:

    cells = Cells.create()
    broker = _RunningBroker(folder, cells)
    yield broker
    broker.close()
    os.close(cells.fd)


def test_nothing_is_sent_without_a_credit_and_one_batch_for_each(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    worker = worker_of()
    for seq in range(20):
        worker.frame("a", seq)
    assert worker.got(200) == []
    worker.say(0)
    assert worker.got() == [("a", 19)]
    for seq in range(20, 30):
        worker.frame("a", seq)
    worker.say(0)
    assert worker.got(200) == []
    worker.say(1)
    assert worker.got() == [("a", 29)]


def test_what_was_found_by_a_long_search_is_not_too_old(folder: Path, worker_of: MakeWorker) -> None:
    cells = Cells.create()
    link = msgspec.structs.replace(LINK, message=Faces, source="detect", target="classify")
    broker = _RunningBroker(folder, cells, link)
    worker = worker_of(name="classify.0", group="classify")
    worker.say(0)
    worker.faces("a", 1, age_ms=20_000)
    assert worker.got() == [("a", 1)]
    broker.close()
    os.close(cells.fd)


def test_a_new_life_of_a_worker_starts_afresh(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.say(0)
    worker.frame("a", 1)
    assert worker.got() == [("a", 1)]
    worker.inbox.close()
    again = worker_of(incarnation="j")
    again.frame("a", 2)
    again.say(0)
    assert again.got() == [("a", 2)]


def test_who_leaves_gets_no_more(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    leaver, stayer = worker_of(), worker_of(name="detect.1")
    leaver.say(0)
    wait_for(lambda: broker.workers == ["detect.0"], "the worker to be known")
    leaver.say(0, leaving=True)
    wait_for(lambda: broker.workers == [], "the worker to be forgotten")
    for seq in range(5):
        stayer.say(seq)
        stayer.frame("a", seq)
        assert stayer.got() == [("a", seq)]
    assert leaver.got(50) == []


def test_who_vanishes_with_a_batch_is_forgotten_and_known_again_when_it_speaks(
    broker: _RunningBroker, worker_of: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of()
    worker.say(0)
    worker.frame("a", 1)
    assert worker.got() == [("a", 1)]
    with monkeypatch.context() as short:
        short.setattr("pipeline.broker._FORGET_S", 0.1)
        wait_for(lambda: broker.workers == [], "the worker to be forgotten")
    worker.say(1)
    worker.frame("a", 2)
    assert worker.got() == [("a", 2)]


def test_a_new_broker_learns_its_workers_from_their_credits(worker_of: MakeWorker, folder: Path) -> None:
    cells = Cells.create()
    worker = worker_of()
    with contextlib.closing(_RunningBroker(folder, cells)):
        worker.say(0)
        worker.frame("a", 1)
        assert worker.got() == [("a", 1)]
    with contextlib.closing(_RunningBroker(folder, cells)) as second:
        # Said again, as workers do: what is sent before the old broker's end is noticed goes there.
        wait_for(lambda: worker.say(1) or second.workers, "the worker to be known")
        worker.frame("a", 2)
        assert worker.got() == [("a", 2)]
    os.close(cells.fd)


def test_a_broker_spreads_the_cameras_of_a_sticky_link_over_its_workers(worker_of: MakeWorker, folder: Path) -> None:
    cells = Cells.create()
    link = Link(message=Frame, source="capture", target="detect", keep="latest", sticky=True)
    with contextlib.closing(_RunningBroker(folder, cells, link)) as broker:
        workers = [worker_of(name=f"detect.{i}") for i in range(2)]
        received = [0, 0]
        for i, worker in enumerate(workers):
            worker.say(0)
            wait_for(lambda n=i + 1: len(broker.workers) == n, "the worker to be known")
        cameras: list[set[str]] = [set(), set()]
        for seq in range(4):
            for camera in "ab":
                workers[0].frame(camera, seq)
            for i, worker in enumerate(workers):
                [(camera, got)] = worker.got()
                assert got == seq
                cameras[i].add(camera)
                received[i] += 1
                worker.say(received[i])
        assert sorted(map(sorted, cameras)) == [["a"], ["b"]]
        workers[1].say(received[1], leaving=True)
        wait_for(lambda: broker.workers == ["detect.0"], "the worker to be forgotten")
        for camera in "ab":
            workers[0].frame(camera, 9)
            assert workers[0].got() == [(camera, 9)]
            received[0] += 1
            workers[0].say(received[0])
    os.close(cells.fd)


def test_hostile_and_stale_messages_are_counted_and_passed_over(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    worker = worker_of()
    wait_for(lambda: wire.try_send(worker.outbox, [b"capture", b"\xc1", b"x"]), "the broker's socket")
    worker.frame("a", 1, age_ms=5000)
    worker.say(0)
    worker.frame("b", 2)
    assert worker.got() == [("b", 2)]
    assert broker.cell["skipped"] == 1
    wait_for(lambda: broker.cell["dropped"] == 1, "the stale frame to be counted")


def test_what_waits_at_the_end_is_counted(worker_of: MakeWorker, folder: Path) -> None:
    cells = Cells.create()
    with contextlib.closing(_RunningBroker(folder, cells)) as broker:
        worker = worker_of()
        for seq in range(3):
            worker.frame("a", seq)
        wait_for(lambda: broker.cell["in"] == 3, "the frames")
    assert broker.cell["dropped"] == 3 and broker.cell.status()["dropped"] == {"frame>detect": 3}
    os.close(cells.fd)


def test_a_worker_that_leaves_finishes_what_has_come(
    broker: _RunningBroker, worker_of: MakeWorker, folder: Path
) -> None:
    with zmq.Context() as context:
        outbox = Outbox(context, folder, "detect")
        inbox = Inbox(context, folder, "detect.7", "detect", outbox)
        wait_for(lambda: inbox.say_free() or broker.workers == ["detect.7"], "the worker to be known")
        worker_of().frame("a", 1)
        wait_for(lambda: broker.cell["out"] == 1, "the batch to be sent")
        inbox.leave()
        came: list[Frame] = []
        wait_for(lambda: came.extend(inbox.rest()) or came, "the batch")
        assert [frame.seq for frame in came] == [1] and inbox.rest() == []
        context.destroy(linger=0)


def test_no_number_of_strangers_ends_the_broker(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.say(0)
    for number in range(300):
        worker.say(0, worker=f"stranger.{number}")
    worker.frame("a", 1)
    assert worker.got() == [("a", 1)]
    assert len(broker.workers) == 64


def test_whoever_looks_on_gets_no_crops(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    tap = worker_of(name="tap.1", group="tap")
    faces = Faces(
        camera="a",
        seq=1,
        captured_ns=time.monotonic_ns(),
        width_px=8,
        height_px=8,
        detected_ns=0,
        faces=(Face(box_px=(0.0, 0.0, 1.0, 1.0), score=1.0),),
        crop_px=2,
        asked=(0,),
        crops=(b"pixels of it",),
    )
    tap.say(0)
    wait_for(lambda: wire.try_send(tap.outbox, [b"detect", *wire.encode(faces)]), "the broker's socket")
    assert tap.inbox.poll(1000 * HANG_S)
    [head] = tap.inbox.recv_multipart()
    assert msgspec.msgpack.decode(head)["type"] == "faces.2" and b"pixels" not in head


def test_a_worker_whose_name_is_no_socket_is_a_stranger(broker: _RunningBroker, worker_of: MakeWorker) -> None:
    worker = worker_of()
    worker.say(0, worker="x" * 64)
    worker.say(0)
    worker.frame("a", 1)
    assert worker.got() == [("a", 1)]


def test_a_broker_follows_other_links_and_keeps_what_waits_on_those_that_stay(folder: Path) -> None:
    cells = Cells.create()
    side = msgspec.structs.replace(LINK, target="side", cameras=("b",))
    broker = Broker(folder, (LINK, side), cells.cell(0))
    try:
        for seq in range(3):
            for camera in "ab":
                frame = Frame(
                    camera=camera, seq=seq, captured_ns=time.monotonic_ns(), slot=0, version=2, width_px=8, height_px=8
                )
                broker._take([b"capture", *wire.encode(frame)])
        detect, first_side = broker._queues[:2]
        assert (detect.dropped, len(detect), first_side.dropped, len(first_side)) == (4, 2, 2, 1)
        slower = msgspec.structs.replace(LINK, max_age_ms=1000)
        broker.follow((slower,), ("a", "b"))
        assert broker._queues[0] is detect and detect.link is slower and (detect.dropped, len(detect)) == (4, 2)
        assert "side" not in broker._workers
        broker.follow((LINK, side), ("a", "b"))
        broker._housekeeping(time.monotonic_ns())
        assert cells.cell(0).status()["dropped"] == {"frame>detect": 4, "frame>side": 3}
        assert cells.cell(0)["dropped"] == 7
    finally:
        broker.close()
        os.close(cells.fd)


def test_an_empty_queue_of_a_link_that_stays_is_kept(folder: Path) -> None:
    cells = Cells.create()
    broker = Broker(folder, (LINK,), cells.cell(0))
    try:
        queue = broker._queues[0]
        broker.follow((LINK,), ())
        assert broker._queues[0] is queue
    finally:
        broker.close()
        os.close(cells.fd)
