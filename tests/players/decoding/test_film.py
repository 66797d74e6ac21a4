"""Films: the right frame at the right time, laid out for the screen; damage is noticed; nothing is left behind."""

import random
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from bench.rig import coded_ads
from pipeline.film import Film
from players.decoding.decoders import Decoders
from players.decoding.moving import AHEAD_FRAMES, Moving
from players.screen.layout import Layout
from tests.conftest import HANG_S, wait_for
from tests.films import coded, corners, near, quarters, write_film
from tests.players.decoding.opened import moving, still
from tests.players.screen.surfaces import BLUE, GREEN, RED, WHITE, pixels

SIZE = (320, 180)
LAYOUT = Layout(*SIZE)


def played(
    decoders: Decoders, path: Path, layout: Layout = LAYOUT, hz: float = 60.0
) -> tuple[list[tuple[float, pygame.Surface]], Moving]:
    """Play a film to its end. Return (seconds since the beginning, surface) of every frame that was due at a tick.

    It begins in an hour, and its clock waits for the decoder: no frame is late, however busy the machine is.
    """
    video = moving(decoders, path, layout)
    began_s = time.monotonic() + 3600
    video.begin(began_s)
    shown, at_s = [], 0.0
    try:
        while not video.finished:
            wait_for(lambda: video.ended or video.waiting >= AHEAD_FRAMES, "frames of the film")
            frame = video.due(began_s + at_s)
            if frame is not None:
                shown.append((at_s, frame.copy()))
            at_s += 1 / hz
    finally:
        video.close()
    return shown, video


def first_of(decoders: Decoders, path: Path, layout: Layout) -> NDArray[np.uint8]:
    """Return a film's first frame as it lies on the screen: uint8 RGB [height, width, 3]."""
    video = moving(decoders, path, layout)
    try:
        first = video.wait(HANG_S)
        assert first is not None, video.error
        return pixels(first)
    finally:
        video.close()


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx265"), (".webm", "libvpx-vp9")])
def test_each_frame_comes_once_in_order_and_on_time(
    decoders: Decoders, tmp_path: Path, suffix: str, codec: str
) -> None:
    path = tmp_path / f"film{suffix}"
    coded_ads.make_clip(path, 5, 45, SIZE, codec=codec)
    shown, video = played(decoders, path)
    codes = [coded_ads.read(pixels(surface)) for _, surface in shown]
    assert codes == [(5, number) for number in range(45)]
    for number, (at_s, _) in enumerate(shown):
        assert number / 30 - 0.002 <= at_s <= number / 30 + 1 / 60 + 0.002
    assert video.error == "" and video.fps == pytest.approx(30, rel=0.01)


def test_it_decodes_no_further_than_allowed(decoders: Decoders, tmp_path: Path) -> None:
    coded_ads.make_clip(tmp_path / "film.mp4", 1, 60, SIZE)
    video = moving(decoders, tmp_path / "film.mp4", Layout(*SIZE))
    try:
        video.wait(HANG_S)
        time.sleep(0.2)
        assert video.waiting == AHEAD_FRAMES + 1
        video.begin(time.monotonic())
        assert video.due(time.monotonic()) is not None
        wait_for(lambda: video.waiting == AHEAD_FRAMES, "the frames ahead")
    finally:
        video.close()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("scaling", ["fit", "fill", "stretch"])
def test_a_film_lies_on_the_screen_like_a_picture(
    decoders: Decoders, tmp_path: Path, rotation: int, scaling: str
) -> None:
    film, picture = tmp_path / "film.mp4", tmp_path / "still.png"
    coded_ads.make_clip(film, 9, 10, SIZE)
    coded_ads.make_image(picture, 9, SIZE)
    layout = Layout(300, 260, rotation, 4.0, scaling)  # type: ignore[arg-type]
    shown = first_of(decoders, film, layout)
    difference = np.abs(shown.astype(int) - pixels(still(decoders, picture, layout)).astype(int))
    assert difference.mean() < 6
    assert (shown[:5] == 0).all()


@pytest.mark.parametrize("turned", [0, 90, 180, -90])
@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(2)])
@pytest.mark.parametrize("scaling", ["fit", "fill"])
def test_a_film_is_shown_upright_and_in_the_shape_that_its_camera_says(
    decoders: Decoders, tmp_path: Path, turned: int, ratio: Fraction, scaling: str
) -> None:
    """The film's maker saw red and green above, blue and white below, 160 px wide and 80 px high."""
    seen = np.zeros((80, 160, 3), np.uint8)
    seen[:40, :80], seen[:40, 80:], seen[40:, :80], seen[40:, 80:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    stored = np.ascontiguousarray(np.rot90(seen, -turned // 90)[:, :: int(ratio)])
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv420p", ratio
        stream.set_display_rotation(turned)
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode(None))
    shown = first_of(decoders, tmp_path / "film.mp4", Layout(160, 120, scaling=scaling))  # type: ignore[arg-type]
    top = 20 if scaling == "fit" else 0
    assert shown[:top].max(initial=0) == 0
    for y, x, colour in ((top + 5, 10, RED), (top + 5, 150, GREEN), (115 - top, 10, BLUE), (115 - top, 150, WHITE)):
        assert np.abs(shown[y, x].astype(int) - colour).max() < 40


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("scaling", ["fit", "fill"])
def test_a_mirrored_film_with_alpha_lies_right_on_a_screen_that_hangs_in_any_way(
    decoders: Decoders, tmp_path: Path, rotation: int, scaling: str
) -> None:
    path = tmp_path / "film.mov"
    frame = coded(quarters(96, 64)[:, ::-1], bits=10, alpha=0.5)
    mirror = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    write_film(path, [frame] * 3, "prores_ks", display_matrix=mirror)
    shown = first_of(decoders, path, Layout(120, 120, rotation, scaling=scaling))  # type: ignore[arg-type]
    upright = np.rot90(shown, rotation // 90)
    if scaling == "fit":
        assert upright[:18].max() == 0 and upright[-18:].max() == 0
        upright = upright[20:-20]
    assert near(corners(upright), [tuple(part // 2 for part in colour) for colour in (RED, GREEN, BLUE, WHITE)])


@pytest.mark.parametrize("name", ["pq2020.mp4", "hlg2020.mp4"])
@pytest.mark.parametrize("size", [(640, 360), (1920, 1080)])
def test_hdr_films_that_people_brought_have_their_colours_on_a_screen(
    decoders: Decoders, shared_dir: Path, name: str, size: tuple[int, int]
) -> None:
    shown = first_of(decoders, shared_dir / "cases/films" / name, Layout(*size))
    assert near(corners(shown), [(255, 0, 0), (14, 255, 9), (9, 0, 255), WHITE], 15)


def test_a_mirrored_film_that_people_brought_is_the_right_way_round(decoders: Decoders, shared_dir: Path) -> None:
    shown = first_of(decoders, shared_dir / "cases/films/hflip.mp4", Layout(320, 180))
    assert near(corners(shown), [GREEN, RED, WHITE, BLUE])


def test_slides_come_at_their_times_however_late_the_decoder_is(decoders: Decoders, tmp_path: Path) -> None:
    times_s = [0.0, 2.0, 2.5, 6.0]
    write_film(
        tmp_path / "film.webm",
        [coded(quarters()).reformat(format="yuv420p")] * 4,
        "libvpx-vp9",
        times_s=times_s,
        last_s=3,
    )
    shown, video = played(decoders, tmp_path / "film.webm", hz=10)
    assert [at_s for at_s, _ in shown] == pytest.approx(times_s, abs=0.11)
    assert video.ends_s == pytest.approx(9, abs=0.01)
    assert video.expected(9.0) == 4


def changing_film(path: Path, *sizes: tuple[int, int]) -> None:
    """Write a film with 15 frames of each size, in one colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=30)
        (stream.width, stream.height), stream.pix_fmt = sizes[0], "yuv420p"
        for part, (width, height) in enumerate(sizes):
            encoder = av.CodecContext.create("libvpx-vp9", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
            picture = av.VideoFrame.from_ndarray(np.full((height, width, 3), (200, 40, 40), np.uint8), format="rgb24")
            packets = []
            for number in range(15 * part, 15 * part + 15):
                picture.pts, picture.time_base = number, Fraction(1, 30)
                packets += encoder.encode(picture)
            for packet in packets + encoder.encode(None):
                packet.stream, packet.time_base = stream, Fraction(1, 30)
                container.mux(packet)


@pytest.mark.parametrize("scaling", ["fit", "fill"])
def test_a_film_whose_frames_change_their_size_plays_on(decoders: Decoders, tmp_path: Path, scaling: str) -> None:
    changing_film(tmp_path / "film.webm", (64, 64), (640, 32), (32, 64))
    shown, video = played(decoders, tmp_path / "film.webm", Layout(*SIZE, scaling=scaling))  # type: ignore[arg-type]
    assert (len(shown), video.error) == (45, "")
    for _, surface in shown:
        assert np.abs(pixels(surface)[90, 160].astype(int) - (200, 40, 40)).max() < 30


def test_frames_that_grow_beyond_what_is_allowed_are_not_decoded(tmp_path: Path) -> None:
    changing_film(tmp_path / "film.webm", (64, 64), (640, 32))
    seen = 0
    with Film(tmp_path / "film.webm", pixels_max=10_000) as film, pytest.raises(av.FFmpegError):
        for _ in film.frames():
            seen += 1
    assert seen <= 15


def test_damage_half_way_is_an_error_after_the_good_frames(decoders: Decoders, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    coded_ads.make_clip(path, 1, 90, SIZE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = random.Random(1).randbytes(6000)
    path.write_bytes(data)
    shown, video = played(decoders, path)
    assert 10 < len(shown) < 85
    assert video.error


def test_a_film_cut_short_ends_early(decoders: Decoders, tmp_path: Path) -> None:
    path = tmp_path / "film.webm"
    coded_ads.make_clip(path, 1, 60, SIZE, codec="libvpx-vp9")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shown, _ = played(decoders, path)
    assert 0 < len(shown) < 55


@pytest.mark.parametrize("content", [b"", b"not a film"])
def test_no_film_at_all_is_an_error_at_once(decoders: Decoders, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    video = moving(decoders, path, Layout(*SIZE))
    assert video.wait(HANG_S) is None and video.finished and video.error
    video.close()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        moving(decoders, path, Layout(*SIZE))


def test_late_frames_are_left_out_and_the_film_keeps_its_time(decoders: Decoders, tmp_path: Path) -> None:
    coded_ads.make_clip(tmp_path / "film.mp4", 1, 60, SIZE)
    shown, _ = played(decoders, tmp_path / "film.mp4", hz=8)
    assert len(shown) <= 18
    last = coded_ads.read(pixels(shown[-1][1]))
    assert last is not None and last[1] >= 52
