"""Animated pictures on a screen: their own times, their own rounds, and a bound on memory."""

import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.pictures import PictureError
from players.decoding import animation
from players.decoding.decoders import Decoders
from players.decoding.moving import AHEAD_FRAMES, Moving
from players.screen.layout import Layout
from tests.conftest import HANG_S, wait_for
from tests.pictures import near
from tests.players.decoding.opened import creative
from tests.players.decoding.opened import moving as moving_of
from tests.players.screen.surfaces import pixels

LAYOUT = Layout(64, 36)
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def animated(path: Path, delays_ms: list[int], loop: int | None = 0, size: tuple[int, int] = (64, 36)) -> Path:
    """Write an animation of red, green, blue and white pictures, as many as there are delays."""
    frames = [Image.new("RGB", size, COLOURS[n % 4]) for n in range(len(delays_ms))]
    options = {} if loop is None else {"loop": loop}
    if path.suffix == ".webp":
        options["lossless"] = True
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=delays_ms, **options)
    return path


def given(moving: Moving, until_s: float) -> list[tuple[float, tuple[int, ...]]]:
    """Return the times and colours of all frames that are due up to a moment, by a clock that stands still."""
    seen: list[tuple[float, tuple[int, ...]]] = []
    began_s = time.monotonic() + 3600  # no frame is late
    moving.begin(began_s)
    while not seen or seen[-1][0] < until_s:
        wait_for(lambda: moving.waiting or moving.ended, "a frame")
        if not moving.waiting:
            break
        at_s = moving._frames.at_s(moving._given)
        if at_s > until_s:
            break
        frame = moving.due(began_s + at_s + 0.001)
        assert frame is not None
        seen.append((round(at_s, 3), tuple(int(v) for v in pixels(frame)[18, 32])))
    return seen


@pytest.mark.parametrize(("layout", "more"), [(LAYOUT, 0), (Layout(2560, 1440), 7)], ids=["kept", "decoded anew"])
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_come_at_their_own_times_round_after_round(
    decoders: Decoders, tmp_path: Path, suffix: str, layout: Layout, more: int
) -> None:
    """Ten frames of a large screen are more than are kept."""
    assert (3 + more) * layout.width_px * layout.height_px * 4 > animation.KEPT_BYTES_MAX or not more
    moving = moving_of(decoders, animated(tmp_path / f"a{suffix}", [100, 0, 300] + [100] * more), layout)
    times_s = [0, 0.1, 0.2, *(round(0.5 + 0.1 * n, 3) for n in range(more))]
    round_s = 0.5 + 0.1 * more
    try:
        seen = given(moving, 2 * round_s + 0.3)
        rounds = [round(n * round_s + at_s, 3) for n in range(3) for at_s in times_s]
        assert [at_s for at_s, _ in seen] == [at_s for at_s in rounds if at_s <= 2 * round_s + 0.3]
        assert [colour for _, colour in seen] == [COLOURS[n % (3 + more) % 4] for n in range(len(seen))]
        assert moving.expected(2 * round_s + 0.25) == len(seen)
    finally:
        moving.close()


def test_an_animation_stands_still_after_its_last_round(decoders: Decoders, tmp_path: Path) -> None:
    moving = moving_of(decoders, animated(tmp_path / "a.gif", [100, 100], loop=None), LAYOUT)
    try:
        assert given(moving, 100.0) == [(0, COLOURS[0]), (0.1, COLOURS[1])]
        assert moving.finished and not moving.error
        assert moving.expected(1000.0) == 2
        assert moving.ends_s > 1e9, "a player would take it for one that broke off"
    finally:
        moving.close()


def test_the_case_of_an_animation_that_stood_still(decoders: Decoders, shared_dir: Path) -> None:
    for name in ("anim.gif", "anim.webp"):
        moving = moving_of(decoders, shared_dir / "cases" / "pictures" / name, LAYOUT)
        try:
            seen = given(moving, 0.9)
        finally:
            moving.close()
        assert [at_s for at_s, _ in seen] == [0, 0.3, 0.6, 0.9]
        right = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 0, 0)]
        assert all(near(colour, wanted, 3) for (_, colour), wanted in zip(seen, right, strict=True))


def test_frames_that_are_over_before_they_are_ready_are_left_out_and_counted(
    decoders: Decoders, tmp_path: Path
) -> None:
    path = animated(tmp_path / "a.gif", [20, 20, 20, 20], size=(640, 360))
    moving = moving_of(decoders, path, Layout(1920, 1080))
    try:
        moving.wait(HANG_S)
        moving.begin(time.monotonic() - 1.0)
        moving.due(time.monotonic())
        wait_for(lambda: moving._frames.late >= 10, "frames that were left out")
        assert moving.expected(1.0) >= 18
    finally:
        moving.close()


def test_few_frames_wait_and_few_are_kept(decoders: Decoders, tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif", [50] * 60, size=(32, 18))
    moving = moving_of(decoders, path, Layout(1920, 1080))
    try:
        moving.wait(HANG_S)
        assert moving.waiting <= AHEAD_FRAMES + 1
        assert animation.KEPT_BYTES_MAX < 60 * 1920 * 1080 * 4
    finally:
        moving.close()


def test_an_animation_that_breaks_off_says_why(decoders: Decoders, tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif", [100] * 4, size=(320, 180))
    frames = [Image.effect_noise((320, 180), 90) for _ in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    path.write_bytes(path.read_bytes()[:-30_000])
    moving = moving_of(decoders, path, LAYOUT)
    try:
        assert len(given(moving, 1.0)) < 4
        assert moving.error.startswith("it is damaged or was not copied whole")
    finally:
        moving.close()


def test_a_picture_that_moves_is_not_taken_for_one_that_stands_nor_the_other_way_round(
    decoders: Decoders, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "still.gif")
    path = animated(tmp_path / "moving.gif", [100, 100])
    with pytest.raises(PictureError, match=r"moving\.gif: it is another picture"):
        decoders.still(creative(path, moves=False), LAYOUT)
    moving = decoders.moving(creative(tmp_path / "still.gif", moves=True), LAYOUT)
    try:
        assert moving.wait(HANG_S) is None and "it is another picture" in moving.error
    finally:
        moving.close()
