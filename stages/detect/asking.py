"""Asking: which faces are worth a look of the classifier. A person is asked about a few times, by his best crops."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.detector import DetectedFace

_FULL_PX = 64.0
"""Width of a face from which a larger one tells no more: it fills the classifier's crop."""
_SHARP = 0.5
_TEXTURE_PX = 32
_FIRST_QUALITY, _PATIENCE_S = 0.5, 0.4
"""A first crop of this quality is asked about at once; a poorer one once the person has been there for so long."""
_BETTER = 1.25
"""A crop that is so many times as good as the best one that was asked about is clearly better."""
_ALIKE = 0.8
"""A crop as good as this share of the best one adds to the answers."""
_EARLY = 4
_EVERY_S, _SELDOM_S = 2.0, 20.0
"""Time from one question about a person to the next: for the first four, and after them."""


class Asked(Struct):
    """Questions about one person so far."""

    times: int = 0
    last_ns: int = 0
    best: float = 0.0
    """Quality of the best crop that was asked about."""

    def wants(self, quality: float, since_ns: int, t_ns: int) -> bool:
        """Return whether a crop of that quality is to be asked about, of somebody who is there since a time; note it
        if so."""
        there_s = (t_ns - since_ns) / 1e9
        if not self.times:
            wanted = quality >= _FIRST_QUALITY or there_s >= _PATIENCE_S
        else:
            early = self.times < _EARLY
            due = t_ns - self.last_ns >= (_EVERY_S if early else _SELDOM_S) * 1e9
            wanted = due and quality >= (_ALIKE if early else _BETTER) * self.best
        if wanted:
            self.times, self.last_ns, self.best = self.times + 1, t_ns, max(self.best, quality)
        return wanted


def quality(image: NDArray[np.uint8], face: DetectedFace, others: Sequence[DetectedFace]) -> float:
    """Return what a face's crop is worth for an answer, 0 to 1.

    It is the product of size, sharpness, frontality, the part inside the picture, and the part that none of the
    `others` covers. The picture is uint8 BGR [height, width, 3].
    """
    size = min(1.0, face.box_px[2] / _FULL_PX)
    return size * _sharpness(image, face) * _frontality(face) * _in_view(image, face) * _uncovered(face, others)


def _sharpness(image: NDArray[np.uint8], face: DetectedFace) -> float:
    """Return how sharp a face is, 0 to 1, whatever its size and light: the part of its contrast that is fine."""
    x, y, w, h = face.box_px
    left, top = max(0, int(x)), max(0, int(y))
    part = image[top : max(top + 1, int(y + h)), left : max(left + 1, int(x + w))]
    if part.size == 0:
        return 0.0
    side = (_TEXTURE_PX, _TEXTURE_PX)
    grey = cv2.cvtColor(cv2.resize(part, side, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY).astype(np.float32)
    fine = float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())
    return min(1.0, fine / (float(grey.std()) + 1.0) / _SHARP)


def _frontality(face: DetectedFace) -> float:
    """Return 1 for a face that looks into the camera, down to 0.1 for one in profile: where its nose is between its
    eyes."""
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y), *_ = face.keypoints_px
    across_x, across_y = left_x - right_x, left_y - right_y
    apart = math.hypot(across_x, across_y)
    if apart < 0.05 * face.box_px[2]:
        return 0.1
    share = ((nose_x - right_x) * across_x + (nose_y - right_y) * across_y) / apart**2
    return max(0.1, 1 - 1.8 * abs(share - 0.5))


def _in_view(image: NDArray[np.uint8], face: DetectedFace) -> float:
    """Return the share of the face's box that is in the picture, squared."""
    height_px, width_px = image.shape[:2]
    return _overlap(face.box_px, (0, 0, width_px, height_px)) ** 2


def _uncovered(face: DetectedFace, others: Sequence[DetectedFace]) -> float:
    """Return the share of the face's box that no larger face covers, squared."""
    covered = (_overlap(face.box_px, other.box_px) for other in others if other.box_px[2] > face.box_px[2])
    return (1 - max(covered, default=0.0)) ** 2


def _overlap(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Return the share of a box that is inside another."""
    x, y, w, h = box
    u, v, s, t = other
    wide, high = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
    return max(0.0, wide) * max(0.0, high) / (w * h)
