"""Saved networks as starts of a run."""

from pathlib import Path

import pytest
import torch

from models.cards import ModelError
from models.training.checkpoints import load
from models.training.networks import (
    build,
)
from tests.models.helpers import invoke


def test_starts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mobilenet starts from"):
        build("mobilenet", 65, "imagenet")
    with pytest.raises(ModelError, match="no such file"):
        build("mobilenet", 65, str(tmp_path / "x.onnx"))
    (tmp_path / "wrong.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"wrong\.onnx: cannot be read as ONNX"):
        build("mobilenet", 65, str(tmp_path / "wrong.onnx"))
    with pytest.raises(ModelError, match=r"vgg16 from .*wrong\.onnx: "):
        build("vgg16", 65, str(tmp_path / "wrong.onnx"))
    for damage in (lambda path: path.write_bytes(b"no checkpoint"), lambda path: torch.save({"a": 1}, path)):
        damage(tmp_path / "best.pt")
        with pytest.raises(ModelError, match=r"best\.pt: is not what `stationcast models train` saves$"):
            load(tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"none\.pt: cannot be read: No such file"):
        load(tmp_path / "none.pt")


@pytest.mark.slow
def test_a_start_that_knows_the_held_out_photos_is_a_leak(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    arguments = ["train", "--data", str(faces), "--labels", str(tmp_path / "labels.csv"), "--detector", "none"]
    arguments += ["--size", "33", "--batch", "8", "--device", "cpu", "--epochs", "1"]
    for seed in ("3", "5"):
        invoke(*arguments, "--seed", seed, "--out", str(tmp_path / seed), *(("--force",) if seed == "3" else ()))
    again = [*arguments, "--init", str(tmp_path / "3" / "best.pt"), "--out", str(tmp_path / "again")]
    invoke(*again, "--seed", "3")
    again[-1] = str(tmp_path / "other")
    with pytest.raises(ModelError, match=r"the start leaks in \d+ cases: photo .*\.png of the split \w+ taught --init"):
        invoke(*again, "--seed", "5")
    assert "LEAKING SPLIT" in invoke(*again, "--seed", "5", "--force").splitlines()[0]
    said = invoke("export", str(tmp_path / "other"), "--out", str(tmp_path / "served"))
    assert said.startswith("LEAKING SPLIT")
    assert "leaking test split" in (tmp_path / "served" / "my-model.toml").read_text()
