"""Films made for tests: any colours and tags, display matrix, times of frames, edit list."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Weights of red and blue in luma, by code point of the matrix (ITU-T H.273)."""
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Matrix from linear light of BT.709 to that of BT.2020 (ITU-R BT.2087)."""
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
"""Matrix from linear light of BT.709 to that of Display P3."""


def quarters(width_px: int = 64, height_px: int = 48) -> NDArray[np.float64]:
    """Return red, green, blue and white quarters from the top left, float64 RGB [H, W, 3] from 0 to 1."""
    picture = np.ones((height_px, width_px, 3))
    y, x = height_px // 2, width_px // 2
    picture[:y, :x], picture[:y, x:], picture[y:, :x] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    return picture


def corners(picture: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the four quarters, from the top left, of a picture [H, W, 3]."""
    height, width = picture.shape[:2]
    places = (
        (height // 4, width // 4),
        (height // 4, -width // 4),
        (-height // 4, width // 4),
        (-height // 4, -width // 4),
    )
    return [tuple(int(part) for part in picture[y, x]) for y, x in places]


def near(found: Sequence[Sequence[int]], meant: Sequence[Sequence[int]], tolerance: int = 22) -> bool:
    """Return True where each colour differs from the one that is meant by at most `tolerance` in each channel."""
    return bool((np.abs(np.array(found) - np.array(meant)) <= tolerance).all())


def coded(
    rgb: NDArray[np.float64], matrix: int = 6, full_range: bool = False, bits: int = 8, alpha: float | None = None
) -> av.VideoFrame:
    """Return R'G'B' from 0 to 1 as a frame of Y'CbCr 4:4:4, by the formulae of ITU-R BT.601, BT.709 and BT.2020."""
    red_weight, blue_weight = MATRICES[matrix]
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    planes = [luma, (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)]
    most, unit = 2**bits - 1, 2 ** (bits - 8)
    scale, zero = ((most, most), (0, 128 * unit)) if full_range else ((219 * unit, 224 * unit), (16 * unit, 128 * unit))
    numbers = [planes[0] * scale[0] + zero[0], planes[1] * scale[1] + zero[1], planes[2] * scale[1] + zero[1]]
    name = "yuva444p" if alpha is not None else "yuv444p"
    if alpha is not None:
        numbers.append(np.full_like(luma, alpha * most))
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], name if bits == 8 else f"{name}{bits}le")
    dtype = np.uint8 if bits == 8 else np.uint16
    for plane, values in zip(frame.planes, numbers, strict=True):
        row = plane.line_size // np.dtype(dtype).itemsize
        padded = np.zeros((plane.height, row), dtype)
        padded[:, : rgb.shape[1]] = np.clip(np.round(values), 0, most)
        plane.update(padded.tobytes())
    return frame


def write_film(
    path: Path,
    frames: Sequence[av.VideoFrame],
    codec: str = "libx264",
    *,
    times_s: Sequence[float] | None = None,
    last_s: float = 0.1,
    display_matrix: Sequence[int] | None = None,
    tags: tuple[int, int, int, int] = (2, 0, 2, 2),
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    ratio: Fraction = Fraction(1),
) -> None:
    """Write frames at their times in s (10 a second without any); the last one lasts `last_s`.

    `tags` are matrix, range (1 limited, 2 full), primaries and transfer as code points.
    """
    times = [round(1000 * time_s) for time_s in (times_s or [n / 10 for n in range(len(frames))])]
    ends = [*times[1:], times[-1] + round(1000 * last_s)]
    lasts = {start: end - start for start, end in zip(times, ends, strict=True)}
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = ratio
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        packets = []
        for frame, time_ms in zip(frames, times, strict=True):
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = tags
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            packet.duration = lasts[packet.pts]
            container.mux(packet)


def write_numbered(path: Path, count: int, codec: str = "libx264", **more: object) -> None:
    """Write a film whose frames are grey, 20 + 2 times their number; 10 a second."""
    frames = [
        av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 2 * n, np.uint8), format="rgb24").reformat(
            format="yuv420p"
        )
        for n in range(count)
    ]
    write_film(path, frames, codec, **({"options": {"crf": "1"}} | more))  # type: ignore[arg-type]


def edit(path: Path, segments: Sequence[tuple[float, float]]) -> None:
    """Replace the edit list of an .mp4 that `write_film` wrote: (start, length) in s of what is shown.

    A start of -1 is an empty edit: nothing is shown for so long (ISO/IEC 14496-12, 8.6.6).
    """
    film = bytearray(path.read_bytes())

    def number(at: int) -> int:
        return int(struct.unpack(">i", film[at : at + 4])[0])

    movie_hz, media_hz = (number(film.find(box) + 16) for box in (b"mvhd", b"mdhd"))
    at = film.find(b"edts") - 4
    first = number(film.find(b"elst") + 16)
    entries = b"".join(
        struct.pack(
            ">iiI", round(length_s * movie_hz), -1 if start_s < 0 else first + round(start_s * media_hz), 1 << 16
        )
        for start_s, length_s in segments
    )
    edits = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(segments)) + entries
    box = struct.pack(">I4s", 8 + len(edits), b"edts") + edits
    grown = len(box) - number(at)
    film[at : at + number(at)] = box
    for name in (b"moov", b"trak"):
        at = film.find(name) - 4
        film[at : at + 4] = struct.pack(">i", number(at) + grown)
    assert film.find(b"mdat") < film.find(b"moov"), "offsets of samples would move"
    path.write_bytes(film)


def give_aperture(path: Path, codec: bytes, seen: tuple[int, int], moved: tuple[int, int]) -> None:
    """Add a clean aperture to an .mp4 that `write_film` wrote: its size in px, and its way from the centre.

    `codec` is the name of the box that describes the format (ISO/IEC 14496-12, 12.1.4).
    """
    film = bytearray(path.read_bytes())
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", seen[0], 1, seen[1], 1, moved[0], 1, moved[1], 1)
    inner = film.find(codec, film.find(b"stsd")) - 4
    (size,) = struct.unpack(">I", film[inner : inner + 4])
    film[inner + size : inner + size] = box
    for name in (codec, b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = film.find(name, film.find(b"stsd") if name == codec else 0) - 4
        film[at : at + 4] = struct.pack(">I", struct.unpack(">I", film[at : at + 4])[0] + len(box))
    path.write_bytes(film)


def give_edges(path: Path, left: int, top: int, bottom: int) -> None:
    """Say that edges of a .mkv that `write_film` wrote are not shown, in px (RFC 9559, 5.1.4.1.28).

    This takes the place of an element that says nothing and of free room behind the one of the picture.
    """
    film = path.read_bytes()
    at = film.find(b"\xe0\x8a\xb0\x81")
    assert film[at + 12 : at + 18] == b"\x55\xee\x81\x00\xec\x01"
    edges = b"".join(b"\x54" + bytes([name, 0x81, px]) for name, px in ((0xCC, left), (0xBB, top), (0xAA, bottom)))
    path.write_bytes(film[:at] + b"\xe0\x96" + film[at + 2 : at + 12] + edges + b"\xec\x81\x00" + film[at + 27 :])
