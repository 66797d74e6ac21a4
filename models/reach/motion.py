"""Motion in the frames of one camera: the places where something moves."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.reach.mosaic import REGION, Box
from models.reach.tiles import Tile

_CELL_PX = 40
_STEP = 4
_GREY_LEVELS = 4.0
"""Least change of a cell's mean from frame to frame, beyond that of the light of the whole picture."""
_KEPT = 0.8
"""Share that is left of a motion in the next frame: who stops is still looked for."""
_OLD_NS = 1_000_000_000
_EVERYWHERE = 0.5
"""Share of moving cells from which on the camera itself moves, or a light: then no place is better than another."""
_WIDEST = 8
"""Width in cells of the widest that may be one small person: of larger ones the tiles show the face well enough."""
_FULL = 3.0
"""Number of moving cells that make a tile one that moves."""


class Motion:
    """Watch for motion in cells of 40 px. It keeps the mean brightness of each cell of the last frame, no picture."""

    def __init__(self) -> None:
        self._means: NDArray[np.float32] | None = None
        self._moving: NDArray[np.float64] = np.zeros((1, 1))
        self._moves: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)
        self._t_ns = 0

    def look(self, image: NDArray[np.uint8], t_ns: int, known: Sequence[Box]) -> None:
        """Take in a frame, uint8 BGR [H, W, 3]. What moves around people with `known` face boxes, px, is left out."""
        height, width = image.shape[:2]
        size = max(1, width // _CELL_PX), max(1, height // _CELL_PX)
        sampled = cv2.resize(np.ascontiguousarray(image[::_STEP, ::_STEP]), size, interpolation=cv2.INTER_AREA)
        means = sampled.mean(axis=2, dtype=np.float32)
        before, self._means = self._means, means
        fresh = before is not None and before.shape == means.shape and t_ns - self._t_ns <= _OLD_NS
        self._t_ns = t_ns
        if before is None or not fresh:
            self._moving, self._moves = np.zeros(means.shape), np.zeros(means.shape, np.bool_)
            return
        gain = np.median(means / np.maximum(before, 1))
        moves = np.abs(means - gain * before) > _GREY_LEVELS
        for x, y, w, h in known:
            left, right = (int(max(0, v) / width * size[0]) for v in (x - w, x + 2 * w))
            top, bottom = (int(max(0, v) / height * size[1]) for v in (y - h, y + 8 * h))
            moves[top : bottom + 1, left : right + 1] = False
        self._moves = moves & (moves.mean() < _EVERYWHERE)
        self._moving = np.maximum(self._moving * _KEPT, self._moves)

    def of(self, tiles: Sequence[Tile], width_px: int, height_px: int) -> NDArray[np.float64]:
        """Return how much of each tile moves, 0 to 1."""
        rows, columns = self._moving.shape
        sums = np.pad(self._moving.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        left, top, right, bottom = np.array(
            [(tile.left, tile.top, tile.left + tile.width, tile.top + tile.height) for tile in tiles]
        ).T
        x0, x1 = left * columns // width_px, -(-right * columns // width_px)
        y0, y1 = top * rows // height_px, -(-bottom * rows // height_px)
        inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        return np.asarray(np.clip(inside / _FULL, 0, 1))

    def heads(self, width_px: int, height_px: int) -> list[Box]:
        """Return boxes, px, for close-ups of where heads may be: at the top of what moves and is no wider than high.

        A close-up is as wide as what moves, which are shoulders. Those of the highest come first.
        """
        rows, columns = self._moves.shape
        whole = cv2.morphologyEx(self._moves.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
        heads = []
        for left, top, wide, high, _ in stats[1:].tolist():
            if wide <= high and wide <= _WIDEST:
                close_up_px = (wide + 0.5) * width_px / columns
                x, y = (left + wide / 2) * width_px / columns, top * height_px / rows + 0.3 * close_up_px
                side = close_up_px / REGION
                heads.append((high, (x - side / 2, y - side / 2, side, side)))
        return [box for _, box in sorted(heads, reverse=True)]
