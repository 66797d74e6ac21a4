"""Video within RTP packets (RFC 3550), put together as a stream that FFmpeg's decoders know.

Each class takes the payloads of one codec in their order. What was lost on the way is left out; the decoder copes.
"""

import base64
import contextlib
import re
import struct
from binascii import Error as EncodingError
from collections.abc import Callable
from typing import NamedTuple

_START = b"\0\0\0\1"
_JPEG_BYTES_MAX = 32 << 20


class Packet(NamedTuple):
    """RTP packet."""

    is_last: bool
    """True where it ends a picture."""
    payload: bytes


def packet(data: bytes) -> Packet | None:
    """Return what a packet holds; None where it is none."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    at = 12 + 4 * (data[0] & 15)
    if data[0] & 16 and len(data) >= at + 4:
        at += 4 + 4 * struct.unpack_from(">H", data, at + 2)[0]
    end = len(data) - (data[-1] if data[0] & 32 else 0)
    return Packet(bool(data[1] & 128), data[at:end]) if at < end else None


class Codec(NamedTuple):
    """Codec of RTP."""

    decoder: str
    """FFmpeg's name of the decoder."""
    unpack: Callable[[Packet], bytes]
    """Function that takes the packets in their order and returns the bytes of the stream that each completes."""
    prefix: bytes
    """Beginning of the stream that the session's description holds."""


def codec(name: str, parameters: dict[str, str]) -> Codec | None:
    """Return the codec of a name as in `a=rtpmap`, given the parameters of `a=fmtp`; None where it is not known."""
    match name.upper():
        case "H264":
            sets = parameters.get("sprop-parameter-sets", "").split(",")
            return Codec("h264", _h264, _units(sets))
        case "H265" | "HEVC":
            sets = [x for key in ("vps", "sps", "pps") for x in parameters.get(f"sprop-{key}", "").split(",")]
            return Codec("hevc", _h265, _units(sets))
        case "MP4V-ES":
            config = parameters.get("config", "")
            return Codec("mpeg4", _whole, bytes.fromhex(config) if re.fullmatch("([0-9A-Fa-f]{2})*", config) else b"")
        case "MPV":
            return Codec("mpeg2video", _mpeg2, b"")
        case "JPEG":
            return Codec("mjpeg", Jpeg().unpack, b"")
    return None


def _units(texts: list[str]) -> bytes:
    """Return NAL units, each in base64, as Annex B; what is not in base64 is left out."""
    out = b""
    for text in texts:
        with contextlib.suppress(EncodingError):  # most cameras send the units in the stream too
            out += _START + base64.b64decode(text, validate=True) if text else b""
    return out


def _whole(packet: Packet) -> bytes:
    return packet.payload


def _mpeg2(packet: Packet) -> bytes:
    """Return the payload without its header (RFC 2250, 3.4)."""
    return packet.payload[8 if packet.payload[0] & 4 else 4 :]


def _h264(packet: Packet) -> bytes:
    """Return the NAL units of a payload, or the next part of one, as Annex B (RFC 6184)."""
    data = packet.payload
    kind = data[0] & 31
    if kind == 24:
        return _aggregated(data[1:])
    if kind == 28 and len(data) > 2:
        begins = _START + bytes([data[0] & 0xE0 | data[1] & 31]) if data[1] & 128 else b""
        return begins + data[2:]
    return _START + data if 1 <= kind <= 23 else b""


def _h265(packet: Packet) -> bytes:
    """Return the NAL units of a payload, or the next part of one, as Annex B (RFC 7798)."""
    data = packet.payload
    kind = data[0] >> 1 & 63
    if kind == 48:
        return _aggregated(data[2:])
    if kind == 49 and len(data) > 3:
        begins = _START + bytes([data[0] & 0x81 | (data[2] & 63) << 1, data[1]]) if data[2] & 128 else b""
        return begins + data[3:]
    return _START + data if kind < 48 else b""


def _aggregated(data: bytes) -> bytes:
    """Return the units of a payload that holds several, each after its length in 2 bytes."""
    out, at = b"", 0
    while at + 2 < len(data):
        length = struct.unpack_from(">H", data, at)[0]
        out += _START + data[at + 2 : at + 2 + length] if length else b""
        at += 2 + length
    return out


class Jpeg:
    """JPEG pictures (RFC 2435). Their tables of Huffman codes are the usual ones, which FFmpeg has."""

    def __init__(self) -> None:
        self._scan = bytearray()
        self._head = b""
        self._tables: dict[int, bytes] = {}

    def unpack(self, packet: Packet) -> bytes:
        """Return a whole picture with its last packet, else nothing."""
        data = packet.payload
        if len(data) < 8:
            return b""
        offset = int.from_bytes(data[1:4], "big")
        kind, quality, width, height = data[4] & 63, data[5], 8 * data[6], 8 * data[7]
        at, restart = 8, 0
        if data[4] & 64 and len(data) >= 12:
            restart, at = struct.unpack_from(">H", data, 8)[0], 12
        if offset == 0:
            tables = self._found_tables(data, at, quality)
            if quality >= 128 and len(data) >= at + 4:
                at += 4 + struct.unpack_from(">H", data, at + 2)[0]
            self._scan.clear()
            self._head = _jpeg_head(kind, width, height, tables, restart) if tables and kind in (0, 1) else b""
        if not self._head or offset != len(self._scan) or offset > _JPEG_BYTES_MAX:
            self._head = b""
            return b""
        self._scan += data[at:]
        if not packet.is_last:
            return b""
        picture, self._head = self._head + bytes(self._scan) + b"\xff\xd9", b""
        return picture

    def _found_tables(self, data: bytes, at: int, quality: int) -> bytes:
        """Return two tables of quantization, 64 bytes each; empty where they are not there."""
        if 1 <= quality <= 99:
            factor = 5000 // quality if quality < 50 else 200 - 2 * quality
            return bytes(min(max((x * factor + 50) // 100, 1), 255) for x in _LUMA + _CHROMA)
        if quality < 128 or len(data) < at + 4:
            return b""
        length = struct.unpack_from(">H", data, at + 2)[0]
        tables = data[at + 4 : at + 4 + length]
        if length in (64, 128) and len(tables) == length:
            self._tables[quality] = (tables * 2)[:128]
        return self._tables.get(quality, b"")


def _jpeg_head(kind: int, width: int, height: int, tables: bytes, restart: int) -> bytes:
    """Return a JPEG's head up to the scan; type 0 halves the colours across, type 1 also down."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 255, marker, len(body) + 2) + body

    head = b"\xff\xd8" + segment(0xDB, b"\0" + tables[:64]) + segment(0xDB, b"\1" + tables[64:])
    head += segment(0xDD, struct.pack(">H", restart)) if restart else b""
    parts = bytes([1, 0x21 if kind == 0 else 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    head += segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + parts)
    return head + segment(0xDA, bytes([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]))


_LUMA = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40),
    *(26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51),
    *(56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87),
    *(95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99),
)
"""Table K.1 of ITU-T T.81 in zigzag order."""
_CHROMA = (
    *(17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99),
    *(99,) * 48,
)
"""Table K.2 of ITU-T T.81 in zigzag order."""
