"""Calibration: the window from looks at the corners, and why there is none."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.errors import UserError
from stages.people.calibration import CORNERS, SLACK_PITCH_DEG, SLACK_YAW_DEG, Sample, calibrate

SCREEN = ((20.0, -4.0), (-10.0, -4.0), (-10.0, -16.0), (20.0, -16.0))
"""Angles of a head that looks at the corners of a screen to the right of the camera's picture, and below."""


def looks(
    corners: Sequence[tuple[float, float] | None] = SCREEN, scatter_deg: float = 2.0, frames: int = 100
) -> list[Sample]:
    """Samples of a head that turns to each corner in the first third of its time."""
    random, samples, before = np.random.default_rng(4), [], corners[0]
    for i in range(frames):
        corner, part = divmod(i * len(CORNERS) / frames, 1)
        now = corners[int(corner)]
        if part == 0 and i:
            before = corners[int(corner) - 1]
        if now is None or before is None:
            samples.append(Sample(i / frames, None))
            continue
        done = min(part * 3, 1)
        yaw, pitch = (b + (n - b) * done + random.normal(0, scatter_deg) for n, b in zip(now, before, strict=True))
        samples.append(Sample(i / frames, (yaw, pitch)))
    return samples


def test_the_window_holds_all_corners_and_some_slack() -> None:
    window = calibrate(looks()).window
    assert window.yaw_deg == pytest.approx(5, abs=1.5)
    assert window.pitch_deg == pytest.approx(-10, abs=1.5)
    assert window.half_yaw_deg == pytest.approx(15 + SLACK_YAW_DEG, abs=1.5)
    assert window.half_pitch_deg == pytest.approx(6 + SLACK_PITCH_DEG, abs=1.5)


def test_a_small_screen_far_away_is_a_window_too() -> None:
    window = calibrate(looks([(0, 0)] * 4)).window
    assert (window.half_yaw_deg, window.half_pitch_deg) == pytest.approx((SLACK_YAW_DEG, SLACK_PITCH_DEG), abs=1.5)


def test_a_few_wild_angles_change_little() -> None:
    samples = [Sample(s.at, (70.0, 40.0)) if i % 9 == 8 else s for i, s in enumerate(looks())]
    window = calibrate(samples).window
    assert window.yaw_deg == pytest.approx(5, abs=2)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (looks([SCREEN[0], None, *SCREEN[2:]]), "top right corner.*0 of 1[45] frames"),
        (looks(frames=12), "top left corner: only . frames"),
        ([], "top left corner: only 0 frames"),
        (looks(scatter_deg=12), "corner: the angles scatter by 1. degrees"),
        (looks(SCREEN[::-1]), "in the order"),
        (looks([SCREEN[0], SCREEN[1], SCREEN[3], SCREEN[2]]), "in the order"),
        ([Sample(s.at, s.angles_deg, alone=i % 3 > 0) for i, s in enumerate(looks())], "one person"),
    ],
)
def test_what_tells_no_window_is_refused_with_the_reason(samples: list[Sample], words: str) -> None:
    with pytest.raises(UserError, match=words):
        calibrate(samples)
