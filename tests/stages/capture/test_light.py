"""Pictures with and without light."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.messages import Answered, Faces, Frame
from pipeline.ring import Ring
from stages.capture import sample
from stages.capture.light import is_dark
from tests.conftest import HANG_S
from tests.stages.capture.conftest import open_capture, run


def test_a_covered_lens_is_dark_and_a_street_is_not_by_day_or_night() -> None:
    noise = np.random.default_rng(0).normal(4, 4, (720, 1280, 3)).clip(0, 255).astype(np.uint8)
    assert is_dark(noise) and is_dark(np.zeros((64, 64, 3), np.uint8))
    street = sample.background()
    assert not is_dark(street)
    night = (street * 0.03).astype(np.uint8)
    assert is_dark(night)
    night[100:180, 200:280] = 200
    assert not is_dark(night)


def test_a_clock_in_the_picture_that_is_masked_is_no_light(ring: Ring, tmp_path: Path) -> None:
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[:40, :120] = 255
    cv2.imwrite(str(tmp_path / "night.png"), picture)
    for masks, dark in (([], False), ([[[0, 0], [0.4, 0], [0.4, 0.25], [0, 0.25]]], True)):
        capture = open_capture(ring, tmp_path, "night.png", fps=20, masks=masks)
        [(frame, _)] = run(capture, ring, HANG_S, at_most=1)
        capture.close()
        assert frame.dark is capture.status["dark"] is dark


@pytest.mark.parametrize("dark", [True, False])
def test_it_is_told_from_the_frame_to_the_answers(dark: bool) -> None:
    frame = Frame(camera="a", seq=1, captured_ns=1, slot=0, version=2, width_px=64, height_px=64, dark=dark)
    assert Faces.of(frame).dark is dark and Answered.of(Faces.of(frame)).dark is dark
