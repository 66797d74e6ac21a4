"""Animated pictures on a screen: their own times, their own rounds, and a bound on memory."""

import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.pictures import PictureError
from players.screen import animation, pictures
from players.screen.animation import Animation
from players.screen.layout import Layout
from players.screen.moving import AHEAD_FRAMES
from tests.conftest import wait_for
from tests.pictures import near
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


def given(moving: Animation, until_s: float) -> list[tuple[float, tuple[int, ...]]]:
    """Return the times and colours of all frames that are due up to a moment, by a clock that stands still."""
    seen = []
    moving.begin(time.monotonic() + 3600)  # no frame is late
    while not seen or seen[-1][0] < until_s:
        wait_for(lambda: moving._queue or moving._ended, "a frame")
        if not moving._queue:
            break
        at_s = moving._queue[0][0]
        if at_s > until_s:
            break
        frame = moving.due(moving._began_s + at_s + 0.001)
        assert frame is not None
        seen.append((round(at_s, 3), tuple(int(v) for v in pixels(frame)[18, 32])))
    return seen


@pytest.mark.parametrize("kept_bytes", [0, 128 << 20])
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_come_at_their_own_times_round_after_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, kept_bytes: int
) -> None:
    monkeypatch.setattr(animation, "KEPT_BYTES_MAX", kept_bytes)
    moving = Animation(animated(tmp_path / f"a{suffix}", [100, 0, 300]), LAYOUT)
    try:
        seen = given(moving, 1.3)
        assert [at_s for at_s, _ in seen] == [0, 0.1, 0.2, 0.5, 0.6, 0.7, 1.0, 1.1, 1.2]
        assert [colour for _, colour in seen] == COLOURS[:3] * 3
        assert moving.expected(1.25) == 9
    finally:
        moving.close()


def test_an_animation_stands_still_after_its_last_round(tmp_path: Path) -> None:
    moving = Animation(animated(tmp_path / "a.gif", [100, 100], loop=None), LAYOUT)
    try:
        assert given(moving, 100.0) == [(0, COLOURS[0]), (0.1, COLOURS[1])]
        assert moving.finished and not moving.error
        assert moving.expected(1000.0) == 2
        assert moving.ends_s > 1e9, "a player would take it for one that broke off"
    finally:
        moving.close()


def test_the_case_of_an_animation_that_stood_still(shared_dir: Path) -> None:
    for name in ("anim.gif", "anim.webp"):
        moving = Animation(shared_dir / "cases" / "pictures" / name, LAYOUT)
        try:
            seen = given(moving, 0.9)
        finally:
            moving.close()
        assert [at_s for at_s, _ in seen] == [0, 0.3, 0.6, 0.9]
        right = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 0, 0)]
        assert all(near(colour, wanted, 3) for (_, colour), wanted in zip(seen, right, strict=True))


def test_frames_that_are_over_before_they_are_ready_are_left_out_and_counted(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif", [20, 20, 20, 20], size=(640, 360))
    moving = Animation(path, Layout(1920, 1080))
    try:
        assert moving.ready.wait(60)
        moving.begin(time.monotonic() - 1.0)
        moving.due(time.monotonic())
        wait_for(lambda: moving._late >= 10, "frames that were left out")
        assert moving.expected(1.0) >= 18
    finally:
        moving.close()


def test_few_frames_wait_and_few_are_kept(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif", [50] * 60, size=(32, 18))
    moving = Animation(path, Layout(1920, 1080))
    try:
        assert moving.ready.wait(60)
        assert len(moving._queue) <= AHEAD_FRAMES
        assert animation.KEPT_BYTES_MAX < 60 * 1920 * 1080 * 4
    finally:
        moving.close()


def test_an_animation_that_breaks_off_says_why(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.webp", [100] * 4)
    path.write_bytes(path.read_bytes()[:-20])
    try:
        moves = pictures.moves(path)
    except PictureError:
        return
    assert moves
    moving = Animation(path, LAYOUT)
    try:
        given(moving, 1.0)
        assert moving.error.startswith("it is damaged or was not copied whole")
    finally:
        moving.close()


def test_a_still_picture_does_not_move(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    assert not pictures.moves(tmp_path / "a.gif")
    assert pictures.moves(animated(tmp_path / "b.gif", [100, 100]))
    with pytest.raises(PictureError, match=r"none\.gif"):
        pictures.moves(tmp_path / "none.gif")
