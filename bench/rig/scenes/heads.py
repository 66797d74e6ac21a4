"""Heads of a scene at any angle, ready to be put into a frame."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.rig.scenes.people import HEAD_BOXES, HEAD_PX, Person, Picture
from models.datasets.turned_heads import turned, turning

STEP_DEG = 3
"""Steps in which heads turn: what has been turned once is kept."""
_COARSE = 4
_OUTLINE = np.array([0.54, 0.70, 0.60])
"""Half axes of what is shown of a head, in face boxes: a little less than its shape, as photos end at the hair."""

Sprite = tuple[Picture, Picture]
"""Colour times alpha, and 255 minus alpha, both uint8 [height, width, 3]."""


def whole_step(angle_deg: float) -> int:
    """Round an angle to one that heads can have."""
    return STEP_DEG * round(angle_deg / STEP_DEG)


@lru_cache(maxsize=1024)
def head_sprite(person: Person, yaw_deg: int, pitch_deg: int, halvings: int) -> Sprite:
    """Return a head that is turned by these angles (right and up in the picture), halved in size so many times."""
    across, down = _maps(yaw_deg, pitch_deg)
    seen = cv2.remap(person.head, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _halved(sprite(np.dstack([seen, _outline(yaw_deg, pitch_deg)]).astype(np.uint8)), halvings)


@lru_cache(maxsize=256)
def body_sprite(person: Person, halvings: int) -> Sprite:
    """Return a body, halved in size so many times."""
    return _halved(sprite(person.body), halvings)


def sprite(image: NDArray[np.uint8]) -> Sprite:
    """Split a picture, uint8 BGRA [height, width, 4]."""
    alpha = np.repeat(image[..., 3:], 3, axis=2)
    return np.asarray(cv2.multiply(image[..., :3].copy(), alpha, scale=1 / 255), np.uint8), ~alpha


def _halved(whole: Sprite, times: int) -> Sprite:
    colour, see_through = whole
    for _ in range(times):
        colour, see_through = (
            np.asarray(cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
            for part in (colour, see_through)
        )
    return colour, see_through


@lru_cache(maxsize=512)
def _maps(yaw_deg: int, pitch_deg: int) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Return where each pixel of a turned head is in the straight one, as OpenCV's maps in fixed point."""
    at = _at(_COARSE)
    points = turned(np.stack(np.meshgrid(at, at), -1), np.radians(yaw_deg), np.radians(pitch_deg))
    places = (points / HEAD_BOXES + 0.5) * HEAD_PX - 0.5
    fine = cv2.resize(places.astype(np.float32), (HEAD_PX, HEAD_PX), interpolation=cv2.INTER_LINEAR)
    x, y = np.moveaxis(fine, 2, 0)
    across, down = cv2.convertMaps(x, y, cv2.CV_16SC2)
    return np.asarray(across, np.int16), np.asarray(down, np.uint16)


@lru_cache(maxsize=512)
def _outline(yaw_deg: int, pitch_deg: int) -> Picture:
    at = _at(1)
    share = outline(np.stack(np.meshgrid(at, at), -1), yaw_deg, pitch_deg)
    return (255 * share).astype(np.uint8)


def outline(points: NDArray[np.float64], yaw_deg: float, pitch_deg: float) -> NDArray[np.float64]:
    """Return how much of a turned head is at points [..., 2], 0 to 1, in face boxes from the middle of its box."""
    turn, middle = turning(np.radians(yaw_deg), np.radians(pitch_deg))
    wide = (turn * _OUTLINE**2) @ turn.T
    from_middle = points - middle
    out = np.sqrt(np.einsum("...i,ij,...j->...", from_middle, np.linalg.inv(wide[:2, :2]), from_middle))
    return np.clip((1.04 - out) / 0.08, 0, 1)


def _at(step: int) -> NDArray[np.float64]:
    """Return the middles of every `step` pixels of a head's side, in face boxes from its middle."""
    return (np.arange(0, HEAD_PX, step) + step / 2) / HEAD_PX * HEAD_BOXES - HEAD_BOXES / 2
