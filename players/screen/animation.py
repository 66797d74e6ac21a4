"""Animated pictures: GIF, WebP, PNG and AVIF that move with their own times, decoded in a thread."""

import math
import time
from collections.abc import Iterator

import pygame
from PIL import Image

from pipeline.pictures import Picture
from players.screen.moving import Moving
from players.screen.pictures import GROUND, laid_out

KEPT_BYTES_MAX = 128 << 20
"""Largest memory for frames that are kept, so that later rounds need no decoding: 16 frames at 1920x1080."""


class Animation(Moving):
    """Animated picture of a file, over and over. After as many rounds as it says itself, its last frame stays on."""

    def _frames(self) -> Iterator[tuple[float, pygame.Surface]]:
        kept: list[tuple[float, pygame.Surface]] = []
        begins_s, rounds = 0.0, 0
        with Picture(self.path) as picture:
            keeps = picture.frame_count * self._layout.width_px * self._layout.height_px * 4 <= KEPT_BYTES_MAX
            while not picture.plays or rounds < picture.plays:
                whole = len(kept) == picture.frame_count
                for duration_s, surface in kept if whole else self._round(picture, begins_s):
                    if self._closing:
                        return
                    self.ends_s = begins_s + duration_s
                    self.fps = 1 / duration_s
                    if surface is None or (whole and self._is_late(begins_s, duration_s)):
                        self._late += 1
                    else:
                        yield begins_s, surface
                    if keeps and not whole and surface is not None:
                        kept.append((duration_s, surface))
                    begins_s += duration_s
                rounds += 1
                if not whole and len(kept) < picture.frame_count:
                    kept.clear()
        self.ends_s = math.inf

    def _round(self, picture: Picture, begins_s: float) -> Iterator[tuple[float, pygame.Surface | None]]:
        """Yield the duration in s and the surface of each frame of one round; None for a frame that comes too late."""
        for duration_s in picture.frames():
            late = self._is_late(begins_s, duration_s)
            begins_s += duration_s
            yield (
                duration_s,
                None if late else laid_out(picture.pixels(GROUND), self._layout, Image.Resampling.BILINEAR),
            )

    def _is_late(self, begins_s: float, duration_s: float) -> bool:
        """Return True where the frame should be over by now."""
        return self._began_s is not None and begins_s + duration_s < time.monotonic() - self._began_s
