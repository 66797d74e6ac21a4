"""Pictures as people bring them, made for tests: profiles, tags and four quarters of colour."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""Red, green, blue and white, from the top left."""


def quarters(width: int = 64, height: int = 32) -> Image.Image:
    """Return a picture of four quarters."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = QUARTERS[:2]
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = QUARTERS[2:]
    return Image.fromarray(image)


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours of the middles of the four quarters."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    spots = ((1, 1), (1, 3), (3, 1), (3, 3))
    return [tuple(int(v) for v in pixels[height * y // 4, width * x // 4]) for y, x in spots]


def near(found: NDArray | tuple[int, ...], right: NDArray | tuple[int, ...], within: float) -> bool:
    """Tell whether all numbers are within so many levels."""
    return bool(np.abs(np.asarray(found, float) - np.asarray(right, float)).max() <= within)


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a PNG file with one more chunk behind its header."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk + png[33:]


def as_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture as a file of that kind."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """Return an ICC profile of version 2.4 with these tags (ICC.1:2001-04)."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"test", 0x02400000, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def gamma_curve(gamma: float) -> bytes:
    """Return a curve that holds one gamma, to 1/256."""
    return struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256))


def grey_profile(gamma: float) -> bytes:
    """Return a profile of grey pictures."""
    return profile(
        b"GRAY", {b"wtpt": b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061), b"kTRC": gamma_curve(gamma)}
    )


def cmyk_profile() -> bytes:
    """Return a profile of an odd printer, whose cyan ink is green, in a table of two points an axis (mft1)."""
    labs = []
    for index in range(16):
        cyan, magenta, yellow, key = (index >> 3) & 1, (index >> 2) & 1, (index >> 1) & 1, index & 1
        light = 0.0 if key else 100.0 * (1 - 0.4 * cyan) * (1 - 0.4 * magenta) * (1 - 0.1 * yellow)
        a, b = (0.0, 0.0) if key else (-60.0 * cyan + 60.0 * magenta, 60.0 * yellow)
        labs.append(bytes([round(light * 2.55), round(a) + 128, round(b) + 128]))
    head = struct.pack(">4sIBBBx", b"mft1", 0, 4, 3, 2) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = bytes(range(256))
    table = head + ramp * 4 + b"".join(labs) + ramp * 3
    white = b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061)
    return profile(b"CMYK", {b"wtpt": white, b"A2B0": table}, connection=b"Lab ", kind=b"prtr")


def in_srgb(light: NDArray, primaries: NDArray) -> NDArray:
    """Return sRGB, 0 to 255, of linear light [n, 3] of a display with these primaries [4, 2], white last.

    Computed anew, without the product's own code: primaries to XYZ, Bradford to D65, XYZ to sRGB.
    """

    def matrix(points: NDArray) -> NDArray:
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in points])
        return columns[:3].T * np.linalg.solve(columns[:3].T, columns[3])

    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    srgb = matrix(np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06], [0.3127, 0.3290]]))
    own = matrix(primaries)
    ratio = (cone @ srgb.sum(axis=1)) / (cone @ own.sum(axis=1))
    linear = light @ (np.linalg.inv(srgb) @ np.linalg.inv(cone) @ np.diag(ratio) @ cone @ own).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def written(path: Path, content: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content)
    return path
