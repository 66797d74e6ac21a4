"""Face crops. Stations, training and evaluation all cut here, so that a model sees what it was trained on."""

import math
from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

_MIN_EYE_DISTANCE = 0.12
"""Least distance of the eyes as a share of the box. Nearer eyes (a profile) say little about roll: no rotation then."""
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class CropSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Crop that a model needs: `size_px` square, `scale` times the longer side of the face box, eyes level or not."""

    size_px: Annotated[int, Meta(ge=8, le=512)]
    scale: Annotated[float, Meta(ge=0.5, le=4)] = 1.5
    level_eyes: bool = True


def crop_face(
    image: np.ndarray,
    box_px: Sequence[float],
    keypoints_px: Sequence[tuple[float, float]],
    spec: CropSpec,
) -> np.ndarray:
    """Cut one face out of an image uint8 [H, W, 3]: uint8 [size_px, size_px, 3], with the same order of channels.

    `box_px` is (x, y, w, h). `keypoints_px` starts with the person's right eye and left eye, or is empty. Outside the
    image its border is repeated. Raises ValueError for a box without area or with a number that is not finite.
    """
    x, y, w, h = box_px
    side_px = max(w, h) * spec.scale
    if not (w > 0 and h > 0 and math.isfinite(x + y + side_px)):
        raise ValueError(f"box {tuple(box_px)} has no area: give x, y, width and height in pixels")
    cos, sin = eye_direction(box_px, keypoints_px) if spec.level_eyes else (1.0, 0.0)
    cx, cy = x + w / 2, y + h / 2
    part, left, top, shrink = _reduced(image, cx, cy, side_px * (abs(cos) + abs(sin)) / 2, side_px / spec.size_px)
    step = side_px / spec.size_px / shrink
    middle = (spec.size_px - 1) / 2
    # Pixel centres: a coordinate c of the image is (c - left) / shrink - 0.5 in `part`.
    mx, my = (cx - left) / shrink - 0.5, (cy - top) / shrink - 0.5
    to_part = np.array(
        [
            [step * cos, -step * sin, mx - step * middle * (cos - sin)],
            [step * sin, step * cos, my - step * middle * (sin + cos)],
        ]
    )
    size = (spec.size_px, spec.size_px)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, to_part, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def eye_direction(box_px: Sequence[float], keypoints_px: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the unit vector from the right eye to the left eye, or (1, 0) without eyes or if they are too near."""
    if len(keypoints_px) >= 2:
        (rx, ry), (lx, ly) = keypoints_px[:2]
        distance = math.hypot(lx - rx, ly - ry)
        if math.isfinite(distance) and distance > _MIN_EYE_DISTANCE * max(box_px[2:]):
            return (lx - rx) / distance, (ly - ry) / distance
    return 1.0, 0.0


def _reduced(
    image: np.ndarray, cx: float, cy: float, reach_px: float, ratio: float
) -> tuple[np.ndarray, int, int, int]:
    """Cut the part of the image within `reach_px` of the centre and halve it by averaging as often as `ratio` allows.

    The linear warp that follows then shrinks it less than twofold, without aliasing. Return (part, left, top, factor
    by which it is smaller).
    """
    height, width = image.shape[:2]
    halvings = int(math.log2(max(ratio, 1.0)))
    shrink = 1 << halvings
    reach = min(reach_px, 1e6) + 2 * shrink
    left, right = (min(max(int(v), 0), width) for v in (cx - reach, cx + reach))
    top, bottom = (min(max(int(v), 0), height) for v in (cy - reach, cy + reach))
    left, top = min(left, width - 1), min(top, height - 1)
    columns, rows = max(right - left, 1) // shrink * shrink, max(bottom - top, 1) // shrink * shrink
    if columns == 0 or rows == 0:
        return image[top : max(bottom, top + 1), left : max(right, left + 1)], left, top, 1
    part = image[top : top + rows, left : left + columns]
    for _ in range(halvings):
        rows, columns = rows // 2, columns // 2
        part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    return part, left, top, shrink


def turned(image: NDArray[np.uint8], turn_deg: int) -> NDArray[np.uint8]:
    """Return a picture [height, width, 3] turned clockwise by 0, 90, 180 or 270 degrees; 0 returns it as it is."""
    return np.asarray(cv2.rotate(image, _TURNS[turn_deg]), np.uint8) if turn_deg else image
