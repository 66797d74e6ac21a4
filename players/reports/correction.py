"""Counts of people corrected by whom the model takes for whom, as its card was measured on held-out faces.

The groups' shares are found by expectation-maximisation (Saerens, Latinne and Decaestecker, Neural Computation 14,
2002: Adjusting the outputs of a classifier to new a priori probabilities). Around them people are told apart at random,
by Gibbs' sampling. Each draw has a matrix of its own, from the Dirichlet distribution of the held-out counts. So
intervals hold the chance of the answers, and that of the matrix.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import DECADES
from players.audience.groups import GENDERS

TRUE_DECADES = (*DECADES[:7], "70+")
"""Decades of corrected counts: photos to measure models by seldom tell 70 from 80."""
TRUE_GROUPS = tuple(f"{gender} {decade}" for gender in GENDERS[:2] for decade in TRUE_DECADES)
SAID_GROUPS = tuple(f"{gender} {decade}" for gender in GENDERS for decade in (*DECADES, "unknown"))
DRAWS = 400
_STEPS, _WALK = 100, 15
_EVENNESS = np.geomspace(0.05, 50, 13)
_PRIOR = 0.5
"""Held-out faces that each row of the matrix has beside its own: they are spread as all answers are."""

Confusion = Mapping[str, Mapping[str, int]]
"""Numbers of held-out faces by what they are (TRUE_GROUPS) and what was said (SAID_GROUPS)."""


def matrix_of(confusion: Confusion) -> NDArray[np.float64]:
    """Return the table as an array [16, 30], which follows TRUE_GROUPS and SAID_GROUPS."""
    return np.array([[confusion.get(true, {}).get(said, 0) for said in SAID_GROUPS] for true in TRUE_GROUPS], float)


def correct(said: NDArray[np.int64], confusion: NDArray[np.float64], draws: int = DRAWS) -> NDArray[np.float64]:
    """Return how many people of TRUE_GROUPS were there, [draws, 16], all equally likely.

    `said` [30], or [draws, 30] where they are unsure themselves, are numbers of people by SAID_GROUPS. `confusion` is
    that of `matrix_of`. Draws are at least 0, and each has as many people as were said.
    """
    rng = np.random.default_rng(0)
    said = np.broadcast_to(said, (draws, said.shape[-1]))
    seen = said.any(0)
    matrices = _draw_matrices(confusion, draws, rng)[:, :, seen]
    said = said[:, seen]
    shares = np.full((draws, len(confusion)), 1 / len(confusion))
    again = rng.multinomial(said.sum(1), said / np.maximum(said.sum(1, keepdims=True), 1))
    for _ in range(_STEPS):
        odds = again / (shares[:, None] @ matrices)[:, 0]
        shares *= (matrices @ odds[:, :, None])[:, :, 0]
        shares /= shares.sum(1, keepdims=True)
    people, evenness = np.zeros_like(shares), np.ones(draws)
    for _ in range(_WALK):
        parts = np.moveaxis(shares[:, :, None] * matrices, 1, 2)
        people = rng.multinomial(said, parts / parts.sum(2, keepdims=True)).sum(1).astype(float)
        shares = np.maximum(rng.standard_gamma(people + evenness[:, None]), 1e-12)
        shares /= shares.sum(1, keepdims=True)
        evenness = _draw_evenness(shares, rng)
    return people


def _draw_evenness(shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how even the classes are, [draws], as the concentration of a Dirichlet distribution of the shares."""
    classes = shares.shape[1]
    constant = np.array([math.lgamma(classes * a) - classes * math.lgamma(a) for a in _EVENNESS])
    likely = constant + (_EVENNESS - 1) * np.log(shares).sum(1, keepdims=True)
    sums = np.exp(likely - likely.max(1, keepdims=True)).cumsum(1)
    chosen: NDArray[np.float64] = _EVENNESS[(rng.random((len(shares), 1)) * sums[:, -1:] > sums).sum(1)]
    return chosen


def _draw_matrices(confusion: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw probabilities of the answers given the class, [draws, classes, said]."""
    spread = confusion.sum(0) + 0.5
    matrices = rng.standard_gamma(np.tile(confusion + _PRIOR * spread / spread.sum(), (draws, 1, 1)))
    matrices = np.maximum(matrices, 1e-300)
    return matrices / matrices.sum(2, keepdims=True)
