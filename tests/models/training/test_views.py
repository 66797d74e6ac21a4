"""Views are the same in every process, and rare labels weigh more."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from models.datasets.crops import CropCache
from models.training.recipe import Recipe
from models.training.views import Views, balance_weights
from tests.models.helpers import invoke, row


def test_worker_processes_make_the_same_views(faces: Path, tmp_path: Path) -> None:
    invoke("train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu",
           "--epochs", "1", "--out", str(tmp_path))  # fmt: skip
    views = Views(CropCache(tmp_path / "crops"), np.arange(20), Recipe(size_px=33, batch=4), np.ones(20))
    plan = [(step, 0.5) for step in range(3, 7)]
    here = [views[item] for item in plan]
    there = list(DataLoader(views, batch_size=None, sampler=plan, num_workers=2, multiprocessing_context="spawn"))
    assert here[0][0].shape == (4, 33, 33, 3)
    for mine, theirs in zip(here, there, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_rare_ages_weigh_more() -> None:
    rows = [row("a", 25)] * 30 + [row("b", 75)] * 3
    weights = balance_weights(rows, 0.5)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(np.sqrt(10))
