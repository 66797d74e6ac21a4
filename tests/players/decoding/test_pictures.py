"""Pictures made ready for a screen: turned, scaled, every kind of pixel, and damaged files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.medium import MediumError
from pipeline.pictures import PictureError
from players.decoding.decoders import Decoders
from players.screen.layout import Layout
from tests.ads import BROKEN_EXIF
from tests.players.decoding.opened import still
from tests.players.screen.surfaces import BLUE, GREEN, RED, WHITE, pixels, quadrants


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
    decoders: Decoders, tmp_path: Path, rotation: int, corners: tuple[tuple[int, int, int], ...]
) -> None:
    layout = Layout(200, 200, rotation, 0.0, "stretch")  # type: ignore[arg-type]
    shown = pixels(still(decoders, quadrants(tmp_path / "q.png"), layout))
    assert tuple(tuple(shown[y, x].tolist()) for y, x in ((20, 20), (20, 180), (180, 20), (180, 180))) == corners


def test_fit_letterboxes_fill_crops_and_overscan_keeps_off_the_edges(decoders: Decoders, tmp_path: Path) -> None:
    path = quadrants(tmp_path / "q.png", 80, 40)
    fit = pixels(still(decoders, path, Layout(100, 100)))
    assert (fit[:25] == 0).all() and (fit[75:] == 0).all() and tuple(fit[30, 5]) == RED
    fill = pixels(still(decoders, path, Layout(100, 100, scaling="fill")))
    assert tuple(fill[2, 2]) == RED and tuple(fill[97, 97]) == WHITE
    inset = pixels(still(decoders, path, Layout(200, 100, overscan_pct=10)))
    assert (inset[:10] == 0).all() and (inset[:, :20] == 0).all() and tuple(inset[12, 22]) == RED


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "1", "I;16"])
def test_every_kind_of_pixel_is_shown(decoders: Decoders, tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    path = tmp_path / f"x{suffix}"
    if mode == "I;16":
        Image.fromarray(np.full((30, 60), 50_000, np.uint16)).save(path)
    else:
        Image.new("RGB" if mode == "CMYK" else "RGBA", (60, 30), "white").convert(mode).save(path)
    assert pixels(still(decoders, path, Layout(60, 30)))[10:20, 20:40].min() > 150


def test_grey_of_16_bits_is_as_grey_as_it_is(decoders: Decoders, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 60), 20_000, np.uint16)).save(tmp_path / "x.png")
    assert (pixels(still(decoders, tmp_path / "x.png", Layout(60, 30))) == 78).all()


def test_what_shines_through_is_black(decoders: Decoders, tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (255, 255, 255, 0)).save(tmp_path / "x.png")
    assert pixels(still(decoders, tmp_path / "x.png", Layout(40, 40))).max() == 0


def test_a_photograph_is_shown_upright_as_its_camera_says(decoders: Decoders, tmp_path: Path) -> None:
    path = quadrants(tmp_path / "q.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(tmp_path / "turned.png", exif=exif)
    shown = pixels(still(decoders, tmp_path / "turned.png", Layout(40, 80)))
    assert tuple(shown[10, 5]) == BLUE and tuple(shown[10, 35]) == RED


def test_a_photograph_whose_other_notes_are_damaged_is_shown_upright(decoders: Decoders, tmp_path: Path) -> None:
    Image.open(quadrants(tmp_path / "q.png")).save(tmp_path / "turned.png", exif=BROKEN_EXIF)
    shown = pixels(still(decoders, tmp_path / "turned.png", Layout(40, 80)))
    assert tuple(shown[10, 5]) == BLUE and tuple(shown[10, 35]) == RED


def test_a_strip_fills_a_screen_without_being_scaled_as_a_whole(decoders: Decoders, tmp_path: Path) -> None:
    """The whole strip, scaled to the width of the screen, would take 5 GB."""
    Image.new("RGB", (2, 6000), "white").save(tmp_path / "x.png")
    assert pixels(still(decoders, tmp_path / "x.png", Layout(640, 360, scaling="fill"))).min() == 255


@pytest.mark.parametrize("case", ["missing", "empty", "text", "truncated", "huge", "folder"])
def test_what_is_no_picture_is_an_error_that_names_it(decoders: Decoders, tmp_path: Path, case: str) -> None:
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
    with pytest.raises((PictureError, MediumError, OSError), match=r"ad\.png"):
        still(decoders, path, Layout(100, 100))
