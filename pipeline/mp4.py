"""Edit lists and clean apertures of .mp4 and .mov files (ISO/IEC 14496-12), which FFmpeg tells only in part.

FFmpeg follows edit lists itself, but loses the time of frames where parts are joined, and frames that lie across a cut.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MOOV_BYTES_MAX = 64 << 20
"""Largest description of a film that is read; a longer one counts as without edit list and aperture."""
ENTRIES_MAX = 1000
"""Largest number of entries of an edit list; a longer one counts as without."""
BOXES_MAX = 100_000
"""Largest number of boxes at the top of a file that are looked at; a film in fragments has two for each."""
_SAMPLE_ENTRY_BYTES = 78
"""Length of the fixed part of the description of a picture's format."""


class Edit(NamedTuple):
    """One part of an edit list, in s."""

    start_s: float | None
    """Time in the media at which the part begins; None for a pause, in which nothing new is shown."""
    length_s: float
    """Time for which it is shown; 0 for all of the media that is left."""
    stands: bool
    """True where the frame at the start is held for the whole time."""


class Aperture(NamedTuple):
    """Part of the stored picture that is meant to be seen, in px."""

    width: float
    height: float
    right_of_centre: float
    below_centre: float


class Track(NamedTuple):
    """Facts about one track of a film."""

    edits: tuple[Edit, ...] = ()
    aperture: Aperture | None = None

    def cut(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """Return px at the left, top, right and bottom of a stored picture that are not meant to be seen."""
        if self.aperture is None:
            return (0, 0, 0, 0)
        width, height, right, below = self.aperture
        left, top = round((width_px - width) / 2 + right), round((height_px - height) / 2 + below)
        return left, top, width_px - left - round(width), height_px - top - round(height)


def is_whole(file: BinaryIO) -> bool:
    """Return False where a box at the top of an .mp4 or .mov file ends behind the end of the file."""
    length = file.seek(0, os.SEEK_END)
    return all(end <= length for _, _, end in _top(file))


def read_tracks(file: BinaryIO) -> dict[int, Track]:
    """Return the tracks of an .mp4 or .mov file by their number; those that are damaged are left out."""
    moov = _moov(file)
    tracks = {}
    for kind, body in _boxes(moov):
        if kind == b"trak":
            try:
                number, track = _track(body, _timescale(_child(moov, b"mvhd")))
                tracks[number] = track
            except (struct.error, ZeroDivisionError):
                continue
    return tracks


def _moov(file: BinaryIO) -> bytes:
    """Return the content of the box that describes the film; empty where there is none."""
    for kind, begin, end in _top(file):
        if kind == b"moov" and end - begin <= MOOV_BYTES_MAX:
            file.seek(begin)
            return file.read(end - begin)
    return b""


def _top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start of content, end) of the boxes at the top of a file, at most BOXES_MAX."""
    at, end = 0, file.seek(0, os.SEEK_END)
    for _ in range(BOXES_MAX):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        begin = 8
        if size == 1 and len(head) == 16:
            size, begin = struct.unpack(">Q", head[8:])[0], 16
        size = size or end - at
        if size < begin:
            return
        yield kind, at + begin, at + size
        at += size


def _boxes(content: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, content) of the boxes in a box, from a place on."""
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if size < 8:
            return
        yield kind, content[at + 8 : at + size]
        at += size


def _child(content: bytes, *names: bytes) -> bytes:
    """Return the content of the first box of each name within the one before; empty where there is none."""
    for name in names:
        content = next((body for kind, body in _boxes(content) if kind == name), b"")
    return content


def _timescale(header: bytes) -> int:
    """Return the units a second of a header of a film or of its media."""
    return int(struct.unpack_from(">I", header, 20 if header[:1] == b"\x01" else 12)[0])


def _track(body: bytes, movie_hz: int) -> tuple[int, Track]:
    header = _child(body, b"tkhd")
    number = struct.unpack_from(">I", header, 20 if header[:1] == b"\x01" else 12)[0]
    media_hz = _timescale(_child(body, b"mdia", b"mdhd"))
    edits = tuple(_edits(_child(body, b"edts", b"elst"), movie_hz, media_hz))
    return number, Track(edits, _aperture(_child(body, b"mdia", b"minf", b"stbl", b"stsd")))


def _edits(box: bytes, movie_hz: int, media_hz: int) -> Iterator[Edit]:
    if len(box) < 8:
        return
    form = ">QqhH" if box[0] == 1 else ">IihH"
    (count,) = struct.unpack_from(">I", box, 4)
    for n in range(count if count <= ENTRIES_MAX else 0):
        length, start, rate, _ = struct.unpack_from(form, box, 8 + n * struct.calcsize(form))
        yield Edit(None if start < 0 else start / media_hz, length / movie_hz, rate == 0 < length)


def _aperture(descriptions: bytes) -> Aperture | None:
    """Return the clean aperture of the first format in the list of a track."""
    entry = next((content for _, content in _boxes(descriptions, 8)), b"")
    box = next((content for kind, content in _boxes(entry, _SAMPLE_ENTRY_BYTES) if kind == b"clap"), b"")
    if len(box) < 32:
        return None
    width, width_by, height, height_by, right, right_by, below, below_by = struct.unpack_from(">IIIIiIiI", box)
    return Aperture(width / width_by, height / height_by, right / right_by, below / below_by)
