"""The sample camera: the same for everyone, and the truth about its people is the truth."""

import cv2
import numpy as np
import pytest

from stages.capture import sample


def at(camera: str, scene_s: float) -> float:
    """Return a monotonic time at which the camera shows that second of its cycle."""
    return scene_s - sample.phase_s(camera) + 10 * sample.CYCLE_S


def test_a_frame_depends_on_name_and_time_alone() -> None:
    frame = sample.render("door", at("door", 9))
    assert frame.shape == (720, 1280, 3)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, sample.render("door", at("door", 9)))
    assert np.array_equal(frame, sample.render("door", at("door", 9 + sample.CYCLE_S)))
    assert np.array_equal(frame, sample.render("stop", at("stop", 9)))
    assert not np.array_equal(frame, sample.render("stop", at("door", 9)))


@pytest.mark.parametrize(
    ("scene_s", "people"), [(0.2, []), (5, ["collins"]), (9, ["collins", "hopper"]), (15, ["hopper"]), (18.5, [])]
)
def test_people_come_and_go(scene_s: float, people: list[str]) -> None:
    assert [name for name, _ in sample.who_is_there("door", at("door", scene_s))] == people


def test_faces_lie_where_the_truth_says() -> None:
    empty = sample.render("door", at("door", 18.5))
    for scene_s in np.arange(0, sample.CYCLE_S, 0.5):
        frame = sample.render("door", at("door", scene_s))
        changed = np.any(frame != empty, axis=2)
        for name, (x, y, w, h) in sample.who_is_there("door", at("door", scene_s)):
            assert 140 <= w <= 180, name
            assert 0 <= x <= 1280 - w
            assert 0 <= y <= 720 - h
            assert changed[round(y) : round(y + h), round(x) : round(x + w)].mean() > 0.9


def test_skin_is_where_the_face_is() -> None:
    for scene_s in (5.0, 15.0, 24.0):
        frame = sample.render("door", at("door", scene_s))
        [(_, (x, y, w, h))] = sample.who_is_there("door", at("door", scene_s))
        middle = frame[round(y + 0.5 * h) : round(y + 0.8 * h), round(x + 0.3 * w) : round(x + 0.7 * w)]
        hue = cv2.cvtColor(middle, cv2.COLOR_BGR2HSV)[..., 0]
        assert np.mean((hue < 20) | (hue > 165)) > 0.9
