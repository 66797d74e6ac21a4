"""Labels of rows as arrays, batches of them, and the losses of both heads.

The age head is a distribution over years. An exact age pulls it towards a narrow bell curve around that age, and its
expectation towards the age. A range of ages asks only that the probability lies in the range.
"""

from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.datasets.index import Row
from models.training.networks import ORIGINAL_LABELS, YEARS


class Batch(msgspec.Struct, frozen=True):
    """Photos of a step with their labels; every other tensor is float32 [N], unless said."""

    images: Tensor
    """Photos, uint8 RGB [N, S, S, 3], or features, float32 [N, F], where only heads are fitted."""
    male: Tensor
    """1 for a man, 0 for a woman."""
    male_weight: Tensor
    """Weight of the gender label, 0 where it is not known."""
    age_lo: Tensor
    """First year that the age may be."""
    age_hi: Tensor
    """Last year that the age may be."""
    age_weight: Tensor
    """Weight of the age label, 0 where it is not known."""
    features: Tensor
    """Features float32 [N, F] that the backbone should give, or [N, 0]."""


class Targets:
    """Labels of n rows as arrays, float32 [n] each. Their meaning is that of the same names in Batch."""

    def __init__(self, rows: list[Row]) -> None:
        lo, hi = (
            np.array([0 if a is None else a for a in ages], np.float32)
            for ages in ([row.age_lo for row in rows], [row.age_hi for row in rows])
        )
        self.age_weight = np.array([row.age_lo is not None and row.age_hi is not None for row in rows], np.float32)
        vague = lo < hi  # ranges consist of whole years
        lo, hi = np.where(vague, np.floor(lo), lo), np.where(vague, np.ceil(hi), hi)
        self.age_lo, self.age_hi = np.clip(lo, 0, YEARS - 1), np.clip(hi, 0, YEARS - 1)
        self.male = np.array([row.gender == "M" for row in rows], np.float32)
        known = np.array([row.gender is not None for row in rows], np.float32)
        # Nobody can tell the gender of a baby: such labels teach half as much.
        baby = (self.age_weight > 0) & (self.age_hi < 3)
        self.male_weight = known * np.where(baby, 0.5, 1.0).astype(np.float32)


def batch_of(images: Tensor, rows: NDArray[np.int64], targets: Targets, features: Tensor) -> Batch:
    """Put images [N, ...] and the labels of their rows [N] together."""

    def column(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values[rows].astype(np.float32))

    return Batch(
        images=images,
        male=column(targets.male),
        male_weight=column(targets.male_weight),
        age_lo=column(targets.age_lo),
        age_hi=column(targets.age_hi),
        age_weight=column(targets.age_weight),
        features=features,
    )


def age_loss(logits: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Return the loss [N] of age logits [N, YEARS] against ages (lo == hi) and ranges (lo < hi, ends included)."""
    log_p = functional.log_softmax(logits, dim=1)
    years = torch.arange(YEARS, dtype=logits.dtype, device=logits.device)
    expected = log_p.exp() @ years
    exact = lo == hi
    inside = (years[None] >= lo[:, None]) & (years[None] <= hi[:, None])
    towards_range = -torch.logsumexp(log_p.masked_fill(~inside, -1e4), dim=1)
    sigma = 1.5 + 0.04 * lo
    bell = torch.softmax(-0.5 * ((years[None] - lo[:, None]) / sigma[:, None]) ** 2, dim=1)
    towards_bell = (bell * (bell.clamp_min(1e-9).log() - log_p)).sum(1)
    distance = functional.relu(lo - expected) + functional.relu(expected - hi)
    return torch.where(exact, towards_bell, towards_range) + 0.1 * distance


def gender_loss(logits: Tensor, male: Tensor, weight: Tensor) -> Tensor:
    """Return the loss [N] of gender logits [N, 1], times `weight` [N].

    Labels are softened to .04 and .96, as some of them are wrong.
    """
    target = male * 0.92 + 0.04
    return functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none") * weight


def original_targets(male: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """Return the original project's nine labels [N, 9]: man, woman, and seven decades from 0-9 to 60+.

    One gender and one decade are 1, or several decades where a range of ages reaches over them.
    """
    last = ORIGINAL_LABELS - 3
    decades = torch.arange(last + 1, device=lo.device)
    first, final = ((bound // 10).clamp(0, last)[:, None] for bound in (lo, hi))
    ages = ((decades >= first) & (decades <= final)).to(male.dtype)
    return torch.cat([male[:, None], 1 - male[:, None], ages], dim=1)


def loss_of(outputs: tuple[Tensor, Tensor] | Tensor, batch: Batch) -> Tensor:
    """Return the mean loss of a batch for outputs of either head."""
    if isinstance(outputs, Tensor):
        targets = original_targets(batch.male, batch.age_lo, batch.age_hi)
        known = torch.stack([batch.male_weight] * 2 + [batch.age_weight] * (ORIGINAL_LABELS - 2), dim=1) > 0
        each = functional.binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none") * known
        return each.mean()
    gender, age = outputs
    of_age = age_loss(age.float(), batch.age_lo, batch.age_hi) * batch.age_weight
    return (2 * gender_loss(gender.float(), batch.male, batch.male_weight) + of_age).mean()
