"""Mosaics: close-ups of several places in one picture, searched by one run of the model."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from models.crop import CropSpec, crop_face
from models.detector import FaceDetector
from models.face import DetectedFace

Box = tuple[float, float, float, float]


class Expected(Struct, frozen=True):
    """Place where the face of somebody who is followed should be."""

    box_px: Box
    believed: bool = True
    """True if it is sure that somebody is there."""


REGION = 2.2
"""Side of a close-up, in face widths."""
_SEEN = 0.8
"""Distance from the middle of a close-up within which a face is taken, in face widths: farther out it may be cut."""


def search_mosaic(
    detector: FaceDetector, image: np.ndarray, boxes: Sequence[Box], a_side: int, min_score: float
) -> list[list[DetectedFace]]:
    """Look for faces around up to `a_side` x `a_side` boxes of an image, uint8 BGR [H, W, 3], by one run of the model.

    Return what is found around each, in px of the image.
    """
    cell_px = detector.input_px // a_side
    spec = CropSpec(size_px=cell_px, scale=REGION, level_eyes=False)
    square = np.zeros((detector.input_px, detector.input_px, 3), np.uint8)
    for i, box in enumerate(boxes):
        top, left = (cell_px * part for part in divmod(i, a_side))
        square[top : top + cell_px, left : left + cell_px] = crop_face(image, box, (), spec)[..., ::-1]
    found: list[list[DetectedFace]] = [[] for _ in boxes]
    for face in detector.find_in_square(square, min_score):
        x, y, w, h = face.box_px
        column, row = int((x + w / 2) // cell_px), int((y + h / 2) // cell_px)
        i = row * a_side + column
        if not (0 <= column < a_side and 0 <= row < a_side and i < len(boxes)):
            continue
        bx, by, bw, bh = boxes[i]
        side = max(bw, bh) * REGION
        scale = side / cell_px
        at_x, at_y = bx + bw / 2 - side / 2 - column * side, by + bh / 2 - side / 2 - row * side
        face = face.mapped(scale, scale, at_x, at_y)
        if face.is_sane() and distance(face.box_px, boxes[i]) < _SEEN:
            found[i].append(face)
    return found


def distance(one: Box, other: Box) -> float:
    """Return how far the middle of a box is from that of another, in sides of the other."""
    (x, y, w, h), (u, v, s, t) = one, other
    return max(abs(x + w / 2 - u - s / 2), abs(y + h / 2 - v - t / 2)) / max(s, t)


def is_same(one: Box, other: Box, within: float = 0.5) -> bool:
    """Tell whether two boxes are of one face: their middles are near, their sizes alike."""
    near = min(distance(one, other), distance(other, one)) < within
    return near and 0.5 < max(one[2:]) / max(other[2:]) < 2
