"""Figures against hand-made answers, and the report of a real model on photos of all kinds."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from models.cards import DECADE_EDGES, FAIRFACE_EDGES, LAW_YEARS
from models.commands import models
from models.datasets.index import Row
from models.evaluation.evaluate import calibration_error, figures, plain, table, truth_of
from models.session import Outputs


def answer(p_male: list[float], ages: list[float]) -> Outputs:
    decades = np.full((len(ages), 9), 0.01, np.float32)
    ranges = decades.copy()
    decades[np.arange(len(ages)), np.digitize(ages, DECADE_EDGES) - 1] = 0.92
    ranges[np.arange(len(ages)), np.digitize(ages, FAIRFACE_EDGES) - 1] = 0.92
    younger = np.where(np.array(ages)[:, None] < np.array(LAW_YEARS), 0.9, 0.1).astype(np.float32)
    return Outputs(np.array(p_male, np.float32), np.array(ages, np.float32), decades, ranges, younger)


def person(gender: str | None, lo: float | None, hi: float | None = None, race: str = "") -> Row:
    hi = lo if hi is None else hi
    return Row(file="x", gender=gender, age_lo=lo, age_hi=hi, race=race)  # type: ignore[arg-type]


def test_figures_of_exact_ages() -> None:
    rows = [person("M", 25), person("F", 25), person("M", 8), person("F", 71), person(None, 40), person("M", None)]
    said = answer([0.9, 0.7, 0.2, 0.1, 0.5, 0.99], [27, 31, 8, 59, 40, 3])
    report = figures(said, truth_of(rows))
    assert (report["n_gender"], report["n_age"]) == (5, 5)
    assert report["gender_accuracy"]["value"] == 0.6
    assert report["adult_gender_accuracy"]["value"] == round(2 / 3, 4)
    assert report["per_gender_recall"]["M"]["value"] == round(2 / 3, 4)
    assert report["per_gender_recall"]["F"]["value"] == 0.5
    assert report["age_mae"]["value"] == round((2 + 6 + 0 + 12 + 0) / 5, 3)
    assert report["decade_accuracy"]["value"] == 0.6
    assert report["decade_within_one"]["value"] == 0.8
    assert report["joint_accuracy"]["value"] == 0.25
    assert report["per_decade_recall"]["20-29"]["value"] == 0.5
    assert report["per_decade_recall"]["50-59"] is None
    assert report["gender_confusion"]["rows_true_columns_said"] == [[2, 1], [1, 1]]
    assert report["decade_confusion"]["rows_true_columns_said"][7][5] == 1
    assert report["age_mae"]["low"] < report["age_mae"]["value"] < report["age_mae"]["high"]
    assert "groups" not in report


def test_ranges_are_scored_as_ranges() -> None:
    rows = [person("M", 20, 29), person("M", 0, 2), person("M", 3, 9), person("M", 70, 120), person("M", 15, 22)]
    report = figures(answer([1] * 5, [33, 1.8, 2, 66, 25]), truth_of(rows))
    assert report["age_mae"]["value"] == round((4 + 0 + 1 + 4 + 3) / 5, 3)
    assert report["fairface_bin_accuracy"]["value"] == 0.4
    assert report["fairface_bin_within_one"]["value"] == 1
    assert report["decade_accuracy"]["value"] == 0.6
    assert report["per_decade_recall"]["20-29"]["n"] == 1


def test_groups_and_their_gap() -> None:
    rows = [person("M", 30, race=race) for race in ("x", "y") for _ in range(40)]
    report = figures(answer([0.9] * 40 + [0.9] * 30 + [0.1] * 10, [30.0] * 80), truth_of(rows))
    assert report["groups"]["by_group"]["y"]["gender_accuracy"]["value"] == 0.75
    assert report["groups"]["gap"]["gender_accuracy"] == 0.25
    rows = [person("M", 30, race=race) for race in ("value", "y") for _ in range(20)]
    named = plain(figures(answer([0.9] * 40, [30.0] * 40), truth_of(rows)))
    assert named["groups"]["by_group"]["value"]["gender_accuracy"] == 1
    assert named["intervals_95"]["groups"]["by_group"]["value"]["gender_accuracy"]["n"] == 20


def test_words_of_the_user_are_no_markup_in_the_table() -> None:
    rows = [person("M", 30, race=race) for race in ("[/x]", "[b]y") for _ in range(2)]
    told = {"model": "m", "data": "[/set]", "n": 4, "rows_left_out": {"age '[/z]' is neither a number nor a range": 1}}
    shown = io.StringIO()
    Console(width=200, file=shown).print(table(told | figures(answer([0.9] * 4, [30.0] * 4), truth_of(rows))))
    for word in ("m on [/set]: 4 photos", "age '[/z]'", "by_group [/x] n ", "by_group [b]y n "):
        assert word in shown.getvalue()


def test_intervals_and_calibration() -> None:
    report = figures(answer([0.9] * 100, [30.0] * 100), truth_of([person("M", 30)] * 90 + [person("F", 30)] * 10))
    share = report["gender_accuracy"]
    assert (share["value"], share["low"], share["high"]) == (0.9, 0.8256, 0.9448)
    alone = figures(answer([0.9], [30.0]), truth_of([person("M", 33)]))["age_mae"]
    assert (alone["value"], alone["n"]) == (3, 1)
    assert (alone["low"], alone["high"]) == (0, 120)  # of one face, a mean says nothing
    two = figures(answer([0.9] * 2, [30.0, 30.0]), truth_of([person("M", 30), person("M", 40)]))
    assert two["age_mae"]["low"] == 0 and two["age_bias"]["low"] < 0  # no error is less than none
    assert calibration_error(np.full(600, 0.9), np.arange(600) % 10 > 0) == pytest.approx(0, abs=0.03)
    assert calibration_error(np.full(100, 0.9), np.zeros(100, bool)) == pytest.approx(0.9)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) is None


def test_confidence_in_a_decade_is_not_held_against_a_longer_range() -> None:
    rows = [person("M", 25), person("M", 35)] * 40
    said = answer([0.9] * 80, [25.0] * 80)
    said.p_decade[:] = np.where(said.p_decade > 0.5, 0.52, 0.06)
    assert figures(said, truth_of(rows))["decade_calibration_error"] < 0.1
    rows += [person("M", 20, 49)] * 80  # are overlapped, whatever the confidence
    said = answer([0.9] * 160, [25.0] * 160)
    said.p_decade[:] = np.where(said.p_decade > 0.5, 0.52, 0.06)
    assert figures(said, truth_of(rows))["decade_calibration_error"] < 0.1


def test_the_report_of_the_default_model(photos: Path) -> None:
    result = CliRunner().invoke(models, ["evaluate", "default", "--data", str(photos), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["n"], report["photos_unreadable"]) == (7, 2)
    assert report["rows_left_out"] == {"gender 'robot' is neither M nor F": 1}
    assert 0 <= report["faces_found"] <= 7
    assert report["n_age"] == 6
    assert "intervals_95" in report
    for name in (
        "gender_accuracy", "adult_gender_accuracy", "age_mae", "decade_accuracy", "decade_within_one", "joint_accuracy",
        "gender_calibration_error", "decade_calibration_error", "ms_per_face", "ms_per_face_at_32", "gender_answered",
    ):  # fmt: skip
        assert isinstance(report[name], float), name
    assert set(report["per_gender_recall"]) == {"M", "F"}
    assert len(report["per_decade_recall"]) == 9
    assert report["intervals_95"]["gender_accuracy"]["n"] == 7
    assert report["intervals_95"]["per_gender_recall"]["M"]["low"] <= report["per_gender_recall"]["M"]
    assert "n" not in report["intervals_95"]
    shown = CliRunner().invoke(models, ["evaluate", "default", "--data", str(photos), "--detector", "none"])
    assert shown.exit_code == 0, shown.output
    assert "gender_accuracy" in shown.output


def test_many_photos_and_a_leaking_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lines = ["file,gender,age_lo,age_hi,race,person,split"]
    for i in range(70):  # more than one batch
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (40, 40)))
        lines.append(f"{i}.png,{'MF'[i % 2]},{i},{'' if i > 60 else i + 5},{'xy'[i // 35]},p{i // 2},")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    arguments = ["evaluate", "default", "--data", str(tmp_path), "--detector", "none"]
    report = json.loads(CliRunner().invoke(models, [*arguments, "--json"]).stdout)
    assert report["n"] == report["n_age"] == 70
    assert sum(map(sum, report["gender_confusion"]["rows_true_columns_said"])) == 70
    assert 0 <= report["groups"]["gap"]["gender_accuracy"] <= 1
    assert report["intervals_95"]["groups"]["by_group"]["x"]["age_mae"]["n"] == 35
    (tmp_path / "labels.csv").write_text(
        "\n".join([lines[0], *(f"{x}{('val', 'test')[i % 2]}" for i, x in enumerate(lines[1:]))])
    )
    shown = CliRunner().invoke(models, [*arguments, "--split", "test"])
    assert shown.output.startswith("LEAKING SPLIT: 35 cases, such as: person"), shown.output
    report = json.loads(CliRunner().invoke(models, [*arguments, "--split", "test", "--json"]).stdout)
    assert next(iter(report)) == "leaking_split"
    assert report["n"] == 35
    assert report["confusion"]["data"] == f"leaking test split of {tmp_path.name}"


def test_figures_of_fairface_ranges() -> None:
    rows = [person("M", 0, 2), person("F", 3, 9), person("M", 70, 120), person("F", 25), person("F", 31, 45)]
    report = figures(answer([0.9, 0.9, 0.9, 0.1, 0.1], [1, 12, 75, 27, 47]), truth_of(rows))
    assert report["fairface_bin_accuracy"]["value"] == 0.8
    assert report["per_fairface_bin_recall"]["70+"] == {"value": 1, "low": 0.2065, "high": 1, "n": 1}
    assert report["per_fairface_bin_recall"]["3-9"]["value"] == 0
    assert report["per_fairface_bin_gender_accuracy"]["3-9"]["value"] == 0
    assert report["per_fairface_bin_recall"]["40-49"] is None
    assert report["fairface_bin_confusion"]["rows_true_columns_said"][1][2] == 1
    assert (report["n_age_over_several_fairface_bins"], report["n_age_over_several_decades"]) == (1, 2)
    assert report["mean_over_fairface_bins"] == {"gender_accuracy": 0.8, "age_mae": 1.4, "fairface_bin_accuracy": 0.8}


def test_data_that_cannot_be_evaluated_is_refused(photos: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("file,gender\na.png,1\n")
    for arguments, message in (
        (["--data", str(tmp_path / "none.zip")], "neither a folder nor a zip"),
        (["--data", str(tmp_path / "none.zip"), "--condition", "dark", "--into-card"], "leave one of the two out"),
        (["--data", str(photos), "--split", "test"], "no row to evaluate in the split 'test'"),
        (
            ["--data", str(photos), "--labels", str(wrong)],
            "no row to evaluate; left out 1: gender '1' is neither M nor F",
        ),
    ):
        result = CliRunner().invoke(models, ["evaluate", "default", *arguments])
        assert result.exit_code == 2
        assert result.stderr.startswith("stationcast: error: ") and message in result.stderr
