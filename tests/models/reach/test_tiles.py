"""The tiles of a frame, and their turns."""

import numpy as np
import pytest

from models.face import DetectedFace
from models.reach.tiles import COARSE, FINE, Tile, Turns, tiles_of

INPUT_PX = 192


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (1080, 1920), (3840, 2160), (577, 576)])
def test_a_face_of_60_px_is_whole_in_a_tile_of_each_scale_wherever_it_is(size: tuple[int, int]) -> None:
    width, height = size
    for sides in (COARSE, FINE):
        side = round(sides * INPUT_PX)
        tiles = [tile for tile in tiles_of(width, height, INPUT_PX)[1:] if max(tile.width, tile.height) == side]
        assert tiles
        for x in (*range(0, width - 60, 61), width - 60):
            for y in (*range(0, height - 60, 61), height - 60):
                face = DetectedFace((x, y, 60, 60), 1.0, ())
                assert any(
                    tile.left <= x and x + 60 <= tile.left + tile.width and tile.top <= y <= tile.top + tile.height - 60
                    for tile in tiles
                ), (x, y)
                assert not all(tile.cuts(face, width, height) for tile in tiles)


def test_a_frame_no_larger_than_a_tile_has_but_itself() -> None:
    assert [(tile.width, tile.height) for tile in tiles_of(320, 240, INPUT_PX)] == [(320, 240)]


def test_each_tile_has_its_turn_and_what_moves_has_more() -> None:
    turns = Turns(tiles_of(1920, 1080, INPUT_PX))
    moving = np.zeros(len(turns.tiles))
    moving[3] = 1.0
    had = [turns.tiles.index(tile) for _ in range(200) for tile in turns.next(moving, 2)]
    times = np.bincount(had, minlength=len(turns.tiles))
    coarse = times[1:9]
    assert times.min() > 0
    assert times[3] > 4 * np.delete(coarse, 2).max()
    assert np.ptp(np.delete(coarse, 2)) <= 2, "the others take turns"


def test_a_tile_where_faces_appeared_has_more_turns_until_that_is_long_ago() -> None:
    def share(turns: Turns, tile: Tile) -> float:
        still = np.zeros(len(turns.tiles))
        had = [each for _ in range(300) for each in turns.next(still, 2)]
        return had.count(tile) / len(had)

    turns = Turns(tiles_of(1920, 1080, INPUT_PX))
    here, there = turns.tiles[2], turns.tiles[7]
    plain = share(turns, here)
    for _ in range(5):
        turns.appeared(here, 0)
    assert share(turns, here) > 2 * plain
    for _ in range(5):
        turns.appeared(there, 3_600_000_000_000)
    assert share(turns, there) > 2 * plain
    assert share(turns, here) < 1.2 * plain


def test_a_tile_that_cuts_a_face_says_so() -> None:
    tile = Tile(0, 100, 400, 400, 1.0, 1.0)

    def cuts(x: float, y: float) -> bool:
        return tile.cuts(DetectedFace((x, y, 50, 50), 1.0, ()), 1920, 1080)

    assert not cuts(100, 200)
    assert not cuts(-10, 200), "the frame ends there"
    assert cuts(370, 200)
    assert cuts(100, 90)
    assert cuts(100, 470)
