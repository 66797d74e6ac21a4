"""Protection of small numbers of people in reports, also against finding them by subtraction."""

from collections import defaultdict
from itertools import chain, combinations
from typing import Any

FEWEST_PEOPLE = 10
"""Smallest number of people that a report states."""
HIDDEN = "hidden"
"""Text of a report in place of a hidden number."""


def hide(counts: dict[tuple[Any, ...], int], dimensions: int, fewest: int = FEWEST_PEOPLE) -> set[tuple[Any, ...]]:
    """Return the keys of the bins whose numbers must be hidden.

    `counts` maps the key of a bin, a tuple of `dimensions` values, to its number of people. Every bin with fewer than
    `fewest` people is hidden. But a reader can subtract the bins that are shown from a total over any dimensions, which
    gives the sum of the hidden ones. So the smallest other bins are hidden too, until each such sum is of at least two
    bins and at least `fewest` people.
    """
    hidden = {key for key, number in counts.items() if number < fewest}
    margins = list(chain.from_iterable(combinations(range(dimensions), size) for size in range(dimensions)))
    changed = bool(hidden)
    while changed:
        changed = False
        for margin in margins:
            slices: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
            for key in counts:
                slices[tuple(key[i] for i in margin)].append(key)
            for keys in slices.values():
                secret = [key for key in keys if key in hidden]
                shown = [key for key in keys if key not in hidden]
                while secret and shown and (len(secret) == 1 or sum(counts[key] for key in secret) < fewest):
                    smallest = min(shown, key=lambda key: (counts[key], str(key)))
                    shown.remove(smallest)
                    secret.append(smallest)
                    hidden.add(smallest)
                    changed = True
    return hidden
