"""Masks: what lies under one is in no frame that another process may see."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.job import Job
from pipeline.ring import Ring
from pipeline.settings import Camera, Station
from stages.capture.masks import blanked
from stages.capture.stage import Capture

CANARY = np.random.default_rng(3).integers(1, 256, (40, 60, 3), np.uint8)
MASK = ((0.25, 0.2), (0.55, 0.2), (0.55, 0.6), (0.25, 0.6))
"""Covers the canary at (60, 30) of a picture of 200 x 100 px, with its edges."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    picture = np.full((100, 200, 3), 200, np.uint8)
    picture[20:60, 50:110] = CANARY
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    return tmp_path


def shared(photos: Path, **changes: Any) -> bytes:
    """Take one frame as the stage does. Return all of the memory that it shares with other processes."""
    camera = Camera(name="a", source=str(photos), fps=100, **changes)
    ring = Ring.create("a", 200 * 100 * 3, 2)
    stage = Capture(Job(station=Station(folder=photos), camera=camera, rings={"a": ring.ref}))
    try:
        while not stage.step([]):
            pass
        return bytes(ring._map)
    finally:
        stage.close()
        ring.close()
        os.close(ring.fd)


def needles(picture: np.ndarray) -> list[bytes]:
    """Short runs of pixels, as they would lie in memory."""
    return [picture[y, x : x + 3].tobytes() for y in range(0, len(picture), 7) for x in (0, len(picture[0]) // 2)]


TURNS: dict[str, tuple[dict[str, Any], np.ndarray, tuple[tuple[float, float], ...]]] = {
    "as it is": ({}, CANARY, MASK),
    "turned": ({"rotation_deg": 90}, np.rot90(CANARY, -1), tuple((1 - y, x) for x, y in MASK)),
    "mirrored": ({"mirror": True}, CANARY[:, ::-1], tuple((1 - x, y) for x, y in MASK)),
}


@pytest.mark.parametrize(("changes", "canary", "mask"), TURNS.values(), ids=TURNS)
def test_what_is_masked_is_never_shared(
    photos: Path, changes: dict[str, Any], canary: np.ndarray, mask: tuple[tuple[float, float], ...]
) -> None:
    open_to_all = shared(photos, **changes)
    assert all(needle in open_to_all for needle in needles(canary))
    hidden = shared(photos, masks=(mask,), **changes)
    assert not any(needle in hidden for needle in needles(canary))
    assert bytes([200] * 300) in hidden, "the rest is seen"


def test_masks_may_overlap_and_the_source_keeps_its_picture() -> None:
    picture = np.full((100, 200, 3), 9, np.uint8)
    both = blanked(picture, (MASK, tuple((x + 0.1, y + 0.1) for x, y in MASK)))
    assert not both[35:58, 75:105].any() and picture.all() and both[:19].all()
    assert blanked(picture, ()) is picture
