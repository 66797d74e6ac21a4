"""Polygons of a camera's picture, such as its zone and its masks, and the mistakes in them."""

from collections.abc import Sequence

from pipeline.errors import UserError

Polygon = Sequence[tuple[float, float]]
"""Corners (x, y) in their order, as shares of the picture's width and height: (0, 0) is its top left corner."""

_CORNERS_MAX = 64
_AREA_MIN = 1e-4
"""Smallest area, as a share of the picture: a square of one hundredth of its sides."""
_GRID = 64
"""Number of places to a side of the picture at which one looks for what masks leave free."""
_EXAMPLE = "write such as [[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]"


def validate_polygon(where: str, polygon: Polygon) -> None:
    """Raise UserError that begins with `where` if the corners are no simple polygon with an area."""
    if not 3 <= len(polygon) <= _CORNERS_MAX:
        raise UserError(f"{where}: has {len(polygon)} corners, not 3 to {_CORNERS_MAX}; {_EXAMPLE}")
    sides = list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))
    for start, end in sides:
        if start == end:
            raise UserError(f"{where}: corner {list(start)} comes twice in a row; take one out, also where it closes")
    for i, side in enumerate(sides):
        for other in sides[i + 2 : len(sides) - (i == 0)]:
            if _cross(*side, *other):
                raise UserError(
                    f"{where}: the side from {list(side[0])} to {list(side[1])} crosses the one from "
                    f"{list(other[0])} to {list(other[1])}; list the corners in their order round the edge"
                )
    if area(polygon) < _AREA_MIN:
        raise UserError(f"{where}: covers nearly nothing; corners are shares of width and height: {_EXAMPLE}")


def area(polygon: Polygon) -> float:
    """Return the area of a polygon as a share of the picture (Gauss's shoelace formula)."""
    after = [*polygon[1:], polygon[0]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(polygon, after, strict=True))) / 2


def inside(polygon: Polygon, x: float, y: float) -> bool:
    """Tell whether a point lies in a polygon, by the sides that a ray to the right crosses (Shimrat 1962)."""
    within = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            within = not within
    return within


def all_masked(zone: Polygon, masks: Sequence[Polygon]) -> bool:
    """Tell whether masks leave nothing of a zone, or of the whole picture if it is empty. Slivers do not count."""
    middles = [(i + 0.5) / _GRID for i in range(_GRID)]
    return not any(
        (not zone or inside(zone, x, y)) and not any(inside(mask, x, y) for mask in masks)
        for x in middles
        for y in middles
    )


_Point = tuple[float, float]


def _cross(a: _Point, b: _Point, c: _Point, d: _Point) -> bool:
    """Tell whether the side from a to b meets the one from c to d."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] != turns[1] and turns[2] != turns[3]:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(not turn and _between(*end) for turn, end in zip(turns, ends, strict=True))


def _turn(a: _Point, b: _Point, c: _Point) -> int:
    """Return 1 if the way from a over b to c turns left, -1 if right, 0 if it goes straight on."""
    product = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (product > 1e-12) - (product < -1e-12)


def _between(a: _Point, b: _Point, c: _Point) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
