"""The policies: pure functions that give the odds of each line that may be drawn.

To add one: write a function like those below and give it a row in POLICIES. Add its name to `Policy` in
pipeline/settings.py, and a paragraph to docs/campaigns.md. Settings, `simulate --policy` and tests follow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.settings import Policy
from players.ads.catalogue import Arrays
from players.audience.present import Present
from players.choice.matching import aims, wanting


@dataclass(frozen=True, eq=False)
class Eligible:
    """The paid lines that may be shown now to the people present; there is at least one.

    rows: intp [n], their rows in `arrays`. minors: whether ads may be aimed at people under 20. targeting: whether ads
    may be aimed at anybody; without it every line here is for anyone. Priorities count up to `max_priority`, and the
    weights of one advertiser's lines up to `max_weight` together.
    """

    arrays: Arrays
    rows: NDArray[np.intp]
    minors: bool
    targeting: bool
    max_priority: int = 100
    max_weight: float = math.inf


class Lots(NamedTuple):
    """The lines to draw from: their rows, intp [m]; their odds, float [m], above 0 and of any sum; why these."""

    rows: NDArray[np.intp]
    odds: NDArray[np.float64]
    why: str


def by_weight(eligible: Eligible, rows: NDArray[np.intp], why: str) -> Lots:
    """Return the lines of the highest priority among `rows`, intp [n >= 1], with their weights as odds."""
    arrays = eligible.arrays
    priority = np.minimum(arrays.priority[rows], eligible.max_priority)
    rows = rows[priority == priority.max()]
    weight = arrays.weight[rows]
    if eligible.max_weight < math.inf:
        advertiser = arrays.advertiser[rows]
        weight = weight * np.minimum(1.0, eligible.max_weight / np.bincount(advertiser, weight)[advertiser])
    return Lots(rows, weight, why)


def majority(eligible: Eligible, present: Present) -> Lots:
    """Draw by priority and weight from the lines that want the first group of `aims` which any line wants."""
    arrays, rows = eligible.arrays, eligible.rows
    if not eligible.targeting:
        return by_weight(eligible, rows, "eligible")
    targets = arrays.target_row[rows]
    open_targets = np.bincount(targets, minlength=len(arrays.targets)) > 0
    for aim in aims(present):
        aimed = open_targets & wanting(arrays, aim, eligible.minors)
        if aimed.any():
            return by_weight(eligible, rows[aimed[targets]], aim.why)
    return Lots(rows[:0], np.zeros(0), "")


def weighted(eligible: Eligible, present: Present) -> Lots:
    """Draw from the lines of the highest priority by weight times the expected number of matching people.

    Where anybody looks, only those who look are expected, each with the weight of his attention and nearness.
    """
    arrays = eligible.arrays
    rows, weight, _ = by_weight(eligible, eligible.rows, "")
    look = bool(present.looking.any())
    people = present.expected_appeal if look else present.expected
    expected = np.tensordot(arrays.bins[eligible.minors], people, 2)
    why = "watching: expected matches among those who look" if look else "expected matches"
    return Lots(rows, weight * np.maximum(expected, 1e-3)[arrays.target_row[rows]], why)


def random(eligible: Eligible, present: Present) -> Lots:
    """Draw from all eligible lines alike, whatever their priority and weight."""
    return Lots(eligible.rows, np.ones(eligible.rows.size), "eligible")


POLICIES: dict[Policy, Callable[[Eligible, Present], Lots]] = {
    "majority": majority,
    "weighted": weighted,
    "random": random,
}
