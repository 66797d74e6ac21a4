"""Reader of pictures and videos, as seen and in BGR, for the command line, training and tests."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.cards import ModelError
from pipeline.colours import ColourError
from pipeline.film import Film
from pipeline.pictures import NotAPictureError, Picture, PictureError

PIXELS_MAX = 180_000_000
"""Largest number of pixels of a photo: those of the largest telephones."""
PAPER = (255, 255, 255)
"""Colour behind pictures with transparent parts."""


class ImageError(ModelError):
    """A picture or video that cannot be read. Its text names the file."""


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, frame uint8 BGR [H, W, 3]) of every `every`-th frame of a picture or video.

    A picture that stands still has one frame, number 0. Raises ImageError for a file that is missing, damaged or
    neither. A damaged file may yield frames before that. What is ignored in a picture is said on the standard error.
    """
    try:
        with Picture(path, PIXELS_MAX) as picture:
            if not picture.animated:
                yield 0, _bgr(picture.first(PAPER))
            else:
                for number, _ in enumerate(picture.frames()):
                    if number % every == 0:
                        yield number, _bgr(picture.pixels(PAPER))
            for note in picture.ignored:
                click.echo(f"stationcast: {path}: {note}", err=True)
    except NotAPictureError:
        yield from _video(path, every)
    except PictureError as error:
        raise ImageError(f"{path}: {error}") from error


def read_image(path: Path | BytesIO) -> NDArray[np.uint8]:
    """Read a picture upright and in sRGB, uint8 BGR [H, W, 3], from a file or its bytes. What is clear becomes white.

    Raises ImageError if it is no picture or a damaged one.
    """
    try:
        with Picture(path, PIXELS_MAX) as picture:
            return _bgr(picture.first(PAPER))
    except PictureError as error:
        raise ImageError(f"{path}: {error}") from error


def _bgr(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


def _video(path: Path, every: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    number, promised = 0, 0
    try:
        with Film(path) as film:
            promised = film.frames_told
            for shown in film.frames():
                if number % every == 0:
                    yield number, film.pixels(shown.frame)
                number += 1
    except ColourError as error:
        raise ImageError(f"{path}: {error}") from error
    except ValueError as error:
        raise ImageError(f"{path}: neither a picture nor a video; name one that plays elsewhere") from error
    except av.FFmpegError as error:
        if number == 0:
            raise ImageError(f"{path}: neither a picture nor a video; name one that plays elsewhere") from error
        raise ImageError(f"{path}: damaged video after frame {number - 1}; make it anew") from error
    if number == 0:
        raise ImageError(f"{path}: a video without frames")
    if number < 0.98 * promised:
        raise ImageError(f"{path}: damaged video: it ends after {number} of {promised} frames")
