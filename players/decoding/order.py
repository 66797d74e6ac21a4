"""Order to decode a medium: what a process is told before it looks at the file."""

import socket
from typing import Literal

import msgspec
from msgspec import Struct

from players.screen.layout import Layout

_LENGTH_BYTES = 4
READY, ROOM = b"r", b"f"
"""Signs on the socket of a decoding: frames wait or no more will come; the player has made room."""


class Order(Struct, frozen=True, kw_only=True):
    """One medium to be decoded for one screen, as it was examined, and the limits of the process.

    `slots` of `slot_bytes` are the shared memory for what is decoded. `longest_s` is the time after which sound ends.
    """

    what: Literal["still", "animation", "film", "sound"]
    blocks: bytes
    container: str
    codec: str
    layout: Layout
    slots: int
    slot_bytes: int
    longest_s: float
    memory_bytes: int
    cpu_s: int


def send(control: socket.socket, order: Order) -> None:
    """Send an order. Raises OSError where nobody takes it."""
    content = msgspec.msgpack.encode(order)
    control.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


def receive(control: socket.socket) -> Order:
    """Wait for an order. Raises EOFError where none will come."""
    return msgspec.msgpack.decode(
        _exactly(control, int.from_bytes(_exactly(control, _LENGTH_BYTES), "big")), type=Order
    )


def _exactly(control: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = control.recv(count - len(content))
        if not part:
            raise EOFError
        content += part
    return content
