"""Windows on a real X server."""

import ctypes
import os
import time
from functools import partial

import pygame
import pytest

from bench.rig import xvfb
from pipeline.settings import Screen
from players.screen.painter import Painter
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


@needs_x
def test_a_full_screen_whose_size_the_window_manager_decides_is_not_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window flickered at every tick where `xrandr --scale` gives the desktop another size than the mode has."""
    with xvfb.monitor(800, 600) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        window = Window(Screen(fullscreen=True))
        try:
            manage(monitor.name, "XResizeWindow", 400, 300)
            wait_for(lambda: window.pump() and window.canvas.get_size() == (400, 300), "the size that it was given")
            window.canvas.fill(GREEN)
            window.flip()
            wait_for(partial(covers, monitor, GREEN, 0.2), "green on the monitor")
        finally:
            window.close()


@needs_x
def test_a_window_that_is_hidden_is_not_seen_and_a_full_screen_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shortcut that shows the desktop is enough for that; plays went on to be billed."""
    with xvfb.monitor(800, 600) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        for fullscreen in (False, True):
            painter = Painter(Screen(fullscreen=fullscreen, width_px=400, height_px=300), "off", alone=True)
            try:
                assert ticks_until(painter, seen=True)
                manage(monitor.name, "XUnmapWindow")
                assert ticks_until(painter, seen=False)
                assert ticks_until(painter, seen=True) == fullscreen
            finally:
                painter.close()


@needs_x
def test_a_full_screen_that_is_hidden_all_the_time_is_opened_once_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with xvfb.monitor(800, 600) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        painter = Painter(Screen(fullscreen=True), "off", alone=True)
        began_s = time.monotonic()
        try:
            while (lasted_s := time.monotonic() - began_s) < 2.5:
                manage(monitor.name, "XUnmapWindow")
                painter.paint(time.monotonic())
        finally:
            painter.close()
    assert 1 <= capsys.readouterr().err.count("display_lost") <= lasted_s + 1


def ticks_until(painter: Painter, *, seen: bool) -> bool:
    """Paint until the canvas can be seen, or cannot; return False where that does not happen in 3 s."""
    until_s = time.monotonic() + 3.0
    while painter.visible != seen and time.monotonic() < until_s:
        painter.paint(time.monotonic())
        time.sleep(0.01)
    return painter.visible == seen


def manage(display: str, call: str, *numbers: int) -> None:
    """Call a function of Xlib for each window of a display, as another program does that manages them."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    root, above, count = ctypes.c_ulong(x.XDefaultRootWindow(connection)), ctypes.c_ulong(), ctypes.c_uint()
    windows = ctypes.POINTER(ctypes.c_ulong)()
    asked = ctypes.byref(above), ctypes.byref(above), ctypes.byref(windows), ctypes.byref(count)
    x.XQueryTree(connection, root, *asked)
    for number in range(count.value):
        getattr(x, call)(connection, ctypes.c_ulong(windows[number]), *numbers)
    x.XCloseDisplay(connection)


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4242")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ScreenError):
        Window(Screen())


def test_pygame_advertises_nothing() -> None:
    assert os.environ["PYGAME_HIDE_SUPPORT_PROMPT"]


def test_sdl_leaves_signals_alone() -> None:
    assert os.environ["SDL_NO_SIGNAL_HANDLERS"] == "1"
