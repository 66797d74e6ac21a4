"""Heads turned away from the camera: a photo of a face as it would look from the side or from above.

One unmodified three-dimensional shape serves all faces. Methods: Hassner et al., Effective face frontalization in
unconstrained images, CVPR 2015; Masi et al., Do we really need to collect millions of faces, ECCV 2016.
"""

import numpy as np
from numpy.typing import NDArray

from models.crop import CropSpec

Points = NDArray[np.float64]

_HEAD = np.array([0.56, 0.78, 0.62])
"""Half axes of the head, an ellipsoid, in face boxes: to the right, down, towards the camera."""
_MIDDLE = np.array([0.0, -0.06])
"""Middle of the head in face boxes, relative to the middle of the face box."""
_NOSE = 0.13
"""Distance in face boxes by which the nose stands out, and by which it is below the middle of the head."""
_FOLLOWS = 0.8
"""Share of the movement of the front of the head that the detector's box follows (150 faces: .75 to .85)."""


def turned(points: Points, yaw_rad: float, pitch_rad: float) -> Points:
    """Return the places in the photo of what a turned head shows at `points`, both float64 [..., 2].

    Places are (x to the right, y down) in face boxes, from the middle of the face's own box. Positive yaw turns the
    face to the right of the picture, positive pitch turns it up. Parts of the head that the photo does not show repeat
    its edge. The surroundings move along with the edge of the head.
    """
    turn, middle = turning(yaw_rad, pitch_rad)
    seen = np.zeros((*points.shape[:-1], 3))
    seen[..., :2] = points - middle
    # Turn the lines of sight through the points back, instead of the head: it is then as in the photo.
    start, sight = np.einsum("...i,ij->...j", seen, turn), turn[2]  # (@ would start threads)
    squared = ((sight / _HEAD) ** 2).sum()
    nearest = start - (start * sight / _HEAD**2).sum(-1, keepdims=True) / squared * sight
    depth = 1 - ((nearest / _HEAD) ** 2).sum(-1)
    hit = nearest + np.sqrt(np.maximum(depth, 0) / squared)[..., None] * sight
    nose = _NOSE * np.exp(-((hit[..., 0] / 0.1) ** 2) - ((hit[..., 1] - _NOSE) / 0.14) ** 2) * (hit[..., 2] > 0)
    hit += nose[..., None] * sight
    edge = nearest / np.sqrt(np.maximum(1 - depth, 1e-9))[..., None]
    met = (depth > 0)[..., None]
    beyond = (seen - np.einsum("...j,ij->...i", edge, turn))[..., :2]
    found = _shown(np.where(met, hit, edge)) + np.where(met, 0, beyond)
    return found + _MIDDLE


def turning(yaw_rad: float, pitch_rad: float) -> tuple[Points, Points]:
    """Return the rotation of a head [3, 3] and where its middle is then, [2] in face boxes from the face's box."""
    (cos_y, sin_y), (cos_p, sin_p) = ((np.cos(angle), np.sin(angle)) for angle in (yaw_rad, pitch_rad))
    across = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    turn = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]]) @ across
    return turn, _MIDDLE - _FOLLOWS * (turn @ (0, 0, _HEAD[2]))[:2]


def turned_px(points_px: Points, spec: CropSpec, yaw_rad: float, pitch_rad: float) -> Points:
    """Do what `turned` does in pixels of a crop, counted from its first one."""
    middle_px, box_px = (spec.size_px - 1) / 2, spec.size_px / spec.scale
    return turned((points_px - middle_px) / box_px, yaw_rad, pitch_rad) * box_px + middle_px


def _shown(head: Points) -> Points:
    """Project points of the head [..., 3] to the photo [..., 2]. Those behind the edge of the head are put on it."""
    out = np.hypot(head[..., 0] / _HEAD[0], head[..., 1] / _HEAD[1])
    return head[..., :2] / np.where(head[..., 2] < 0, np.maximum(out, 1e-6), 1)[..., None]
