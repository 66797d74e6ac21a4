"""MediaPipe's face detectors run by LiteRT alone, which takes two thirds of MediaPipe's processor time and runs on Arm.

What MediaPipe wraps around the model is done here in the same way: normalised input, anchors, clipped sigmoid and
weighted suppression (mediapipe/tasks/cc/vision/face_detector/face_detector_graph.cc). LiteRT 2.3.0 connects to nothing.
"""

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.cards import ModelError
from models.face import DetectedFace
from models.quiet import without_noise

_GRIDS = {192: ((48, 1),), 128: ((16, 2), (8, 6))}
"""Grids of anchors by the side of the input: cells on a side, anchors in each. Full range; short range."""
_NORMALISED = np.linspace(-1, 1, 256, dtype=np.float32)
"""Model's number for each value of a pixel."""
_COORDINATES = 16
"""Numbers for each anchor: the box's middle, width and height, then six points, all in pixels of the input."""
_SCORE_CLIP = 100.0
_OVERLAP = 0.3
"""Least overlap (intersection over union) of boxes that are one face."""


class LiteRtRuntime:
    """Model in an interpreter with one thread. Raises ModelError if it is not one of a kind that is known here."""

    def __init__(self, data: bytes, name: str) -> None:
        try:
            with without_noise():
                self._interpreter = Interpreter(model_content=data, num_threads=1)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{name}: LiteRT refuses it: {' '.join(str(error).split())}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shapes = [tuple(map(int, tensor["shape"])) for tensor in (*inputs, *outputs)]
        self.input_px = shapes[0][1] if len(shapes[0]) == 4 else 0
        self._anchors = _anchors(self.input_px)
        count = len(self._anchors)
        wanted = [(1, self.input_px, self.input_px, 3), (1, count, _COORDINATES), (1, count, 1)]
        floats = all(tensor["dtype"] == np.float32 for tensor in (*inputs, *outputs))
        if not count or shapes != wanted or len(inputs) != 1 or not floats:
            says = f"its tensors are {shapes}; only files made like MediaPipe's two face detectors run here"
            raise ModelError(f"{name}: {says}")
        self._input = self._interpreter.tensor(inputs[0]["index"])
        self._boxes = self._interpreter.tensor(outputs[0]["index"])
        self._scores = self._interpreter.tensor(outputs[1]["index"])

    def find(self, square: NDArray[np.uint8], min_score: float) -> list[DetectedFace]:
        """Return the faces of a picture, uint8 RGB [input_px, input_px, 3], in its pixels, best first."""
        tensor = self._input()[0]
        cv2.LUT(square, _NORMALISED, dst=tensor)
        del tensor  # LiteRT runs only while nobody looks into its memory
        self._interpreter.invoke()
        scores = self._scores()[0, :, 0]
        likely = np.flatnonzero(scores >= _logit(min_score))
        if not len(likely):
            return []
        clipped = np.clip(scores[likely].astype(np.float64), -_SCORE_CLIP, _SCORE_CLIP)
        numbers = self._boxes()[0, likely].astype(np.float64)
        return _suppressed(_corners_and_points(numbers, self._anchors[likely]), 1 / (1 + np.exp(-clipped)))

    def close(self) -> None:
        """Free the model."""
        del self._input, self._boxes, self._scores, self._interpreter


def _anchors(input_px: int) -> NDArray[np.float64]:
    """Return the middles of all anchors in pixels of the input, float64 [n, 2], in the model's order."""
    grids = []
    for side, each in _GRIDS.get(input_px, ()):
        middles = (np.arange(side) + 0.5) * input_px / side
        y, x = np.meshgrid(middles, middles, indexing="ij")
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), each, axis=0))
    return np.concatenate(grids) if grids else np.empty((0, 2))


def _logit(score: float) -> float:
    """Return the model's own number for a score. Scores of 0 and 1 are the ends of what it can say."""
    if not 0 < score < 1:
        return -np.inf if score <= 0 else _SCORE_CLIP
    return float(np.log(score / (1 - score)))


def _corners_and_points(numbers: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return left, top, right, bottom and six points of n boxes in pixels, float64 [n, 16]."""
    points = numbers.reshape(len(numbers), -1, 2)
    half = points[:, 1] / 2
    points = points + anchors[:, None]
    return np.concatenate([points[:, 0] - half, points[:, 0] + half, points[:, 2:].reshape(len(numbers), -1)], axis=1)


def _suppressed(boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> list[DetectedFace]:
    """Make one face of boxes that overlap: it has the best score, and the mean place weighted by the scores."""
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    valid = (boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 1]) & np.isfinite(boxes).all(axis=1)
    boxes, scores = boxes[valid], scores[valid]
    faces = []
    while len(boxes):
        same = _overlaps(boxes[0], boxes) > _OVERLAP
        same[0] = True
        mean = scores[same] @ boxes[same] / scores[same].sum()
        left, top, right, bottom, *points = mean.tolist()
        pairs = tuple(zip(points[::2], points[1::2], strict=True))
        faces.append(DetectedFace((left, top, right - left, bottom - top), float(scores[0]), pairs))
        boxes, scores = boxes[~same], scores[~same]
    return faces


def _overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of one box with n others, float64 [n]."""
    shared = np.minimum(box[2:4], boxes[:, 2:4]) - np.maximum(box[:2], boxes[:, :2])
    both = np.maximum(shared[:, 0], 0) * np.maximum(shared[:, 1], 0)
    sides = boxes[:, 2:4] - boxes[:, :2]
    areas = sides[:, 0] * sides[:, 1]
    return np.asarray(both / np.maximum((box[2] - box[0]) * (box[3] - box[1]) + areas - both, 1e-9))
