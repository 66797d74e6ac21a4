"""The one rule for telling numbers of people: reports, bid requests, invoices and the log all pass it.

Numbers are rounded to tens, and fewer than ten people are told as none. Differences of what is told are then multiples
of ten, and never a number of people that was hidden.
"""

from collections import defaultdict
from collections.abc import Sequence

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
        self._short: defaultdict[int, float] = defaultdict(float)

    def told(self, people: float, margins: Sequence[int], most: int | None = None) -> int:
        """Return what is told of the next cell, at most `most`.

        Cells come in an order that does not change. Margins are given by number; the first one counts five times.
        """
        short, whole = self._short, 0
        if most != 0:
            whole = int(people // FEWEST_PEOPLE) * FEWEST_PEOPLE
            come = sum(map(short.__getitem__, margins), _FIRST_MARGIN * short[margins[0]])
            if people > whole and come / (len(margins) + _FIRST_MARGIN) + people - whole >= FEWEST_PEOPLE:
                whole += FEWEST_PEOPLE
            whole = whole if most is None else min(whole, most)
        rest = people - whole
        if rest:
            for margin in margins:
                short[margin] += rest
        return whole
