"""The rolling screenshot: what the canvas shows, never half a file."""

import os
import time
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image

from pipeline.settings import Screen
from players.screen.headless import Headless
from players.screen.screenshot import Screenshot
from tests.conftest import wait_for


def test_the_screenshot_is_what_the_canvas_shows_and_never_half_written(tmp_path: Path) -> None:
    screen = Headless(Screen(width_px=640, height_px=360))
    path = tmp_path / "shots" / "now.png"
    shot = Screenshot(path, 0.0)
    try:
        for painted in range(1, 30):
            screen.canvas.fill((painted * 8, 40, 90))
            shot.offer(screen.canvas, painted)
            wait_for(path.exists, "the first screenshot")
            with Image.open(path) as image:
                colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
            assert (colours == colours[0]).all() and tuple(colours[0][1:]) == (40, 90)
        wait_for(lambda: shot._idle.is_set(), "the writer")
        screen.canvas.fill((1, 2, 3))
        shot.offer(screen.canvas, 99)
    finally:
        shot.close()
    with Image.open(path) as image:
        assert image.size == (640, 360) and image.getpixel((5, 5)) == (1, 2, 3)
    assert [p.name for p in path.parent.iterdir()] == ["now.png"]


def test_a_canvas_that_stays_is_written_once(tmp_path: Path) -> None:
    screen = Headless(Screen(width_px=64, height_px=64))
    shot = Screenshot(tmp_path / "now.png", 0.0)
    try:
        shot.offer(screen.canvas, 1)
        wait_for(lambda: shot._idle.is_set() and shot.path.exists(), "the screenshot")
        written = shot.path.stat().st_mtime_ns
        for _ in range(5):
            shot.offer(screen.canvas, 1)
            time.sleep(0.01)
    finally:
        shot.close()
    assert shot.path.stat().st_mtime_ns == written


def test_a_screenshot_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    screen = Headless(Screen(width_px=64, height_px=64))
    shot = Screenshot(tmp_path / "file" / "now.png", 0.0)
    shot.offer(screen.canvas, 1)
    shot.close()
    assert "screenshot_failed" in capsys.readouterr().err


def test_a_screenshot_is_private_and_follows_no_planted_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    place = tmp_path / "screen.png"
    for planted in (place, tmp_path / f".screen.png.{os.getpid()}"):
        planted.symlink_to(other)
    canvas = pygame.Surface((8, 8), 0, 32)
    screenshot = Screenshot(place, 0.0)
    screenshot.offer(canvas, 1)
    screenshot.close()
    assert not place.is_symlink() and oct(place.stat().st_mode & 0o777) == "0o600"
    assert other.read_bytes() == b"precious"
