"""Validation scores ranges of ages as ranges."""

import numpy as np
import torch

from models.datasets.index import Row
from models.training.losses import Targets, age_loss
from models.training.networks import (
    YEARS,
)
from models.training.validation import score


def test_a_range_is_right_where_the_likeliest_range_overlaps_it() -> None:
    rows = [
        Row(file=f"{lo}", gender="M", age_lo=lo, age_hi=hi) for lo, hi in ((31, 45), (46, 55), (60, 120), (0.2, 0.8))
    ]
    age = np.full((4, YEARS), -99, np.float32)
    age[range(4), [43, 47, 62, 20]] = 0
    targets = Targets(rows)
    figures = score(np.ones(4, np.float32), age, targets, np.arange(4))
    assert figures["age_bins"] == 0.75
    lo, hi = torch.from_numpy(targets.age_lo), torch.from_numpy(targets.age_hi)
    assert age_loss(torch.from_numpy(age), lo, hi)[:3].max() < 1e-3
    baby = torch.full((1, YEARS), -99.0)
    baby[0, 0] = 0
    assert age_loss(baby, lo[3:], hi[3:]).item() < 1e-3
