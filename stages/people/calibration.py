"""Calibration: from the angles of somebody who looks at the corners of a screen to where the screen is."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.errors import UserError
from stages.people.attention import Window

CORNERS = ("top left", "top right", "bottom right", "bottom left")
"""Corners in the order in which they are looked at, as who looks at the screen sees them."""
SLACK_YAW_DEG, SLACK_PITCH_DEG = 16.0, 13.0
"""Angles by which the window reaches beyond the corners: heads turn less than eyes do, and are told with errors."""
TURNING = 0.4
"""Share of the time for a corner in which the head still turns to it."""
_ANGLES_MIN = 4
_SCATTER_MAX_DEG = 7.0
_WRONG_WAY_DEG = 8.0
_OTHERS_MAX = 0.2
_REMEDY = "stand where people stand, in good light"


class Sample(Struct, frozen=True):
    """One frame of a calibration."""

    at: float
    """Share of the whole time that has passed, 0 to 1."""
    angles_deg: tuple[float, float] | None
    """Yaw and pitch of the largest face; None where there is none, or they cannot be told."""
    alone: bool = True
    """True if no other face is nearly as large."""


class Calibration(Struct, frozen=True):
    """Window of a screen with the angles that it was found from."""

    window: Window
    angles_deg: tuple[NDArray[np.float64], ...]
    """Yaws and pitches [n, 2] for each of CORNERS."""


def calibrate(samples: Sequence[Sample]) -> Calibration:
    """Return where the screen is. UserError: the angles are too few, scattered, or of more than one person."""
    told = [sample for sample in samples if sample.angles_deg]
    if sum(not sample.alone for sample in told) > _OTHERS_MAX * len(told):
        raise UserError("somebody else is nearly as near; let one person stand there alone and begin again")
    parts: list[list[tuple[float, float]]] = [[] for _ in CORNERS]
    frames = [0] * len(CORNERS)
    for sample in samples:
        corner = min(int(sample.at * len(CORNERS)), len(CORNERS) - 1)
        if sample.at * len(CORNERS) - corner >= TURNING:
            frames[corner] += 1
            if sample.angles_deg:
                parts[corner].append(sample.angles_deg)
    angles = tuple(np.array(part, float).reshape(-1, 2) for part in parts)
    for name, part, seen in zip(CORNERS, angles, frames, strict=True):
        _check(name, part, seen)
    middles = np.array([np.median(part, 0) for part in angles])
    _check_ways(middles)
    low, high = middles.min(0), middles.max(0)
    (yaw, pitch), (wide, high_) = (low + high) / 2, (high - low) / 2
    window = Window(round(yaw), round(pitch), round(wide + SLACK_YAW_DEG), round(high_ + SLACK_PITCH_DEG))
    return Calibration(window, angles)


def _check(name: str, angles: NDArray[np.float64], frames: int) -> None:
    if frames < _ANGLES_MIN:
        raise UserError(f"{name} corner: only {frames} frames came; is the camera slow, or the film short?")
    if len(angles) < _ANGLES_MIN:
        raise UserError(f"{name} corner: the head's angles can be told in {len(angles)} of {frames} frames; {_REMEDY}")
    scatter_deg = 1.48 * float(np.median(abs(angles - np.median(angles, 0)), 0).max())
    if scatter_deg > _SCATTER_MAX_DEG:
        raise UserError(
            f"{name} corner: the angles scatter by {scatter_deg:.0f} degrees; turn the head and hold it still"
        )


def _check_ways(middles: NDArray[np.float64]) -> None:
    """Check that the corners [4, 2] lie to each other as those of a screen. UserError: they do not."""
    top_left, top_right, bottom_right, bottom_left = middles
    above = (top_left + top_right - bottom_left - bottom_right)[1] / 2
    one, other = (top_right - top_left)[0], (bottom_right - bottom_left)[0]
    if above < -_WRONG_WAY_DEG or (one * other < 0 and min(abs(one), abs(other)) > _WRONG_WAY_DEG):
        raise UserError("the corners lie to each other as on no screen; look at them in the order that is asked for")
