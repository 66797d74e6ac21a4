"""Asking: few questions about a person, by good crops, and at least one."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from models.assets import resolve
from models.detector import DetectedFace, FaceDetector
from models.images import read_image
from stages.detect.asking import Asked, quality
from stages.detect.follower import Follower
from tests.stages.detect import walkers

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
SECOND_NS = 1_000_000_000
SPEC = resolve("default", Path.cwd()).card.crop


def asked_at(qualities: list[float], fps: float = 10) -> list[int]:
    """Return the numbers of the frames in which somebody with crops of these qualities is asked about."""
    asked = Asked()
    return [i for i, each in enumerate(qualities) if asked.wants(each, 1, 1 + int(i / fps * SECOND_NS))]


def test_a_good_crop_is_asked_about_at_once_and_a_poor_one_before_a_passer_by_has_left() -> None:
    assert asked_at([0.6]) == [0]
    assert asked_at([0.1] * 6) == [4]


def test_where_frames_are_seldom_a_poor_crop_is_asked_about_at_once() -> None:
    image = np.asarray(cv2.GaussianBlur(read_image(HOPPER), (0, 0), 15), np.uint8)
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as detector:
        for fps, asked_in in ((0.1, [0, 1]), (10.0, [])):
            follower = Follower(lambda image, _, _ns: detector.detect(image), SPEC, fps=fps)
            seen = [follower.look(image, 1 + int(n / fps * SECOND_NS)) for n in range(2)]
            assert [n for n, each in enumerate(seen) if each.asked] == asked_in
            assert 0 < seen[1].faces[0].quality < 0.4


def test_somebody_who_stays_is_asked_about_four_times() -> None:
    assert asked_at([0.5] * 600) == [0, 30, 60, 90]


def test_a_clearly_better_crop_is_asked_about_whenever_it_comes() -> None:
    assert asked_at([0.5] * 600 + [0.8] * 10) == [0, 30, 60, 90, 600]
    assert asked_at([0.1] * 10 + [0.3] * 10) == [4, 14]


def test_a_poor_crop_waits_for_a_better_one() -> None:
    assert asked_at([0.6] + [0.2] * 49 + [0.6]) == [0, 50]


@pytest.fixture(scope="module")
def hopper() -> tuple[NDArray[np.uint8], DetectedFace]:
    image = read_image(HOPPER)
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as detector:
        [face] = detector.detect(image)
    return image, face


def test_a_sharp_large_whole_face_is_worth_more(hopper: tuple[NDArray[np.uint8], DetectedFace]) -> None:
    image, face = hopper
    x, y, w, h = face.box_px
    best = quality(image, face, w, [face.box_px])
    assert 0.4 < best <= 1
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), 12), np.uint8)
    dark = np.asarray(image * 0.1, np.uint8)
    cut = np.ascontiguousarray(image[:, : int(x + w / 2)])
    covering = (x + w / 3, y, 1.2 * w, 1.2 * h)
    assert quality(blurred, face, w, []) < 0.6 * best
    assert quality(dark, face, w, []) < 0.6 * best
    assert quality(image, face, 24, []) < 0.4 * best
    assert quality(cut, face, w, []) < 0.4 * best
    assert quality(image, face, w, [covering]) < 0.4 * best
    assert 0 < quality(image[:0, :0], face, w, []) < 0.01, "0 stands for a crop that was not judged"
    assert 0 < quality(image, face, w, [(x - w, y - w, 3 * w, 3 * w)]) < 0.01 * best


def test_walkers_cost_a_twentieth_of_the_questions_and_nobody_is_left_out() -> None:
    image = np.zeros((walkers.HEIGHT_PX, walkers.WIDTH_PX, 3), np.uint8)
    frames = list(walkers.frames(people=3, seconds=120, seed=5))
    found = iter(frames)
    follower = Follower(lambda _image, _expected, _t_ns: next(found).found, SPEC)
    faces = calls = 0
    sent: set[str] = set()
    known: set[str] = set()
    for frame in frames:
        seen = follower.look(image, 1 + int(frame.t_s * SECOND_NS))
        faces, calls = faces + len(frame.found), calls + len(seen.asked)
        assert len(seen.crops) == len(seen.asked)
        sent |= {face.track for face in seen.faces}
        known |= {seen.faces[number].track for number in seen.asked}
    assert faces > 2000 and calls <= faces / 20
    assert len(known) >= 0.97 * len(sent) > 40  # the last may have come just now
