"""Losses are least where the labels say, and unknown labels teach nothing."""

import numpy as np
import pytest
import torch

from models.datasets.index import Row
from models.training.losses import age_loss, gender_loss, labels_of, loss_of, original_targets
from models.training.networks import YEARS
from models.training.validation import scores
from models.training.views import balance_weights
from tests.models.helpers import row, said


def test_age_loss_is_least_where_the_label_says() -> None:
    years = torch.arange(YEARS, dtype=torch.float32)

    def peak(age: float) -> torch.Tensor:
        return (-0.5 * ((years - age) / 3) ** 2)[None]

    def loss(said: float, lo: float, hi: float) -> float:
        return float(age_loss(peak(said), torch.tensor([lo]), torch.tensor([hi])))

    assert loss(30, 30, 30) < loss(33, 30, 30) < loss(45, 30, 30)
    assert loss(34, 30, 39) == pytest.approx(loss(35, 30, 39), abs=0.05)
    assert loss(34, 30, 39) < loss(45, 30, 39)
    assert loss(34, 30, 39) < 0.2


def test_gender_loss_and_original_targets() -> None:
    logits = torch.tensor([[3.0], [3.0], [3.0]])
    losses = gender_loss(logits, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0]))
    assert losses[0] < losses[1]
    assert losses[2] == 0
    first, last = torch.tensor([25.0, 88.0, 10.0]), torch.tensor([25.0, 88.0, 29.0])
    labels = original_targets(torch.tensor([1.0, 0.0, 0.0]), first, last)
    assert labels.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 1, 0, 0, 0, 0]]


def test_what_is_not_known_teaches_nothing_and_counts_for_nothing() -> None:
    rows = [row("a", 25), Row(file="b", gender=None, age_lo=41, age_hi=41), row("c", None)]
    labels = labels_of(rows)
    for outputs in ((torch.zeros(3, 1), torch.zeros(3, YEARS)), torch.zeros(3, 9)):
        leaves = [part.requires_grad_() for part in (outputs if isinstance(outputs, tuple) else (outputs,))]
        loss_of(outputs, labels).backward()
        taught = torch.cat([leaf.grad for leaf in leaves], dim=1) != 0
        genders = 1 if isinstance(outputs, tuple) else 2
        assert taught[:, :genders].all(dim=1).tolist() == [True, False, True]
        assert taught[:, genders:].any(dim=1).tolist() == [True, True, False]
    assert labels.male_weight.tolist() == [1, 0, 1]  # half of it is for babies, not for who knows whom
    assert balance_weights(rows, 1).tolist() == [1, 1, 1]
    right = {"gender": 1, "age_mae": 8, "age_bins": 0.5}
    even = {f"even_{name}": value for name, value in right.items()}
    assert scores(said(np.array([1, 0, 1]), [25, 25, 25]), rows) == pytest.approx(right | even | {"score": 1.1})
    nobody = [Row(file="a", gender=None, age_lo=None, age_hi=None)]
    assert set(scores(said(np.array([1]), [25]), nobody).values()) == {0}
