"""Pictures as models see them: as the screen shows them, in BGR, on white paper."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.images import ImageError, read_frames, read_image
from models.photos import detect
from pipeline.profiles import BT709, matrix_profile
from tests.pictures import QUARTERS, as_bytes, corners, near, quarters


def test_a_picture_for_a_model_is_upright_and_in_the_colours_of_a_screen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    dark = Image.new("RGB", (64, 32), (55, 55, 55))
    dark.paste((0, 0, 0), (0, 0, 32, 32))
    profile = matrix_profile(BT709, 1.0)
    dark.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "x.avif", exif=exif, icc_profile=profile, quality=100)
    found = read_image(tmp_path / "x.avif")
    assert found.shape == (32, 64, 3)
    assert near(found[16, 48], (128, 128, 128), 3) and near(found[16, 8], (0, 0, 0), 3)


def test_blue_comes_first_and_what_is_clear_is_white() -> None:
    image = quarters().convert("RGBA")
    image.putpixel((16, 8), (0, 0, 0, 0))
    found = read_image(BytesIO(as_bytes(image, "PNG")))
    assert corners(Image.fromarray(np.ascontiguousarray(found[..., ::-1])))[1:] == list(QUARTERS[1:])
    assert tuple(found[8, 16]) == (255, 255, 255)


def test_every_frame_of_an_animation_is_looked_at(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 16), (n, 0, 0)) for n in (50, 100, 150, 200, 250)]
    frames[0].save(tmp_path / "x.webp", save_all=True, append_images=frames[1:], lossless=True, duration=100)
    reds = [(number, int(frame[8, 16, 2])) for number, frame in read_frames(tmp_path / "x.webp", every=2)]
    assert reds == [(0, 50), (2, 150), (4, 250)]


@pytest.mark.parametrize(("name", "content"), [("a.svg", b"<svg></svg>"), ("b.jpg", b""), ("c.png", b"hello")])
def test_what_cannot_be_looked_at_is_named_with_what_to_do(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: ") as caught:
        list(read_frames(tmp_path / name))
    assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match=rf"{name}: "):
        read_image(tmp_path / name)


def test_a_photo_of_more_pixels_than_a_screen_takes_is_looked_at(tmp_path: Path) -> None:
    Image.new("L", (9000, 6000), 128).save(tmp_path / "large.jpg")
    assert read_image(tmp_path / "large.jpg").shape == (6000, 9000, 3)


def test_a_damaged_profile_is_ignored_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quarters().save(tmp_path / "x.png", icc_profile=b"no profile")
    assert len(list(read_frames(tmp_path / "x.png"))) == 1
    assert capsys.readouterr().err.endswith("x.png: its colour profile is ignored: it is damaged\n")


@pytest.mark.parametrize("url", ["rtsp://admin:s3cret@camera/live", "HTTPS://camera/s3cret.jpg", "http:/s3cret"])
def test_a_url_is_refused_and_no_password_in_it_is_shown(url: str) -> None:
    result = CliRunner().invoke(detect, [url])
    assert result.exit_code == 2
    assert "a URL is no file; name it as a camera's source in a station file" in result.output
    assert "s3cret" not in result.output
