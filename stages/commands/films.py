"""Recorded films as a camera's pictures: at the rate at which a station takes them, with their times."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import public_name
from pipeline.colours import ColourError
from pipeline.errors import UserError
from pipeline.film import Film
from pipeline.medium import MediumError
from stages.capture.network import PIXELS_MAX


def read_film(path: Path, fps: float) -> Iterator[tuple[NDArray[np.uint8] | None, float, float]]:
    """Yield each frame's pixels, uint8 BGR [height, width, 3], begin and end in s; None for pixels between those of the
    given rate. Each picture begins after the one before it.

    UserError: the file is no film, or is damaged from here on.
    """
    if "://" in str(path) or str(path).startswith(("rtsp:/", "http:/", "https:/")):
        raise UserError("a URL is no file; record it first, or name it as a camera's source in a station file")
    if not path.is_file():
        raise UserError(f"{public_name(str(path))}: no such file; give recorded videos")
    due_s, taken_s, until_s = 0.0, -1.0, 0.0
    try:
        with Film(path, threads=1, pixels_max=PIXELS_MAX) as film:
            if film.stream.width * film.stream.height > PIXELS_MAX:
                raise ValueError("its pictures have more than 7680x4320 pixels; export it smaller")
            for shown in film.frames():
                if shown.until_s <= due_s or shown.at_s <= taken_s:
                    yield None, shown.at_s, shown.until_s
                    continue
                yield film.pixels(shown.frame), shown.at_s, shown.until_s
                taken_s, until_s = shown.at_s, shown.until_s
                due_s = max(due_s + 1 / fps, shown.at_s)
    except (av.FFmpegError, ValueError, MediumError, ColourError) as error:
        if taken_s < 0:
            why = error.strerror if isinstance(error, av.FFmpegError) else error
            raise UserError(f"{path}: is no film that can be read ({why}); give one such as H.264 in MP4") from error
        raise UserError(f"{path}: is damaged after {until_s:.1f} s; copy or export it anew") from error
    if taken_s < 0:
        raise UserError(f"{path}: no picture in it can be read; copy or export it anew")
