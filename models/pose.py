"""Head pose of one face, from the six key points that the detector gives anyway: where the head faces, not the eyes.

The angles are those for which a fitted curve puts the points nearest to where they are, by least squares. What differs
much between people counts little. The curve was fitted to faces of FairFace (Karkkainen and Joo, WACV 2021, CC BY 4.0)
as they are, none turned by a program.

Measured frame by frame on 510 other faces of FairFace, blurred, noisy and compressed; errors are roots of mean squares.
Yaw is off by 5.5 degrees at 80 px, 6.0 at 50 px and 11 at 24 px. Pitch is off by 7.3, 7.3 and 11.
Heads that `bench/rig/scenes` turns by 9, 21, 30 and 39 degrees are told as 9, 20, 29 and 36 (means of 60, 50 px).
From 50 degrees on a third to a half are not found at all, and the others seem to be at 39.
Looking is right for .91 of 100 such heads in ten poses each, at 50 and at 80 px. Half of the poses look, within 10
degrees to the side and 8 up or down. Of the others one in five looks down at a phone; the rest is turned by 35 to 70.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]

YAW_MAX_DEG, PITCH_MAX_DEG = 80.0, 44.0
"""Largest angles told. Faces turned further are hardly ever found."""
FACE_MIN_PX = 24.0
"""Width of a face below which its pose cannot be told."""
SCORE_MIN = 0.6
"""Score of the detector below which the pose cannot be told, as for 1 in 6 faces turned by 35 degrees or more. Points
of such faces are often those of faces turned less. Of faces turned to the camera 1 in 100 is below."""
_MISFIT_MAX = 18.0
"""Squared distance from the curve above which the points are no face's; 1 in 100 at 50 px and 1 in 20 at 24 are."""
_NOISE_PX = 35.0
"""Width of a face at which its pixels add as much to the variance of its points as people differ."""
_PRIOR_DEG = np.array([60.0, 25.0])
"""Standard deviations of yaw and pitch before anything is seen."""
_STEP_DEG = 4.0
_MAX_DEG = np.array([YAW_MAX_DEG, PITCH_MAX_DEG])


class HeadPose(Struct, frozen=True):
    """Direction in which a head faces, relative to the ray from the camera to it: 0, 0 faces the camera.

    Wherever a face is in the picture, no lens has to be known. A head tilted towards a shoulder faces where it did.
    """

    yaw_deg: float
    """Angle to the right of the picture; negative to the left."""
    pitch_deg: float
    """Angle up; negative down."""
    error_deg: float
    """Standard deviation of yaw that is to be expected of such points."""


class _Fit(Struct, frozen=True):
    """Points that six key points take when a head turns: `curve` [9, 9] over `_terms`, after `whitening` [9, 12]."""

    curve: list[list[float]]
    whitening: list[list[float]]


def head_pose(
    box_px: Sequence[float], keypoints_px: Sequence[tuple[float, float]], score: float = 1.0
) -> HeadPose | None:
    """Return the pose of a face; None where it cannot be told: too small, barely found, or with points of no face.

    `box_px` (x, y, w, h), the six `keypoints_px` and `score` are those of `models.detector.DetectedFace`.
    """
    width_px = max(box_px[2:])
    if (
        not width_px >= FACE_MIN_PX
        or score < SCORE_MIN
        or len(keypoints_px) != 6
        or not np.isfinite(keypoints_px).all()
    ):
        return None
    points, roll_rad = levelled(keypoints_px)
    seen = _WHITENING @ points.ravel()
    noise = 1 + (_NOISE_PX / width_px) ** 2
    cost = ((_GRID_POINTS - seen) ** 2).sum(1) / noise + _GRID_PRIOR
    angles = _GRID[cost.argmin()]
    for _ in range(2):  # Gauss-Newton, from the best node of the grid
        slopes = _slopes(angles) @ _CURVE
        off = seen - _terms(angles) @ _CURVE
        precision = slopes @ slopes.T / noise + np.diag(_PRIOR_DEG**-2)
        step = np.linalg.solve(precision, slopes @ off / noise - angles / _PRIOR_DEG**2)
        angles = np.clip(angles + np.clip(step, -_STEP_DEG, _STEP_DEG), -_MAX_DEG, _MAX_DEG)
    off = seen - _terms(angles) @ _CURVE
    if off @ off / noise > _MISFIT_MAX:
        return None
    yaw_deg, pitch_deg = _rolled(angles, roll_rad)
    return HeadPose(yaw_deg, pitch_deg, math.sqrt(np.linalg.inv(precision)[0, 0]))


def levelled(keypoints_px: Sequence[tuple[float, float]]) -> tuple[Array, float]:
    """Return key points [6, 2] with level eyes, mean 0 and mean square 1; and the roll that was taken out, in rad."""
    points = np.asarray(keypoints_px, float)
    across = points[1] - points[0]
    roll_rad = math.atan2(across[1], across[0])
    cos, sin = math.cos(roll_rad), math.sin(roll_rad)
    points = (points - points.mean(0)) @ np.array([[cos, -sin], [sin, cos]])
    return points / max(math.sqrt((points**2).sum() / len(points)), 1e-9), roll_rad


def _terms(angles_deg: Array) -> Array:
    """Return the terms [..., 9] of a curve over yaw and pitch [..., 2]."""
    y, p = angles_deg[..., 0] / 40, angles_deg[..., 1] / 40
    return np.stack([np.ones_like(y), y, p, y * y, y * p, p * p, y**3, y * y * p, y * p * p], -1)


def _slopes(angles_deg: Array) -> Array:
    """Return how the terms change with yaw and with pitch, [2, 9], in 1/deg."""
    y, p = angles_deg / 40
    by_yaw = [0, 1, 0, 2 * y, p, 0, 3 * y * y, 2 * y * p, p * p]
    by_pitch = [0, 0, 1, 0, y, 2 * p, 0, y * y, 2 * y * p]
    return np.array([by_yaw, by_pitch]) / 40


def _rolled(angles_deg: Array, roll_rad: float) -> tuple[float, float]:
    """Return the yaw and pitch in the picture of those in a picture that was turned until the eyes were level."""
    yaw, pitch = np.radians(angles_deg)
    x, y, z = math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)
    cos, sin = math.cos(roll_rad), math.sin(roll_rad)
    x, y = cos * x - sin * y, sin * x + cos * y
    return math.degrees(math.atan2(x, z)), -math.degrees(math.asin(max(-1.0, min(1.0, y))))


_FIT = msgspec.json.decode(Path(__file__).with_name("weights").joinpath("head-pose.json").read_bytes(), type=_Fit)
_CURVE, _WHITENING = np.array(_FIT.curve), np.array(_FIT.whitening)
_YAWS = np.arange(-YAW_MAX_DEG, YAW_MAX_DEG + 1, _STEP_DEG)
_PITCHES = np.arange(-PITCH_MAX_DEG, PITCH_MAX_DEG + 1, _STEP_DEG)
_GRID = np.stack(np.meshgrid(_YAWS, _PITCHES, indexing="ij"), -1).reshape(-1, 2)
_GRID_POINTS = _terms(_GRID) @ _CURVE
_GRID_PRIOR = ((_GRID / _PRIOR_DEG) ** 2).sum(1)
