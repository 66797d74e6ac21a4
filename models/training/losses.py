"""What a network is taught: labels of rows as arrays, batches of them, and the losses of both heads.

The age head is a distribution over years. An exact age trains it towards a narrow bell around that age and its
expectation towards the age; a range of ages asks only that the probability lies in the range.
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
    """Images uint8 [N, S, S, 3], or features float32 [N, F] where only heads are fitted; labels [N] each and how much
    each counts."""

    images: Tensor
    male: Tensor
    male_weight: Tensor
    age_lo: Tensor
    age_hi: Tensor
    age_weight: Tensor
    weight: Tensor
    features: Tensor
    """float32 [N, F] that the backbone should give, or [N, 0]."""
    soft_targets: Tensor
    """Probabilities float32 [N, 1 + YEARS] of a man and of each year that give way for part of the label, or [N, 0]."""


class Targets:
    """Labels of all rows as arrays."""

    def __init__(self, rows: list[Row], age_groups: tuple[tuple[int, int], ...] = ()) -> None:
        lo, hi = (
            np.array([0 if a is None else a for a in ages], np.float32)
            for ages in ([row.age_lo for row in rows], [row.age_hi for row in rows])
        )
        self.age_weight = np.array([row.age_lo is not None and row.age_hi is not None for row in rows], np.float32)
        for first, last in age_groups:
            inside = ((lo + hi) / 2 >= first) & ((lo + hi) / 2 < last + 1)
            lo, hi = np.where(inside, first, lo), np.where(inside, last, hi)
        vague = lo < hi  # of a range, whole years
        lo, hi = np.where(vague, np.floor(lo), lo), np.where(vague, np.ceil(hi), hi)
        self.age_lo, self.age_hi = np.clip(lo, 0, YEARS - 1), np.clip(hi, 0, YEARS - 1)
        self.male = np.array([row.gender == "M" for row in rows], np.float32)
        known = np.array([row.gender is not None for row in rows], np.float32)
        # Nobody can tell the gender of a baby: such labels teach half as much.
        baby = (self.age_weight > 0) & (self.age_hi < 3)
        self.male_weight = known * np.where(baby, 0.5, 1.0).astype(np.float32)


def batch_of(
    images: Tensor, rows: NDArray[np.int64], targets: Targets, weight: Tensor, features: Tensor, soft_targets: Tensor
) -> Batch:
    """Images and the labels of their rows."""

    def column(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values[rows].astype(np.float32))

    return Batch(
        images=images,
        male=column(targets.male),
        male_weight=column(targets.male_weight),
        age_lo=column(targets.age_lo),
        age_hi=column(targets.age_hi),
        age_weight=column(targets.age_weight),
        weight=weight,
        features=features,
        soft_targets=soft_targets,
    )


def age_loss(logits: Tensor, lo: Tensor, hi: Tensor, soft_targets: Tensor | None = None, share: float = 0.0) -> Tensor:
    """Loss [N] of age logits [N, YEARS] against ages (lo == hi) and ranges (lo < hi), in years, ends included.

    Of an exact age, `share` (0 to 1) gives way to `soft_targets`, probabilities [N, YEARS]; a range is vague by itself.
    """
    log_p = functional.log_softmax(logits, dim=1)
    years = torch.arange(YEARS, dtype=logits.dtype, device=logits.device)
    expected = log_p.exp() @ years
    exact = lo == hi
    inside = (years[None] >= lo[:, None]) & (years[None] <= hi[:, None])
    towards_range = -torch.logsumexp(log_p.masked_fill(~inside, -1e4), dim=1)
    sigma = 1.5 + 0.04 * lo
    bell = torch.softmax(-0.5 * ((years[None] - lo[:, None]) / sigma[:, None]) ** 2, dim=1)
    if soft_targets is not None:
        bell = (1 - share) * bell + share * soft_targets
        middle = (1 - share) * lo + share * (soft_targets @ years)
        lo, hi = torch.where(exact, middle, lo), torch.where(exact, middle, hi)
    towards_bell = (bell * (bell.clamp_min(1e-9).log() - log_p)).sum(1)
    distance = functional.relu(lo - expected) + functional.relu(expected - hi)
    return torch.where(exact, towards_bell, towards_range) + 0.1 * distance


def gender_loss(
    logits: Tensor, male: Tensor, weight: Tensor, soft_targets: Tensor | None = None, share: float = 0.0
) -> Tensor:
    """Loss [N] of gender logits [N, 1]; labels are softened by .04, some of them are wrong, and `share` of each gives
    way to `soft_targets`, probabilities of a man [N]."""
    target = male * 0.92 + 0.04
    if soft_targets is not None:
        target = (1 - share) * target + share * soft_targets
    return functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none") * weight


def original_targets(male: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """The original project's nine labels [N, 9]: man, woman, seven decades to 60+; two of them are 1, or more where the
    age is a range that reaches over several decades."""
    last = ORIGINAL_LABELS - 3
    decades = torch.arange(last + 1, device=lo.device)
    first, final = ((bound // 10).clamp(0, last)[:, None] for bound in (lo, hi))
    ages = ((decades >= first) & (decades <= final)).to(male.dtype)
    return torch.cat([male[:, None], 1 - male[:, None], ages], dim=1)


def loss_of(outputs: tuple[Tensor, Tensor] | Tensor, batch: Batch, share: float = 0.0) -> Tensor:
    """Mean loss of a batch under either head; `share` of the labels gives way to the batch's soft targets."""
    if isinstance(outputs, Tensor):
        targets = original_targets(batch.male, batch.age_lo, batch.age_hi)
        known = torch.stack([batch.male_weight] * 2 + [batch.age_weight] * (ORIGINAL_LABELS - 2), dim=1) > 0
        each = functional.binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none") * known
        return (each.mean(1) * batch.weight).mean()
    gender, age = outputs
    male, ages = (batch.soft_targets[:, 0], batch.soft_targets[:, 1:]) if batch.soft_targets.numel() else (None, None)
    each = 2 * gender_loss(gender.float(), batch.male, batch.male_weight, male, share)
    each = each + age_loss(age.float(), batch.age_lo, batch.age_hi, ages, share) * batch.age_weight
    return (each * batch.weight).mean()
