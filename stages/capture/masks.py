"""Masks of a camera: parts of its pictures that are blanked before a frame is shared."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.polygons import Polygon


def blanked(image: NDArray[np.uint8], masks: tuple[Polygon, ...]) -> NDArray[np.uint8]:
    """Return the upright picture, uint8 BGR [height, width, 3], with every pixel of the masks black.

    The edges of a mask are blanked too. Without masks it is the picture itself, else a copy.
    """
    if not masks:
        return image
    image = image.copy()
    height, width = image.shape[:2]
    corners = [np.rint(np.array(mask) * (width, height)).astype(np.int32) for mask in masks]
    for polygon in corners:  # one by one: overlapping polygons in one call would blank out each other
        cv2.fillPoly(image, [polygon], (0, 0, 0))
    return image
