"""Whole training runs: what stops them, what they go on from, what they refuse."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from models.cards import ModelError, read_card
from models.commands import models
from models.datasets.crops import CropCache
from models.datasets.prepare import prepare
from models.training.checkpoints import alone_in, is_for_research, load, network_of
from models.training.networks import build
from models.training.recipe import Recipe
from models.training.remembered import features_of
from models.training.train import _Run
from tests.models.helpers import invoke

WEIGHTS = Path(__file__).parents[3] / "models" / "weights"
OPEN, RESEARCH = WEIGHTS / "stationcast-open-fp16.onnx", WEIGHTS / "stationcast-research-fp16.onnx"


@pytest.mark.slow
def test_a_killed_run_ends_where_one_ends_that_nobody_killed(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8"]
    arguments += ["--device", "cpu", "--epochs", "20"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "pipeline.cli", "models", *arguments, "--out", str(killed)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        epochs = (line for line in process.stderr if line.startswith("{"))
        for _ in range(3):
            next(epochs)
        process.kill()
    stopped = torch.load(killed / "last.pt", weights_only=True)
    assert 2 <= len(stopped["history"]) < 20
    for out in (killed, whole):
        invoke(*arguments, "--out", str(out))
    again, straight = (torch.load(out / "last.pt", weights_only=True) for out in (killed, whole))
    assert again["step"] == straight["step"] == 80
    assert again["spent_s"] > stopped["spent_s"]
    for name, weights in straight["weights"].items():
        assert torch.allclose(again["weights"][name], weights, rtol=1e-3, atol=1e-4), name
    figures = ("gender", "age_mae", "loss")
    for mine, theirs in zip(again["history"], straight["history"], strict=True):
        assert [mine[key] for key in figures] == pytest.approx([theirs[key] for key in figures], rel=1e-3)


def test_a_run_that_its_minutes_ended_within_an_epoch_can_be_finished(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.training.train._Run.spent_s", lambda run: 60.0 * run._step)  # a minute for each step
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    for minutes, steps, validated in (("2", 2, 1), ("600", 8, 3)):
        invoke(*arguments, "--epochs", "2", "--minutes", minutes, "--out", str(tmp_path))
        last = torch.load(tmp_path / "last.pt", weights_only=True)
        assert (last["step"], len(last["history"])) == (steps, validated)


def test_labels_that_were_corrected_are_not_overlooked(faces: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text((faces / "labels.csv").read_text())
    arguments = ["train", "--data", str(faces), "--labels", str(labels), "--detector", "none", "--size", "33"]
    arguments += ["--batch", "8", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert "--init random: the network knows nothing yet" in invoke(*arguments, "--epochs", "1")
    invoke(*arguments, "--epochs", "2")
    index = (tmp_path / "run" / "index" / f"{faces.name}.csv").read_text().splitlines()
    assert len(index) == 1 + 48
    labels.write_text(labels.read_text().replace("\n0.png,F,0,9,", "\n0.png,F,70,79,"))
    with pytest.raises(ModelError, match=r"holds crops of other photos, labels, --detector or --seed.*run$"):
        invoke(*arguments, "--epochs", "3")
    shutil.rmtree(tmp_path / "run" / "crops")
    with pytest.raises(ModelError, match=r"run/last\.pt: was taught by other photos, labels or splits"):
        invoke(*arguments, "--epochs", "3")
    assert (tmp_path / "run" / "index" / f"{faces.name}.csv").read_text().splitlines() == index
    with pytest.raises(
        ModelError, match=r"run/crops: has other photos, labels or splits than those that taught best\.pt"
    ):
        invoke("export", str(tmp_path / "run"), "--out", str(tmp_path / "served"))


def test_a_run_whose_loss_is_no_number_is_no_success(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the loss is no number any more: --set a lower learning_rate"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path), "--detector", "none", "--size", "33", "--device",
               "cpu", "--batch", "8", "--set", "learning_rate=1e30", "--epochs", "9")  # fmt: skip


@pytest.mark.slow
def test_a_run_remembers_what_its_start_knew_also_after_a_stop(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    for name, weight in (("with", 30.0), ("without", 0.0)):
        monkeypatch.setattr("models.training.steps.REMEMBER_WEIGHT", weight)
        for epochs in ("1", "6"):
            invoke(*arguments, "--init", str(OPEN), "--epochs", epochs, "--out", str(tmp_path / name))
    cache = CropCache(tmp_path / "with" / "crops")
    rows = np.flatnonzero([row.split == "train" for row in cache.rows])
    with ThreadPoolExecutor(1) as pool:
        large, small = Recipe(size_px=33, init=str(OPEN)), Recipe(size_px=33, remember_px=0)
        wanted = features_of(build(large), cache, rows, large, pool)
        far, near = (
            (features_of(network_of(last["weights"], small), cache, rows, small, pool) - wanted).square().mean()
            for last in (torch.load(tmp_path / name / "last.pt") for name in ("without", "with"))
        )
    assert near < far / 2


def test_a_run_whose_start_has_changed_does_not_go_on(faces: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.onnx"
    start.write_bytes(OPEN.read_bytes())
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    arguments += ["--init", str(start), "--out", str(tmp_path / "run")]
    for epochs in (1, 2):
        invoke(*arguments, "--epochs", str(epochs))
        assert len(json.loads((tmp_path / "run" / "record.json").read_text())["history"]) == epochs
    features = tmp_path / "run" / "features.pt"
    features.write_bytes(features.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"run/features\.pt: is damaged; remove it to have it computed again"):
        invoke(*arguments, "--epochs", "2")
    features.unlink()
    invoke(*arguments, "--epochs", "2")
    model = onnx.load(start)
    model.doc_string = "another"
    onnx.save(model, start)
    with pytest.raises(ModelError, match=r"run/last\.pt: .*start\.onnx was another file then; give another --out"):
        invoke(*arguments, "--epochs", "3")


def test_what_a_start_may_be_used_for_is_known_when_its_file_is_gone(faces: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.onnx"
    shutil.copy(RESEARCH, start)
    cache = prepare([faces], [], tmp_path / "crops", None, 0, force=False).cache
    recipe = Recipe(init=str(start), size_px=33, batch=32, epochs=1, remember_px=0)
    run = _Run(cache, recipe, tmp_path, torch.device("cpu"))
    start.unlink()
    run.go(0)
    run.steps.close()
    assert load(tmp_path / "best.pt").research_only


def test_a_second_training_in_one_folder_is_refused_before_it_touches_anything(faces: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--out", str(tmp_path)]
    with (
        alone_in(tmp_path),
        pytest.raises(ModelError, match=r"^--out .*: another training is at work there; wait, or give another --out$"),
    ):
        invoke(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("option", ["--seed 18446744073709551616", "--batch 1000000000000", "--minutes inf"])
def test_numbers_with_which_nothing_can_be_trained_are_refused(option: str, faces: Path, tmp_path: Path) -> None:
    words = f"train --data {faces} --detector none --size 33 --out {tmp_path} {option}".split()
    assert CliRunner().invoke(models, words).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_leaking_split_is_named_first_and_a_card_says_by_what_and_for_what_its_model_is(
    faces: Path, tmp_path: Path
) -> None:
    lines = (faces / "labels.csv").read_text().replace(",test", ",train")
    leaking = tmp_path / "leaking.csv"
    leaking.write_text(lines.replace(",p1,", ",p11,").replace(",p3,", ",p5,"))
    run = tmp_path / "run"
    arguments = ["train", "--data", str(faces), "--labels", str(leaking), "--out", str(run), "--detector", "none"]
    arguments += ["--size", "33", "--batch", "16", "--device", "cpu", "--epochs", "1", "--init", str(RESEARCH)]
    with pytest.raises(ModelError, match="the split leaks in 2 cases: person"):
        invoke(*arguments)
    first = "LEAKING SPLIT: 2 cases, such as: person"
    assert first in invoke(*arguments, "--force").splitlines()[0]
    record = json.loads((run / "record.json").read_text())
    assert next(iter(record)) == "leaking_split"
    said = invoke("export", str(run), "--out", str(run), "--name", "tiny").splitlines()
    assert first in said[0]
    assert said[1:3] == [
        "no business may use the weights that it started from, nor these: the cards say so",
        "no photo is in the split `test`: the figures are of `val`, which chose and calibrated the model",
    ]
    card, _ = read_card(run / "tiny.toml")
    assert card.research_only
    split = "leaking val split of the training data, which chose and calibrated the model"
    assert {metric.data for metric in card.metrics} == {split}
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("tiny-fp16.onnx", "tiny-fp16.toml"):
        shutil.copy(run / name, copied)
    assert is_for_research(Recipe(init=str(copied / "tiny-fp16.onnx")))
    assert not is_for_research(Recipe(init=str(OPEN)))


def test_what_was_saved_and_is_damaged_is_named(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--out", str(tmp_path), "--detector", "none", "--size", "33"]
    arguments += ["--batch", "16", "--device", "cpu", "--epochs"]
    invoke(*arguments, "1")
    last = (tmp_path / "last.pt").read_bytes()
    for damaged in (b"", last[: len(last) // 2], (tmp_path / "best.pt").read_bytes()):
        (tmp_path / "last.pt").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"last\.pt: is not of a run of .*; remove it to start anew"):
            invoke(*arguments, "2")
    (tmp_path / "last.pt").write_bytes(last)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    saved["weights"]["heads.hidden.weight"] = saved["weights"]["heads.hidden.weight"][:, 1:]
    torch.save(saved, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="was begun by a version that started with other heads; give another --out"):
        invoke(*arguments, "2")
    (tmp_path / "last.pt").write_bytes(last)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    best["weights"]["heads.hidden.weight"] = best["weights"]["heads.hidden.weight"][:, 1:]
    torch.save(best, tmp_path / "older.pt")
    with pytest.raises(ModelError, match=r"older\.pt: was trained by a version whose networks were others"):
        load(tmp_path / "older.pt")
    (tmp_path / "best.pt").unlink()
    with pytest.raises(ModelError, match=r"has a last\.pt, but no best\.pt any more"):
        invoke(*arguments, "2")


def test_labels_of_one_kind_are_too_few(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    rest = ("file,gender,person,split", *(",".join(np.array(line.split(","))[[0, 1, 4, 5]]) for line in lines[1:]))
    (tmp_path / "genders.csv").write_text("\n".join(rest))
    with pytest.raises(ModelError, match="the split `train` has no ages: it needs photos with an age, or a range"):
        invoke("train", "--data", str(faces), "--labels", str(tmp_path / "genders.csv"), "--out", str(tmp_path / "run"),
               "--detector", "none", "--size", "33", "--device", "cpu")  # fmt: skip
