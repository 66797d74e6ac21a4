"""Measures of plays, added up for reports: every number of people passes the rule of pipeline/people.py.

Plays until schema 4 were counted in another way. Their numbers have columns of their own, and only where there are any.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Hashable
from typing import Any

from pipeline.people import HIDDEN, told
from players.ledger.schema import MEASURED_SINCE
from players.reports.periods import Periods


class Sums:
    """Sums of people and of their time by key, and which share of the time on the screen was measured."""

    def __init__(self, names: dict[str, str], attention: str, old: str, periods: Periods) -> None:
        """Sum these columns of `plays`: `names` gives each a name in the report.

        `attention` is the column of time, in ms; of the people of `old` plays until schema 4 told.
        """
        self._names = names
        self._attention = attention
        self._old = old
        self._periods = periods
        self._people: dict[str, dict[Hashable, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._attention_ms: dict[Hashable, Counter[str]] = defaultdict(Counter)
        self._shown_ms: Counter[Hashable] = Counter()
        self._measured_ms: Counter[Hashable] = Counter()
        self._measured: set[Hashable] = set()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `row` returns."""
        old = (f"old_{self._old}",) if self._people[self._old] else ()
        return (*self._names.values(), "attention_s", "measured_pct", *old)

    def __bool__(self) -> bool:
        return any(self._people.values())

    def add(self, key: Hashable, row: sqlite3.Row) -> None:
        """Add a play, also to the total, whose key is None."""
        period = self._periods.of(row["started_utc"])
        for one in (key, None):
            if row["schema"] < MEASURED_SINCE:
                self._people[self._old][one][period] += row[self._old] or 0
                continue
            if row["shown_ms"]:
                self._shown_ms[one] += row["shown_ms"]
                self._measured_ms[one] += (row["measured_share"] or 0) * row["shown_ms"]
            if not row["measured_share"]:
                continue
            self._measured.add(one)
            for column in self._names:
                self._people[column][one][period] += row[column]
            self._attention_ms[one][period] += row[self._attention]

    def row(self, key: Hashable) -> dict[str, Any]:
        """Return what may be told of a key; None where nothing was measured."""
        measured = key in self._measured
        row: dict[str, Any] = {
            name: self._told(column, key) if measured else None for column, name in self._names.items()
        }
        row["attention_s"] = self._told_attention(key) if measured else None
        shown_ms = self._shown_ms[key]
        row["measured_pct"] = round(100 * self._measured_ms[key] / shown_ms, 1) if shown_ms else None
        if self._people[self._old]:
            row[f"old_{self._old}"] = self._told(self._old, key)
        return row

    def _told(self, column: str, key: Hashable) -> int | str:
        return sum(told(number) for period, number in self._people[column][key].items() if period) or HIDDEN

    def _told_attention(self, key: Hashable) -> float | str:
        """Return the seconds of the watchers who are told: their number times the mean of those of the period."""
        column = next(name for name in self._names if name.endswith("looked"))
        seconds = 0.0
        for period, number in self._people[column][key].items():
            if period and told(number):
                seconds += told(number) * self._attention_ms[key][period] / number / 1000
        return round(seconds, 1) or HIDDEN
