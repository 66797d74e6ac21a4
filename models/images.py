"""Reader of pictures and videos, as seen and in BGR, for the command line, training and tests."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models.cards import ModelError
from pipeline.colours import ColourError
from pipeline.film import Film


class ImageError(ModelError):
    """A picture or video that cannot be read. Its text names the file."""


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, frame uint8 BGR [H, W, 3]) of a picture (number 0), or of every `every`-th frame of a video.

    Raises ImageError for a file that is missing, damaged or neither. A damaged video may yield frames before that.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ImageError(f"{path}: cannot read it: {error.strerror}") from error
    try:
        yield 0, read_image(path)
    except UnidentifiedImageError:
        yield from _video(path, every)


def read_image(path: Path | BytesIO) -> NDArray[np.uint8]:
    """Read a picture upright, uint8 BGR [H, W, 3], from a file or its bytes. Transparent pixels become white.

    Raises UnidentifiedImageError if it is no picture, ImageError if it is a damaged one.
    """
    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                paper = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(paper, upright)
            rgb = np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError:
        raise
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: damaged picture: {' '.join(str(error).split())}") from error
    return np.ascontiguousarray(rgb[..., ::-1])


def _video(path: Path, every: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    number, promised = 0, 0
    try:
        with Film(path) as film:
            promised = film.stream.frames
            for shown in film.frames():
                if number % every == 0:
                    yield number, film.pixels(shown.frame)
                number += 1
    except ColourError as error:
        raise ImageError(f"{path}: {error}") from error
    except ValueError as error:
        raise ImageError(f"{path}: neither a picture nor a video: {error}") from error
    except av.FFmpegError as error:
        if number == 0:
            raise ImageError(f"{path}: neither a picture nor a video that can be read: {error.strerror}") from error
        raise ImageError(f"{path}: damaged video after frame {number - 1}: {error.strerror}") from error
    if number == 0:
        raise ImageError(f"{path}: a video without frames")
    if number < 0.98 * promised:
        raise ImageError(f"{path}: damaged video: it ends after {number} of {promised} frames")
