"""The same people seen again and again as a street camera sees them: far, blurred, dim and turned."""

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.crop import CropSpec
from models.datasets.turned_heads import turned_px

Crop = NDArray[np.uint8]

FACE_PX = (24.0, 60.0)
"""Narrowest and widest face."""
_YAW_DEG, _PITCH_DEG = 35.0, 20.0
"""Largest angles by which a head is turned."""
_JITTER = 0.08
"""Largest error of the box, in face boxes."""


class Sighting(Struct, frozen=True):
    """One view of a face: its crop, uint8 RGB [S, S, 3], and what spoils it."""

    crop: Crop
    face_px: float
    """Width of the face."""
    blur_px: float
    """Standard deviation of the blur in pixels of the frame."""
    yaw_deg: float
    pitch_deg: float


def sightings(
    wide: Crop, wide_spec: CropSpec, spec: CropSpec, count: int, random: np.random.Generator
) -> list[Sighting]:
    """Return so many views of one person, cut as `spec` says from a wider crop of a photo.

    What belongs to the scene is drawn once: the light, and the distance at which the person comes into view. Distance,
    blur, turn of the head, error of the box and noise then change from view to view.
    """
    light, gamma = random.uniform(0.35, 1.0), random.uniform(1.0, 1.8)
    far_px = random.uniform(*FACE_PX)
    return [_sighting(wide, wide_spec, spec, far_px, light, gamma, random) for _ in range(count)]


def _sighting(
    wide: Crop,
    wide_spec: CropSpec,
    spec: CropSpec,
    far_px: float,
    light: float,
    gamma: float,
    random: np.random.Generator,
) -> Sighting:
    face_px = float(np.clip(far_px * random.uniform(0.7, 1.4), *FACE_PX))
    yaw_deg, pitch_deg = random.uniform(-_YAW_DEG, _YAW_DEG), random.uniform(-_PITCH_DEG, _PITCH_DEG)
    blur_px = random.uniform(0.0, 1.5)
    small = max(8, round(face_px * spec.scale))
    seen = _cut(wide, wide_spec, spec.scale, small, yaw_deg, pitch_deg, random.uniform(-_JITTER, _JITTER, 3))
    if blur_px > 0.3:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), blur_px), np.uint8)
    dim = 255 * (seen / 255 * light) ** gamma + random.standard_normal(seen.shape) * random.uniform(1, 6)
    _, coded = cv2.imencode(".jpg", np.clip(dim, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    seen = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    crop = cv2.resize(seen, (spec.size_px, spec.size_px), interpolation=cv2.INTER_LINEAR)
    return Sighting(np.asarray(crop, np.uint8), face_px, blur_px, yaw_deg, pitch_deg)


def _cut(
    wide: Crop,
    wide_spec: CropSpec,
    scale: float,
    side_px: int,
    yaw_deg: float,
    pitch_deg: float,
    error: NDArray[np.float64],
) -> Crop:
    """Cut a square of `scale` face boxes from a turned head, moved, resized by `error`: uint8 [side_px, side_px, 3].

    It is drawn twice as large and then averaged, so that nothing finer than a pixel is seen.
    """
    drawn = CropSpec(2 * side_px, scale * (1 + float(error[2])))
    at = np.arange(drawn.size_px, dtype=np.float64)
    points = np.stack(np.meshgrid(at, at), -1) + error[:2] * drawn.size_px / drawn.scale
    where = turned_px(points, drawn, np.radians(yaw_deg), np.radians(pitch_deg))
    where = (where - (drawn.size_px - 1) / 2) * drawn.scale / drawn.size_px * wide_spec.size_px / wide_spec.scale
    column, row = np.moveaxis((where + (wide_spec.size_px - 1) / 2).astype(np.float32), 2, 0)
    turned = cv2.remap(wide, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(turned, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
