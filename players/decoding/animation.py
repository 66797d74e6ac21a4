"""Animated pictures: GIF, WebP, PNG and AVIF that move with their own times."""

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.pictures import Picture
from players.decoding.order import Order
from players.decoding.pictures import GROUND, lay_out, opened
from players.decoding.sink import Sink

KEPT_BYTES_MAX = 128 << 20
"""Largest memory for frames that are kept, so that later rounds need no decoding: 16 frames at 1920x1080."""

Screen = NDArray[np.uint8]


def decode(file: BinaryIO, order: Order, sink: Sink) -> None:
    """Decode an animated picture over and over. After as many rounds as it says itself, its last frame stays on.

    Frames that come too late are left out and counted.
    """
    kept: list[tuple[float, Screen]] = []
    begins_s, rounds = 0.0, 0
    with opened(file, order) as picture:
        keeps = picture.frame_count * order.slot_bytes <= KEPT_BYTES_MAX
        while not picture.plays or rounds < picture.plays:
            whole = len(kept) == picture.frame_count
            for duration_s, screen in kept if whole else _round(picture, order, sink, begins_s):
                sink.decoded(begins_s + duration_s, 1 / duration_s)
                if screen is None or (whole and sink.is_late(begins_s + duration_s)):
                    sink.leave_out()
                else:
                    sink.slot()[:] = screen
                    sink.push(begins_s)
                if keeps and not whole and screen is not None:
                    kept.append((duration_s, screen))
                begins_s += duration_s
            rounds += 1
            if not whole and len(kept) < picture.frame_count:
                kept.clear()
    sink.decoded(math.inf, 1.0)


def _round(picture: Picture, order: Order, sink: Sink, begins_s: float) -> Iterator[tuple[float, Screen | None]]:
    """Yield the duration in s and the screen of each frame of one round; None for a frame that comes too late."""
    for duration_s in picture.frames():
        begins_s += duration_s
        if sink.is_late(begins_s):
            yield duration_s, None
            continue
        screen = np.empty(order.slot_bytes, np.uint8)
        lay_out(picture.pixels(GROUND), order.layout, screen, Image.Resampling.BILINEAR)
        yield duration_s, screen
