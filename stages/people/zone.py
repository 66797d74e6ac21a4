"""The zone of a camera: the part of its picture in which people count."""

from collections.abc import Sequence

from pipeline.messages import BoxPx

Zone = Sequence[tuple[float, float]]
"""Corners (x, y) of a polygon as shares of the frame's width and height; none for the whole frame."""


def inside(zone: Zone, box_px: BoxPx, width_px: int, height_px: int) -> bool:
    """Return whether the middle of a face is in the zone, by the even-odd rule."""
    if not zone:
        return True
    x, y = (box_px[0] + box_px[2] / 2) / width_px, (box_px[1] + box_px[3] / 2) / height_px
    crossings = 0
    for (x0, y0), (x1, y1) in zip(zone, (*zone[1:], zone[0]), strict=True):
        if (y0 > y) != (y1 > y):
            crossings += x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return crossings % 2 == 1
