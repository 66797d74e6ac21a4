"""The sample camera: the same for everyone, and the truth about its people is the truth."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.assets import resolve
from models.detector import FaceDetector
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


EMPTY_S = 29.5


@pytest.mark.parametrize(
    ("scene_s", "people"),
    [
        (0.2, []),
        (10, ["collins", "hopper"]),
        (6.2, ["hopper", "collins", "collins"]),
        (18.5, ["hopper", "collins"]),
        (EMPTY_S, []),
    ],
)
def test_people_come_and_go(scene_s: float, people: list[str]) -> None:
    assert [sight.name for sight in sample.who_is_there("door", at("door", scene_s))] == people


def test_people_at_several_distances_pass_stop_look_away_and_come_in_twos() -> None:
    times = np.arange(0, sample.CYCLE_S, 0.25)
    seen = [sample.who_is_there("door", at("door", scene_s)) for scene_s in times]
    widths = {round(sight.box[2], -1) for sights in seen for sight in sights}
    assert {40, 50, 70} <= widths and max(widths) >= 160
    assert {sight.yaw_deg for sights in seen for sight in sights} == {0, 22, 44, -22, -44}
    twos = [[s.box for s in sights if 48 < s.box[2] < 58] for sights in seen]
    side_by_side = [abs(two[0][0] - two[1][0]) for two in twos if len(two) == 2]
    assert len(side_by_side) > 15 and max(side_by_side) < 4 * 58
    steps = [abs(b[0][0] - a[0][0]) for a, b in itertools.pairwise(twos) if len(a) == len(b) == 2]
    assert min(steps) > 20, "they pass without a stop"


def test_faces_lie_where_the_truth_says() -> None:
    empty = sample.render("door", at("door", EMPTY_S))
    for scene_s in np.arange(0, sample.CYCLE_S, 0.5):
        frame = sample.render("door", at("door", scene_s))
        changed = np.any(frame != empty, axis=2)
        for sight in sample.who_is_there("door", at("door", scene_s)):
            x, y, w, h = sight.box
            assert 36 <= w <= 180
            assert 0 <= x <= 1280 - w
            assert 0 <= y <= 720 - h
            least = 0.9 if sight.yaw_deg == 0 else 0.7
            assert changed[round(y) : round(y + h), round(x) : round(x + w)].mean() > least, (scene_s, sight)


def test_the_detector_finds_a_head_that_is_turned_where_the_truth_says() -> None:
    with FaceDetector(resolve("mediapipe-full-range", Path())) as detector:
        for scene_s in (11.6, 13.0):
            frame = sample.render("door", at("door", scene_s))
            sight = max(sample.who_is_there("door", at("door", scene_s)), key=lambda each: each.box[2])
            assert sight.yaw_deg in (22, 44)
            x, _, w, _ = sight.box
            nearest = min(abs(f.box_px[0] + f.box_px[2] / 2 - x - w / 2) for f in detector.detect(frame))
            assert nearest < 0.12 * w


def test_skin_is_where_the_face_is() -> None:
    for scene_s in (5.0, 15.0, 24.0):
        frame = sample.render("door", at("door", scene_s))
        x, y, w, h = max(
            (sight.box for sight in sample.who_is_there("door", at("door", scene_s))), key=lambda box: box[2]
        )
        middle = frame[round(y + 0.5 * h) : round(y + 0.8 * h), round(x + 0.3 * w) : round(x + 0.7 * w)]
        hue = cv2.cvtColor(middle, cv2.COLOR_BGR2HSV)[..., 0]
        assert np.mean((hue < 20) | (hue > 165)) > 0.9
