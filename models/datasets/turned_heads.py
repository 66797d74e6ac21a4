"""Heads turned away from the camera: a photo of a face, seen from the side or from above, by one head for everybody.

After Hassner et al., Effective face frontalization in unconstrained images, CVPR 2015, and Masi et al., Do we really
need to collect millions of faces, ECCV 2016: one unmodified three-dimensional shape serves all faces.
"""

import numpy as np
from numpy.typing import NDArray

from models.crop import CropSpec

Points = NDArray[np.float64]

_HEAD = np.array([0.56, 0.78, 0.62])
"""Half axes of the head, an ellipsoid, in face boxes: across, down, towards the camera."""
_MIDDLE = np.array([0.0, -0.06])
"""Its middle, from that of the face box."""
_NOSE = 0.13
"""How far the nose stands out, and how far below the middle of the head it is."""
_FOLLOWS = 0.8
"""Share of the way of the front of the head that the detector's box goes along (measured on 150 faces: .75 to .85)."""


def turned(points: Points, yaw_rad: float, pitch_rad: float) -> Points:
    """Where the photo shows what a turned head shows at `points`; both float64 [..., 2], x to the right and y down, in
    face boxes from the middle of the face's own box.

    Positive yaw turns the face to the right of the picture, positive pitch up. A side of the head that the photo
    does not show is what is on its edge. The surroundings move along with the edge of the head.
    """
    (cos_y, sin_y), (cos_p, sin_p) = ((np.cos(angle), np.sin(angle)) for angle in (yaw_rad, pitch_rad))
    across = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    turn = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]]) @ across
    seen = np.zeros((*points.shape[:-1], 3))
    seen[..., :2] = points - _MIDDLE + _FOLLOWS * (turn @ (0, 0, _HEAD[2]))[:2]
    # A line of sight through each point, turned back: the head is then as it is in the photo.
    start, sight = np.einsum("...i,ij->...j", seen, turn), turn[2]  # (a product by @ starts threads)
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


def turned_px(points_px: Points, spec: CropSpec, yaw_rad: float, pitch_rad: float) -> Points:
    """The same in pixels of a crop, from its first one."""
    middle_px, box_px = (spec.size_px - 1) / 2, spec.size_px / spec.scale
    return turned((points_px - middle_px) / box_px, yaw_rad, pitch_rad) * box_px + middle_px


def _shown(head: Points) -> Points:
    """Points of the head, [..., 3], where the photo shows them, [..., 2]; those behind its edge are on it."""
    out = np.hypot(head[..., 0] / _HEAD[0], head[..., 1] / _HEAD[1])
    return head[..., :2] / np.where(head[..., 2] < 0, np.maximum(out, 1e-6), 1)[..., None]
