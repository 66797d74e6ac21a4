"""Places inside and outside of a polygon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.people.zone import inside

HOUSE = ((0.2, 0.9), (0.2, 0.5), (0.5, 0.1), (0.8, 0.5), (0.8, 0.9))
BAY = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.6, 0.9), (0.6, 0.4), (0.4, 0.4), (0.4, 0.9), (0.1, 0.9))


def at(x: float, y: float) -> tuple[float, float, float, float]:
    """Return a box of 20 x 20 px around a place of a frame of 200 x 100 px."""
    return 200 * x - 10, 100 * y - 10, 20, 20


def test_without_a_zone_everywhere_is_inside() -> None:
    assert inside((), at(0.99, 0.01), 200, 100)


@pytest.mark.parametrize(
    ("x", "y", "is_in"), [(0.5, 0.5, True), (0.5, 0.2, True), (0.3, 0.2, False), (0.1, 0.6, False), (0.7, 0.95, False)]
)
def test_the_middle_of_the_face_decides(x: float, y: float, is_in: bool) -> None:
    assert inside(HOUSE, at(x, y), 200, 100) is is_in
    assert inside(HOUSE[::-1], at(x, y), 200, 100) is is_in


def test_a_bay_is_outside() -> None:
    assert not inside(BAY, at(0.5, 0.7), 200, 100)
    assert inside(BAY, at(0.5, 0.3), 200, 100) and inside(BAY, at(0.2, 0.7), 200, 100)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_rectangle_holds_what_lies_between_its_edges(x: float, y: float) -> None:
    box = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    if all(abs(value - edge) > 1e-6 for value in (x, y) for edge in (0.25, 0.75)):
        assert inside(box, at(x, y), 200, 100) is (0.25 < x < 0.75 and 0.25 < y < 0.75)
