"""The one rule for telling numbers of people: reports, bid requests, invoices and the log all pass it.

Numbers are rounded to tens, and fewer than ten people are told as none. Differences of what is told are then multiples
of ten, and never a number of people that was hidden.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable

FEWEST_PEOPLE = 10
"""Smallest number of people that is told, and the step to which numbers are rounded."""
HIDDEN = "hidden"
"""Text in place of a number that is not told."""


def told(people: float) -> int:
    """Return a number of people as it may be told: rounded to tens, half up; 0 for fewer than ten."""
    whole = round(people)
    return 0 if whole < FEWEST_PEOPLE else (2 * whole + FEWEST_PEOPLE) // (2 * FEWEST_PEOPLE) * FEWEST_PEOPLE


class Carry:
    """Rounding of many small cells of people, whose told numbers may be added up in any way.

    A cell is rounded down to tens. What is cut off is carried along the `margins` of the cell, such as its day, its
    hour and its group. Where ten people have come together on average over these margins, the next cell is rounded up
    instead. So sums along margins stay near the truth, and every cell is told as 0 or in tens.

    Told numbers of cells do not tell whether a cell that is told as 0 holds 0 or 9 people, however they are put
    together. Think of a crowd that has exactly what was told in all other cells. Any number from 0 to 9 in this one
    would then be told in the same way.
    """

    def __init__(self) -> None:
        self._short: defaultdict[Hashable, float] = defaultdict(float)

    def told(self, people: float, margins: Iterable[Hashable], most: int | None = None) -> int:
        """Return what is told of the next cell, at most `most`. Cells come in an order that does not change."""
        short, margins = self._short, tuple(margins)
        whole = int(people // FEWEST_PEOPLE) * FEWEST_PEOPLE
        rest = people - whole
        if rest and sum([short[margin] for margin in margins]) + rest * len(margins) >= FEWEST_PEOPLE * len(margins):
            whole += FEWEST_PEOPLE
        if most is not None and whole > most:
            whole = most
        if whole != people:
            for margin in margins:
                short[margin] += people - whole
        return whole
