"""Pictures made ready for a screen: each becomes one surface of the whole screen.

Scaling and turning happen here and not in the render loop, so that showing a picture is one copy of pixels.
"""

from pathlib import Path

import numpy as np
import pygame

from players.ads.media import PIXELS_MAX
from players.screen.layout import Layout, blank


class PictureError(Exception):
    """An image or film that cannot be shown; the text names the file and the reason."""


def load(path: Path, layout: Layout) -> pygame.Surface:
    """Return an image file laid out for the screen; of an animated one, the first picture.

    Raises PictureError where the file is missing, damaged, or larger than `PIXELS_MAX`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise PictureError(f"{path}: {opened.width}x{opened.height} px are too many")
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits of grey: Pillow would clip all but the darkest 255 to white
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
            image = image.convert("RGB")
    except PictureError:
        raise
    except Exception as error:  # damaged files make decoders raise any exception
        raise PictureError(f"{path}: {error}") from error
    placement = layout.place(*image.size)
    x, y, w, h = placement.crop
    if image.size != (w, h):
        # Crop before scaling: a narrow strip, scaled as a whole to fill a screen, would take gigabytes.
        across, down = image.width / placement.size[0], image.height / placement.size[1]
        box = (x * across, y * down, (x + w) * across, (y + h) * down)
        image = image.resize((w, h), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
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
