"""Estimates of one face: what becomes `unknown`."""

import pytest

from models.cards import Unknown
from models.estimate import estimate

CARD = Unknown(gender=0.7, decade=0.3)


@pytest.mark.parametrize(("p_under_ten", "said"), [(0.51, "unknown"), (0.49, "M")])
def test_the_gender_of_a_child_is_unknown(p_under_ten: float, said: str) -> None:
    decades = (p_under_ten, 1 - p_under_ten, *[0.0] * 7)
    told = estimate(0.99, 9.0, decades, CARD)
    assert (told.gender, told.p_male, told.decade) == (said, 0.99, 0 if said == "unknown" else 1)


def test_a_card_may_have_it_said_of_children_all_the_same() -> None:
    asked = Unknown(gender=0.7, decade=0.3, child=1.0)
    assert estimate(0.99, 4.0, (1.0, *[0.0] * 8), asked).gender == "M"
