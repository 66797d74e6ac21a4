"""Turn and mirror of a camera: set, found from faces, told to the operator; boxes are in the turned picture."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.crop import turned
from pipeline.job import Job
from pipeline.messages import Faces
from pipeline.ring import Lying, Ring
from pipeline.settings import Camera, Station, StationTable
from stages.capture import sample
from stages.capture.stage import Capture
from stages.capture.turn import ALERT_NS
from stages.detect.stage import Detect
from tests.stages.capture.conftest import Clock, open_capture, run, write_video

RED, GREEN, BLUE, WHITE = (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)
QUARTERS = [[RED, GREEN], [BLUE, WHITE]]


def quarters() -> NDArray[np.uint8]:
    """A picture of 160 x 90 px with red, green, blue and white quarters from the top left."""
    return np.asarray(cv2.resize(np.array(QUARTERS, np.uint8), (160, 90), interpolation=cv2.INTER_NEAREST), np.uint8)


def corners(image: NDArray[np.uint8]) -> list[list[str]]:
    """Return the colours of the four quarters by their names."""
    height, width = image.shape[:2]
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}

    def name(y: int, x: int) -> str:
        pixel = image[y, x].astype(int)
        return min(names, key=lambda n: float(np.abs(pixel - names[n]).sum()))

    return [[name(y, x) for x in (width // 4, 3 * width // 4)] for y in (height // 4, 3 * height // 4)]


SEEN = {
    (0, False): [["red", "green"], ["blue", "white"]],
    (90, False): [["blue", "red"], ["white", "green"]],
    (180, False): [["white", "blue"], ["green", "red"]],
    (270, False): [["green", "white"], ["red", "blue"]],
    (0, True): [["green", "red"], ["white", "blue"]],
    (90, True): [["red", "blue"], ["green", "white"]],
    (180, True): [["blue", "white"], ["red", "green"]],
    (270, True): [["white", "green"], ["blue", "red"]],
}


@pytest.mark.parametrize(("deg", "mirror"), list(SEEN))
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_pictures_are_turned_clockwise_and_then_mirrored(
    ring: Ring, tmp_path: Path, clock: Clock, deg: int, mirror: bool, kind: str
) -> None:
    if kind == "folder":
        cv2.imwrite(str(tmp_path / "0.png"), quarters())
        source = str(tmp_path)
    else:
        source = str(tmp_path / "v.avi")
        writer = cv2.VideoWriter(source, cv2.VideoWriter.fourcc(*"MJPG"), 20, (160, 90))
        for _ in range(20):
            writer.write(quarters())
        writer.release()
    capture = open_capture(ring, tmp_path, source, fps=20, rotation_deg=deg, mirror=mirror)
    [(frame, image)] = run(capture, ring, 5, at_most=1, clock=clock)
    capture.close()
    assert (frame.width_px, frame.height_px) == ((90, 160) if deg in (90, 270) else (160, 90))
    assert corners(image) == SEEN[deg, mirror]
    assert ring.turned_deg == deg


def test_a_large_picture_is_turned_at_its_full_size(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    capture = open_capture(ring, tmp_path, "sample", rotation_deg=90)
    [(frame, image)] = run(capture, ring, 5, at_most=1, clock=clock)
    assert image.shape == (1280, 720, 3) and (frame.width_px, frame.height_px) == (720, 1280)
    assert np.array_equal(turned(image, 270), sample.render("door", frame.captured_ns / 1e9))
    capture.close()


class Pair:
    """Camera and detection in one process. Films lie by `lies_deg` clockwise; a frame comes every second."""

    def __init__(self, ring: Ring, folder: Path, lies_deg: int, **knobs: object) -> None:
        self.ring = ring
        for i, scene_s in enumerate(np.arange(2.5, 10, 0.5)):
            image = turned(sample.render("door", scene_s - sample.phase_s("door")), lies_deg)
            cv2.imwrite(str(folder / f"{i:02}.png"), image)
        self.capture: Capture = open_capture(ring, folder, str(folder), fps=1, max_height_px=1280, **knobs)
        station = Station(station=StationTable(mode="count"), folder=folder)
        cameras = {"door": Camera(name="door", source="", fps=1)}
        self.detect = Detect(Job(station=station, cameras=cameras, rings={"door": ring.ref}))

    def run(self, seconds: float, clock: Clock) -> list[Faces]:
        until_s = clock.monotonic() + seconds
        found: list[Faces] = []
        while clock.monotonic() < until_s:
            found += self.detect.step(self.capture.step([]))
        return found

    def close(self) -> None:
        self.capture.close()
        self.detect.close()


@pytest.fixture
def pairs(ring: Ring, tmp_path: Path) -> Iterator[list[Pair]]:
    made: list[Pair] = []
    yield made
    for pair in made:
        pair.close()


@pytest.mark.parametrize(
    ("lies_deg", "mirror"),
    [
        (270, True),
        *(
            pytest.param(*more, marks=pytest.mark.slow)
            for more in ((90, False), (180, False), (270, False), (90, True), (180, True))
        ),
    ],
)
def test_auto_turns_the_camera_upright_and_keeps_the_turn(
    ring: Ring, tmp_path: Path, clock: Clock, pairs: list[Pair], lies_deg: int, mirror: bool
) -> None:
    pairs.append(pair := Pair(ring, tmp_path, lies_deg, rotation_deg="auto", mirror=mirror))
    pair.run(40, clock)
    assert pair.capture.status["turned_deg"] == 360 - lies_deg
    faces = pair.run(20, clock)
    without = sum(not each.faces for each in faces)
    assert len(faces) >= 8 and without <= 2, "faces are found now, but where the pictures begin anew"
    for each in faces:
        assert (each.width_px, each.height_px) == (1280, 720)
        for face in each.faces:
            (_, right_y), (_, left_y), _, (_, mouth_y), *_ = face.keypoints_px
            assert max(right_y, left_y) < mouth_y
    pair.capture.close()
    pair.capture = open_capture(ring, tmp_path, str(tmp_path), fps=1, rotation_deg="auto", mirror=mirror)
    assert pair.capture.status["turned_deg"] == 360 - lies_deg, "the next process of the camera knows it too"


def test_auto_leaves_an_upright_camera_as_it_is(ring: Ring, tmp_path: Path, clock: Clock, pairs: list[Pair]) -> None:
    pairs.append(pair := Pair(ring, tmp_path, 0, rotation_deg="auto"))
    told = pair.run(60, clock)
    assert sum(bool(faces.faces) for faces in told) > len(told) / 4, "people are there"
    assert pair.capture.status["turned_deg"] == 0


def test_a_camera_with_a_fixed_turn_is_named_once_when_faces_have_lain_for_minutes(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=1, rotation_deg=90)
    ring.lying = Lying(turned_deg=90, turn_deg=90, times=50)
    for seconds, wanted in ((ALERT_NS / 1e9 - 20, None), (60, 180)):
        run(capture, ring, seconds, clock=clock)
        assert capture.status["rotation_wanted_deg"] == wanted
    assert capsys.readouterr().err.count("faces_lie") == 1
    ring.lying = Lying()
    run(capture, ring, 3, clock=clock)
    assert capture.status["rotation_wanted_deg"] is None
    capture.close()


@pytest.mark.slow
@pytest.mark.parametrize(("fixed", "lies_deg", "wanted"), [(90, 180, 180), (0, 90, 270), (0, 180, 180), (270, 0, 0)])
def test_faces_that_lie_for_minutes_under_a_fixed_turn_are_told(
    ring: Ring,
    tmp_path: Path,
    clock: Clock,
    pairs: list[Pair],
    capsys: pytest.CaptureFixture[str],
    fixed: int,
    lies_deg: int,
    wanted: int,
) -> None:
    pairs.append(pair := Pair(ring, tmp_path, lies_deg, rotation_deg=fixed))
    pair.run(100, clock)
    assert pair.capture.status["rotation_wanted_deg"] is None, "a person may lie on a bench for a minute"
    pair.run(100, clock)
    assert pair.capture.status["rotation_wanted_deg"] == wanted
    assert pair.capture.status["turned_deg"] == fixed
    assert capsys.readouterr().err.count("faces_lie") == 1
    for path in tmp_path.glob("*.png"):
        path.unlink()
    cv2.imwrite(
        str(tmp_path / "up.png"), turned(sample.render("door", 9 - sample.phase_s("door")), (360 - fixed) % 360)
    )
    pair.run(60, clock)
    assert pair.capture.status["rotation_wanted_deg"] is None, "it is upright now"


def test_what_is_said_of_frames_before_a_turn_turns_nothing(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    ring.lying = Lying(turned_deg=0, turn_deg=90, times=50)
    capture = open_capture(ring, tmp_path, "sample", rotation_deg="auto")
    run(capture, ring, 1, clock=clock)
    assert capture.status["turned_deg"] == 0, "what was said to the process before is forgotten"
    for _ in range(3):
        ring.lying = Lying(turned_deg=0, turn_deg=90, times=5)
        run(capture, ring, 1, clock=clock)
        assert capture.status["turned_deg"] == 90
    capture.close()


def test_one_who_lies_for_a_moment_long_ago_is_no_alert(ring: Ring, tmp_path: Path, clock: Clock) -> None:
    capture = open_capture(ring, tmp_path, "sample", fps=1)
    ring.lying = Lying(turned_deg=0, turn_deg=90, times=5)
    run(capture, ring, 3 * ALERT_NS / 1e9, clock=clock)
    assert capture.status["rotation_wanted_deg"] is None
    capture.close()


def test_a_folder_of_several_sizes_keeps_each_shape_and_says_so_once(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [(1280, 720), (640, 480), (720, 1280), (4000, 30), (30, 4000), (1, 1)]
    for i, (width, height) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((height, width, 3), 99, np.uint8))
    capture = open_capture(ring, tmp_path, str(tmp_path), fps=10)
    taken = run(capture, ring, 5, at_most=12, clock=clock)
    capture.close()
    seen = [(1280, 720), (640, 480), (720, 1280), (1280, 9), (9, 1280), (1, 1)]
    assert [(frame.width_px, frame.height_px) for frame, _ in taken] == seen * 2
    assert capsys.readouterr().err.count("frame_size_changes") == 1


def test_a_plain_film_says_nothing_of_sizes(
    ring: Ring, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "v.avi", frames=20)
    capture = open_capture(ring, tmp_path, "v.avi", fps=20)
    run(capture, ring, 3, clock=clock)
    capture.close()
    assert "frame_size_changes" not in capsys.readouterr().err
