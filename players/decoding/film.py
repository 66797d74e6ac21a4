"""Films for a screen: read and laid out (pipeline/film.py), a few frames ahead of the player."""

from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.film import Film
from pipeline.frames import Fit
from pipeline.kinds import SCREEN_CODECS
from pipeline.pictures import PIXELS_MAX
from players.decoding.order import Order
from players.decoding.sink import Sink

DECODER_THREADS = 2
"""Threads of the decoder of one film."""


def decode(file: BinaryIO, order: Order, sink: Sink) -> None:
    """Decode a film. Frames that come too late are left out and counted, so it keeps its time.

    Raises ValueError where it is damaged, or another film than was examined.
    """
    layout = order.layout

    def fit(width_px: int, height_px: int) -> Fit:
        size, crop, at = layout.place(width_px, height_px)
        return Fit(size, crop, layout.rotation_deg, (layout.width_px, layout.height_px), at)

    with Film(
        file, codecs=SCREEN_CODECS, threads=DECODER_THREADS, pixels_max=PIXELS_MAX, fit=fit, pixel_format="bgra"
    ) as film:
        if (film.kind, film.codec) != (order.container, order.codec):
            raise ValueError("it is another film than the one that was examined")
        for number, shown in enumerate(film.frames()):
            if shown.damaged:
                raise ValueError(f"frame {number} is damaged")
            sink.decoded(shown.until_s, film.fps)
            if sink.is_late(shown.until_s):
                sink.leave_out()
                continue
            _copy(film.picture(shown.frame), sink.slot())
            sink.push(shown.at_s)


def _copy(frame: av.VideoFrame, target: NDArray[np.uint8]) -> None:
    """Write the pixels of a frame without the padding of its rows."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    target.reshape(frame.height, frame.width * 4)[:] = rows[: frame.height, : frame.width * 4]
