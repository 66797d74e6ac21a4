"""A face that was detected, and the picture that detectors are given: one square of the model's own size."""

import math
from typing import Any

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class DetectedFace(Struct, frozen=True):
    """Face in pixels of the image. Box and key points may reach outside the image."""

    box_px: tuple[float, float, float, float]
    """Left, top, width and height."""
    score: float
    """Confidence of the detector, 0 to 1."""
    keypoints_px: tuple[tuple[float, float], ...]
    """Points (x, y): right eye, left eye, nose, mouth, right ear, left ear, left and right as the person has them."""

    def mapped(self, scale_x: float, scale_y: float, left: float, top: float) -> "DetectedFace":
        """Return the face in pixels of another image, where pixel (x, y) is (left + x * scale_x, top + y * scale_y)."""
        x, y, w, h = self.box_px
        return DetectedFace(
            box_px=(left + x * scale_x, top + y * scale_y, w * scale_x, h * scale_y),
            score=self.score,
            keypoints_px=tuple((left + px * scale_x, top + py * scale_y) for px, py in self.keypoints_px),
        )

    def is_sane(self) -> bool:
        """Tell whether the box has an area and every number is finite."""
        numbers = (*self.box_px, *(value for point in self.keypoints_px for value in point))
        return all(map(math.isfinite, numbers)) and min(self.box_px[2:]) >= 1


class Letterbox(Struct, frozen=True):
    """Image in the middle of a black square, and how to come from pixels of the square back to those of the image."""

    square: NDArray[np.uint8]
    """Picture, uint8 RGB [side, side, 3]."""
    scale_x: float
    """Pixels of the image in one of the square, across and down; they differ by the rounding of the sides."""
    scale_y: float
    left: float
    """Place of the square's corner in pixels of the image."""
    top: float

    @staticmethod
    def of(image: NDArray[np.uint8], side_px: int) -> "Letterbox":
        """Fit an image, uint8 BGR [H, W, 3], into a square with its shape kept.

        It is halved by averaging as often as it stays larger than the square, then interpolated. MediaPipe alone
        interpolates at once: the model then sees single pixels of what it should see the mean of.
        """
        height, width = image.shape[:2]
        larger = max(height, width)
        w, h = max(1, round(width * side_px / larger)), max(1, round(height * side_px / larger))
        small: NDArray[Any] = image
        while max(small.shape[:2]) >= 2 * side_px and min(small.shape[:2]) >= 2:
            size = (small.shape[1] // 2, small.shape[0] // 2)
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        small = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
        x, y = (side_px - w) // 2, (side_px - h) // 2
        square = np.zeros((side_px, side_px, 3), np.uint8)
        cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=square[y : y + h, x : x + w])
        scale_x, scale_y = width / w, height / h
        return Letterbox(square, scale_x, scale_y, -x * scale_x, -y * scale_y)

    def back(self, face: DetectedFace) -> DetectedFace:
        """Return a face of the square in pixels of the image."""
        return face.mapped(self.scale_x, self.scale_y, self.left, self.top)
