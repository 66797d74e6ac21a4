"""The one rule for telling numbers of people: reports, bid requests, invoices and the log all pass it.

Numbers are rounded to tens, and fewer than ten people are told as none. Differences of what is told are then multiples
of ten, and never a number of people that was hidden.
"""

FEWEST_PEOPLE = 10
"""Smallest number of people that is told, and the step to which numbers are rounded."""
HIDDEN = "hidden"
"""Text in place of a number that is not told."""


def told(people: float) -> int:
    """Return a number of people as it may be told: rounded to tens, half up; 0 for fewer than ten."""
    whole = round(people)
    return 0 if whole < FEWEST_PEOPLE else (2 * whole + FEWEST_PEOPLE) // (2 * FEWEST_PEOPLE) * FEWEST_PEOPLE
