"""Validation scores ranges of ages as ranges."""

import numpy as np
import torch

from models.datasets.index import Row
from models.training.losses import age_loss, labels_of
from models.training.networks import YEARS
from models.training.validation import scores
from tests.models.helpers import said


def test_a_range_is_right_where_the_likeliest_range_overlaps_it() -> None:
    rows = [
        Row(file=f"{lo}", gender="M", age_lo=lo, age_hi=hi) for lo, hi in ((31, 45), (46, 55), (60, 120), (0.2, 0.8))
    ]
    figures = scores(said(np.ones(4), [43, 47, 62, 20]), rows)
    assert figures["age_bins"] == 0.75
    labels = labels_of(rows)
    age = torch.full((4, YEARS), -99.0)
    age[range(4), [43, 47, 62, 0]] = 0
    assert age_loss(age, labels.age_lo, labels.age_hi).max() < 1e-3
