"""Surfaces and pictures whose pixels the tests of the screen look at."""

from pathlib import Path

import numpy as np
import pygame
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixels(surface: pygame.Surface) -> NDArray[np.uint8]:
    """Return the pixels of a surface: uint8 [height, width, 3], red first."""
    return np.asarray(pygame.surfarray.array3d(surface), np.uint8).swapaxes(0, 1)


def quadrants(path: Path, width: int = 80, height: int = 40) -> Path:
    """Write a picture, red and green above, blue and white below, and return its path."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    Image.fromarray(image).save(path)
    return path
