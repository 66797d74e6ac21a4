"""Figures of the probabilities of being younger than the ages of laws: calibration, and what they permit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cards import LAW_YEARS, Younger

RISKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Probabilities of being too young up to which somebody may be permitted what is for older ones."""
_BINS = 10
_LEAST = 20
"""Least number of people on either side of an age that tells of it."""
MAX_STRADDLING = 0.05
"""Largest share of labels that do not tell on which side they are, for what the others tell to hold for all."""


def sides(age_lo: NDArray[Any], age_hi: NDArray[Any], years: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of n labels are surely younger than `years`, and which surely not, bool [n] each."""
    return age_hi < years, age_lo >= years


def younger_figures(p_younger: NDArray[Any], age_lo: NDArray[Any], age_hi: NDArray[Any]) -> dict[str, Any]:
    """Return for each of LAW_YEARS what the probabilities [n, 6] are worth, by the labels [n] that tell.

    - `calibration_error`: mean distance of probability and share of younger people, over ten bins of as many faces,
    - `reliability`: those bins, as rows of (mean probability, share of younger people, faces),
    - `permits`: for each risk, the share of younger and of older people whose probability is at most that.
    """
    told: dict[str, Any] = {}
    for column, years in enumerate(LAW_YEARS):
        below, above = sides(age_lo, age_hi, years)
        known = below | above
        if min(below.sum(), above.sum()) < _LEAST:
            continue
        p, is_below = p_younger[known, column].astype(np.float64), below[known]
        bins = np.array_split(np.argsort(p, kind="stable"), _BINS)
        rows = [(float(p[b].mean()), float(is_below[b].mean()), len(b)) for b in bins]
        told[str(years)] = {
            "n": int(known.sum()),
            "n_left_out": int((~known).sum()),
            "calibration_error": round(sum(abs(said - true) * n for said, true, n in rows) / int(known.sum()), 4),
            "reliability": [[round(said, 4), round(true, 4), n] for said, true, n in rows],
            "permits": {
                f"at {risk:g}": {
                    "false": round(float((p[is_below] <= risk).mean()), 4),
                    "right": round(float((p[~is_below] <= risk).mean()), 4),
                }
                for risk in RISKS
            },
        }
    return told


def fit_younger(p_younger: NDArray[Any], age_lo: NDArray[Any], age_hi: NDArray[Any]) -> Younger | None:
    """Fit a slope and an offset to the logits of `p_younger` [m, n, 6], said after m looks at n people (Platt, 1999).

    Several looks at somebody count as one person, so that a few people cannot make the answers too sure. An age of
    which the labels do not tell takes what was found for the nearest one of which they do. None if they tell of no age.
    """
    found: dict[int, tuple[float, float]] = {}
    for column, years in enumerate(LAW_YEARS):
        below, above = sides(age_lo, age_hi, years)
        known = below | above
        if min(below.sum(), above.sum()) >= _LEAST and known.mean() >= 1 - MAX_STRADDLING:
            found[years] = _logistic(p_younger[:, known, column].astype(np.float64), below[known])
    if not found:
        return None
    nearest = [found[min(found, key=lambda known: abs(known - years))] for years in LAW_YEARS]
    slopes, offsets = zip(*nearest, strict=True)
    return Younger(slope=slopes, offset=offsets)


def _logistic(p: NDArray[np.float64], is_below: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logits of `p` [m, n] that make the labels [n] likeliest (Lin et al., 2007).

    Labels are softened by their numbers, as Platt did: few people who are told apart without a mistake prove little.
    """
    younger, older = is_below.sum(), (~is_below).sum()
    target = np.tile(np.where(is_below, (younger + 1) / (younger + 2), 1 / (older + 2)), len(p))
    p = np.clip(p.ravel(), 1e-6, 1 - 1e-6)
    x = np.column_stack([np.log(p) - np.log1p(-p), np.ones(len(p))])

    def surprise(w: NDArray[np.float64]) -> float:
        logits = x @ w
        return float((np.logaddexp(0, logits) - target * logits).sum())

    w = np.array([1.0, 0.0])
    for _ in range(30):
        said = 0.5 * (1 + np.tanh(x @ w / 2))
        curvature = (x * (said * (1 - said))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, x.T @ (said - target))
        w = min((w - share * step for share in (1, 0.5, 0.25, 0.1, 0.01, 0)), key=surprise)
    w = w / max(1.0, abs(w[0]) / 10, abs(w[1]) / 10)  # both alike, or the age at which the answer turns would move
    return round(max(float(w[0]), 0.1), 4), round(float(w[1]), 4)
