"""Light in a camera's pictures: whether anything could be seen in one."""

import numpy as np
from numpy.typing import NDArray

_STEP_PX = 16
_BLACK = 24
"""Brightest value of a pixel that shows nothing but the noise of a sensor without light."""
_LIT_MIN = 0.002
"""Least share of brighter pixels: a street at night has lamps."""


def is_dark(image: NDArray[np.uint8]) -> bool:
    """Tell whether a picture, uint8 BGR [height, width, 3], has no light in it. Every 16th pixel is looked at."""
    some = image[::_STEP_PX, ::_STEP_PX].max(axis=2)
    return bool((some > _BLACK).mean() < _LIT_MIN)
