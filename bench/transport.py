"""Cost of handing a frame, a crop or a small message to another process, each way beside a bare memcpy.

At most four are under way at once; the receiver acknowledges each. `python -m bench.transport` is the receiver.
"""

import json
import os
import sys
import tempfile
import time
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from bench.findings import Findings, Measure, Plan, Say, Table
from bench.report import figure
from bench.rig.processes import peer
from bench.timing import call_rate, paired
from pipeline import wire
from pipeline.errors import UserError
from pipeline.messages import Frame
from pipeline.ring import SLOTS, Ring

CASES = {"1080p frame": (1080, 1920, 3), "224 px crop": (224, 224, 3), "200 B message": (1, 67, 3)}
WAYS = ("ring", "ipc copy", "ipc no copy", "tcp", "tcp CURVE")
_ON_THE_WAY = 4
_SILENT_MS = 10_000


def run(plan: Plan, say: Say) -> Findings:
    """Measure the messages per second each way, their CPU time, and the ratios that have goals."""
    findings = Findings()
    cases = list(CASES.items())[: plan.pick(1, 1, None)]
    rates, costs = [], []
    for case, shape in cases:
        image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        rate, cost = _measure_case(case, image, plan, findings, say)
        rates.append(rate)
        costs.append(cost)
    columns = ("way", *(case for case, _ in cases))
    for title, found in (("messages a second", rates), ("CPU of both sides, ms a message", costs)):
        rows = [(way, *(figure(case[way]) for case in found)) for way in found[0]]
        findings.tables.append(Table(title=title, columns=columns, rows=rows))
    medians = {way: measure.median for way, measure in rates[0].items()}
    findings.goal("ring over ipc copy, 1080p frame", medians["ring"] / medians["ipc copy"], at_least=4)
    findings.goal("ring over memcpy, 1080p frame", medians["ring"] / medians["memcpy"], at_least=0.75)
    return findings


def _measure_case(
    case: str, image: NDArray[np.uint8], plan: Plan, findings: Findings, say: Say
) -> tuple[dict[str, Measure], dict[str, Measure]]:
    seconds = plan.pick(0.05, 0.25, 1.0)
    ways = {way: partial(hand_over_rate, way, image, seconds) for way in WAYS}
    ways |= {"memcpy": partial(memcpy_rate, image, 1, seconds)}
    ways |= {"memcpy, 6 buffers in turn": partial(memcpy_rate, image, SLOTS, seconds)}
    found = paired(ways, plan.repeats, lambda text: say(f"{case}: {text}"))
    rates, costs = {}, {}
    for way, values in found.items():
        rate, cost = zip(*values, strict=True)
        rates[way] = findings.measure(f"{case}, {way}", "messages/s", list(rate), "higher", listed=False)
        costs[way] = findings.measure(f"{case}, {way}, CPU of both sides", "ms", list(cost), "lower", listed=False)
    return rates, costs


def memcpy_rate(image: NDArray[np.uint8], buffers: int, seconds: float) -> tuple[float, float]:
    """Copy an image into so many buffers in turn; one stays in the cache. Return copies per second and CPU ms each."""
    targets = cycle([np.empty_like(image) for _ in range(buffers)])
    rate = call_rate(lambda: np.copyto(next(targets), image), seconds)
    return rate, 1e3 / rate


def hand_over_rate(way: str, image: NDArray[np.uint8], seconds: float) -> tuple[float, float]:
    """Hand an image over again and again. Return the messages per second and the CPU ms of both sides per message."""
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        ring = Ring.create("bench", image.nbytes) if way == "ring" else None
        serverkey, secret = zmq.curve_keypair()
        setup = {
            "way": way,
            "folder": folder,
            "shape": image.shape,
            "fd": ring.fd if ring else -1,
            "slots": ring.slots if ring else 0,
            "keys": [serverkey.decode(), secret.decode()],
        }
        receiver = peer(__name__, pass_fds=(ring.fd,) if ring else ())
        assert receiver.stdin
        assert receiver.stdout
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            print(json.dumps(setup), file=receiver.stdin, flush=True)
            address = receiver.stdout.readline().strip()
            acks = context.socket(zmq.PULL)
            acks.setsockopt(zmq.RCVTIMEO, _SILENT_MS)
            acks.bind(wire.endpoint(Path(folder), "acks"))
            data = context.socket(zmq.PUSH)
            data.setsockopt(zmq.IMMEDIATE, 1)
            data.setsockopt(zmq.SNDTIMEO, _SILENT_MS)
            if way == "tcp CURVE":
                data.curve_serverkey = serverkey
                data.curve_publickey, data.curve_secretkey = zmq.curve_keypair()
            data.connect(address)
            rate, cpu_s, n = _send(data, acks, ring, image, seconds, copy=way != "ipc no copy")
            data.send(b"")
            cpu_s += float(receiver.stdout.readline())
            receiver.wait(10)
        except zmq.Again as error:
            raise UserError(f"{way}: the receiver has not answered for {_SILENT_MS / 1000:g} s") from error
        finally:
            context.destroy(linger=0)
            receiver.kill()
            receiver.communicate()
            if ring:
                ring.close()
                os.close(ring.fd)
    return rate, cpu_s / n * 1e3


def _send(
    data: "zmq.Socket[bytes]",
    acks: "zmq.Socket[bytes]",
    ring: Ring | None,
    image: NDArray[np.uint8],
    seconds: float,
    *,
    copy: bool,
) -> tuple[float, float, int]:
    """Keep four under way. Return the acknowledgements per second, the CPU s of this side, and the number sent."""
    height_px, width_px, _ = image.shape
    sent = acknowledged = 0
    payload = np.ascontiguousarray(image).data

    def push_one() -> None:
        if ring is None:
            data.send(payload, 0, copy)
            return
        slot, version = ring.write(image)
        frame = Frame(
            camera="bench",
            seq=sent,
            captured_ns=time.monotonic_ns(),
            slot=slot,
            version=version,
            width_px=width_px,
            height_px=height_px,
        )
        data.send_multipart(wire.encode(frame))

    cpu_before_s = time.process_time()
    warm_s = seconds / 4
    started_s, counted_from = time.perf_counter(), 0
    warm = False
    while True:
        while sent - acknowledged < _ON_THE_WAY:
            push_one()
            sent += 1
        acks.recv()
        acknowledged += 1
        passed_s = time.perf_counter() - started_s
        if not warm and passed_s > warm_s:
            warm, started_s, counted_from = True, time.perf_counter(), acknowledged
        elif warm and passed_s >= seconds:
            break
    rate = (acknowledged - counted_from) / passed_s
    while acknowledged < sent:
        acks.recv()
        acknowledged += 1
    return rate, time.process_time() - cpu_before_s, sent


def receive() -> None:
    """Print the address, acknowledge each message until an empty one comes, then print the CPU s used."""
    setup = json.loads(sys.stdin.readline())
    way, folder, shape = setup["way"], Path(setup["folder"]), tuple(setup["shape"])
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    data = context.socket(zmq.PULL)
    if way == "tcp CURVE":
        data.curve_server = True
        data.curve_publickey, data.curve_secretkey = (key.encode() for key in setup["keys"])
    data.bind("tcp://127.0.0.1:*" if way.startswith("tcp") else wire.endpoint(folder, "data"))
    acks = context.socket(zmq.PUSH)
    acks.connect(wire.endpoint(folder, "acks"))
    ring = Ring(setup["fd"], setup["slots"], int(np.prod(shape))) if way == "ring" else None
    address = data.last_endpoint
    assert isinstance(address, bytes)
    print(address.decode(), flush=True)
    cpu_before_s = time.process_time()
    while True:
        message = data.recv(copy=way != "ipc no copy")
        if not len(message):
            break
        if ring is None:
            image = np.frombuffer(message, np.uint8).reshape(shape)
            assert image.size
        else:
            frame = wire.decode([bytes(message)])
            assert isinstance(frame, Frame)
            if ring.read(frame.slot, frame.version, frame.height_px, frame.width_px) is None:
                raise RuntimeError("a frame was overwritten although only four were on their way")
        acks.send(b"")
    print(time.process_time() - cpu_before_s, flush=True)
    context.destroy(linger=200)


if __name__ == "__main__":
    receive()
