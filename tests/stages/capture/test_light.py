"""Pictures with and without light."""

import numpy as np
import pytest

from pipeline.messages import Answered, Faces, Frame
from stages.capture import sample
from stages.capture.light import is_dark


def test_a_covered_lens_is_dark_and_a_street_is_not_by_day_or_night() -> None:
    noise = np.random.default_rng(0).normal(4, 4, (720, 1280, 3)).clip(0, 255).astype(np.uint8)
    assert is_dark(noise) and is_dark(np.zeros((64, 64, 3), np.uint8))
    street = sample.background()
    assert not is_dark(street)
    night = (street * 0.03).astype(np.uint8)
    assert is_dark(night)
    night[100:180, 200:280] = 200
    assert not is_dark(night)


@pytest.mark.parametrize("dark", [True, False])
def test_it_is_told_from_the_frame_to_the_answers(dark: bool) -> None:
    frame = Frame(camera="a", seq=1, captured_ns=1, slot=0, version=2, width_px=64, height_px=64, dark=dark)
    assert Faces.of(frame).dark is dark and Answered.of(Faces.of(frame)).dark is dark
