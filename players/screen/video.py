"""Films for a screen: read and laid out (pipeline/film.py) in a thread, a few frames ahead of the render loop."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pygame

from pipeline.pictures import PIXELS_MAX
from players.screen.layout import blank
from players.screen.moving import Moving

if TYPE_CHECKING:
    import av

    from pipeline.frames import Fit

DECODER_THREADS = 2
"""Threads of the decoder of one film."""


class Video(Moving):
    """Film of a file. `begin()` starts its clock; `due()` then gives each new frame when its time comes."""

    def _frames(self) -> Iterator[tuple[float, pygame.Surface]]:
        from pipeline.film import Film

        with Film(
            self.path, threads=DECODER_THREADS, pixels_max=PIXELS_MAX, fit=self._fit, pixel_format="bgra"
        ) as film:
            self.fps = film.fps
            for number, shown in enumerate(film.frames()):
                if self._closing:
                    return
                if shown.damaged:
                    raise ValueError(f"frame {number} is damaged")
                self.ends_s = shown.until_s
                if self._began_s is not None and shown.until_s < time.monotonic() - self._began_s:
                    self._late += 1
                    continue
                yield shown.at_s, self._surface(film.picture(shown.frame))

    def _fit(self, width_px: int, height_px: int) -> "Fit":
        from pipeline.frames import Fit

        layout = self._layout
        size, crop, at = layout.place(width_px, height_px)
        return Fit(size, crop, layout.rotation_deg, (layout.width_px, layout.height_px), at)

    def _surface(self, frame: "av.VideoFrame") -> pygame.Surface:
        """Return the frame as an opaque surface. Its memory is shared where rows are packed, copied where padded."""
        plane = frame.planes[0]
        size = (frame.width, frame.height)
        if plane.line_size == frame.width * 4:
            surface = pygame.image.frombuffer(memoryview(plane), size, "BGRA")
            surface.set_alpha(None)
            return surface
        surface = blank(self._layout)
        rows = memoryview(plane)
        target, pitch = surface.get_buffer(), surface.get_pitch()
        for y in range(frame.height):
            target.write(bytes(rows[y * plane.line_size : y * plane.line_size + frame.width * 4]), y * pitch)
        return surface
