"""Looking on: the messages of a running station. A reader is a worker like any other that gets no crops."""

import os
from pathlib import Path
from types import TracebackType

import zmq

from pipeline.graph import TAP
from pipeline.runtime import is_running
from pipeline.stage import Inbox, Outbox


class Tap:
    """Reader of a running station's messages. Each message goes to one reader only."""

    def __init__(self, folder: Path) -> None:
        """Begin to read; `folder` is the station's in `runtime_root()`."""
        self._folder, self._name = folder, f"{TAP}.{os.getpid()}"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        outbox = Outbox(self._context, folder, TAP)
        self._inbox = Inbox(self._context, folder, self._name, TAP, outbox)

    def receive(self, patience_ms: int) -> list[bytes] | None:
        """Return the next messages, each as MessagePack; [] if none came in time, and None if the station has ended."""
        batch = self._inbox.receive_parts(patience_ms)
        if not batch and not is_running(self._folder):
            return None
        return [parts[0] for parts in batch]

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Take no more."""
        self._inbox.leave()
        self._context.destroy(linger=200)
        (self._folder / self._name).unlink(missing_ok=True)
