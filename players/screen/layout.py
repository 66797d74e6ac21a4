"""Geometry of a screen: the place of a picture on it, after scaling, cropping and turning."""

from typing import Literal, NamedTuple


class Placement(NamedTuple):
    """Place of one picture. It is scaled to `size`, cut to `crop`, turned, and put at `at`; all in px."""

    size: tuple[int, int]
    """Width and height of the whole picture after scaling, still upright."""
    crop: tuple[int, int, int, int]
    """x, y, width and height of the part that is shown, within the scaled upright picture."""
    at: tuple[int, int]
    """x and y of the top left corner on the screen, after turning."""


class Layout(NamedTuple):
    """Size of a screen and how it hangs. Pictures are turned `rotation_deg` clockwise to look upright on it."""

    width_px: int
    height_px: int
    rotation_deg: Literal[0, 90, 180, 270] = 0
    overscan_pct: float = 0.0
    """Share of the screen at each edge that its frame covers, in per cent."""
    scaling: Literal["fit", "fill", "stretch"] = "fit"

    @property
    def area(self) -> tuple[int, int, int, int]:
        """x, y, width and height, in px, of the part of the screen that can be seen."""
        dx = round(self.width_px * self.overscan_pct / 100)
        dy = round(self.height_px * self.overscan_pct / 100)
        return dx, dy, self.width_px - 2 * dx, self.height_px - 2 * dy

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height, in px, of the visible area as the audience sees it."""
        _, _, w, h = self.area
        return (h, w) if self.rotation_deg in (90, 270) else (w, h)

    def place(self, width_px: int, height_px: int) -> Placement:
        """Return the place of an upright picture of this size."""
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
        """Return x and y on the screen of the top left corner of a rectangle after turning.

        The rectangle is given upright, relative to the visible area.
        """
        left, top, _, _ = self.area
        w, h = self.upright
        dx, dy = {
            0: (x, y),
            90: (h - y - height_px, x),
            180: (w - x - width_px, h - y - height_px),
            270: (y, w - x - width_px),
        }[self.rotation_deg]
        return left + dx, top + dy
