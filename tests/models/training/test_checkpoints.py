"""Saved networks and weights to start from."""

from pathlib import Path

import pytest
import torch

from models.cards import ModelError
from models.training.checkpoints import load
from models.training.networks import build
from models.training.recipe import Arch, Recipe


def test_starts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    def start(arch: Arch, init: str) -> None:
        build(Recipe(arch=arch, size_px=65, init=init))

    with pytest.raises(ModelError, match="mobilenet starts from"):
        start("mobilenet", "imagenet")
    with pytest.raises(ModelError, match=r"x\.onnx: cannot be read as ONNX: .*No such file"):
        start("mobilenet", str(tmp_path / "x.onnx"))
    (tmp_path / "wrong.onnx").write_bytes(b"no model")
    with pytest.raises(
        ModelError, match=r"wrong\.onnx: cannot be read as ONNX.*; give faceres_deep\.onnx, or the FP32"
    ):
        start("mobilenet", str(tmp_path / "wrong.onnx"))
    for name in ("wrong.onnx", "wrong.keras", "wrong.h5", "wrong.weights.h5"):
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(ModelError, match=rf"--init .*{name}: no weights for a vgg16 \(.*\); give a \.keras or"):
            start("vgg16", str(tmp_path / name))
    for damage in (lambda path: path.write_bytes(b"no checkpoint"), lambda path: torch.save({"a": 1}, path)):
        damage(tmp_path / "best.pt")
        with pytest.raises(ModelError, match=r"best\.pt: is not what `stationcast models train` saves$"):
            load(tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"none\.pt: cannot be read: No such file"):
        load(tmp_path / "none.pt")
