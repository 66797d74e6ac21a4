"""Requests to a running station over its control socket (ZeroMQ REQ/REP, MessagePack), both ends of them.

A new request is a struct here and one entry in the table of handlers that the supervisor gives its `ControlSocket`.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Union

import msgspec
import zmq
from msgspec import Meta, Struct

from pipeline import wire
from pipeline.errors import UserError
from pipeline.runtime import CONTROL, runtime_root

_REQUEST_MAX_BYTES = 64 * 1024


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


class ControlSocket:
    """The station's end: takes requests and answers each with what its handler returns."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], handlers: Mapping[type[Struct], Handler]) -> None:
        self._handlers = handlers
        self._decoder = msgspec.msgpack.Decoder(Union[tuple(handlers)])  # noqa: UP007
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _REQUEST_MAX_BYTES)
        self._endpoint = ""

    def bind(self, runtime_dir: Path) -> None:
        """Listen in this folder, and no longer in the one before. UserError: no socket can be made there."""
        if self._endpoint:
            with contextlib.suppress(zmq.ZMQError):  # it is not bound where the last try failed
                self._socket.unbind(self._endpoint)
        self._endpoint = wire.endpoint(runtime_dir, CONTROL)
        try:
            self._socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            why = zmq.strerror(error.errno or 0)
            raise UserError(f"{runtime_dir}: no socket can be made there ({why}); mend it or make room") from None

    def serve(self, patience_ms: int) -> None:
        """Wait up to `patience_ms` for a request and answer it."""
        if not self._socket.poll(patience_ms):
            return
        try:
            request = self._decoder.decode(b"".join(self._socket.recv_multipart()))
            answer = Answer(ok=True, text=self._handlers[type(request)](request))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UserError) as error:
            answer = Answer(ok=False, text=str(error))
        self._socket.send(msgspec.msgpack.encode(answer))


def ask(station: str, request: Struct, timeout_ms: int = 5000) -> str:
    """Send a request to a running station; return its answer. UserError: it refused, or does not answer."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        control = context.socket(zmq.REQ)
        control.connect(wire.endpoint(runtime_root() / station, CONTROL))
        control.send(msgspec.msgpack.encode(request))
        if not control.poll(timeout_ms):
            raise UserError(f"station {station!r} does not answer; is it running?")
        answer = msgspec.msgpack.decode(control.recv(), type=Answer)
    finally:
        context.destroy(linger=0)
    if not answer.ok:
        raise UserError(answer.text)
    return answer.text


def request_scale(station: str, group: str, workers: int) -> str:
    """Ask a running station for another number of workers of a group; return its answer."""
    return ask(station, Scale(group=group, workers=workers))
