"""How a picture lies on a screen, and pictures made ready for it: one surface of the whole screen each.

Scaling and rotation happen here, off the render loop, so that showing a picture is one copy of pixels.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pygame

from players.ads.media import PIXELS_MAX


class PictureError(Exception):
    """An image that cannot be shown; the text says which and why."""


class Placement(NamedTuple):
    """Where an upright picture goes: scaled to `size`, `crop` (x, y, w, h) cut out of it, turned, put at `at`."""

    size: tuple[int, int]
    crop: tuple[int, int, int, int]
    at: tuple[int, int]


class Layout(NamedTuple):
    """A screen's pixels and how it hangs. Pictures are turned `rotation_deg` clockwise to look upright on it."""

    width_px: int
    height_px: int
    rotation_deg: Literal[0, 90, 180, 270] = 0
    overscan_pct: float = 0.0
    scaling: Literal["fit", "fill", "stretch"] = "fit"

    @property
    def area(self) -> tuple[int, int, int, int]:
        """x, y, w, h in px of the screen that are seen: `overscan_pct` of each edge is not."""
        dx = round(self.width_px * self.overscan_pct / 100)
        dy = round(self.height_px * self.overscan_pct / 100)
        return dx, dy, self.width_px - 2 * dx, self.height_px - 2 * dy

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height in px of the seen area as the audience sees it."""
        _, _, w, h = self.area
        return (h, w) if self.rotation_deg in (90, 270) else (w, h)

    def place(self, width_px: int, height_px: int) -> Placement:
        """Where a picture of this size goes."""
        x, y, area_w, area_h = self.area
        w, h = self.upright
        if self.scaling == "stretch":
            size = (w, h)
        else:
            ratios = (w / width_px, h / height_px)
            ratio = min(ratios) if self.scaling == "fit" else max(ratios)
            size = (max(1, round(width_px * ratio)), max(1, round(height_px * ratio)))
        shown = (min(size[0], w), min(size[1], h))
        crop = ((size[0] - shown[0]) // 2, (size[1] - shown[1]) // 2, *shown)
        turned = shown[::-1] if self.rotation_deg in (90, 270) else shown
        return Placement(size, crop, (x + (area_w - turned[0]) // 2, y + (area_h - turned[1]) // 2))

    def at(self, x: int, y: int, width_px: int, height_px: int) -> tuple[int, int]:
        """Where on the screen the top left corner of a turned rectangle lies, given it upright in the seen area."""
        left, top, _, _ = self.area
        w, h = self.upright
        dx, dy = {
            0: (x, y),
            90: (h - y - height_px, x),
            180: (w - x - width_px, h - y - height_px),
            270: (y, w - x - width_px),
        }[self.rotation_deg]
        return left + dx, top + dy


def blank(layout: Layout) -> pygame.Surface:
    """A black surface of the whole screen, in the byte order of nearly every display: blue, green, red, unused."""
    return pygame.Surface((layout.width_px, layout.height_px), 0, 32)


def load(path: Path, layout: Layout) -> pygame.Surface:
    """The image (the first picture of an animated one) laid out for the screen, or PictureError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise PictureError(f"{path}: {opened.width}x{opened.height} px are too many")
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits of grey: Pillow would show all but the darkest 255 as white
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
            image = image.convert("RGB")
    except PictureError:
        raise
    except Exception as error:  # a decoder that is given nonsense raises anything
        raise PictureError(f"{path}: {error}") from error
    placement = layout.place(*image.size)
    x, y, w, h = placement.crop
    if image.size != (w, h):
        # Cut out before it is scaled: a strip that fills a screen would be gigabytes.
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


def turned(surface: pygame.Surface, layout: Layout) -> pygame.Surface:
    """An upright surface turned as the screen hangs (pygame turns counter-clockwise)."""
    return pygame.transform.rotate(surface, -layout.rotation_deg) if layout.rotation_deg else surface
