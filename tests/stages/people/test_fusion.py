"""Several answers about one person become one."""

import math

import msgspec
import pytest

from models.estimate import NOTHING_KNOWN
from pipeline.messages import DECADES
from stages.people.fusion import Fused
from tests.stages.people.sightings import TWENTIES, UNKNOWN, answer

EVEN = (1 / 9,) * 9


def fused(*answers: tuple[float, float]) -> Fused:
    """Fuse answers given as (probability of a man, quality of the crop)."""
    known = Fused()
    for p_male, quality in answers:
        known.add(answer(p_male=p_male), quality)
    return known


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_one_answer_about_a_good_crop_or_one_that_nobody_judged_stays_what_it_is(quality: float) -> None:
    known = fused((0.2, quality))
    assert known.p_male == pytest.approx(0.2)
    assert known.p_decade == pytest.approx(TWENTIES)
    assert known.p_minor == pytest.approx(0.05)
    assert known.estimate(UNKNOWN).age_years == pytest.approx(25)


def test_of_a_poor_crop_less_is_believed() -> None:
    good, poor = fused((0.2, 0.9)), fused((0.2, 0.1))
    assert good.p_male < poor.p_male < 0.5
    assert max(good.p_decade) > max(poor.p_decade) > 0.5


def test_without_an_answer_nothing_is_known() -> None:
    assert Fused().estimate(UNKNOWN) == NOTHING_KNOWN
    assert Fused().p_minor is None
    assert fused((0.1, 1.0)).estimate(None) == NOTHING_KNOWN


def test_answers_that_agree_make_surer_but_not_as_if_they_were_independent() -> None:
    alone, often = fused((0.7, 1.0)).p_male, fused(*[(0.7, 1.0)] * 8).p_male
    independent = 1 / (1 + (0.3 / 0.7) ** 8)
    assert alone < often < 0.9 < independent


def test_answers_that_contradict_each_other_make_unknown() -> None:
    assert fused((0.9, 0.5), (0.1, 0.5)).estimate(UNKNOWN).gender == "unknown"


def test_the_better_crop_counts_for_more() -> None:
    assert fused((0.9, 0.9), (0.1, 0.1)).estimate(UNKNOWN).gender == "M"
    known = Fused()
    for years, quality in ((20.0, 0.3), (40.0, 0.6)):
        known.add(answer(years=years), quality)
    assert known.estimate(UNKNOWN).age_years == pytest.approx(36)


def test_crops_that_nobody_judged_count_alike() -> None:
    assert fused((0.9, 0.0), (0.1, 0.0)).p_male == pytest.approx(0.5)


def test_an_answer_that_is_sure_of_itself_does_not_outweigh_all_others() -> None:
    assert fused((1.0, 0.5), *[(0.1, 0.5)] * 7).estimate(UNKNOWN).gender == "F"


def test_an_answer_without_decades_is_passed_over() -> None:
    known = Fused()
    known.add(answer(p_decade=()), 0.5)
    assert known.answers == 0


def test_probabilities_stay_probabilities_whatever_comes() -> None:
    known = Fused()
    for n in range(1000):
        p_decade = tuple(float(decade == n % 9) for decade in range(len(DECADES))) if n % 2 else EVEN
        known.add(answer(p_male=float(n % 3 == 0), p_decade=p_decade), n % 7 / 7)
        assert 0 <= known.p_male <= 1
        assert math.isclose(sum(known.p_decade), 1)
        assert known.p_minor is not None and 0 <= known.p_minor <= 1


def test_the_probability_of_a_minor_is_the_one_of_the_age_that_was_asked_for() -> None:
    known = Fused()
    for p_minor in (0.3, 0.2):
        known.add(msgspec.structs.replace(answer(), p_minor=p_minor), 1.0)
    assert known.p_minor is not None and 0.2 < known.p_minor < 0.3
    poor = Fused()
    poor.add(msgspec.structs.replace(answer(), p_minor=0.01), 0.1)
    assert poor.p_minor is not None and 0.01 < poor.p_minor < 0.5
