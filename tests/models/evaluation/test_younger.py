"""Probabilities of being younger than the ages of laws."""

import numpy as np
import pytest

from models.cards import LAW_YEARS, AgeHead, Younger
from models.evaluation.younger import fit_younger, younger_figures
from models.session import AgeDecoder, calibrated


def people(count: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Ages [n], and probabilities [n, 6] that are twice as sure of themselves as they may be."""
    rng = np.random.default_rng(0)
    ages = rng.integers(5, 40, count)
    logits = (np.array(LAW_YEARS) - ages[:, None]) / 4 + rng.logistic(size=(count, 1))
    return ages.astype(float), (1 / (1 + np.exp(-2 * logits))).astype(np.float32)


def test_probabilities_that_are_too_sure_are_calibrated() -> None:
    ages, said = people()
    before = younger_figures(said, ages, ages)
    card = fit_younger(said[None, ::2], ages[::2], ages[::2])
    assert card
    after = younger_figures(calibrated(said, card)[1::2], ages[1::2], ages[1::2])
    for years in map(str, LAW_YEARS):
        assert after[years]["calibration_error"] <= 0.04 < before[years]["calibration_error"]
        shares = [true for _, true, _ in after[years]["reliability"]]
        assert shares[0] < 0.1 and shares[-1] > 0.7 and sum(n for *_, n in after[years]["reliability"]) == 3000


def test_few_minors_do_not_make_the_answers_sure_however_often_they_were_looked_at() -> None:
    rng = np.random.default_rng(1)
    for minors in (5, 25):
        ages = np.repeat([12.0, 40.0], [minors, 400])
        p = np.concatenate([rng.uniform(0.7, 0.95, minors), rng.uniform(0.01, 0.5, 400)])  # no mistake among them
        looks = np.tile(p[:, None].astype(np.float32), (4, 1, 6))
        card = fit_younger(looks, ages, ages)
        assert (card is None) == (minors < 20)
    assert card
    said = calibrated(np.array([[0.3], [0.55], [0.65], [0.9]], np.float32) * np.ones(6, np.float32), card)[:, 3]
    assert said[0] < 0.05 < said[1] < 0.2 < said[2] < 0.8 < said[3]  # and not .0003 and .02 of .55 and .65


def test_false_permits_are_those_whose_probability_is_at_most_the_risk() -> None:
    said = np.repeat(np.array([[0.01], [0.04], [0.3], [0.9]], np.float32), 25, 0) * np.ones(6, np.float32)
    ages = np.repeat([15.0, 30.0, 30.0, 12.0], 25)
    permits = younger_figures(said, ages, ages)["18"]["permits"]
    assert permits["at 0.05"] == {"false": 0.5, "right": 0.5}
    assert permits["at 0.02"] == {"false": 0.5, "right": 0.0}
    assert permits["at 0.5"] == {"false": 0.5, "right": 1.0}


def test_ranges_tell_of_the_ages_at_their_bounds_and_lend_to_the_others() -> None:
    ages, said = people()
    low = ages // 10 * 10
    told = younger_figures(said, low, low + 9)
    assert told["20"]["n_left_out"] == 0 and told["18"]["n_left_out"] > 1000
    card = fit_younger(said[None], low, low + 9)
    assert card and len(set(card.slope)) == len(set(card.offset)) == 1
    assert fit_younger(said[None], low * 0, low * 0 + 99) is None


def test_a_head_of_ranges_and_one_of_years_tell_of_laws() -> None:
    even = AgeDecoder(AgeHead(output="age", values="probabilities", edges=(0, 10, 20, 121)))
    said = even.decode(np.array([[0.0, 1.0, 0.0]], np.float32))["p_younger"]
    assert said[0] == pytest.approx([0.3, 0.6, 0.8, 0.9, 1.0, 1.0])
    surer = Younger(slope=(2.0,) * 6, offset=(0.0, 0.0, 0.0, 0.0, -40.0, 0.0))
    years = AgeDecoder(AgeHead(output="age", values="logits", years=(0, 100)), surer)
    assert (np.diff(years.decode(np.zeros((1, 101), np.float32))["p_younger"]) >= 0).all()
