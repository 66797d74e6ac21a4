"""Head pose from key points: known angles, signs, rolls and mirrors, and what it does not tell."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.rig.scenes.heads import head_sprite
from bench.rig.scenes.people import HEAD_BOXES, HEAD_PX, Person, cast
from models.assets import resolve
from models.detector import DetectedFace, FaceDetector
from models.images import read_frames
from models.pose import FACE_MIN_PX, HeadPose, head_pose
from pipeline.settings import Camera
from stages.people.attention import Window

PEOPLE = 12


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as found:
        yield found


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return cast(PEOPLE, seed=3)


def head(person: Person, yaw_deg: int, pitch_deg: int, face_px: float) -> NDArray[np.uint8]:
    """A grey picture with one head in its middle, 3.5 faces wide, blurred and noisy as from a camera."""
    colour, see_through = head_sprite(person, yaw_deg, pitch_deg, 0)
    side_px = round(HEAD_PX / HEAD_BOXES * 3.5)
    picture = np.full((side_px, side_px, 3), 110, np.uint8)
    start = (side_px - HEAD_PX) // 2
    part = picture[start : start + HEAD_PX, start : start + HEAD_PX]
    part[:] = cv2.add(cv2.multiply(part, see_through, scale=1 / 255), colour)
    size_px = round(3.5 * face_px)
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.6)
    noise = np.random.default_rng(yaw_deg % 360).normal(0, 4, small.shape)
    return np.clip(small + noise, 0, 255).astype(np.uint8)


def found_pose(detector: FaceDetector, image: NDArray[np.uint8]) -> HeadPose | None:
    faces = detector.detect(image)
    return head_pose(faces[0].box_px, faces[0].keypoints_px, faces[0].score) if faces else None


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0, 0), (21, 0), (-21, 0), (36, 0), (0, 18), (0, -18)])
def test_turned_heads_are_told_by_how_much(
    detector: FaceDetector, people: list[Person], yaw_deg: int, pitch_deg: int
) -> None:
    poses = [found_pose(detector, head(person, yaw_deg, pitch_deg, 80)) for person in people]
    told = [pose for pose in poses if pose]
    assert len(told) > 0.7 * PEOPLE
    assert abs(np.mean([pose.yaw_deg for pose in told]) - yaw_deg) < 6
    assert abs(np.mean([pose.pitch_deg for pose in told]) - 0.6 * pitch_deg) < 7  # of pitch less is seen


TOWARDS = ((0, 0), (9, 6), (-9, -6), (6, -6))
AWAY = ((39, 0), (-42, -9), (54, 3), (-9, -36))
"""Yaws and pitches of heads that look at a screen below the camera, and of heads turned away or down to a phone."""


@pytest.mark.parametrize(("face_px", "goal"), [(80, 0.9), (50, 0.8)])
def test_looking_is_right_for_heads_turned_by_known_angles(
    detector: FaceDetector, people: list[Person], face_px: float, goal: float
) -> None:
    window = Window.of(Camera(name="a", source="sample"))
    right = [
        (window.distance(pose.yaw_deg, pose.pitch_deg) <= 1) == (angles in TOWARDS)
        for person in people
        for angles in (*TOWARDS, *AWAY)
        if (pose := found_pose(detector, head(person, *angles, face_px)))
    ]
    assert len(right) > 0.75 * PEOPLE * 8
    assert np.mean(right) >= goal


def a_face(detector: FaceDetector, people: list[Person]) -> DetectedFace:
    [face, *_] = detector.detect(head(people[0], 21, 9, 80))
    return face


@pytest.mark.parametrize("roll_deg", [-30, 15, 60])
def test_a_tilted_picture_tilts_the_direction(detector: FaceDetector, people: list[Person], roll_deg: float) -> None:
    face = a_face(detector, people)
    upright, turn = head_pose(face.box_px, face.keypoints_px), np.radians(roll_deg)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    tilted = head_pose(face.box_px, [tuple(spin @ point) for point in face.keypoints_px])
    assert upright
    assert tilted
    assert np.allclose(spin @ across(upright), across(tilted), atol=1e-6)


def across(pose: HeadPose) -> NDArray[np.float64]:
    """The direction as a picture shows it: to the right and down."""
    yaw, pitch = np.radians((pose.yaw_deg, pose.pitch_deg))
    return np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])


def test_a_mirrored_head_faces_the_other_way(detector: FaceDetector, people: list[Person]) -> None:
    face = a_face(detector, people)
    mirrored = [(-x, y) for x, y in face.keypoints_px]
    one, other = (
        head_pose(face.box_px, face.keypoints_px),
        head_pose(face.box_px, [mirrored[i] for i in (1, 0, 2, 3, 5, 4)]),
    )
    assert one
    assert other
    assert other.yaw_deg == pytest.approx(-one.yaw_deg, abs=0.1)
    assert other.pitch_deg == pytest.approx(one.pitch_deg, abs=0.1)


def test_what_is_too_small_or_no_face_has_no_pose(detector: FaceDetector, people: list[Person]) -> None:
    face = a_face(detector, people)
    small = FACE_MIN_PX / max(face.box_px[2:]) * 0.99
    assert head_pose([small * v for v in face.box_px], [(small * x, small * y) for x, y in face.keypoints_px]) is None
    assert head_pose(face.box_px, face.keypoints_px, 0.55) is None
    assert head_pose(face.box_px, face.keypoints_px[:4]) is None
    assert head_pose(face.box_px, face.keypoints_px[::-1]) is None
    assert head_pose(face.box_px, [(float("nan"), 0.0)] * 6) is None
    assert head_pose(face.box_px, [(0.0, 0.0)] * 6) is None
    assert head_pose((0, 0, float("nan"), 1), face.keypoints_px) is None


def test_smaller_faces_are_told_less_surely(detector: FaceDetector, people: list[Person]) -> None:
    face = a_face(detector, people)
    errors = []
    for size in (2, 1, 0.5):
        pose = head_pose([size * v for v in face.box_px], [(size * x, size * y) for x, y in face.keypoints_px])
        assert pose
        errors.append(pose.error_deg)
    assert errors == sorted(errors)


def test_a_man_who_looks_into_the_camera_faces_it(detector: FaceDetector, shared_dir: Path) -> None:
    clip = shared_dir / "clips" / "head-pose-face-detection-male_preview480.mp4"
    poses = [found_pose(detector, image) for _, image in read_frames(clip)]
    angles = np.array([(pose.yaw_deg, pose.pitch_deg) for pose in poses if pose])
    assert len(angles) > 55
    assert (abs(angles) < 12).all()
    assert (angles.std(0) < 2.5).all()
