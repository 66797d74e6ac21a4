"""Asking: which faces are worth a look of the classifier. A person is asked about a few times, by his best crops."""

from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.detector import DetectedFace

Box = tuple[float, float, float, float]

_FULL_PX = 64.0
"""Width of a face from which a larger one tells no more: it fills the classifier's crop."""
_TEXTURE_PX, _SHARP = 32, 16.0
"""Side of the square to which a face is scaled, and its mean Laplacian, in grey levels, from which it is sharp."""
_LEAST = 1e-3
"""Quality of a crop that is worth nothing: 0 says that none was judged, and an answer then counts in full."""
_FIRST_QUALITY, _PATIENCE_S = 0.4, 0.4
"""A first crop of this quality is asked about at once; a poorer one once the person has been there for so long."""
_BETTER, _BETTER_S = 1.5, 1.0
"""A crop so many times as good as the best one that was asked about is asked about so soon after it."""
_ALIKE, _ALIKE_S, _ALIKE_TIMES = 0.8, 3.0, 4
"""A crop of this share of the best one adds to the answers so long after the last, up to so many. It also takes the
place of one that was lost on its way."""


class Asked(Struct):
    """Questions about one person so far."""

    times: int = 0
    last_ns: int = 0
    best: float = 0.0
    """Quality of the best crop that was asked about."""

    def wants(self, quality: float, since_ns: int, t_ns: int, *, seldom: bool = False) -> bool:
        """Return whether to ask about a crop of this quality, of somebody who is there since `since_ns`. Note it.

        Where frames are `seldom`, a better first crop may never come.
        """
        after_s = (t_ns - (self.last_ns if self.times else since_ns)) / 1e9
        if not self.times:
            wanted = seldom or quality >= _FIRST_QUALITY or after_s >= _PATIENCE_S
        else:
            better = quality > _BETTER * self.best and after_s >= _BETTER_S
            alike = quality >= _ALIKE * self.best and after_s >= _ALIKE_S and self.times < _ALIKE_TIMES
            wanted = better or alike
        if wanted:
            self.times, self.last_ns, self.best = self.times + 1, t_ns, max(self.best, quality)
        return wanted


def quality(image: NDArray[np.uint8], face: DetectedFace, width_px: float, others_px: Sequence[Box]) -> float:
    """Return what the crop of a face in an image, uint8 BGR [height, width, 3], is worth for an answer: .001 to 1.

    It is the product of width, the detector's score, sharpness, and the part that is seen: inside the image,
    covered by no larger face.

    Measured on 41 people of 24 to 60 px, each sharp, blurred and dim, for the loss of the answers on gender. The rank
    correlation within a person is -.33; the score alone has -.20 and sharpness -.29. The turn of the head that key
    points tell makes it worse and is left out.
    """
    height_px, width_image_px = image.shape[:2]
    box_px = face.box_px
    covered = (_share(box_px, other) for other in others_px if other[2] > box_px[2])
    seen = _share(box_px, (0, 0, width_image_px, height_px)) * (1 - max(covered, default=0.0))
    return max(_LEAST, min(1.0, width_px / _FULL_PX) * face.score * _sharpness(image, box_px) * seen**2)


def _sharpness(image: NDArray[np.uint8], box_px: Box) -> float:
    """Return how much fine contrast a box has, 0 to 1: blur and darkness take it away."""
    x, y, w, h = box_px
    part = image[max(0, int(y)) : max(0, int(y + h)), max(0, int(x)) : max(0, int(x + w))]
    if part.size == 0:
        return 0.0
    small = cv2.resize(part, (_TEXTURE_PX, _TEXTURE_PX), interpolation=cv2.INTER_AREA)
    fine = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), cv2.CV_32F)
    return min(1.0, float(np.abs(fine).mean()) / _SHARP)


def _share(box: Box, other: Box) -> float:
    """Return the share of a box that is inside another."""
    x, y, w, h = box
    u, v, s, t = other
    wide, high = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
    return max(0.0, wide) * max(0.0, high) / (w * h)
