"""A screen without a display: the same frames, on a surface in memory."""

from typing import Literal

import pygame

from pipeline.settings import Screen


class Headless:
    """Takes the place of `window.Window` where there is no display."""

    kind: Literal["headless"] = "headless"

    def __init__(self, settings: Screen, size: tuple[int, int] | None = None) -> None:
        """Make a surface of `size` px; without one, of the size in the settings."""
        self.canvas: pygame.Surface = pygame.Surface(size or (settings.width_px, settings.height_px), 0, 32)

    def flip(self) -> None:
        """Do nothing: the canvas is the screen."""

    def pump(self) -> bool:
        """Return False: without a window there is no event that asks for a repaint."""
        return False

    def close(self) -> None:
        """Do nothing: no device is held."""
