"""Tiles that cover a frame, and which of them to search next."""

import math
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.face import DetectedFace

COARSE, FINE = 3.0, 2.0
"""Sides of tiles, in sides of the model's input. A face of 32 px is 11 px wide there, one of 24 px 12 px."""
_OVERLAP = 0.12
"""Least overlap of neighbours, in sides of a tile: a face of 60 px is whole in one of them."""
_WHOLE, _COARSE, _FINE = 3.0, 1.0, 0.12
"""Turns of the whole frame, of a coarse and of a fine tile, in relation to each other."""
_COARSE_MOVING, _FINE_MOVING = 4.0, 2.0
"""Addition to that of a tile where something moves."""
_LUCKY = 2.0
"""Times that a tile has its turn more often where most faces have appeared."""
_HALF_LIFE_NS = 600_000_000_000
"""Time in which the memory of where faces appeared fades by half."""


class Tile(Struct, frozen=True):
    """Part of a frame, px; `share` is how often it has its turn, `moving` what is added where something moves."""

    left: int
    top: int
    width: int
    height: int
    share: float
    moving: float

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this part of an image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def cuts(self, face: DetectedFace, width_px: int, height_px: int) -> bool:
        """Tell whether a face reaches over an edge of the tile that is no edge of the frame."""
        x, y, w, h = face.box_px
        right, bottom = self.left + self.width, self.top + self.height
        return (
            (self.left > 0 and x < self.left)
            or (self.top > 0 and y < self.top)
            or (right < width_px and x + w > right)
            or (bottom < height_px and y + h > bottom)
        )


def tiles_of(width_px: int, height_px: int, input_px: int) -> list[Tile]:
    """Return the whole frame and the tiles that cover it at two scales, for a model with such an input."""
    tiles = [Tile(0, 0, width_px, height_px, _WHOLE, 0)]
    for sides, share, moving in ((COARSE, _COARSE, _COARSE_MOVING), (FINE, _FINE, _FINE_MOVING)):
        side = round(sides * input_px)
        if side < max(width_px, height_px):
            tiles += [
                Tile(left, top, min(side, width_px), min(side, height_px), share, moving)
                for top in _starts(height_px, side)
                for left in _starts(width_px, side)
            ]
    return tiles


def _starts(length_px: int, side_px: int) -> Iterator[int]:
    """Yield where tiles begin that cover a length evenly."""
    if length_px <= side_px:
        yield 0
        return
    count = 1 + math.ceil((length_px - side_px) / (side_px * (1 - _OVERLAP)))
    for i in range(count):
        yield round(i * (length_px - side_px) / (count - 1))


class Turns:
    """Order in which the tiles of one camera are searched: each has its turn, and some of them more often."""

    def __init__(self, tiles: list[Tile]) -> None:
        self.tiles = tiles
        self._shares = np.array([tile.share for tile in tiles])
        self._moving = np.array([tile.moving for tile in tiles])
        self._credit = np.zeros(len(tiles))
        self._luck = np.zeros(len(tiles))
        self._faded_ns = 0

    def next(self, moving: NDArray[np.float64], calls: int) -> list[Tile]:
        """Return the tiles that are searched now. `moving` is the share of each tile that moves, 0 to 1.

        Every tile earns its share at each call and pays all of it at its turn, so none waits for ever.
        """
        luckiest = self._luck.max()
        luck = self._luck / luckiest if luckiest else self._luck
        earned = self._shares * (1 + _LUCKY * luck) + self._moving * moving
        earned /= earned.sum()
        chosen = []
        for _ in range(min(calls, len(self.tiles))):
            self._credit += earned
            best = int(self._credit.argmax())
            self._credit[best] = 0
            chosen.append(best)
        return [self.tiles[i] for i in dict.fromkeys(chosen)]

    def appeared(self, tile: Tile, t_ns: int) -> None:
        """Remember that a new face was found in a tile."""
        self._luck *= 0.5 ** (max(0, t_ns - self._faded_ns) / _HALF_LIFE_NS)
        self._faded_ns = t_ns
        self._luck[self.tiles.index(tile)] += 1
