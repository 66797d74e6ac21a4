"""The past, as far as the next choice must know it: money committed, recent starts, the last play."""

from bisect import bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from players.ads.catalogue import Catalogue
from players.ads.lines import Line, LineKey

HOUR_NS = 3_600_000_000_000


class LastPlay(NamedTuple):
    """The play before the next one.

    `separation` is the line's when it played; empty for house ads and for plays read from a ledger.
    """

    line: LineKey
    creative: str
    separation: str = ""


OrderKey = tuple[str, str, str, str]
"""Advertiser, campaign, id of a line, and its currency. With another of them it is a new order, with its own money."""


class History:
    """Money of each order, and times of each line. Times are CLOCK_MONOTONIC in ns, money is in millionths.

    `committed` is what was billed and what plays in progress have reserved. `starts_ns` are starts of the last hour.
    """

    def __init__(self) -> None:
        self.committed: dict[OrderKey, int] = {}
        self.starts_ns: dict[LineKey, list[int]] = {}
        self.last: LastPlay | None = None
        self._catalogue: Catalogue | None = None
        self._columns: tuple[NDArray[np.int64], NDArray[np.int64]] = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def started(self, line: Line, creative_id: str, price_micro: int, mono_ns: int) -> None:
        """Record that a play of `line` begins and reserves its price."""
        starts = self.starts_ns.setdefault(line.key, [])
        del starts[: bisect_right(starts, mono_ns - HOUR_NS)]
        starts.append(mono_ns)
        self.last = LastPlay(line.key, creative_id, "" if line.house else line.separation)
        self.commit(line, price_micro)
        row = self._row(line)
        if row is not None:
            self._columns[1][row] = _blocked_until_ns(line, starts)

    def commit(self, line: Line, micro: int) -> None:
        """Add millionths to the money that an order has committed; a negative amount gives a reservation back."""
        order = *line.key, line.currency
        self.committed[order] = self.committed.get(order, 0) + micro
        row = self._row(line)
        if row is not None and self._catalogue and self._catalogue.lines[row].currency == line.currency:
            self._columns[0][row] = self.committed[order]

    def committed_by(self, line: Line) -> int:
        """Return the millionths that a line has committed in its present currency."""
        return self.committed.get((*line.key, line.currency), 0)

    def columns(self, catalogue: Catalogue) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return two int64 [lines], of paid lines: millionths committed, and the ns until which cap and gap hold."""
        if catalogue is not self._catalogue:
            committed = [self.committed_by(line) for line in catalogue.lines]
            blocked = [_blocked_until_ns(line, self.starts_ns.get(line.key, [])) for line in catalogue.lines]
            self._columns = np.array(committed, dtype=np.int64), np.array(blocked, dtype=np.int64)
            self._catalogue = catalogue
        return self._columns

    def _row(self, line: Line) -> int | None:
        return self._catalogue.arrays.row.get(line.key) if self._catalogue else None


def _blocked_until_ns(line: Line, starts_ns: list[int]) -> int:
    """Return the time when the line's gap is over and its cap of the sliding hour leaves room again."""
    if not starts_ns:
        return -(2**62)
    until = starts_ns[-1] + round(line.min_gap_s * 1e9)
    cap = line.max_plays_per_hour
    if cap is not None and len(starts_ns) >= cap:
        until = max(until, starts_ns[-cap] + HOUR_NS)
    return until
