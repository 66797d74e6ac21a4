"""The command `calibrate`, on films and on cameras of stations."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bench.rig.scenes.heads import head_sprite
from bench.rig.scenes.people import HEAD_PX, Person, cast
from pipeline.cli import cli
from pipeline.runtime import running_stations
from tests.conftest import HANG_S, wait_for

CORNERS = ((18, 9), (-18, 9), (-18, -9), (18, -9))
"""Yaws and pitches of a head that looks at the corners of a screen around the camera, in the order asked for."""


@pytest.fixture(scope="module")
def person() -> Person:
    return cast(3, seed=5)[0]


def film(path: Path, heads: list[list[tuple[Person, tuple[int, int], int]]], repeat: int = 9) -> Path:
    """Write a film of 10 fps that shows, for each entry, these people with these angles at these places across."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10), options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for people in heads:
            image = np.full((480, 640, 3), 120, np.uint8)
            for person, (yaw_deg, pitch_deg), left in people:
                colour, see_through = head_sprite(person, yaw_deg, pitch_deg, 0)
                part = image[120 : 120 + HEAD_PX, left : left + HEAD_PX]
                part[:] = cv2.add(cv2.multiply(part, see_through, scale=1 / 255), colour)
            for _ in range(repeat):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def calibrate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["calibrate", "screen", *map(str, arguments)])


def settings_in(text: str) -> dict[str, float]:
    return {key: float(value) for key, value in re.findall(r"^(screen_\w+_deg) = (-?\d+)$", text, re.M)}


def test_a_film_of_looks_at_the_corners_gives_the_settings_and_a_picture(person: Person, tmp_path: Path) -> None:
    path = film(tmp_path / "looks.mp4", [[(person, angles, 200)] for angles in CORNERS])
    done = calibrate("--video", path, "--out", tmp_path / "angles.png")
    assert done.exit_code == 0, done.output
    found = settings_in(done.output)
    assert list(found) == ["screen_yaw_deg", "screen_pitch_deg", "screen_half_yaw_deg", "screen_half_pitch_deg"]
    assert abs(found["screen_yaw_deg"]) < 8
    assert 24 < found["screen_half_yaw_deg"] < 44
    picture = cv2.imread(str(tmp_path / "angles.png"))
    assert picture is not None
    assert picture.shape[0] > 400


def test_a_film_is_seen_as_the_camera_would_see_it(person: Person, tmp_path: Path) -> None:
    path = film(tmp_path / "looks.mp4", [[(person, (yaw // 2 + 12, pitch), 200)] for yaw, pitch in CORNERS])
    station = tmp_path / "station.toml"
    station.write_text('[station]\nmode = "off"\n[[cameras]]\nname = "kerb"\nsource = "sample"\nmirror = true\n')
    # The picture cannot be written, and the settings are told all the same: nobody has to look at the corners again.
    plain, mirrored = (
        calibrate("--video", path, *more, "--out", tmp_path / "none" / "angles.png")
        for more in ((), ("--station", station))
    )
    assert plain.exit_code == 2 and "none/angles.png: cannot be written" in plain.output
    assert settings_in(plain.output)["screen_yaw_deg"] > 5 and settings_in(mirrored.output)["screen_yaw_deg"] < -5


def test_the_picture_of_angles_shows_nothing_of_the_person(person: Person, tmp_path: Path) -> None:
    """The picture has the colours of its points and lines and no others, but for what blends them into white."""
    path = film(tmp_path / "looks.mp4", [[(person, angles, 200)] for angles in CORNERS])
    assert calibrate("--video", path, "--out", tmp_path / "angles.png").exit_code == 0
    picture = cv2.imread(str(tmp_path / "angles.png"))
    assert picture is not None
    assert (picture > 200).all(axis=2).mean() > 0.93


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([], "0 of 5 frames"),
        ([((0, 0), 60), ((0, 0), 340)], "let one person stand there alone"),
    ],
)
def test_a_film_that_tells_nothing_is_refused(
    person: Person, tmp_path: Path, people: list[tuple[tuple[int, int], int]], words: str
) -> None:
    path = film(tmp_path / "no.mp4", [[(person, angles, left) for angles, left in people]] * 4)
    done = calibrate("--video", path, "--out", tmp_path / "angles.png")
    assert done.exit_code == 2
    assert words in done.output
    assert not (tmp_path / "angles.png").exists()


STATION = """
[station]
name = "calibrated"
mode = "count"
[[cameras]]
name = "kerb"
source = "looks.mp4"
[[cameras]]
name = "door"
source = "looks.mp4"
[[screens]]
headless = true
"""


@pytest.fixture
def station_file(person: Person, tmp_path: Path) -> Path:
    film(tmp_path / "looks.mp4", [[(person, (0, 0), 200)]], repeat=20)
    file = tmp_path / "station.toml"
    file.write_text(STATION)
    return file


def test_mistakes_are_told_in_one_line(station_file: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("--station", station_file), "CAMERA: name one of door, kerb"),
        (("gate", "--station", station_file), "CAMERA: no camera 'gate'; name one of door, kerb"),
        (("--station", tmp_path / "none.toml"), "neither a station file nor a station that runs: none runs"),
        ((), "no station is running; name a station file with --station"),
        (("--video", tmp_path / "none.mp4"), "none.mp4"),
        (("kerb", "--station", station_file, "--out", "angles.svg"), "--out angles.svg: is no PNG"),
    ):
        done = calibrate(*arguments)
        assert done.exit_code == 2
        assert words in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert "nan is no number" in calibrate("kerb", "--station", station_file, "--seconds", "nan").output


@contextmanager
def station_runs(station_file: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "pipeline.cli", "run", str(station_file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: "calibrated" in running_stations(), "the station")
            yield
        finally:
            process.terminate()
            process.wait(HANG_S)


@pytest.mark.slow
@pytest.mark.parametrize("running", [False, True])
def test_the_camera_of_a_station_is_watched_whether_or_not_it_runs(
    station_file: Path, tmp_path: Path, running: bool
) -> None:
    """The head looks at one place, which is a screen of no size; a loaded machine gives fewer angles of it."""
    command = [sys.executable, "-m", "pipeline.cli", "calibrate", "screen", "kerb", "--station", str(station_file)]
    command += ["--seconds", "8", "--out", str(tmp_path / "angles.png")]
    if running:
        with station_runs(station_file):
            done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    asked = re.findall(r"^Look at the (.*) corner\.$", done.stdout, re.M)
    assert asked == ["top left", "top right", "bottom right", "bottom left"]
    assert abs(settings_in(done.stdout)["screen_yaw_deg"]) < 12
    assert (tmp_path / "angles.png").exists()
    assert running_stations() == []
