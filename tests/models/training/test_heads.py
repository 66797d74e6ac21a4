"""Heads that are fitted to features before the whole network learns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.datasets.index import Row
from models.training.checkpoints import load
from models.training.heads import fit_heads
from models.training.losses import labels_of
from models.training.networks import Heads, build
from models.training.recipe import Recipe
from tests.models.helpers import invoke

OPEN = Path(__file__).parents[3] / "models" / "weights" / "stationcast-open-fp16.onnx"


def test_heads_hardly_hear_a_feature_that_hardly_ever_speaks() -> None:
    rng = np.random.default_rng(0)
    rows = [Row(file=f"{i}", gender="FM"[i % 2], age_lo=30, age_hi=30, person=f"p{i}") for i in range(60)]
    features = torch.from_numpy(rng.normal(0, 1, (60, 8)) + np.arange(60)[:, None] % 2).float()
    features[:, 7] *= 1e-4
    heads = Heads(8, "years")
    fit_heads(heads, features, labels_of(rows), np.ones(60), Recipe(probe_epochs=10))
    heads.eval()
    loud = features.clone()
    loud[:, 7] = 1
    with torch.no_grad():
        assert float((heads(loud)[0] - heads(features)[0]).abs().max()) < 5


def test_without_an_epoch_only_the_heads_learn(faces: Path, tmp_path: Path) -> None:
    invoke("train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu",
           "--epochs", "0", "--init", str(OPEN), "--out", str(tmp_path))  # fmt: skip
    json.loads((tmp_path / "record.json").read_text(), parse_constant=pytest.fail)
    before = build(Recipe(size_px=33, init=str(OPEN))).state_dict()
    after = load(tmp_path / "best.pt").net.state_dict()
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(kept == name.startswith("backbone.") for name, kept in same.items()), same
