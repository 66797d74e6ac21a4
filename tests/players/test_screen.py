"""Pictures on screens: geometry, notice, screenshot, and a real window on a real X server."""

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pygame
import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bench.rig import xvfb
from pipeline.settings import Screen
from players.screen import notice, pictures
from players.screen.headless import Headless, Screenshot
from players.screen.pictures import Layout, PictureError
from players.screen.window import ScreenError, Window
from tests.ads import BROKEN_EXIF
from tests.conftest import wait_for

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

needs_x = pytest.mark.skipif(not xvfb.available(), reason="no Xvfb on this machine: a real window was NOT tested")


def pixels(surface: pygame.Surface) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], red first."""
    return np.asarray(pygame.surfarray.array3d(surface), np.uint8).swapaxes(0, 1)


def quadrants(path: Path, width: int = 80, height: int = 40) -> Path:
    """Red and green above, blue and white below."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    Image.fromarray(image).save(path)
    return path


@given(
    screen=st.tuples(st.integers(64, 4000), st.integers(64, 4000)),
    picture=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    rotation=st.sampled_from([0, 90, 180, 270]),
    overscan=st.floats(0, 20, allow_subnormal=False),  # ONNX Runtime may have turned subnormal numbers off
    scaling=st.sampled_from(["fit", "fill", "stretch"]),
)
def test_any_picture_lies_inside_any_screen(screen, picture, rotation, overscan, scaling) -> None:  # type: ignore[no-untyped-def]
    layout = Layout(*screen, rotation, overscan, scaling)
    size, (crop_x, crop_y, crop_w, crop_h), (at_x, at_y) = layout.place(*picture)
    left, top, area_w, area_h = layout.area
    shown_w, shown_h = (crop_h, crop_w) if rotation in (90, 270) else (crop_w, crop_h)
    assert left <= at_x and at_x + shown_w <= left + area_w
    assert top <= at_y and at_y + shown_h <= top + area_h
    assert crop_x >= 0 and crop_x + crop_w <= size[0] and crop_y >= 0 and crop_y + crop_h <= size[1]
    if scaling == "fit":
        assert (crop_w, crop_h) == size and (crop_w == layout.upright[0] or crop_h == layout.upright[1])
    else:
        assert (crop_w, crop_h) == layout.upright


@pytest.mark.parametrize(
    ("rotation", "corners"),
    [
        (0, (RED, GREEN, BLUE, WHITE)),
        (90, (BLUE, RED, WHITE, GREEN)),
        (180, (WHITE, BLUE, GREEN, RED)),
        (270, (GREEN, WHITE, RED, BLUE)),
    ],
)
def test_a_picture_is_turned_clockwise(
    tmp_path: Path, rotation: int, corners: tuple[tuple[int, int, int], ...]
) -> None:
    layout = Layout(200, 200, rotation, 0.0, "stretch")  # type: ignore[arg-type]
    shown = pixels(pictures.load(quadrants(tmp_path / "q.png"), layout))
    assert tuple(tuple(shown[y, x].tolist()) for y, x in ((20, 20), (20, 180), (180, 20), (180, 180))) == corners


def test_fit_letterboxes_fill_crops_and_overscan_keeps_off_the_edges(tmp_path: Path) -> None:
    path = quadrants(tmp_path / "q.png", 80, 40)
    fit = pixels(pictures.load(path, Layout(100, 100)))
    assert (fit[:25] == 0).all() and (fit[75:] == 0).all() and tuple(fit[30, 5]) == RED
    fill = pixels(pictures.load(path, Layout(100, 100, scaling="fill")))
    assert tuple(fill[2, 2]) == RED and tuple(fill[97, 97]) == WHITE
    inset = pixels(pictures.load(path, Layout(200, 100, overscan_pct=10)))
    assert (inset[:10] == 0).all() and (inset[:, :20] == 0).all() and tuple(inset[12, 22]) == RED


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_is_shown(tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    path = tmp_path / f"x{suffix}"
    if mode == "I;16":
        Image.fromarray(np.full((30, 60), 50_000, np.uint16)).save(path)
    else:
        Image.new("RGB" if mode == "CMYK" else "RGBA", (60, 30), "white").convert(mode).save(path)
    assert pixels(pictures.load(path, Layout(60, 30)))[10:20, 20:40].min() > 150


def test_grey_of_16_bits_is_as_grey_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 60), 20_000, np.uint16)).save(tmp_path / "x.png")
    assert (pixels(pictures.load(tmp_path / "x.png", Layout(60, 30))) == 78).all()


def test_what_shines_through_is_black(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 255, 255, 0)).save(tmp_path / "x.png")
    assert pixels(pictures.load(tmp_path / "x.png", Layout(40, 40))).max() == 0


def test_a_photograph_is_shown_upright_as_its_camera_says(tmp_path: Path) -> None:
    path = quadrants(tmp_path / "q.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(tmp_path / "turned.png", exif=exif)
    shown = pixels(pictures.load(tmp_path / "turned.png", Layout(40, 80)))
    assert tuple(shown[10, 5]) == BLUE and tuple(shown[10, 35]) == RED


def test_a_strip_fills_a_screen_without_being_scaled_as_a_whole(tmp_path: Path) -> None:
    """All of it, as wide as the screen, would be 5 GB."""
    Image.new("RGB", (2, 6000), "white").save(tmp_path / "x.png")
    assert pixels(pictures.load(tmp_path / "x.png", Layout(640, 360, scaling="fill"))).min() == 255


@pytest.mark.parametrize("case", ["missing", "empty", "text", "truncated", "huge", "folder", "exif"])
def test_what_is_no_picture_is_an_error_that_names_it(tmp_path: Path, case: str) -> None:
    path = tmp_path / "ad.png"
    if case == "empty":
        path.touch()
    elif case == "text":
        path.write_text("no picture")
    elif case == "truncated":
        Image.effect_noise((300, 300), 90).save(path)
        path.write_bytes(path.read_bytes()[:20_000])
    elif case == "huge":
        Image.new("1", (8000, 8000)).save(path)
    elif case == "folder":
        path.mkdir()
    elif case == "exif":
        Image.new("RGB", (40, 30)).save(path, exif=BROKEN_EXIF)
    with pytest.raises(PictureError, match=r"ad\.png"):
        pictures.load(path, Layout(100, 100))


@pytest.mark.parametrize("language", sorted(notice.TEXTS))
def test_the_font_has_every_letter_of_the_notice(language: str) -> None:
    with TTFont(notice.FONT) as font:
        letters = set(font.getBestCmap())
    texts = [line for pair in notice.TEXTS[language].values() for line in pair] + [notice.CARD_TEXTS[language]]
    assert {letter for text in texts for letter in text if ord(letter) not in letters} == set()


@pytest.mark.parametrize("language", sorted(notice.TEXTS))
@pytest.mark.parametrize("mode", ["target", "measure", "count"])
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (3840, 2160), (640, 360), (320, 240), (64, 64)])
def test_the_notice_fits_every_screen_and_can_be_read(language: str, mode: str, size: tuple[int, int]) -> None:
    panel = notice.render(*size, mode, language)  # type: ignore[arg-type]
    if min(size) >= 240:
        assert panel.get_width() <= size[0] and panel.get_height() <= size[1] * 0.2
    if min(size) >= 1080:
        assert panel.get_height() >= 0.06 * min(size)
    alpha = pygame.surfarray.array_alpha(panel)
    assert alpha[panel.get_width() // 2, 1:3].min() > 150
    assert pixels(panel).max() >= 245


def test_the_house_card_is_never_black() -> None:
    for language in notice.CARD_TEXTS:
        card = pixels(notice.house_card(640, 360, language))
        assert card.max(axis=2).min() > 40


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


def covers(monitor: xvfb.Monitor, colour: tuple[int, int, int], share: float) -> bool:
    """Whether at least that share of the monitor has the colour."""
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
