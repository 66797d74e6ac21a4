"""Motion: the places where something moves."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.reach.motion import Motion
from models.reach.tiles import Tile, tiles_of

TILES = tiles_of(1920, 1080, 192)
TICK_NS = 100_000_000
GRAIN = np.random.default_rng(0).integers(-4, 5, (1600, 1920, 3), np.int16)


@pytest.fixture
def street() -> NDArray[np.uint8]:
    blocks = np.random.default_rng(1).integers(60, 180, (27, 48, 3), np.uint8)
    return np.asarray(np.kron(blocks, np.ones((40, 40, 1), np.uint8)), np.uint8)


def noisy(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    return np.asarray(cv2.add(image, GRAIN[7 * seed :][:height, :width], dtype=cv2.CV_8U), np.uint8)


def moving(motion: Motion) -> list[Tile]:
    return [tile for tile, share in zip(TILES, motion.of(TILES, 1920, 1080), strict=True) if share > 0.3]


def walker(image: NDArray[np.uint8], x: int, y: int = 300) -> NDArray[np.uint8]:
    there = image.copy()
    there[y : y + 220, x : x + 70] = 20
    return there


def test_somebody_who_walks_makes_the_tiles_move_in_which_he_is(street: NDArray[np.uint8]) -> None:
    motion = Motion()
    for i in range(4):
        motion.look(walker(noisy(street, i), 1000 + 25 * i), i * TICK_NS, [])
    tiles = moving(motion)
    assert tiles
    assert all(tile.left < 1145 and tile.left + tile.width > 1000 and tile.top < 520 for tile in tiles)


def test_noise_a_flicker_of_the_light_and_a_camera_that_moves_are_no_motion(street: NDArray[np.uint8]) -> None:
    motion = Motion()
    for i in range(6):
        light = 1.0 if i % 2 else 0.9
        motion.look(np.asarray(noisy(street, i) * light, np.uint8), i * TICK_NS, [])
        assert len(moving(motion)) <= 1
    for i in range(6, 12):
        motion.look(np.roll(street, 57 * i, axis=1), i * TICK_NS, [])
        assert not moving(motion)


def test_who_is_followed_draws_no_search_upon_himself(street: NDArray[np.uint8]) -> None:
    motion = Motion()
    for i in range(4):
        x = 1000 + 25 * i
        motion.look(walker(noisy(street, i), x), i * TICK_NS, [(x + 17, 305, 36, 36)])
    assert not moving(motion)


def test_a_frame_is_compared_with_none_that_is_older_than_a_second(street: NDArray[np.uint8]) -> None:
    motion = Motion()
    motion.look(walker(street, 1000), 0, [])
    motion.look(walker(street, 300), 20 * TICK_NS, [])
    assert not moving(motion)
    motion.look(walker(street, 400), 21 * TICK_NS, [])
    assert moving(motion)


def test_a_close_up_shows_the_head_of_who_walks_and_of_what_is_wider_than_high_none(street: NDArray[np.uint8]) -> None:
    motion = Motion()
    for i in range(4):
        motion.look(walker(street, 1000 + 25 * i), i * TICK_NS, [])
    ((x, y, w, h),) = motion.heads(1920, 1080)
    side = 2.2 * w
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    assert left < 1075 and left + side > 1145, "the shoulders"
    assert top < 300 < 345 < top + side, "and the head"
    assert side < 300
    for i in range(4, 8):
        motion.look(np.roll(walker(street, 0).transpose(1, 0, 2)[:1080], 40 * i, axis=1), i * TICK_NS, [])
    assert not motion.heads(1920, 1080)
