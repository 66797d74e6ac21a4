"""Scenes: the same for everyone, and the truth about them is the truth."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from bench.rig.scenes import people
from bench.rig.scenes.film import read_truth, write_film
from bench.rig.scenes.heads import head_sprite
from bench.rig.scenes.people import HEAD_BOXES, HEAD_PX
from bench.rig.scenes.scene import Frame, Scene, Seen, background
from models.assets import resolve
from models.crop import CropSpec, crop_face
from models.detector import FaceDetector

SMALL = Scene(seed=3, seconds=10, fps=2, size_px=(640, 360), people=2, faces_px=(40,))


@pytest.fixture(scope="module", autouse=True)
def people_of_the_sample_camera() -> object:
    """Take the people who come with the program, so that these tests are the same everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_PHOTOS", Path("/nowhere"))
        yield


@pytest.fixture(scope="module")
def frames(people_of_the_sample_camera: object) -> list[Frame]:
    return list(SMALL.frames())


def test_a_scene_depends_on_its_description_alone(frames: list[Frame]) -> None:
    again = list(replace(SMALL).frames())
    assert [frame.truth for frame in again] == [frame.truth for frame in frames]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(again, frames, strict=True))
    other = list(replace(SMALL, seed=4).frames())
    assert [frame.truth for frame in other] != [frame.truth for frame in frames]
    assert frames[0].image.shape == (360, 640, 3) and frames[0].image.dtype == np.uint8
    assert frames[-1].t_s == 9.5


def test_faces_are_where_the_truth_says_and_nowhere_else(frames: list[Frame]) -> None:
    empty = background(SMALL.place, SMALL.size_px, SMALL.seed)
    checked = 0
    for frame in frames:
        changed = cv2.absdiff(frame.image, empty).max(axis=2) > 25
        if not SMALL.there(frame.t_s):
            assert changed.mean() < 0.001
        for seen in frame.truth:
            x, y, w, h = (round(value) for value in seen.box_px)
            if seen.visible > 0.99:
                checked += 1
                assert changed[y : y + h, x : x + w].mean() > 0.7
    assert checked > 5


def test_the_detector_draws_the_box_of_the_truth() -> None:
    """Also where the head is turned: within a tenth of the width."""
    person, misses = people.cast(1, 0)[0], []
    with FaceDetector(resolve("mediapipe-full-range", Path())) as detector:
        for yaw, pitch in ((0, 0), (-30, 0), (30, 0), (0, -15)):
            colour, see_through = head_sprite(person, yaw, pitch, 0)
            image = cv2.add(colour, cv2.multiply(np.full_like(colour, 120), see_through, scale=1 / 255))
            view = np.asarray(cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(120,) * 3))
            [face] = detector.detect(view)
            x, y, w, _ = face.box_px
            middle, width = HEAD_PX / 2 + 60, HEAD_PX / HEAD_BOXES
            misses.append([(x + w / 2 - middle) / width, (y + w / 2 - middle) / width, w / width - 1])
    assert np.abs(misses).max() < 0.12


def test_a_head_turns_to_the_side_that_the_truth_says() -> None:
    person = people.cast(1, 0)[0]
    with FaceDetector(resolve("mediapipe-full-range", Path())) as detector:
        noses = {}
        for yaw, pitch in ((-30, 0), (0, 0), (30, 0), (0, 18), (0, -18)):
            colour, see_through = head_sprite(person, yaw, pitch, 0)
            image = cv2.add(colour, cv2.multiply(np.full_like(colour, 120), see_through, scale=1 / 255))
            [face] = detector.detect(np.asarray(cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_REPLICATE)))
            eyes = np.mean(face.keypoints_px[:2], axis=0)
            noses[yaw, pitch] = np.array(face.keypoints_px[2]) - eyes
    assert noses[-30, 0][0] < noses[0, 0][0] - 5 and noses[30, 0][0] > noses[0, 0][0] + 5
    assert noses[0, 18][1] < noses[0, 0][1] - 3 < noses[0, -18][1] - 6


def test_a_nearer_person_covers_one_behind() -> None:
    scene = replace(SMALL, kinds=("cover",), seconds=30, fps=5, size_px=(1280, 720))
    least = {}
    for number in range(round(scene.seconds * scene.fps)):
        for seen in scene.truth(number / scene.fps):
            if 0 <= seen.box_px[0] <= scene.size_px[0] - seen.box_px[2]:
                least[seen.person] = min(seen.visible, least.get(seen.person, 1))
    behind, before = least[0], least[1]
    assert behind < 0.2 and before == 1


def test_light_blur_noise_and_jpeg_change_the_picture_and_not_the_truth() -> None:
    t_s = 1.5
    straight = _frame(replace(SMALL, noise=0.0), t_s)
    assert _frame(replace(SMALL, noise=0.0, light=0.4), t_s).mean() < 0.45 * straight.mean()
    sharpness = cv2.Laplacian(straight, cv2.CV_64F).var()
    assert cv2.Laplacian(_frame(replace(SMALL, noise=0.0, blur_px=2.0), t_s), cv2.CV_64F).var() < 0.3 * sharpness
    assert cv2.absdiff(_frame(replace(SMALL, noise=8.0), t_s), straight).std() > 3
    assert np.any(_frame(replace(SMALL, noise=0.0, jpeg=20), t_s) != straight)
    assert replace(SMALL, light=0.4, blur_px=2.0, jpeg=20).truth(t_s) == SMALL.truth(t_s)


def _frame(scene: Scene, t_s: float) -> np.ndarray:
    return next(frame.image for frame in scene.frames() if frame.t_s >= t_s)


def test_looking_and_plain_view_are_angles_and_shares() -> None:
    seen = Seen(0, (0, 0, 40, 40), 1.0, 12, 12, "F", (20, 29))
    assert seen.looking and seen.plain and 16 < seen.away_deg < 18
    assert not replace(seen, yaw_deg=24).looking
    assert not replace(seen, yaw_deg=60).plain and not replace(seen, visible=0.5).plain


def test_an_empty_street_has_nobody() -> None:
    scene = Scene(people=0, seconds=1, fps=2, size_px=(640, 360))
    assert [frame.truth for frame in scene.frames()] == [(), ()]


def test_a_film_has_the_frames_and_the_truth_of_its_scene(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "scene.mp4"
    write_film(SMALL, path)
    assert [line.truth for line in read_truth(path)] == [frame.truth for frame in frames]
    with av.open(str(path)) as film:
        shown = [(float(frame.time), frame.to_ndarray(format="bgr24")) for frame in film.decode(video=0)]
    assert [round(t_s, 3) for t_s, _ in shown] == [frame.t_s for frame in frames]
    assert np.mean([cv2.absdiff(a, b.image).mean() for (_, a), b in zip(shown, frames, strict=True)]) < 6


def test_photos_of_people_with_labels_are_taken_where_they_are(
    shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_PHOTOS", shared_dir / "data" / "fairface_train.zip")
    some = people.cast(4, 7)
    assert len({person.name for person in some}) == 4 and all(person.name.startswith("ff") for person in some)
    assert {person.gender for person in some} <= {"M", "F"}
    spec = CropSpec(192, 1.5)
    box = (HEAD_PX / 2 - HEAD_PX / HEAD_BOXES / 2,) * 2 + (HEAD_PX / HEAD_BOXES,) * 2
    assert crop_face(some[0].head, box, (), spec).std() > 10
