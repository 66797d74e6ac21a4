"""Media given to real decoders, as if they had been examined."""

import os
from pathlib import Path
from typing import Any

import pygame

from pipeline.film import Film
from pipeline.kinds import sniff
from pipeline.medium import fingerprint, open_plain
from pipeline.pictures import Picture, PictureError
from players.ads.lines import Creative
from players.decoding.decoders import Decoders
from players.decoding.moving import Moving
from players.screen.layout import Layout


def creative(path: Path, **changes: Any) -> Creative:
    """Return a creative of the file as it is now; what cannot be found out is that of a film or of a picture."""
    found: dict[str, Any] = {"kind": "video", "container": "mp4", "codec": "h264", "moves": True}
    path, blocks = path.resolve(), b""
    if path.is_file():
        fd = open_plain(path)
        blocks, kind = fingerprint(fd).blocks, sniff(os.pread(fd, 4096, 0))
        os.close(fd)
        try:
            if kind or path.suffix == ".png":
                found |= {"kind": "image", "container": kind.lower(), "codec": kind.lower(), "moves": False}
                with Picture(path) as picture:
                    found["moves"] = picture.animated
            else:
                with Film(path) as film:
                    found |= {"container": film.kind, "codec": film.codec}
        except (PictureError, ValueError, OSError):
            pass
    ends = {"sha256": "0" * 64, "duration_ms": 10_000, "width_px": 1, "height_px": 1, "blocks": blocks}
    return Creative(**{"id": "ad", "path": path, **found, **ends, **changes})


def still(decoders: Decoders, path: Path, layout: Layout) -> pygame.Surface:
    """Return a picture as the player shows it."""
    return decoders.still(creative(path, moves=False), layout)


def moving(decoders: Decoders, path: Path, layout: Layout) -> Moving:
    """Begin to decode a film or an animated picture."""
    return decoders.moving(creative(path), layout)
