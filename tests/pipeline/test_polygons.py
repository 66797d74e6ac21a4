"""Polygons: which are none, and what lies in one."""

import re

import pytest

from pipeline.errors import UserError
from pipeline.polygons import all_masked, area, inside, validate_polygon

SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
HOOK = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.8, 1.0), (0.8, 0.2), (0.0, 0.2))

MISTAKES = {
    "two corners": (((0, 0), (1, 1)), "has 2 corners, not 3 to 64; write such as"),
    "a bow tie": (((0, 0), (1, 1), (1, 0), (0, 1)), "the side from [0, 0] to [1, 1] crosses the one from [1, 0] to"),
    "a spike back over itself": (((0, 0), (1, 0), (0.5, 0), (0.5, 1)), "crosses the one from"),
    "closed by hand": ((*SQUARE, SQUARE[0]), "corner [0.2, 0.2] comes twice in a row; take one out"),
    "a line": (((0, 0), (0.5, 0.00001), (1, 0)), "covers nearly nothing"),
}


@pytest.mark.parametrize(("polygon", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(polygon: tuple[tuple[float, float], ...], says: str) -> None:
    with pytest.raises(UserError, match=f"^here: .*{re.escape(says)}"):
        validate_polygon("here", polygon)


def test_a_polygon_may_turn_either_way_and_be_hollow() -> None:
    for polygon in (SQUARE, SQUARE[::-1], HOOK):
        validate_polygon("here", polygon)
    assert area(SQUARE) == pytest.approx(0.36) and area(HOOK) == pytest.approx(0.2 + 0.16)


def test_a_point_is_inside_or_not() -> None:
    assert inside(SQUARE, 0.5, 0.5) and not inside(SQUARE, 0.1, 0.5) and not inside(SQUARE, 0.9, 0.5)
    assert inside(HOOK, 0.9, 0.9) and inside(HOOK, 0.1, 0.1) and not inside(HOOK, 0.4, 0.6)


def test_masks_leave_something_of_a_zone_or_nothing() -> None:
    assert not all_masked((), [SQUARE]) and not all_masked(HOOK, [SQUARE])
    assert all_masked(SQUARE, [((0, 0), (1, 0), (1, 1), (0, 1))]) and all_masked(SQUARE, [SQUARE])
