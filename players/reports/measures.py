"""Measures of plays, added up for reports: every number of people passes the rule of pipeline/people.py.

People are told in cells of an hour and an ad on a screen (telling.py). Plays until schema 4 were counted in another
way: their numbers have columns of their own.
"""

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.people import HIDDEN
from players.ledger.schema import MEASURED_SINCE
from players.reports.periods import Span, bound_s
from players.reports.telling import Clock, Columns, Kind, Numbering, rows_of, summed, tell
from players.statistics.times import HOUR_S, begin_s

SCREEN = ("station", "screen")
AD = (*SCREEN, "advertiser", "campaign", "line", "creative", "trigger")
"""Columns of `plays` that tell the cells of an hour apart in reports of plays."""
PLAYS_COLUMNS = ("ots_1s", "watchers_looked", "watchers_2s", "attention_ms", "ots")
"""Columns of people of the report of plays: numbers, each among those before it, attention, and the old number."""
_SETTLED_S = 900
"""Time after the end of an hour until its plays have ended, too: then it is told."""

Cell = tuple[Any, ...]
"""Beginning of an hour of the zone (UTC epoch, s), then the values of the columns that tell cells apart."""


class Sums:
    """Sums of people and of their time by key, and which share of the time on the screen was measured."""

    def __init__(
        self,
        db: sqlite3.Connection,
        names: dict[str, str],
        attention: str,
        old: str,
        zone: ZoneInfo,
        span: Span,
        *,
        apart: Sequence[str] = AD,
        only: str = "1",
        now_s: float | None = None,
    ) -> None:
        """Sum these columns of `plays`: `names` gives each a name in the report, and each is among those before it.

        `attention` is the column of time, in ms; of the people of `old` plays until schema 4 told. Cells are told
        `apart` by these columns. `only` is a condition of SQL: plays to count, whatever the span.
        """
        self._names, self._old, self._apart, self._zone, self._span = names, old, apart, zone, span
        columns = (*names, attention, old)
        self._cells = told_cells(db, columns, apart, zone, span, only=only, now_s=now_s)
        self._people: dict[Hashable, Counter[str]] = defaultdict(Counter)
        self._shown_ms: Counter[Hashable] = Counter()
        self._measured_ms: Counter[Hashable] = Counter()
        self._measured: set[Hashable] = set()
        self._any_old = self._any_untold = False
        self._told_until = told_until(zone, time.time() if now_s is None else now_s)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `row` returns."""
        return (*self._names.values(), "attention_s", "measured_pct", *([f"old_{self._old}"] if self._any_old else []))

    @property
    def cuts_hours(self) -> bool:
        """True where the span begins or ends in the middle of an hour, of which no people are told."""
        bounds = (bound_s(text) for text in self._span)
        return any(at_s is not None and begin_s(int(at_s), HOUR_S, self._zone) != at_s for at_s in bounds)

    @property
    def not_yet(self) -> tuple[str, ...]:
        """Sentence on measured plays whose people are not told yet, if there are any."""
        if not self._any_untold:
            return ()
        begins = datetime.fromisoformat(self._told_until).replace(tzinfo=UTC).astimezone(self._zone)
        told_at = begins + timedelta(seconds=HOUR_S + _SETTLED_S)
        return (
            f"People of plays since {begins:%Y-%m-%d %H:%M} are not told yet: those of an hour are told a quarter of "
            f"an hour after its end, the next at {told_at:%H:%M}. What is billed does not change.",
        )

    def __bool__(self) -> bool:
        return bool(self._measured) or self._any_old

    def add(self, key: Hashable, row: sqlite3.Row) -> None:
        """Note a play of a key: whether it was measured, and how long. The total, whose key is None, has it too."""
        if row["schema"] < MEASURED_SINCE:
            self._any_old = True
            return
        for one in (key, None):
            if row["shown_ms"]:
                self._shown_ms[one] += row["shown_ms"]
                self._measured_ms[one] += (row["measured_share"] or 0) * row["shown_ms"]
            if row["measured_share"]:
                self._measured.add(one)
                self._any_untold |= row["started_utc"] >= self._told_until

    def count(self, key_of: Callable[[dict[str, Any], datetime], Hashable]) -> None:
        """Add the told people of the whole hours of the span. `key_of` gives the key of a cell's columns and hour."""
        since_s, until_s = map(bound_s, self._span)
        for (begins_s, *values), numbers in self._cells.items():
            if (since_s is None or begins_s >= since_s) and (until_s is None or begins_s + HOUR_S <= until_s):
                local = datetime.fromtimestamp(begins_s, self._zone)
                for key in (key_of(dict(zip(self._apart, values, strict=True)), local), None):
                    self._people[key].update(numbers)

    def row(self, key: Hashable) -> dict[str, Any]:
        """Return what may be told of a key; None where nothing was measured."""
        people = self._people[key]
        measured = key in self._measured
        row: dict[str, Any] = {
            name: (round(people[column]) or HIDDEN) if measured else None for column, name in self._names.items()
        }
        row["attention_s"] = (round(people["attention_s"], 1) or HIDDEN) if measured else None
        shown_ms = self._shown_ms[key]
        row["measured_pct"] = round(100 * self._measured_ms[key] / shown_ms, 1) if shown_ms else None
        if self._any_old:
            row[f"old_{self._old}"] = round(people[self._old]) or HIDDEN
        return row


def told_cells(
    db: sqlite3.Connection,
    columns: Sequence[str],
    apart: Sequence[str],
    zone: ZoneInfo,
    span: Span,
    *,
    only: str = "1",
    now_s: float | None = None,
) -> dict[Cell, dict[str, Any]]:
    """Return what is told of each cell of the months of a span: people by column, and `attention_s`.

    The last two of `columns` are the time of attention (ms) and the people of plays until schema 4. The others are
    numbers of people, each among those before it. Attention is that of the ones who looked. `apart` begins with
    SCREEN: each screen stands for itself, so that its people are told alike whichever ledgers are read.
    """
    over = f"({only}) AND started_utc < '{told_until(zone, time.time() if now_s is None else now_s)}'"
    place_of = Numbering()
    quarters = (
        (begins_s, HOUR_S, place_of((*values,)), numbers)
        for begins_s, values, numbers in _quarters(db, columns, apart, zone, span, over)
    )
    rows = rows_of(quarters, len(columns))
    kinds = [Kind(values, values[:2], (*enumerate(values[2:]), values), values) for values in place_of]
    cells = summed(rows, kinds)
    *people, attention, old = range(len(columns))
    looked = next(place for place, name in enumerate(columns) if name.endswith("looked"))
    said = np.nan_to_num(tell(cells, kinds, Columns(((*people,), (old,)), ((attention, looked),)), Clock(zone)))
    names = (*columns[:attention], "attention_s", columns[old])
    return {
        (begins_s, *kinds[kind].values): dict(zip(names, numbers, strict=True))
        for begins_s, kind, numbers in zip(cells.begins_s.tolist(), cells.kinds.tolist(), said.tolist(), strict=True)
    }


def told_until(zone: ZoneInfo, now_s: float) -> str:
    """Return the end of the last hour that is told, as the ledger writes times."""
    return datetime.fromtimestamp(begin_s(int(now_s - _SETTLED_S), HOUR_S, zone), UTC).strftime("%Y-%m-%dT%H:%M")


def _quarters(
    db: sqlite3.Connection, columns: Sequence[str], apart: Sequence[str], zone: ZoneInfo, span: Span, only: str
) -> Iterator[tuple[int, list[Any], list[int]]]:
    """Yield the hour, the columns that tell apart and the sums of each quarter of an hour, in the months of a span."""
    *measured, old = columns
    sums = [f"SUM(IIF(schema >= {MEASURED_SINCE} AND measured_share > 0, COALESCE({name}, 0), 0))" for name in measured]
    sums.append(f"SUM(IIF(schema < {MEASURED_SINCE}, COALESCE({old}, 0), 0))")
    first, stop = _months(zone, span)
    for text, *row in db.execute(
        f"SELECT substr(started_utc, 1, 14) || printf('%02d', substr(started_utc, 15, 2) / 15 * 15), "  # noqa: S608
        f"{', '.join((*apart, *sums))} FROM plays WHERE ({only}) AND started_utc >= ? AND started_utc < ? "
        f"GROUP BY {', '.join(map(str, range(1, len(apart) + 2)))}",
        (first, stop),
    ):
        try:
            at_s = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        except ValueError:  # no time: in no hour
            continue
        yield begin_s(at_s, HOUR_S, zone), row[: len(apart)], row[len(apart) :]


def _months(zone: ZoneInfo, span: Span) -> tuple[str, str]:
    """Return the beginning and end of the months that a span touches, as the ledger writes times."""
    first_s, stop_s = map(bound_s, span)
    first, stop = "", "~"
    if first_s is not None:
        local = datetime.fromtimestamp(first_s, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        first = local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    if stop_s is not None:
        local = datetime.fromtimestamp(stop_s, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = (local + timedelta(days=32)).replace(day=1)
        stop = after.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return first, stop
