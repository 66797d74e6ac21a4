"""Messages as ZeroMQ parts, with limits: one MessagePack part a message, and one part for each crop after it.

A message on its way to the broker has its sender's role as a part before it. Several messages travel as one batch, an
empty part between them. What does not fit its type, its bounds or its count of crops is a WireError: the caller counts
and skips it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Union

import msgspec
import zmq

from pipeline.errors import UserError
from pipeline.messages import Answered, AnyMessage, Credit, Faces, message_types

MAX_PART_BYTES = 1 << 20
_IPC_PATH_BYTES = 107

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(Union[(*message_types().values(), Credit)])


class WireError(Exception):
    """The parts are no message of ours."""


def encode(message: AnyMessage) -> list[bytes]:
    """Return the parts of one message."""
    if isinstance(message, Faces) and message.crops:
        return [_encoder.encode(msgspec.structs.replace(message, crops=())), *message.crops]
    return [_encoder.encode(message)]


def decode_head(parts: Sequence[bytes]) -> AnyMessage:
    """Return the message of these parts, its crops left where they are. WireError: it is none."""
    try:
        message = _decoder.decode(parts[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError) as error:
        raise WireError(str(error)) from None
    wanted = [message.crop_px**2 * 3] * len(message.asked) if isinstance(message, Faces) else []
    if [len(part) for part in parts[1:]] != wanted or (isinstance(message, Faces) and message.crops):
        raise WireError("the crops do not fit what is asked")
    if isinstance(message, (Faces, Answered)) and not _numbers_fit(message):
        raise WireError("a number of a face is of none")
    return message


def _numbers_fit(message: Faces | Answered) -> bool:
    """Tell whether every face that is asked or answered about is there, and each once."""
    numbers = message.asked if isinstance(message, Faces) else [answer.face for answer in message.answers]
    return len(set(numbers)) == len(numbers) and all(number < len(message.faces) for number in numbers)


def decode(parts: Sequence[bytes]) -> AnyMessage:
    """Return the message of these parts, whole. WireError: it is none."""
    message = decode_head(parts)
    return msgspec.structs.replace(message, crops=tuple(parts[1:])) if isinstance(message, Faces) else message


def join(messages: Iterable[Sequence[bytes]]) -> list[bytes]:
    """Put the parts of several messages into one batch."""
    batch: list[bytes] = []
    for parts in messages:
        batch += [b"", *parts] if batch else parts
    return batch


def split(batch: Sequence[bytes]) -> list[list[bytes]]:
    """Take a batch apart."""
    messages: list[list[bytes]] = [[]]
    for part in batch:
        if part:
            messages[-1].append(part)
        else:
            messages.append([])
    return messages


def socket_path(runtime_dir: Path, name: str) -> Path:
    """Return the path of a socket. UserError: it is longer than a Unix socket allows."""
    path = runtime_dir / name
    if len(os.fsencode(path)) > _IPC_PATH_BYTES:
        raise UserError(
            f"{path}: longer than the {_IPC_PATH_BYTES} bytes of a socket path; set XDG_RUNTIME_DIR to a shorter one"
        )
    return path


def endpoint(runtime_dir: Path, name: str) -> str:
    """Return the ipc address of a process. UserError: its path is too long."""
    return f"ipc://{socket_path(runtime_dir, name)}"


def pull(context: zmq.Context[zmq.Socket[bytes]], address: str) -> zmq.Socket[bytes]:
    """Return a bound PULL socket with the project's limits."""
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_PART_BYTES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
    socket.bind(address)
    return socket


def push(context: zmq.Context[zmq.Socket[bytes]], address: str) -> zmq.Socket[bytes]:
    """Return a connected PUSH socket that never waits: a send without a peer, or past the high-water mark, fails at
    once. The mark has room for a burst of results; the broker never stops reading, which keeps messages fresh."""
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDHWM, 256)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
    socket.connect(address)
    return socket


def try_send(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> bool:
    """Send without waiting -> False if the peer is away or full."""
    try:
        socket.send_multipart(parts, zmq.DONTWAIT)
    except zmq.Again:
        return False
    return True
