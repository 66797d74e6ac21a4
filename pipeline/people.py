"""The one rule for telling numbers of people: reports, bid requests, invoices and the log all pass it.

Numbers are rounded to tens, and fewer than ten people are told as none. Differences of what is told are then multiples
of ten, and never a number of people that was hidden.
"""

import math
from collections.abc import Sequence
from itertools import repeat

FEWEST_PEOPLE = 10
"""Smallest number of people that is told, and the step to which numbers are rounded."""
_FIRST_MARGIN = 4
"""Weight of a cell's first margin, beyond that of the others."""
HIDDEN = "hidden"
"""Text in place of a number that is not told."""


def told(people: float) -> int:
    """Return a number of people as it may be told: rounded to tens, half up; 0 for fewer than ten."""
    whole = round(people)
    return 0 if whole < FEWEST_PEOPLE else (2 * whole + FEWEST_PEOPLE) // (2 * FEWEST_PEOPLE) * FEWEST_PEOPLE


def told_in_turn(
    people: Sequence[float], margins: Sequence[Sequence[int]], most: Sequence[float] | None = None
) -> list[int]:
    """Return what is told of many small cells of people, whose told numbers may be added up in any way.

    A cell is rounded down to tens. What is cut off is carried along the `margins` of the cell, such as its day, its
    hour and its group. Where ten people have come together on average over these margins, the next cell is rounded up
    instead. So sums along margins stay near the truth, and every cell is told as 0 or in tens, at most as its `most`.

    Told numbers of cells do not tell whether a cell that is told as 0 holds 0 or 9 people, however they are put
    together. Think of a crowd that has exactly what was told in all other cells. Any number from 0 to 9 in this one
    would then be told in the same way.

    Cells come in an order that does not change. Margins are given by number; the first one counts five times.
    """
    short = [0.0] * (1 + max((max(mine) for mine in margins), default=0))
    said = []
    for number, mine, limit in zip(people, margins, repeat(math.inf) if most is None else most, strict=False):
        whole = 0
        if number and limit:
            whole = int(number // FEWEST_PEOPLE) * FEWEST_PEOPLE
            come = sum([short[margin] for margin in mine], _FIRST_MARGIN * short[mine[0]])
            if number > whole and come / (len(mine) + _FIRST_MARGIN) + number - whole >= FEWEST_PEOPLE:
                whole += FEWEST_PEOPLE
            whole = int(min(whole, limit))
        said.append(whole)
        if rest := number - whole:
            for margin in mine:
                short[margin] += rest
    return said
