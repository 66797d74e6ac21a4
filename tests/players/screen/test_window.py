"""Windows on a real X server."""

import os
from functools import partial

import pygame
import pytest

from bench.rig import xvfb
from pipeline.settings import Screen
from players.screen.window import ScreenError, Window
from tests.conftest import wait_for
from tests.players.screen.surfaces import BLUE, GREEN, RED

needs_x = pytest.mark.skipif(not xvfb.available(), reason="no Xvfb on this machine: a real window was NOT tested")


def covers(monitor: xvfb.Monitor, colour: tuple[int, int, int], share: float) -> bool:
    """Return True if at least this share of the monitor has the colour."""
    return bool((monitor.pixels[..., 2::-1] == colour).all(axis=2).mean() >= share)


@needs_x
@pytest.mark.parametrize("fullscreen", [False, True])
def test_a_window_shows_the_canvas(monkeypatch: pytest.MonkeyPatch, fullscreen: bool) -> None:
    with xvfb.monitor(800, 600) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        window = Window(Screen(fullscreen=fullscreen, width_px=400, height_px=300))
        try:
            assert window.canvas.get_size() == ((800, 600) if fullscreen else (400, 300))
            assert not pygame.mouse.get_visible()
            for colour in (RED, GREEN, BLUE):
                window.canvas.fill(colour)
                window.pump()
                window.flip()
                wait_for(partial(covers, monitor, colour, 1.0 if fullscreen else 0.2), f"{colour} on the monitor")
        finally:
            window.close()


@needs_x
def test_a_window_cannot_be_closed_or_quit_from_the_street(monkeypatch: pytest.MonkeyPatch) -> None:
    with xvfb.monitor(320, 240) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        window = Window(Screen(fullscreen=True))
        try:
            for event in (pygame.QUIT, pygame.WINDOWCLOSE, pygame.WINDOWFOCUSLOST, pygame.WINDOWMINIMIZED):
                pygame.event.post(pygame.event.Event(event))
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
            window.pump()
            pygame.event.post(pygame.event.Event(pygame.WINDOWEXPOSED))
            assert window.pump()
            window.flip()
            assert pygame.display.get_active()
        finally:
            window.close()


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4242")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ScreenError):
        Window(Screen())


def test_pygame_advertises_nothing() -> None:
    assert os.environ["PYGAME_HIDE_SUPPORT_PROMPT"]


def test_sdl_leaves_signals_alone() -> None:
    assert os.environ["SDL_NO_SIGNAL_HANDLERS"] == "1"
