"""Requests to a running station over its control socket, both ends of them.

A request is one MessagePack message. Its end is the end of what the client sends, and the answer's end that of what the
station sends. A new request is a struct here and one entry in the table of handlers that the supervisor gives its
`ControlSocket`.
"""

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Union

import msgspec
from msgspec import Meta, Struct

from pipeline import wire
from pipeline.clean import clean
from pipeline.errors import TemporaryError, UserError
from pipeline.log import skip
from pipeline.runtime import CONTROL, runtime_root

_REQUEST_MAX_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_CLIENTS_MAX = 16
"""Largest number of clients at a time. Others wait in the queue of the socket."""
_CLIENT_S = 2.0
"""Time in which a client sends its request and takes the answer."""
_PAUSE_S = 0.02
"""Pause after every event, so that a flood of clients takes little time from the station."""


class Scale(Struct, frozen=True, kw_only=True, tag_field="type", tag="scale.1"):
    """Request for another number of workers of a group."""

    group: Annotated[str, Meta(max_length=256)]
    workers: Annotated[int, Meta(ge=1, le=32)]


class Status(Struct, frozen=True, kw_only=True, tag_field="type", tag="status.1"):
    """Request for the station's state. The answer's text is a `pipeline.operator.snapshot.Snapshot` as JSON."""


class Reload(Struct, frozen=True, kw_only=True, tag_field="type", tag="reload.1"):
    """Request to follow a changed station file, which whoever asks has checked."""

    station_file: Annotated[str, Meta(max_length=4096)]


class Answer(Struct, frozen=True, kw_only=True, tag_field="type", tag="answer.1"):
    """Answer of the station: what was done, or why it was not."""

    ok: bool
    text: Annotated[str, Meta(max_length=1 << 20)]


Handler = Callable[[Any], str]
"""Function that does what a request asks for and returns the answer's text. UserError: why it cannot be done."""


class _Client:
    """Connection of one client: what it has sent so far, then what it has not taken yet of the answer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.until_s = time.monotonic() + _CLIENT_S
        self.request = bytearray()
        self.answer: memoryview | None = None


class ControlSocket:
    """The station's end: takes requests of its own user and of root, and answers each with what its handler returns."""

    def __init__(self, handlers: Mapping[type[Struct], Handler]) -> None:
        self._handlers = handlers
        self._decoder = msgspec.msgpack.Decoder(Union[tuple(handlers)])  # noqa: UP007
        self._listener: socket.socket | None = None
        self._clients: dict[int, _Client] = {}

    def bind(self, runtime_dir: Path) -> None:
        """Listen in this folder, and no longer in the one before. TemporaryError: no socket can be made there."""
        self.close()
        path = wire.socket_path(runtime_dir, CONTROL)
        listener = socket.socket(socket.AF_UNIX)
        try:
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            listener.listen(_CLIENTS_MAX)
        except OSError as error:
            listener.close()
            why = error.strerror
            raise TemporaryError(f"{runtime_dir}: no socket can be made there ({why}); mend it or make room") from None
        listener.setblocking(False)
        self._listener = listener

    def close(self) -> None:
        """Listen no longer, and drop all clients."""
        if self._listener:
            self._listener.close()
            self._listener = None
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()

    def serve(self, patience_ms: int) -> None:
        """Wait up to `patience_ms` for clients, and go on with those that are ready; answer one request at most."""
        poll = select.poll()
        if self._listener and len(self._clients) < _CLIENTS_MAX:
            poll.register(self._listener, select.POLLIN)
        for fd, client in self._clients.items():
            poll.register(fd, select.POLLIN if client.answer is None else select.POLLOUT)
        events = poll.poll(patience_ms)
        now_s = time.monotonic()
        answered = False
        for fd, _ in events:
            if self._listener and fd == self._listener.fileno():
                self._accept()
                continue
            client = self._clients[fd]
            try:
                if client.answer is not None:
                    self._send(client)
                elif not answered:
                    answered = self._receive(client)
            except OSError:
                self._drop(client)
        for client in list(self._clients.values()):
            if now_s > client.until_s:
                self._drop(client)
        if events:
            time.sleep(_PAUSE_S)

    def _accept(self) -> None:
        assert self._listener
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it is gone again, or there is no descriptor left
            return
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()):
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = _Client(connection)

    def _receive(self, client: _Client) -> bool:
        """Take what a client has sent; answer it, and return True, if that is all of its request."""
        data = client.connection.recv(_READ_BYTES)
        client.request += data
        if not client.request or len(client.request) > _REQUEST_MAX_BYTES:  # it only looked whether somebody listens
            self._drop(client)
            return False
        if data:
            return False
        client.answer = memoryview(msgspec.msgpack.encode(self._answer(bytes(client.request))))
        client.until_s = time.monotonic() + _CLIENT_S
        self._send(client)
        return True

    def _answer(self, data: bytes) -> Answer:
        try:
            request = self._decoder.decode(data)
            return Answer(ok=True, text=self._handlers[type(request)](request))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UserError) as error:
            return Answer(ok=False, text=str(error))
        except Exception as error:  # a mistake of ours: whoever asks ends no station
            skip("request_failed", severity="err", request=type(request).__name__, error=repr(error))
            return Answer(ok=False, text="the station could not do that; its log says why (request_failed)")

    def _send(self, client: _Client) -> None:
        assert client.answer is not None
        with contextlib.suppress(BlockingIOError):
            client.answer = client.answer[client.connection.send(client.answer) :]
        if not client.answer:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        client.connection.close()


def ask(station: str, request: Struct, timeout_ms: int = 5000) -> str:
    """Send a request to a running station; return its answer. UserError: it refused, or does not answer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(timeout_ms / 1000)
        parts = []
        try:
            control.connect(str(wire.socket_path(runtime_root() / station, CONTROL)))
            control.sendall(msgspec.msgpack.encode(request))
            control.shutdown(socket.SHUT_WR)
            while part := control.recv(_READ_BYTES):
                parts.append(part)
            answer = msgspec.msgpack.decode(b"".join(parts), type=Answer)
        except (OSError, msgspec.DecodeError):
            raise UserError(f"station {station!r} does not answer; is it running?") from None
    if not answer.ok:
        raise UserError(answer.text)
    return answer.text


def request_scale(station: str, group: str, workers: int) -> str:
    """Ask a running station for another number of workers of a group; return its answer."""
    return ask(station, Scale(group=clean(group), workers=workers))
