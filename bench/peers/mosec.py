"""The default model behind the serving library mosec (bench/peers/mosec_server.py), and a client for it."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.rig.processes import tied
from bench.timing import percentile
from pipeline.errors import UserError

_START_S, _ANSWER_S = 60.0, 30.0


def installed() -> bool:
    """Return whether mosec is installed."""
    return importlib.util.find_spec("mosec") is not None


@contextmanager
def server(model: str, batch: int, wait_ms: float) -> Iterator[int]:
    """Run mosec with one worker and yield its port. UserError: it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"BENCH_MODEL": model, "BENCH_BATCH": str(batch), "BENCH_WAIT_MS": str(wait_ms)}
    options = ["--port", str(port), "--address", "127.0.0.1", "--log-level", "error"]
    command = tied(sys.executable, "-m", "bench.peers.mosec_server", *options, by=signal.SIGTERM)  # it stops its own
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        _await_ready(port, process)
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise UserError("mosec does not start; see its own message above")


def drive(port: int, crop: bytes, connections: int, seconds: float) -> tuple[float, float]:
    """Keep so many requests under way. Return the answers per second and the p95 of their times in ms.

    UserError: mosec does not answer.
    """
    try:
        return asyncio.run(asyncio.wait_for(_drive(port, crop, connections, seconds), 2 * seconds + _ANSWER_S))
    except (TimeoutError, EOFError, OSError) as error:
        raise UserError(f"mosec does not answer: {str(error) or 'for too long'}") from error


async def _drive(port: int, crop: bytes, connections: int, seconds: float) -> tuple[float, float]:
    request = f"POST /inference HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(crop)}\r\n\r\n".encode() + crop
    await _ask(port, request, time.monotonic() + seconds / 4)
    until_s = time.monotonic() + seconds
    started_s = time.monotonic()
    answers = await asyncio.gather(*(_ask(port, request, until_s) for _ in range(connections)))
    times_ms = [time_ms for times in answers for time_ms in times]
    return len(times_ms) / (time.monotonic() - started_s), percentile(times_ms, 0.95)


async def _ask(port: int, request: bytes, until_s: float) -> list[float]:
    """Ask again and again by one connection. Return the time of each answer, ms."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times_ms = []
    try:
        while (asked_s := time.monotonic()) < until_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise UserError(f"mosec answers {head.splitlines()[0].decode()}")
            length = next(int(x.split(b":")[1]) for x in head.lower().splitlines() if x.startswith(b"content-length"))
            await reader.readexactly(length)
            times_ms.append((time.monotonic() - asked_s) * 1e3)
    finally:
        writer.close()
    return times_ms
