"""The built-in models as `stationcast models list` and `show` print them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.cards import registry
from models.commands import models

NARROW = {"COLUMNS": "80"}


def test_the_list_fits_into_80_columns_and_cuts_nothing_off() -> None:
    rows = json.loads(CliRunner().invoke(models, ["list", "--json"]).output)
    lines = CliRunner().invoke(models, ["list"], env=NARROW).output.splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    for row in rows:
        [line] = [line for line in lines if f" {row['name']} " in line]
        assert row["task"] in line and ("(default)" in line) == row["default"]
        assert any(f" {words} " in line for words in (row["licence"], "research only", "CC BY 4.0"))


def test_the_list_as_json_names_the_licence_in_full() -> None:
    by_name = {row["name"]: row for row in json.loads(CliRunner().invoke(models, ["list", "--json"]).output)}
    assert list(by_name) == list(registry())
    assert "UTKFace (non-commercial research only)" in by_name["stationcast-research"]["licence"]
    keys = ["name", "task", "default", "title", "licence", "research_only", "size_bytes", "cached", "sha256"]
    assert all(list(row) == keys for row in by_name.values())


@pytest.mark.parametrize("name", ["default", *registry()])
def test_a_card_is_shown_whole_in_80_columns(name: str) -> None:
    result = CliRunner().invoke(models, ["show", name], env=NARROW)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80 and "…" not in result.output
    for key in ("licence", "made from", "intended use", "limits", "file"):
        assert f"\n{key}" in result.output
    assert ("\nunknown" in result.output) == ("mediapipe" not in name)


def test_licence_thresholds_files_and_figures_of_the_default_are_shown() -> None:
    words = " ".join(CliRunner().invoke(models, ["show", "default"], env=NARROW).output.split())
    for text in (
        "CC BY 4.0",
        "gender below a confidence of 0.7, decade below 0.3; "
        "gender of whoever is under ten with a probability above 0.5",
        "stationcast-open.onnx",
        "adult_gender_accuracy",
        "younger_than_20_calibration_error",
    ):
        assert text in words


def test_a_card_of_ones_own_is_shown_by_its_path(tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.write_text(registry()["mediapipe-full-range"].read_text().replace("mediapipe-full-range", "mine"))
    result = CliRunner().invoke(models, ["show", str(card)])
    assert result.output.startswith("mine: MediaPipe face detector")


def test_a_model_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(models, ["show", "nosuch"])
    assert result.exit_code == 2
    assert result.stderr.startswith("stationcast: error: model 'nosuch' is unknown; give default, ")


def test_a_card_as_json_has_its_figures_and_whom_it_takes_for_whom() -> None:
    shown = json.loads(CliRunner().invoke(models, ["show", "default", "--json"]).output)
    assert any(metric["measure"] == "adult_gender_accuracy" for metric in shown["metrics"])
    assert shown["confusion"]["said"]["M 20-29"]["M 20-29"] > 100
