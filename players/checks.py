"""Checks of `stationcast doctor` that concern the screen. Each returns its status, what was found, and the remedy."""

import os
from pathlib import Path
from typing import Literal

Found = tuple[Literal["ok", "warn", "fail"], str, str]
_FONTS = Path(__file__).parent / "screen" / "fonts"
_NO_WINDOW = ("offscreen", "dummy", "evdev")
"""Drivers of SDL that open no window."""


def display() -> Found:
    """Tell whether pygame can open a window here."""
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
    import pygame

    remedy = "log in to a desktop or set DISPLAY; headless stations keep a screenshot file instead"
    try:
        pygame.display.init()
    except pygame.error:
        return "warn", "none that pygame can open", remedy
    driver, info = pygame.display.get_driver(), pygame.display.Info()
    if driver in _NO_WINDOW:
        return "warn", "none that pygame can open", remedy
    return "ok", f"{driver} {info.current_w}x{info.current_h} px", ""


def fonts() -> Found:
    """Tell whether the fonts of the notice are there."""
    found = sorted(path.name for path in _FONTS.glob("*.[ot]tf"))
    if found:
        return "ok", f"own: {', '.join(found)}", ""
    return "fail", f"none in {_FONTS}", "install stationcast anew"
