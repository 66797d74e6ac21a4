"""Session of RTSP (RFC 2326) with a camera: over its one connection, the video within it (10.12). No port is opened."""

import contextlib
import re
import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.settings import Camera
from stages.capture import rtp
from stages.capture.connection import Address, Connection, Head, Login
from stages.capture.trouble import NO_CODEC, NO_VIDEO, SourceError

_BODY_BYTES = 64 << 10
_ALIVE_S = 20.0
"""Longest time between two signs of life; cameras end a session that gives none for 60 s, or for what they tell."""
_EARLY_MAX = 256
_REDIRECTS_MAX, _TRIES_MAX = 3, 3
_PAYLOAD_TYPES = {26: "JPEG", 32: "MPV"}
"""Names of the codecs that have a number of their own (RFC 3551)."""


class _Track(NamedTuple):
    codec: rtp.Codec
    control: str


class RtspSession:
    """Playing session. Raises SourceError where it cannot be had, or when it ends. Media over UDP are not taken."""

    def __init__(self, address: Address, camera: Camera, folder: Path) -> None:
        self._address, self._login = address, Login(address)
        self._number, self._channel, self._session = 0, 0, ""
        self._early: deque[bytes] = deque(maxlen=_EARLY_MAX)
        self._connection = Connection(address, camera, folder)
        try:
            self.codec = self._play()
        except BaseException:
            self._connection.close()
            raise
        self._alive_s = time.monotonic()

    def stream(self) -> Iterator[bytes]:
        """Yield the stream that FFmpeg's decoder reads, in pieces."""
        yield self.codec.prefix
        while True:
            if time.monotonic() - self._alive_s > self._alive_every_s:
                self._alive_s = time.monotonic()
                self._send("GET_PARAMETER" if self._knows_get_parameter else "OPTIONS", self._base)
            data = self._early.popleft() if self._early else self._next()
            if isinstance(data, tuple) and data[0].status == 401:
                self._login.learn(data[0])  # its nonce is for the next sign of life
            packet = rtp.packet(data) if isinstance(data, bytes) else None
            if packet is not None:
                yield self.codec.unpack(packet)

    def renew(self) -> None:
        """Begin with a new picture, for which there is time and room anew."""
        self._connection.renew()

    def hang_up(self) -> None:
        """End every read."""
        self._connection.hang_up()

    def close(self) -> None:
        """Say goodbye and close the connection."""
        with contextlib.suppress(SourceError):
            self._send("TEARDOWN", self._base)
        self._connection.close()

    def _play(self) -> rtp.Codec:
        self._base = self._address.base + self._address.target
        self._knows_get_parameter = "GET_PARAMETER" in self._ask("OPTIONS", self._base)[0].get("public")
        for _ in range(_REDIRECTS_MAX + 1):
            head, body = self._ask("DESCRIBE", self._base, "Accept: application/sdp\r\n")
            if not 300 <= head.status < 400:
                break
            self._address = self._address.moved(head.get("location"))
            self._base = self._address.base + self._address.target
        self._must_hold(head)
        base = _printable(head.get("content-base") or head.get("content-location")) or self._base
        base = self._address.base + base if base.startswith("/") else base
        track = _track(body.decode(errors="replace"), base)
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        head, _ = self._ask("SETUP", track.control, transport)
        self._must_hold(head)
        given = head.get("transport").split(",")[0]
        channels = re.search(r"interleaved=([0-9]{1,3})", given)
        if given and (not channels or "/TCP" not in given.upper()):
            raise SourceError(self._address.refusal(461))
        self._channel = int(channels[1]) if channels else 0
        session, _, more = head.get("session").partition(";")
        self._session = f"Session: {session.strip()}\r\n"
        timeout_s = re.search(r"timeout *= *([0-9]{1,6})", more)
        self._alive_every_s = min(_ALIVE_S, max(1.0, int(timeout_s[1]) / 3)) if timeout_s else _ALIVE_S
        self._base = base
        head, _ = self._ask("PLAY", base, "Range: npt=0.000-\r\n")
        self._must_hold(head)
        return track.codec

    def _must_hold(self, head: Head) -> None:
        if head.status != 200:
            raise SourceError(self._address.refusal(head.status))

    def _ask(self, method: str, url: str, more: str = "") -> tuple[Head, bytes]:
        """Send a request and return the answer. Video that comes before it is kept."""
        for _ in range(_TRIES_MAX):
            self._send(method, url, more)
            answer = self._answer()
            if answer[0].status != 401 or not self._login.learn(answer[0]):
                break
        return answer

    def _answer(self) -> tuple[Head, bytes]:
        while True:
            message = self._next()
            if isinstance(message, bytes):
                self._early.append(message)
            elif message is not None and message[0].status >= 200:
                return message

    def _send(self, method: str, url: str, more: str = "") -> None:
        self._number += 1
        lines = f"{method} {url} RTSP/1.0\r\nCSeq: {self._number}\r\nUser-Agent: stationcast\r\n"
        lines += self._session + self._login.header(method, url) + more
        self._connection.send(f"{lines}\r\n".encode(errors="surrogateescape"))

    def _next(self) -> bytes | tuple[Head, bytes] | None:
        """Return a packet of the video, or a message; None for a packet of anything else."""
        if self._connection.peek() == b"$":
            _, channel, length = struct.unpack(">BBH", self._connection.read_exactly(4))
            data = self._connection.read_exactly(length)
            return data if channel == self._channel else None
        head = self._connection.read_head()
        length = head.length or 0
        if length > _BODY_BYTES:
            raise SourceError(NO_VIDEO)
        return head, self._connection.read_exactly(length)


def _track(description: str, base: str) -> _Track:
    """Return the first track of video that a description (SDP, RFC 8866) names. Its addresses and ports are ignored."""
    is_video, number, name, control = False, "", "", ""
    parameters: dict[str, str] = {}
    for line in description.splitlines():
        key, _, value = line.strip().partition("=")
        if key == "m":
            if is_video:
                break
            words = value.split()
            is_video = len(words) > 3 and words[0] == "video"
            number = words[3] if is_video else ""
            name = _PAYLOAD_TYPES.get(int(number), "") if re.fullmatch("[0-9]{1,3}", number) else ""
        elif key == "a" and is_video:
            attribute, _, text = value.partition(":")
            words = text.split(maxsplit=1)
            if attribute == "control":
                control = _printable(text.strip())
            elif attribute in ("rtpmap", "fmtp") and len(words) == 2 and words[0] == number:
                if attribute == "rtpmap":
                    name = words[1].partition("/")[0]
                else:
                    pairs = (part.strip().partition("=") for part in words[1].split(";"))
                    parameters |= {key.lower(): value for key, _, value in pairs}
    if not is_video:
        raise SourceError("it sends no picture; look up the path of its video in the manual")
    codec = rtp.codec(name, parameters)
    if codec is None:
        raise SourceError(NO_CODEC)
    if not control or control == "*":
        return _Track(codec, base)
    # The URL is only said over the connection that there is; nothing connects to it.
    return _Track(codec, control if "://" in control else f"{base.removesuffix('/')}/{control}")


def _printable(text: str) -> str:
    """Return a URL that the camera names, or nothing if it could break a line of a request."""
    return text if re.fullmatch(r"[!-~]{1,2000}", text) else ""
