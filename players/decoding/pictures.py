"""Pictures laid out for a screen: scaled, cropped, turned, and put in their place on the whole of it."""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.pictures import Picture, PictureError
from players.decoding.order import Order
from players.decoding.sink import Sink
from players.screen.layout import Layout

GROUND = (0, 0, 0)
"""Colour of the screen behind a picture with transparent parts."""


def decode(file: BinaryIO, order: Order, sink: Sink) -> None:
    """Decode a still picture. Raises PictureError where it cannot be shown."""
    with opened(file, order) as picture:
        image = picture.first(GROUND)
    lay_out(image, order.layout, sink.slot())
    sink.push(0.0)


def opened(file: BinaryIO, order: Order) -> Picture:
    """Open a picture. Raises PictureError where it is another than was examined."""
    picture = Picture(file)
    if picture.kind.lower() != order.container or picture.animated != (order.what == "animation"):
        raise PictureError("it is another picture than the one that was examined")
    return picture


def lay_out(
    image: Image.Image,
    layout: Layout,
    target: NDArray[np.uint8],
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> None:
    """Write a picture of mode RGB, scaled and in its place, as the whole screen: blue, green, red and 255 a pixel.

    `target` is uint8 [height x width x 4].
    """
    placement = layout.place(*image.size)
    x, y, w, h = placement.crop
    if image.size != (w, h):
        # Crop before scaling: a narrow strip, scaled as a whole to fill a screen, would take gigabytes.
        across, down = image.width / placement.size[0], image.height / placement.size[1]
        box = (x * across, y * down, min((x + w) * across, image.width), min((y + h) * down, image.height))
        image = image.resize((w, h), resampling, box, reducing_gap=3.0)
    turn = {
        90: Image.Transpose.ROTATE_270,
        180: Image.Transpose.ROTATE_180,
        270: Image.Transpose.ROTATE_90,
    }.get(layout.rotation_deg)
    if turn is not None:
        image = image.transpose(turn)
    screen = target.reshape(layout.height_px, layout.width_px, 4)
    if image.size != (layout.width_px, layout.height_px):
        screen[...] = 0
    left, top = placement.at
    pixels = np.frombuffer(image.tobytes("raw", "BGRX"), np.uint8).reshape(image.height, image.width, 4)
    screen[top : top + image.height, left : left + image.width] = pixels
    screen[..., 3] = 255
