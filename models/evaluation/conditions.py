"""Conditions of the street, each imitated on crops in one fixed way, to measure models under it."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crop import CropSpec
from models.datasets.turned_heads import turned_px

Crop = NDArray[np.uint8]


def _face_of(side_px: int) -> Callable[[Crop, float], Crop]:
    def smaller(crop: Crop, scale: float) -> Crop:
        """Scale a crop down until its face is `side_px` wide, and up again. A face is 1 / scale of its crop."""
        size, small = crop.shape[0], min(crop.shape[0], round(side_px * scale))
        tiny = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(tiny, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)

    return smaller


def _dark(crop: Crop, scale: float) -> Crop:
    """Darken a crop: half of the light, gamma 1.8, and noise of 8 levels."""
    noise = np.random.default_rng(0).standard_normal(crop.shape, np.float32) * 8
    return np.clip(255 * (crop / 510) ** 1.8 + noise, 0, 255).astype(np.uint8)


def _covered(crop: Crop, scale: float) -> Crop:
    """Cover mouth and chin with one colour: from .6 of the height down, over the middle three fifths."""
    size = crop.shape[0]
    covered = crop.copy()
    covered[int(0.6 * size) :, int(0.2 * size) : int(0.8 * size)] = (90, 120, 150)
    return covered


def _turned_by(yaw_deg: float, pitch_deg: float) -> Callable[[Crop, float], Crop]:
    def elsewhere(crop: Crop, scale: float) -> Crop:
        """Turn the head by these angles with models/datasets/turned_heads.py."""
        at = np.arange(crop.shape[0], dtype=np.float64)
        spec = CropSpec(crop.shape[0], scale)
        where = turned_px(np.stack(np.meshgrid(at, at), -1), spec, np.radians(yaw_deg), np.radians(pitch_deg))
        column, row = np.moveaxis(where.astype(np.float32), 2, 0)
        seen = cv2.remap(crop, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return seen.astype(np.uint8, copy=False)

    return elsewhere


CONDITIONS: dict[str, Callable[[Crop, float], Crop]] = {
    "face-60px": _face_of(60),
    "face-40px": _face_of(40),
    "face-24px": _face_of(24),
    "dark": _dark,
    "covered": _covered,
    "turned": _turned_by(35, 0),
    "from-above": _turned_by(0, -20),
}
"""Functions by name: from a crop, uint8 RGB [S, S, 3], and its side in face boxes to a crop of the same shape."""
