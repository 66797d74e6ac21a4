"""Media as somebody might make them who wishes harm; each is made here, so that no file of the kind is kept."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

GREEN, RED = (0, 160, 0), (200, 0, 0)


def one_colour(path: Path, colour: tuple[int, int, int], codec: str, container: str, frames: int = 40) -> bytes:
    """Write a film of one colour, 64x48 px, ten frames a second, and return its bytes."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25 if codec == "mpeg2video" else 10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
        for number in range(frames):
            picture.pts, picture.time_base = number, Fraction(1, 25 if codec == "mpeg2video" else 10)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path.read_bytes()


def two_films(path: Path, box: bytes = b"skip") -> Path:
    """Write a file that is a green film to who opens it as MP4, and a red one in an MPEG stream to who guesses."""
    hidden = one_colour(path, RED, "mpeg2video", "mpegts")
    shown = bytearray(one_colour(path, GREEN, "libx264", "mp4"))
    before = 8 + len(hidden)
    at = shown.find(b"stco")
    (count,) = struct.unpack_from(">I", shown, at + 8)
    for place in range(at + 12, at + 12 + 4 * count, 4):
        struct.pack_into(">I", shown, place, struct.unpack_from(">I", shown, place)[0] + before)
    path.write_bytes(struct.pack(">I", before) + box + hidden + shown)
    return path


def slow_jpeg(path: Path, scans: int, width_px: int = 5888, height_px: int = 8192, skips: bool = True) -> Path:
    """Write a small grey JPEG that goes over all its pixels so many times; each scan says that nothing changes.

    It says so of each block, if it does not skip: that takes longer.
    """

    def segment(mark: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, mark, len(content) + 2) + content

    blocks = ((width_px + 7) // 8) * ((height_px + 7) // 8)
    bits = ""
    left = blocks
    while left:
        run = min(left, 32767)
        if run < 16384 or not skips:
            bits, left = bits + "10" * left, 0
        else:
            bits, left = bits + "0" + format(run - 16384, "014b"), left - run
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    path.write_bytes(
        b"\xff\xd8"
        + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC2, struct.pack(">BHHB3B", 8, height_px, width_px, 1, 1, 0x11, 0))
        + segment(0xC4, b"\0\1" + bytes(15) + b"\0")
        + segment(0xC4, b"\x10\1\1" + bytes(14) + b"\xe0\0")
        + segment(0xDA, bytes((1, 1, 0, 0, 0, 0)))
        + bytes((blocks + 7) // 8)
        + (segment(0xDA, bytes((1, 1, 0, 1, 63, 0))) + scan) * scans
        + b"\xff\xd9"
    )
    return path


def damaged_near_its_end(path: Path, packets_left: int = 2) -> Path:
    """Spoil a packet of a film that lies at `path`, after which there are so many more."""
    with av.open(str(path)) as container:
        packets = sorted(
            (packet.pts, packet.pos, packet.size)
            for packet in container.demux(container.streams.video[0])
            if packet.size and packet.pts is not None and packet.pos is not None
        )
    _, begin, size = packets[-1 - packets_left]
    content = bytearray(path.read_bytes())
    for at in range(begin + 12, begin + size):
        content[at] = (content[at] * 7 + 93) & 255
    path.write_bytes(content)
    return path
