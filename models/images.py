"""Pictures and videos from files, upright, as BGR: one way to read them for the command line, training and tests."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models.cards import ModelError


class ImageError(ModelError):
    """A picture or video that cannot be read. Its text names the file."""


def read_frames(path: Path, every: int = 1) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(number, frame) of a picture (number 0) or of every so many frames of a video; uint8 BGR [H, W, 3].

    Raises ImageError, one line naming the file, for what is missing, damaged or neither; a damaged video may have
    given frames before.
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
    """A picture, a file or the bytes of one, as its maker meant it to be turned, uint8 BGR [H, W, 3]; transparency
    becomes white.

    Raises UnidentifiedImageError when it is no picture, ImageError when it is a damaged one.
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
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ImageError(f"{path}: neither a picture nor a video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            promised = stream.frames
            for frame in container.decode(stream):
                if number % every == 0:
                    pixels = frame.to_ndarray(format="bgr24")
                    yield number, np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90 % 4))
                number += 1
    except av.FFmpegError as error:
        if number == 0:
            raise ImageError(f"{path}: neither a picture nor a video that can be read: {error.strerror}") from error
        raise ImageError(f"{path}: damaged video after frame {number - 1}: {error.strerror}") from error
    if number == 0:
        raise ImageError(f"{path}: a video without frames")
    if number < 0.98 * promised:
        raise ImageError(f"{path}: damaged video: it ends after {number} of {promised} frames")
