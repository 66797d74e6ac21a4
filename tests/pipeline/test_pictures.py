"""Pictures as people bring them: colours, the right side up, what is clear, and what is no picture that is taken."""

import errno
import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from pipeline.pictures import NotAPictureError, Picture, PictureError
from pipeline.profiles import ADOBE_GAMMA, ADOBE_RGB, BT709, Primaries, matrix_profile
from tests.pictures import (
    QUARTERS,
    as_bytes,
    cmyk_profile,
    corners,
    grey_profile,
    in_srgb,
    near,
    quarters,
    with_chunk,
)

BLACK = (0, 0, 0)
P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
ORANGE = (200, 90, 60)
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
LOSSY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


def first(content: bytes, ground: tuple[int, int, int] = BLACK) -> Image.Image:
    with Picture(BytesIO(content)) as picture:
        return picture.first(ground)


def notes(content: bytes) -> list[str]:
    with Picture(BytesIO(content)) as picture:
        picture.first(BLACK)
        return picture.notes


def plain(colour: Any = ORANGE, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (16, 16), colour)


CASES = [
    ("icc_p3.jpg", (216, 81, 49)),
    ("icc_adobergb.jpg", (227, 90, 58)),
    ("icc_prophoto.jpg", (255, 0, 50)),
]


@pytest.mark.parametrize(("name", "right"), CASES)
def test_a_profile_of_a_wide_gamut_is_heeded(shared_dir: Path, name: str, right: tuple[int, int, int]) -> None:
    with Picture(shared_dir / "cases" / "pictures" / name) as picture:
        assert all(near(colour, right, 2) for colour in corners(picture.first(BLACK)))
        assert picture.notes == ["its colours are turned into those of the screen (sRGB), as its profile says"]


@pytest.mark.parametrize("name", ["icc_swapped.jpg", "icc_swapped.png"])
def test_a_profile_that_swaps_red_and_green_puts_green_in_the_top_left(shared_dir: Path, name: str) -> None:
    red, green, blue, white = QUARTERS
    with Picture(shared_dir / "cases" / "pictures" / name) as picture:
        found = corners(picture.first(BLACK))
    assert all(near(a, b, 2) for a, b in zip(found, (green, red, blue, white), strict=True))


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize(
    ("primaries", "gamma", "right"), [(P3, None, (216, 81, 49)), (ADOBE_RGB, ADOBE_GAMMA, (227, 90, 58))]
)
def test_a_profile_is_heeded_in_every_kind_of_file(
    kind: str, primaries: Primaries, gamma: float | None, right: tuple[int, int, int]
) -> None:
    options = (LOSSLESS | LOSSY)[kind]
    content = as_bytes(plain(), kind, icc_profile=matrix_profile(primaries, gamma), **options)
    assert near(first(content).getpixel((8, 8)), right, 2 if kind in LOSSLESS else 4)


PRIMARIES = st.builds(
    lambda r, g, b, w: Primaries((0.6 + r[0], 0.3 + r[1]), (0.2 + g[0], 0.6 + g[1]), (0.13 + b[0], 0.04 + b[1]), w),
    *(st.tuples(st.floats(0, 0.1), st.floats(0, 0.08)) for _ in range(3)),
    st.tuples(st.floats(0.30, 0.36), st.floats(0.31, 0.37)),
)


@settings(max_examples=60, deadline=None)
@given(PRIMARIES, st.floats(1.0, 2.8), st.integers(0, 2**32 - 1), st.sampled_from(["profile", "chunks"]))
def test_any_primaries_and_gamma_look_as_computed(primaries: Primaries, gamma: float, seed: int, way: str) -> None:
    numbers = np.random.default_rng(seed).integers(20, 256, (64, 3))
    image = Image.fromarray(numbers.astype(np.uint8).reshape(8, 8, 3))
    if way == "profile":
        content = as_bytes(image, "PNG", icc_profile=matrix_profile(primaries, gamma))
    else:
        xys = [xy for point in (primaries.white, *primaries[:3]) for xy in point]
        chromaticities = [round(value * 100_000) for value in xys]
        content = with_chunk(as_bytes(image, "PNG"), b"cHRM", struct.pack(">8I", *chromaticities))
        content = with_chunk(content, b"gAMA", struct.pack(">I", round(100_000 / gamma)))
    right = in_srgb((numbers / 255) ** gamma, np.array(primaries))
    assert near(np.asarray(first(content)).reshape(64, 3), right, 2.5)


def test_a_png_that_says_srgb_is_left_as_it_is() -> None:
    content = with_chunk(as_bytes(plain(), "PNG"), b"gAMA", struct.pack(">I", 100_000))
    assert first(with_chunk(content, b"sRGB", b"\0")).getpixel((8, 8)) == ORANGE
    usual = with_chunk(as_bytes(plain(), "PNG"), b"gAMA", struct.pack(">I", 45_455))
    assert first(usual).getpixel((8, 8)) == ORANGE
    assert notes(usual) == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [(b"gAMA", bytes(4)), (b"cHRM", bytes(32)), (b"cHRM", bytes(40)), (b"cICP", b"\2\2\0\1")],
)
def test_impossible_numbers_of_colour_are_ignored(kind: bytes, data: bytes) -> None:
    content = with_chunk(as_bytes(plain(), "PNG"), kind, data)
    assert first(content).getpixel((8, 8)) == ORANGE
    assert len(notes(content)) == (kind != b"cICP")


def test_a_gamma_of_one_brightens_a_png() -> None:
    content = with_chunk(as_bytes(plain((55, 55, 55)), "PNG"), b"gAMA", struct.pack(">I", 100_000))
    assert near(first(content).getpixel((8, 8)), (128, 128, 128), 2)


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_code_points_are_heeded(kind: str) -> None:
    """Primaries of Display P3 under the curve of sRGB."""
    assert near(first(_coded(plain(), kind, 12, 13)).getpixel((8, 8)), (216, 81, 49), 4)
    assert near(first(_coded(plain(), kind, 1, 13)).getpixel((8, 8)), ORANGE, 2)


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
@pytest.mark.parametrize(("transfer", "white"), [(16, 148), (18, 191)])
def test_hdr_is_brought_to_the_white_of_the_screen(kind: str, transfer: int, white: int) -> None:
    content = _coded(plain((white,) * 3), kind, 9, transfer)
    assert near(first(content).getpixel((8, 8)), (255, 255, 255), 3)
    assert any("HDR" in note for note in notes(content))


def _coded(image: Image.Image, kind: str, primaries: int, transfer: int) -> bytes:
    if kind == "PNG":
        return with_chunk(as_bytes(image, "PNG"), b"cICP", bytes([primaries, transfer, 0, 1]))
    content = as_bytes(image, "AVIF", **LOSSY["AVIF"])
    at = content.index(b"nclx") + 4
    return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]


def test_grey_has_profiles_of_its_own() -> None:
    content = as_bytes(Image.new("L", (8, 8), 100), "PNG", icc_profile=grey_profile(1.0))
    right = 255 * (1.055 * (100 / 255) ** (1 / 2.4) - 0.055)
    assert near(first(content).getpixel((4, 4)), (right,) * 3, 2)
    coloured = as_bytes(Image.new("L", (8, 8), 100), "JPEG", icc_profile=matrix_profile(BT709, 1.0))
    assert near(first(coloured).getpixel((4, 4)), (right,) * 3, 3)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_is_shown_by_its_profile_and_without_one_by_the_rule_of_browsers(kind: str) -> None:
    ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert near(first(as_bytes(ink, kind)).getpixel((8, 8)), (0, 255, 255), 3)
    found = first(as_bytes(ink, kind, icc_profile=cmyk_profile())).getpixel((8, 8))
    lab = ImageCms.applyTransform(
        Image.new("LAB", (1, 1), (153, 68, 128)),
        ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"),
    )
    assert lab is not None
    assert near(found, lab.getpixel((0, 0)), 4)
    assert found[1] > 150 > 100 > found[0]


def test_lab_is_shown_in_its_colours() -> None:
    grey, red = Image.new("LAB", (16, 8), (137, 128, 128)), Image.new("LAB", (8, 8), (136, 209, 198))
    grey.paste(red, (8, 0))
    shown = first(as_bytes(grey, "TIFF"))
    assert near(shown.getpixel((4, 4)), (128, 128, 128), 3)
    assert near(shown.getpixel((12, 4)), (255, 0, 0), 12)


@pytest.mark.parametrize("harm", ["noise", "short", "other space", "empty"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_broken_profile_is_ignored_and_said(kind: str, harm: str) -> None:
    whole = matrix_profile(P3, None)
    broken = {
        "noise": bytes(range(256)) * 2,
        "short": whole[:200],
        "other space": cmyk_profile(),
        "empty": whole[:128] + bytes(4),
    }[harm]
    content = as_bytes(plain(), kind, icc_profile=broken, **LOSSLESS.get(kind, LOSSY["JPEG"]))
    assert near(first(content).getpixel((8, 8)), ORANGE, 2)
    (note,) = notes(content)
    assert note.startswith("its colour profile is ignored: it is ")


def test_a_profile_in_parts_of_which_one_is_missing_is_ignored_and_said() -> None:
    content = as_bytes(plain(), "JPEG", icc_profile=matrix_profile(P3, None) + bytes(100_000), **LOSSY["JPEG"])
    at = content.index(b"ICC_PROFILE\0\2\2")
    content = content[: at - 4] + content[at - 2 + int.from_bytes(content[at - 2 : at]) :]
    assert near(first(content).getpixel((8, 8)), ORANGE, 2)
    assert notes(content) == ["its colour profile is ignored: it is damaged"]


def test_no_words_of_a_library_reach_the_standard_error(tmp_path: Path) -> None:
    """An animation that claims no frames, and notes of a camera that end too early, make Pillow warn."""
    claims = with_chunk(as_bytes(plain(), "PNG"), b"acTL", struct.pack(">II", 0, 0))
    (tmp_path / "a.png").write_bytes(claims)
    short = b"Exif\0\0MM\0*\0\0\0\x08\0\x09" + struct.pack(">HHL4s", 0x112, 3, 1, b"\0\6\0\0")
    (tmp_path / "b.jpg").write_bytes(as_bytes(plain(), "JPEG", exif=short))
    program = "import sys\nfrom pathlib import Path\nfrom pipeline.pictures import Picture\n"
    program += "for name in sys.argv[1:]:\n  with Picture(Path(name)) as picture: print(picture.first((0, 0, 0)).size)"
    command = [sys.executable, "-c", program, str(tmp_path / "a.png"), str(tmp_path / "b.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "(16, 16)\n(16, 16)\n"
    assert done.stderr == ""


def test_a_camera_that_notes_adobe_rgb_without_a_profile_is_believed() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    found = first(as_bytes(plain(), "JPEG", exif=exif, **LOSSY["JPEG"])).getpixel((8, 8))
    assert near(found, (227, 90, 58), 4)


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_whatever_its_camera_noted(kind: str, orientation: int) -> None:
    """The picture is stored as the camera held it: the inverse of what the note asks for."""
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = quarters() if transpose is None else quarters().transpose(transpose)
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = first(as_bytes(stored, kind, exif=exif, **(LOSSLESS | LOSSY)[kind]))
    assert shown.size == (64, 32)
    assert all(near(a, b, 6) for a, b in zip(corners(shown), QUARTERS, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_what_is_half_clear_shows_half_of_the_ground(kind: str) -> None:
    content = as_bytes(plain((255, 255, 255, 128), "RGBA"), kind, **(LOSSLESS | LOSSY)[kind])
    assert near(first(content).getpixel((8, 8)), (128, 128, 128), 2)
    assert near(first(content, (0, 0, 255)).getpixel((8, 8)), (128, 128, 255), 2)


def test_colours_that_were_multiplied_by_their_alpha_are_not_darkened_twice() -> None:
    half = as_bytes(plain((255, 255, 255, 128), "RGBA"), "TIFF")
    tagged = half.replace(struct.pack("<HHIHH", 338, 3, 1, 2, 0), struct.pack("<HHIHH", 338, 3, 1, 1, 0))
    assert tagged != half
    times_alpha = tagged.replace(bytes([255, 255, 255, 128]), bytes([128, 128, 128, 128]))
    assert near(first(times_alpha).getpixel((8, 8)), (128, 128, 128), 2)


def test_every_way_to_say_clear_is_understood() -> None:
    two = Image.new("L", (16, 16), 200)
    two.paste(0, (0, 0, 8, 16))
    files = {
        "palette": as_bytes(two.convert("P"), "PNG", transparency=0),
        "palette with alpha": as_bytes(two.convert("P"), "PNG", transparency=bytes([0, *[255] * 255])),
        "grey": as_bytes(two, "PNG", transparency=0),
        "colour": as_bytes(two.convert("RGB"), "PNG", transparency=(0, 0, 0)),
        "16 bits": as_bytes(Image.fromarray(np.asarray(two).astype(np.uint16) * 257), "PNG", transparency=0),
        "one bit": as_bytes(two.convert("1", dither=Image.Dither.NONE), "PNG", transparency=0),
        "GIF": as_bytes(two.convert("P"), "GIF", transparency=0),
        "grey and alpha": as_bytes(Image.merge("LA", (two, two.point(lambda v: 255 if v else 0))), "PNG"),
    }
    for name, content in files.items():
        shown = first(content, (0, 0, 255))
        assert shown.getpixel((2, 8)) == (0, 0, 255), name
        assert shown.getpixel((12, 8)) in ((200, 200, 200), (255, 255, 255)), name


def test_a_profile_leaves_the_alpha_alone() -> None:
    content = as_bytes(plain((*ORANGE, 128), "RGBA"), "PNG", icc_profile=matrix_profile(P3, None))
    assert near(first(content).getpixel((8, 8)), (108, 41, 25), 2)


def test_numbers_of_16_bits_keep_their_share_of_white() -> None:
    for kind in ("PNG", "TIFF"):
        content = as_bytes(Image.fromarray(np.full((8, 8), 20_000, np.uint16)), kind)
        assert first(content).getpixel((4, 4)) == (78, 78, 78)
    with pytest.raises(PictureError, match="save it with 8 or 16 bits"):
        first(as_bytes(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF"))


def test_of_a_document_of_several_pages_the_first_is_shown_and_that_is_said() -> None:
    content = as_bytes(plain(), "TIFF", save_all=True, append_images=[plain((0, 0, 0)), plain((0, 0, 0))])
    assert first(content).getpixel((8, 8)) == ORANGE
    assert notes(content) == ["only the first of its 3 pages is shown"]


def test_pictures_of_the_cases_play_or_say_what_to_do(shared_dir: Path) -> None:
    folder = shared_dir / "cases" / "pictures"
    with Picture(folder / "avif_under.jpg") as picture:
        assert all(near(a, b, 3) for a, b in zip(corners(picture.first(BLACK)), QUARTERS, strict=True))
    with Picture(folder / "strip.png") as picture:
        assert picture.first(BLACK).size == (20_000, 100)
    with pytest.raises(PictureError, match=r"^it is empty \(0 bytes\); copy it here again$"):
        Picture(folder / "zero.png")
    with pytest.raises(PictureError, match=r"^400 million pixels are too many; at most 50 million: save it smaller"):
        Picture(folder / "huge.png")


def raw() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0xC612] = b"\1\4\0\0"
    return as_bytes(Image.new("RGB", (16, 16)), "TIFF", tiffinfo=tags)


REFUSED = {
    "raw": raw(),
    "SVG": b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "SVG in UTF-16": '<svg xmlns="http://www.w3.org/2000/svg"/>'.encode("utf-16"),
    "SVG with its type": b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">\n<svg/>',
    "HTML": b"\n<!DOCTYPE html><html><body><svg></svg>Log in</body></html>",
    "office": b"PK\3\4" + bytes(100),
    "PDF": b"%PDF-1.7\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "PSD": b"8BPS\0\1" + bytes(100),
    "ICO": as_bytes(Image.new("RGB", (32, 32)), "ICO"),
    "JPEG 2000": as_bytes(Image.new("RGB", (32, 32)), "JPEG2000"),
    "JPEG XL": b"\xff\x0a" + bytes(100),
    "JPEG XL in a box": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100),
    "float": as_bytes(Image.new("F", (8, 8)), "TIFF"),
    "empty": b"",
    "text": b"hello",
    "zeros": bytes(1000),
    "large": as_bytes(Image.new("1", (8000, 8000)), "PNG"),
    "many frames": as_bytes(
        Image.new("1", (3000, 4000)), "GIF", save_all=True, append_images=[Image.new("1", (3000, 4000), 1)]
    ),
}
LIBRARY_WORDS = ("Error", "cannot identify", "truncated", "Pillow", "Traceback", "codec", " 0x", "bomb")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_taken_says_what_it_is_and_what_to_do(name: str) -> None:
    with pytest.raises(PictureError) as caught:
        first(REFUSED[name])
    text = str(caught.value)
    assert any(word in text for word in ("save it", "export it", "copy it", "download", "known:")), text
    assert not any(word in text for word in LIBRARY_WORDS), text
    assert "\n" not in text
    assert isinstance(caught.value, NotAPictureError) == (name in ("text", "zeros"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_picture_is_shown_or_refused_in_plain_words(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*LOSSLESS, *LOSSY, "GIF", "BMP"]))
    content = bytearray(as_bytes(quarters(), kind, icc_profile=matrix_profile(P3, None)))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))
    try:
        first(bytes(content[:cut]))
    except PictureError as error:
        assert not any(word in str(error) for word in LIBRARY_WORDS), error


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "AVIF", "TIFF", "BMP"])
def test_half_a_picture_is_called_damaged(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    content = as_bytes(noise, kind)
    with pytest.raises(PictureError, match="it is damaged or was not copied whole; copy it again"):
        first(content[: len(content) // 2])


class Unplugged(BytesIO):
    """File on a stick that is pulled out after its first bytes were read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 4096:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(min(size, 4096) if size and size > 0 else 4096)


def test_a_disk_that_fails_is_not_a_damaged_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    with pytest.raises(PictureError, match=r"^the disk failed to read or write it; look at the disk$"):
        first_of = Picture(Unplugged(as_bytes(Image.fromarray(noise), "PNG")))
        first_of.first(BLACK)


HEIC = Path(__file__).parent / "data" / "quarters.heic"


def test_a_photograph_in_heic_is_shown_where_its_reader_is_installed() -> None:
    pytest.importorskip("pi_heif", reason="the extra `heic` is not installed: HEIC was NOT read")
    with Picture(HEIC) as picture:
        assert all(near(a, b, 8) for a, b in zip(corners(picture.first(BLACK)), QUARTERS, strict=True))


def test_a_photograph_in_heic_without_its_reader_says_what_to_do() -> None:
    program = "import sys; sys.modules['pi_heif'] = None\nfrom pathlib import Path\n"
    program += "from pipeline.pictures import Picture, PictureError\n"
    program += "try: Picture(Path(sys.argv[1]))\nexcept PictureError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program, str(HEIC)], capture_output=True, text=True, check=True)
    assert "save it as JPEG, or install the reader: .ci/setup heic" in done.stdout


DELAYS_MS = st.sampled_from([0, 10, 20, 50, 100, 330, 1000])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["GIF", "WEBP", "PNG"]),
    st.lists(st.tuples(DELAYS_MS, st.integers(0, 2), st.integers(0, 1)), min_size=2, max_size=5),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3),
)
def test_an_animation_is_composed_and_timed_as_browsers_do(
    kind: str, parts: list[tuple[int, int, int]], seed: int, loop: int
) -> None:
    """Frames that go through our reader are compared with those that Pillow composes of disposal and blending."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in parts:
        frame = Image.new("RGBA", (24, 16), (0, 0, 0, 0))
        x, y = (int(rng.integers(0, high)) for high in (16, 8))
        colour = (*(int(v) for v in rng.integers(0, 256, 3)), 255)
        frame.paste(colour, (x, y, x + 8, y + 8))
        frames.append(frame)
    options: dict[str, Any] = {"duration": [delay for delay, _, _ in parts], "loop": loop}
    if kind != "WEBP":
        options["disposal"] = [disposal for _, disposal, _ in parts]
    if kind == "PNG":
        options["blend"] = [blend for _, _, blend in parts]
    if kind == "WEBP":
        options["lossless"] = True
    content = as_bytes(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(BytesIO(content)) as composed, Picture(BytesIO(content)) as picture:
        count = getattr(composed, "n_frames", 1)
        assert picture.frame_count == count
        if count == 1:  # frames that are alike were put together
            return
        assert picture.plays == (loop + 1 if kind == "GIF" and loop else loop)
        for _ in range(2):  # a second round begins anew
            for number, duration_s in enumerate(picture.frames()):
                composed.seek(number)
                composed.load()
                delay_ms = composed.info.get("duration", 0)
                assert duration_s == pytest.approx((delay_ms if delay_ms > 10 else 100) / 1000)
                right = Image.new("RGBA", (24, 16), (9, 9, 9, 255))
                right.alpha_composite(composed.convert("RGBA"))
                assert near(np.asarray(picture.pixels((9, 9, 9))), np.asarray(right.convert("RGB")), 1)
            assert number == count - 1


def test_a_gif_that_does_not_say_that_it_repeats_plays_once() -> None:
    frames = [plain(colour) for colour in ((255, 0, 0), (0, 255, 0))]
    content = as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    with Picture(BytesIO(content)) as picture:
        assert (picture.frame_count, picture.plays) == (2, 1)


def test_a_picture_for_those_who_cannot_animate_is_no_frame() -> None:
    frames = [plain(colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    content = as_bytes(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=200)
    with Picture(BytesIO(content)) as picture:
        assert picture.frame_count == 2
        assert [picture.pixels(BLACK).getpixel((8, 8)) for _ in picture.frames()] == [(0, 255, 0), (0, 0, 255)]


def test_a_sequence_in_avif_moves() -> None:
    frames = [plain(colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    content = as_bytes(frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=[100, 250, 400])
    with Picture(BytesIO(content)) as picture:
        durations = [(duration, picture.pixels(BLACK).getpixel((8, 8))) for duration in picture.frames()]
    assert [round(duration, 3) for duration, _ in durations] == [0.1, 0.25, 0.4]
    assert all(near(found, frame.getpixel((0, 0)), 4) for (_, found), frame in zip(durations, frames, strict=True))


def test_an_animation_is_upright_as_its_camera_noted() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    frames = [quarters(), quarters().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    content = as_bytes(frames[0], "WEBP", save_all=True, append_images=frames[1:], exif=exif, lossless=True)
    with Picture(BytesIO(content)) as picture:
        shown = [corners(picture.pixels(BLACK)) for _ in picture.frames()]
    assert shown == [corners(frame.rotate(180)) for frame in frames]
