"""Faces that lie: what the watch finds, how often it searches, and that upright faces and empty scenes stay quiet."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.assets import resolve
from models.crop import turned
from models.detector import FaceDetector
from models.face import DetectedFace
from models.lying import PROBE_NS, SELDOM_NS, LyingWatch, roll_deg
from stages.capture import sample
from stages.capture.turn import AUTO_TIMES

SECOND_NS = 10**9
WITH_PEOPLE = [scene_s for scene_s in np.arange(0, sample.CYCLE_S, 2.5) if sample.who_is_there("", scene_s)]


class CountedDetector(FaceDetector):
    """A detector that counts how often it is asked."""

    asked = 0

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        self.asked += 1
        return super().detect(image)


@pytest.fixture(scope="module", params=["mediapipe-full-range", "mediapipe-short-range"])
def detector(request: pytest.FixtureRequest) -> Iterator[CountedDetector]:
    with CountedDetector(resolve(request.param, Path.cwd())) as found:
        yield found


def scene(scene_s: float) -> NDArray[np.uint8]:
    return sample.render("", scene_s)


@pytest.mark.parametrize("deg", [0, 90, 180, 270])
def test_a_picture_is_turned_clockwise(deg: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 5, 3), np.uint8)
    assert np.array_equal(turned(image, deg), np.rot90(image, -deg // 90))


@pytest.mark.parametrize("deg", [90, 180, 270])
@pytest.mark.parametrize("mirror", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_turn_that_brings_faces_upright_is_found(detector: CountedDetector, deg: int, mirror: bool) -> None:
    watch = LyingWatch(detector)
    for i, scene_s in enumerate(WITH_PEOPLE * 2):
        image = turned(scene(scene_s), 360 - deg)
        image = np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image
        watch.look(image, detector.detect(image), i * PROBE_NS)
    assert watch.turn_deg == ((360 - deg) % 360 if mirror else deg)
    assert watch.times >= 3


@pytest.mark.parametrize("deg", [90, 180, 270])
@pytest.mark.parametrize("mirror", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_lying_camera_is_found_within_a_minute_whenever_it_begins(deg: int, mirror: bool) -> None:
    """Faces upside down that pass for upright ones now and then do not hold it up."""
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as detector:
        for begins_s in range(0, 20, 4):
            watch = LyingWatch(detector)
            for i in range(30):
                image = turned(sample.render("kerb", 5 + (begins_s + 2 * i) % 20), 360 - deg)
                image = np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image
                watch.look(image, detector.detect(image), i * PROBE_NS)
                if watch.times >= AUTO_TIMES:
                    break
            assert watch.times >= AUTO_TIMES
            assert watch.turn_deg == ((360 - deg) % 360 if mirror else deg)


def test_upright_faces_and_an_empty_scene_are_left_alone_at_bounded_cost(detector: CountedDetector) -> None:
    watch = LyingWatch(detector)
    empty, people = np.full((720, 1280, 3), 90, np.uint8), scene(10)
    seconds = 60
    for round_, (image, pace_ns) in enumerate(((empty, PROBE_NS), (people, None), (empty, SELDOM_NS))):
        found = detector.detect(image)
        before = detector.asked
        for i in range(seconds * 10):
            assert not watch.look(image, found, (round_ * seconds * 10 + i) * SECOND_NS // 10)
        searches = detector.asked - before
        assert searches <= (seconds * SECOND_NS // pace_ns if pace_ns else 3)
    assert (watch.turn_deg, watch.times) == (0, 0)


def test_upright_faces_end_the_suspicion_and_a_turn_of_the_camera_begins_it_anew(detector: CountedDetector) -> None:
    watch = LyingWatch(detector)
    upright = scene(WITH_PEOPLE[2])
    lying = turned(upright, 180)
    times: list[int] = []

    def look_on(image: NDArray[np.uint8], from_s: int, to_s: int, turned_deg: int = 0) -> None:
        found = detector.detect(image)
        for at_s in range(from_s, to_s, 2):
            watch.look(image, found, at_s * SECOND_NS, turned_deg)
            times.append(watch.times)

    look_on(lying, 0, 100)
    assert (watch.turn_deg, watch.times) == (180, 30)
    look_on(upright, 100, 102)
    assert watch.times == 27, "one face upside down may pass for upright"
    look_on(upright, 102, 130)
    assert (watch.turn_deg, watch.times) == (0, 0)
    look_on(lying, 130, 160)
    assert watch.times > 3
    look_on(lying, 160, 162, turned_deg=180)
    assert watch.times <= 1, "what was found before the turn counts no more"


def test_a_face_leans_as_far_as_it_was_turned(detector: CountedDetector) -> None:
    upright = scene(10)
    for deg in (-30, 0, 30):
        leaning = cv2.warpAffine(upright, cv2.getRotationMatrix2D((860, 400), -deg, 1), (1280, 720))
        (face, *_) = sorted(detector.detect(np.asarray(leaning, np.uint8)), key=lambda face: -face.box_px[0])
        assert roll_deg(face) == pytest.approx(deg, abs=15)
