"""Standard streams that never hold up a station, whatever they lead to."""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any, cast

from rich.console import Console

from pipeline.log import stream_name, to_journal


class Stream:
    """Stream that never blocks its writers. A thread of its own writes to it, and what it does not take is lost.

    A stream may stand still (Ctrl-S, a connection that hangs, a pipe that nobody reads) or close while a station runs.
    """

    def __init__(self, out: Any) -> None:
        self._out = out
        self._waiting: queue.Queue[str | None] = queue.Queue(256)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread keeps nothing back."""

    def close(self) -> None:
        """Wait at most two seconds until everything is written."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=1)
            self._thread.join(timeout=1)

    def _pump(self) -> None:
        while (text := self._waiting.get()) is not None:
            data = text.encode(errors="replace")
            with contextlib.suppress(OSError):  # a disk that is full may have room again
                while data:  # not through the stream: it could not be closed while a write to it hangs
                    data = data[os.write(self._out.fileno(), data) :]


@contextlib.contextmanager
def standard_output() -> Iterator[Console]:
    """Give a console on standard output that neither ends nor holds up the station."""
    if not sys.stdout.isatty():
        yield Console()
        return
    with contextlib.closing(Stream(sys.stdout)) as terminal:
        yield Console(file=cast(IO[str], terminal))


@contextlib.contextmanager
def log_lines() -> Iterator[int]:
    """Give a file descriptor for the children's stderr: its lines go where ours do, and block no child."""
    read_fd, write_fd = os.pipe()
    before = os.environ.get("JOURNAL_STREAM", "")
    if to_journal:  # the children's lines get there too
        os.environ["JOURNAL_STREAM"] = stream_name(write_fd)

    def pump() -> None:
        with os.fdopen(read_fd, errors="replace") as lines:
            for text in lines:
                sys.stderr.write(text.rstrip("\n") + "\n")

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield write_fd
    finally:
        os.close(write_fd)
        thread.join(timeout=1)
        if to_journal:
            os.environ["JOURNAL_STREAM"] = before


def open_streams() -> None:
    """Let standard streams that were closed lead nowhere.

    Otherwise the next file that is opened takes the place of one, here and in the children, and is written to.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is the stream's own
            os.set_inheritable(fd, True)
            setattr(sys, name, os.fdopen(fd, mode))
