"""The capture stage: its pace, its heartbeat, and a source that is lost and found again."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.ring import Ring
from stages.capture import sample
from stages.capture.stage import fit
from tests.conftest import HANG_S
from tests.stages.capture.conftest import Clock, open_capture, run, write_video


def test_sample_is_paced_and_dated(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=20)
    taken = run(capture, ring, 1.44, clock=clock)
    assert [frame.seq for frame, _ in taken] == list(range(1, 31))
    gaps_s = np.diff([frame.captured_ns for frame, _ in taken]) / 1e9
    assert gaps_s == pytest.approx(0.05, abs=0.001)
    assert capture.status == {
        "source": "sample",
        "state": "live",
        "problem": "",
        "width_px": 1280,
        "height_px": 720,
        "turned_deg": 0,
        "rotation_wanted_deg": None,
        "dark": False,
    }
    capture.close()


def test_the_sample_is_drawn_before_the_camera_is_ready(ring: Ring, tmp_path: Path) -> None:
    sample.background.cache_clear()
    open_capture(ring, tmp_path, "sample").close()
    assert sample.background.cache_info().currsize == 1


def test_a_slow_camera_still_beats_and_blanks_its_old_frames(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=0.1)
    [(frame, _)] = run(capture, ring, 0.5, at_most=1, clock=clock)
    started_s = clock.monotonic()
    while ring.read(frame.slot, frame.version, frame.height_px, frame.width_px) is not None:
        step_s = clock.monotonic()
        assert capture.step([]) == []
        assert clock.monotonic() - step_s == pytest.approx(0.4, abs=0.01)
    assert 1.5 < clock.monotonic() - started_s < 2.1  # blanked before the last of these sleeps
    capture.close()


def test_frames_too_large_are_scaled_down_in_shape(ring: Ring, tmp_path: Path) -> None:
    capture = open_capture(ring, tmp_path, "sample", max_width_px=640, max_height_px=480)
    [(frame, image)] = run(capture, ring, HANG_S, at_most=1)
    assert (frame.width_px, frame.height_px) == (640, 360)
    assert image.shape == (360, 640, 3)
    assert image.std() > 10
    capture.close()
    assert fit(np.zeros((100, 50, 3), np.uint8), 64, 64).shape == (64, 32, 3)
    assert fit(np.zeros((10, 10, 3), np.uint8), 64, 64).shape == (10, 10, 3)


def test_a_portrait_keeps_as_many_pixels_as_a_landscape() -> None:
    assert fit(np.zeros((192, 108, 3), np.uint8), 192, 108).shape == (192, 108, 3)
    assert fit(np.zeros((384, 216, 3), np.uint8), 108, 192).shape == (192, 108, 3)
    assert fit(np.zeros((108, 192, 3), np.uint8), 64, 192).shape == (36, 64, 3)


def test_a_vanished_file_is_opened_again(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = open_capture(ring, tmp_path, "late.avi", fps=20)
    assert run(capture, ring, 1.0, clock=clock) == []
    assert capture.status["state"] == "retrying"
    write_video(tmp_path / "late.avi", frames=20)
    assert run(capture, ring, 4, at_most=3, clock=clock)
    assert capture.status["state"] == "live"
    capture.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["source_lost", "source_live"]


def test_a_source_that_comes_and_goes_fills_no_log(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "0.png"

    def come_and_go() -> None:
        cv2.imwrite(str(image), np.full((90, 160, 3), 8, np.uint8))
        assert run(capture, ring, 10, at_most=1, clock=clock)
        image.unlink()
        run(capture, ring, 0.5, clock=clock)
        assert capture.status["state"] == "retrying"

    def said() -> list[str]:
        return [line.split()[2] for line in capsys.readouterr().err.splitlines()]

    capture = open_capture(ring, tmp_path, str(tmp_path), fps=50)
    for _ in range(9):
        come_and_go()
    assert said() == ["source_live", "source_lost", "source_live"]
    run(capture, ring, 90, clock=clock)
    assert said() == ["source_lost"], "it is gone for good now"
    capture.close()
