"""Surfaces of the size of a screen."""

import pygame

from players.screen.layout import Layout


def blank(layout: Layout) -> pygame.Surface:
    """Return a black surface of the whole screen, 32 bits a pixel in the byte order blue, green, red, unused.

    Nearly every display uses this order, so that showing the surface is a plain copy.
    """
    return pygame.Surface((layout.width_px, layout.height_px), 0, 32)


def turned(surface: pygame.Surface, layout: Layout) -> pygame.Surface:
    """Turn an upright surface as the screen hangs. pygame turns counter-clockwise."""
    return pygame.transform.rotate(surface, -layout.rotation_deg) if layout.rotation_deg else surface
