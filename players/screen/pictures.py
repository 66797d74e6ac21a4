"""Pictures made ready for a screen: each becomes one surface of the whole screen.

Scaling and turning happen here and not in the render loop, so that showing a picture is one copy of pixels.
"""

from pathlib import Path

import pygame
from PIL import Image

from pipeline.pictures import Picture, PictureError
from players.screen.layout import Layout, blank

GROUND = (0, 0, 0)
"""Colour of the screen behind a picture with transparent parts."""


def load(path: Path, layout: Layout) -> pygame.Surface:
    """Return an image file laid out for the screen; of an animated one, the first picture.

    Raises PictureError, whose text names the file, where it is missing, damaged or too large.
    """
    try:
        with Picture(path) as picture:
            image = picture.first(GROUND)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    return laid_out(image, layout)


def moves(path: Path) -> bool:
    """Return True for an animated picture. Raises PictureError as `load` does."""
    try:
        with Picture(path) as picture:
            return picture.animated
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error


def laid_out(
    image: Image.Image, layout: Layout, resampling: Image.Resampling = Image.Resampling.LANCZOS
) -> pygame.Surface:
    """Return a picture of mode RGB scaled, cropped, turned and put in its place on a surface of the whole screen."""
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
    surface = blank(layout)
    if image.size == surface.get_size():
        surface.get_buffer().write(image.tobytes("raw", "BGRX"))
    else:
        surface.blit(pygame.image.frombuffer(image.tobytes(), image.size, "RGB"), placement.at)
    return surface
