"""The search for faces near and far, with the real detector on pictures of a street."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.rig.faces import Box, Scene, found, make_scene
from bench.rig.scenes import people
from bench.rig.scenes.scene import Scene as Street
from bench.rig.scenes.scene import _Painter
from models.assets import resolve
from models.detector import FaceDetector
from models.images import read_frames
from models.reach.mosaic import Expected, is_same, search_mosaic
from models.reach.searcher import Searcher

TICK_NS = 100_000_000
GRAIN = np.random.default_rng(0).integers(-4, 5, (1600, 1920, 3), np.int16)


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as loaded:
        yield loaded


def noisy(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    return np.asarray(cv2.add(image, GRAIN[7 * seed :][:height, :width], dtype=cv2.CV_8U), np.uint8)


def recall(scenes: list[Scene], found_boxes: list[list[Box]]) -> float:
    hits = [found(face, boxes) for scene, boxes in zip(scenes, found_boxes, strict=True) for face in scene.faces]
    return sum(hits) / len(hits)


@pytest.mark.parametrize(("face_px", "least"), [(32, 0.8), (60, 0.95)])
def test_small_faces_are_found_within_a_second_for_three_calls_a_frame(
    detector: FaceDetector, face_px: float, least: float
) -> None:
    scenes = [make_scene(face_px, 3, seed) for seed in range(3)]
    boxes, calls = [], 0
    for scene in scenes:
        searcher = Searcher(detector, "far", budget=3, fps=10)
        seen: list[Box] = []
        for i in range(10):
            result = searcher.search(noisy(scene.image, i), [Expected(box) for box in seen[-3:]], i * TICK_NS)
            seen += [face.box_px for face in result.faces]
            calls += result.calls
        boxes.append(seen)
    assert recall(scenes, boxes) >= least
    assert calls / 30 <= 3.1
    whole = [[face.box_px for face in detector.detect(scene.image)] for scene in scenes]
    assert recall(scenes, whole) < 0.6, "the whole frame alone shows few of them"


def test_one_frame_is_searched_wholly_where_one_is_all_there_is(detector: FaceDetector) -> None:
    scenes = [make_scene(40, 3, seed) for seed in range(3)]
    boxes = [[f.box_px for f in Searcher(detector, "far", fps=0.1).search(s.image).faces] for s in scenes]
    assert recall(scenes, boxes) >= 0.88
    assert all(len(each) <= 3 for each in boxes), "each is found once, and nobody is made up"


def test_nobody_is_found_on_an_empty_street(detector: FaceDetector) -> None:
    for seed in range(3):
        image = make_scene(40, 0, seed).image
        searcher = Searcher(detector, "far")
        for i in range(20):
            assert searcher.search(noisy(image, i), (), i * TICK_NS).faces == []


def test_the_back_of_a_head_is_no_face(detector: FaceDetector, shared_dir: Path) -> None:
    searcher = Searcher(detector, "far")
    for number, image in read_frames(shared_dir / "clips" / "one-by-one-person-detection.mp4", every=3):
        if number > 860:
            break
        if number > 775:
            assert searcher.search(image, (), number * TICK_NS).faces == []


@pytest.mark.parametrize("budget", [1.0, 3.0])
def test_the_budget_is_kept_on_average_whatever_happens(detector: FaceDetector, budget: float) -> None:
    """Everything moves and flickers; faces lie everywhere; more people are followed than can be looked at."""
    searcher, calls, frames = Searcher(detector, "far", budget), 0, 60
    crowd = make_scene(30, 12, 1).image[:720, :1280]
    for i in range(frames):
        image = np.roll(noisy(crowd, i), 91 * i, axis=1)
        followed = [Expected((40.0 * k, 10.0 * k, 40.0, 40.0), k % 2 == 0) for k in range(30 if i % 3 else 0)]
        calls += searcher.search(image, followed, i * TICK_NS).calls
        assert calls <= budget * (i + 1) + 2 * budget + 6
    assert calls >= 0.8 * budget * frames, "what may be spent is spent"


def test_a_crowd_is_looked_at_in_turns(detector: FaceDetector) -> None:
    scene = make_scene(40, 16, 4)
    searcher = Searcher(detector, "far", budget=2)
    seen: list[Box] = []
    for i in range(4):
        result = searcher.search(scene.image, [Expected(box) for box in scene.faces], i * TICK_NS)
        assert result.calls <= 3
        seen += [face.box_px for face in result.faces]
    assert recall([scene], [seen]) >= 0.8


def test_who_was_noticed_is_followed_by_the_better_of_two_looks(
    detector: FaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head turned by 51 degrees is a face in the first look, and hardly one in the second."""
    monkeypatch.setattr(people, "_PHOTOS", Path("/nowhere"))
    painter = _Painter(Street(seed=1, people=1))
    frame, box = painter._background.copy(), (680.0, 380.0, 40.0, 40.0)
    painter._put(frame, people.cast(1, 1)[0], 40.0, (700.0, 400.0), (51, 0))
    [face] = Searcher(detector, "far").search(frame, [Expected(box, believed=False)]).faces
    assert is_same(face.box_px, box)


@pytest.mark.parametrize("a_side", [2, 3])
def test_who_is_followed_is_found_again_by_one_call_for_all(detector: FaceDetector, a_side: int) -> None:
    random = np.random.default_rng(2)
    scenes = [make_scene(width_px, 4, seed) for seed, width_px in enumerate((30, 40, 60, 100))]
    boxes = []
    for scene in scenes:
        off = random.uniform(-0.3, 0.3, (4, 2))
        places = [(x + dx * w, y + dy * w, w, h) for (x, y, w, h), (dx, dy) in zip(scene.faces, off, strict=True)]
        before = detector.runs
        near = search_mosaic(detector, scene.image, places, a_side, 0.3)
        assert detector.runs == before + 1
        boxes.append([face.box_px for faces in near for face in faces])
    assert recall(scenes, boxes) >= (0.9 if a_side == 2 else 0.8)


def test_a_near_camera_costs_one_call_a_frame_and_a_small_picture_is_near(detector: FaceDetector) -> None:
    scene = make_scene(200, 1, 3)
    result = Searcher(detector, "near").search(scene.image, [Expected(scene.faces[0])])
    assert result.faces == detector.detect(scene.image)
    assert result.calls == 1
    small = Searcher(detector, "auto")
    assert small.search(scene.image[:, :1279]).calls == 1
    assert Searcher(detector, "auto", fps=0.1).search(scene.image[:, :1280]).calls > 10
    on_its_side = np.ascontiguousarray(np.rot90(scene.image[:720, :1280]))
    assert Searcher(detector, "auto").search(on_its_side).calls > 1


@pytest.mark.parametrize(("least", "faces"), [(0.85, 2), (0.9, 1)])
def test_the_least_score_holds_for_far_faces_too(least: float, faces: int) -> None:
    scene = make_scene(60, 2, 3)
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd()), least) as strict:
        scores = [face.score for face in Searcher(strict, "far", fps=0.1).search(scene.image).faces]
    assert len(scores) == faces and min(scores) >= least


def test_faces_of_any_size_are_found_once(detector: FaceDetector) -> None:
    for width_px in (60, 130, 300):
        scene = make_scene(width_px, 1, 5)
        faces = Searcher(detector, "far", fps=0.1).search(scene.image).faces
        assert len(faces) == 1, width_px
        assert found(scene.faces[0], [faces[0].box_px])
        assert all(math.isfinite(value) for point in faces[0].keypoints_px for value in point)


def test_of_too_many_faces_the_largest_are_kept() -> None:
    scene = make_scene(60, 3, 6)
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd()), max_faces=2) as two:
        faces = Searcher(two, "far", fps=0.1).search(scene.image).faces
    assert len(faces) == 2
