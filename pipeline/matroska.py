"""Facts about .mkv and .webm files that PyAV does not tell: whether one is whole, and edges that are not shown.

The format is EBML (RFC 8794) and Matroska (RFC 9559).
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TRACKS, _CLUSTER, _ENTRY, _VIDEO = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE, 0xE0
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""Elements that say how many px are cut off at the left, the top, the right and the bottom."""
_NO_CUT = (0, 0, 0, 0)
_TRACKS_BYTES_MAX = 16 << 20
"""Longest description of tracks that is read; a longer one counts as without edges."""
_HEAD_BYTES_MAX = 1 << 20
"""Longest part of a file, before its pictures, in which the tracks are looked for."""


class Facts(NamedTuple):
    """Facts about one file."""

    whole: bool
    """False where the file is shorter than it says."""
    cut: tuple[int, ...]
    """Px that are cut off the pictures of the first track that has any: at the left, top, right and bottom."""


def read_facts(file: BinaryIO) -> Facts:
    """Return the facts about a file; those of a whole one without edges where it is no Matroska file."""
    file.seek(0)
    head = file.read(_HEAD_BYTES_MAX)
    if not head.startswith(_MAGIC):
        return Facts(True, _NO_CUT)
    bytes_in_all = file.seek(0, os.SEEK_END)
    for element, begin, size in _elements(head, 0, bytes_in_all):
        if element == _SEGMENT:
            whole = size is None or begin + size <= bytes_in_all
            end = bytes_in_all if size is None else begin + size
            return Facts(whole, next(_cuts(head, begin, end), _NO_CUT))
    return Facts(True, _NO_CUT)


def _cuts(head: bytes, begin: int, end: int) -> Iterator[tuple[int, ...]]:
    """Yield the edges of each track that has pictures."""
    for element, at, size in _elements(head, begin, end):
        if element == _CLUSTER or size is None:
            return
        if element == _TRACKS and size <= _TRACKS_BYTES_MAX:
            for kind, entry_at, entry_size in _elements(head, at, at + size):
                if kind == _ENTRY and entry_size is not None:
                    for part, video_at, video_size in _elements(head, entry_at, entry_at + entry_size):
                        if part == _VIDEO and video_size is not None:
                            yield _edges(head, video_at, video_at + video_size)


def _edges(head: bytes, begin: int, end: int) -> tuple[int, ...]:
    """Return the px that the description of a picture cuts off."""
    numbers = {
        element: int.from_bytes(head[at : at + size], "big")
        for element, at, size in _elements(head, begin, end)
        if size is not None and size <= 8
    }
    return tuple(numbers.get(name, 0) for name in _CROPS)


def _elements(head: bytes, at: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield (id, start of content, size of content) of elements; the size is None where the file leaves it open."""
    while at < min(end, len(head)):
        id_bytes = 9 - head[at].bit_length()
        element = int.from_bytes(head[at : at + id_bytes], "big")
        at += id_bytes
        if id_bytes > 4 or at >= len(head):
            return
        size_bytes = 9 - head[at].bit_length()
        if size_bytes > 8 or at + size_bytes > len(head):
            return
        size = int.from_bytes(head[at : at + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        at += size_bytes
        unknown = size == (1 << 7 * size_bytes) - 1
        yield element, at, None if unknown else size
        if unknown:
            return
        at += size
