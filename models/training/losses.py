"""Labels of photos as tensors, and the losses of both heads.

The age head is a distribution over years. An exact age pulls it towards a narrow bell curve around that age, and its
expectation towards the age. A range of ages asks only that the probability lies in the range.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.datasets.index import Row
from models.training.networks import ORIGINAL_LABELS, YEARS


class Labels(NamedTuple):
    """Labels of n photos, float32 [n] each."""

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

    def of(self, photos: Tensor) -> "Labels":
        """Return the labels of some photos, by their numbers, int64 [m]."""
        return Labels(*(column[photos] for column in self))


def labels_of(rows: Sequence[Row]) -> Labels:
    """Put the labels of rows into tensors. Ranges of ages become whole years."""
    lo = torch.tensor([row.age_lo or 0 for row in rows], dtype=torch.float32)
    hi = torch.tensor([row.age_hi or 0 for row in rows], dtype=torch.float32)
    known = torch.tensor([row.age_lo is not None and row.age_hi is not None for row in rows])
    vague = lo < hi
    lo = torch.where(vague, lo.floor(), lo).clamp(0, YEARS - 1)
    hi = torch.where(vague, hi.ceil(), hi).clamp(0, YEARS - 1)
    # Nobody can tell the gender of a baby: such labels teach half as much.
    weight = torch.where(known & (hi < 3), 0.5, 1.0) * torch.tensor([row.gender is not None for row in rows])
    return Labels(torch.tensor([float(row.gender == "M") for row in rows]), weight, lo, hi, known.float())


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


def loss_of(outputs: tuple[Tensor, Tensor] | Tensor, labels: Labels) -> Tensor:
    """Return the mean loss of a batch for outputs of either head."""
    if isinstance(outputs, Tensor):
        targets = original_targets(labels.male, labels.age_lo, labels.age_hi)
        known = torch.stack([labels.male_weight] * 2 + [labels.age_weight] * (ORIGINAL_LABELS - 2), dim=1) > 0
        each = functional.binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none") * known
        return each.mean()
    gender, age = outputs
    of_age = age_loss(age.float(), labels.age_lo, labels.age_hi) * labels.age_weight
    return (2 * gender_loss(gender.float(), labels.male, labels.male_weight) + of_age).mean()
