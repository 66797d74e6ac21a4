"""Telling of people by cells, which every report of people adds up.

A cell is a kind and an hour, or a day of long ago. A kind is a group of people at a camera, or an ad on a screen.
Numbers of people are told by `pipeline.people.told_in_turn`, times by the mean of ten people or more. Reports add up
the same cells, so that no two of them together tell what each of them hides.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from pipeline.people import FEWEST_PEOPLE, told_in_turn
from players.statistics.times import DAY_S, HOUR_S, begin_s

_INTO_NEXT_DAY_S = 26 * HOUR_S
"""Time from the beginning of any day to a moment of the next one: days have 23 to 25 hours."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Numbering(dict[Any, int]):
    """Numbers of what is named, from 0 on, in the order in which it is named first."""

    def __call__(self, name: Hashable) -> int:
        """Return the number of a name."""
        return self.setdefault(name, len(self))


class Kind(NamedTuple):
    """Distinction between cells of one hour."""

    values: tuple[str, ...]
    source: Hashable
    """File that counted. Each stands for itself: its cells are told alike, whatever else a report reads."""
    margins: tuple[Hashable, ...]
    """Sums of cells which are to stay near the truth, beside those of hours, days and months."""
    group: Hashable
    """People of a day among whom a mean time is sought where a cell has too few."""


class Columns(NamedTuple):
    """Places of the columns of cells: numbers of people, and times in ms."""

    people: tuple[tuple[int, ...], ...]
    """Chains of columns; each number of a chain is among those before it."""
    times: tuple[tuple[int, int], ...]
    """Columns of a time, and of the people whose time it is."""


class Cells(NamedTuple):
    """Cells in the order in which they are told: by time, and of an hour the smallest first."""

    begins_s: Ints
    """Beginning (UTC epoch), [cells]."""
    length_s: Ints
    """An hour, or a day whose hours were merged, [cells]."""
    kinds: Ints
    """Place in a list of kinds, [cells]."""
    numbers: Floats
    """Numbers by column, [cells, columns]. NaN: it was not counted, or is not told."""

    def only(self, which: NDArray[np.bool_]) -> "Cells":
        """Return the cells of a mask."""
        return Cells._make(each[which] for each in self)


def rows_of(rows: Iterable[tuple[int, int, int, Sequence[float | None]]], columns: int) -> Cells:
    """Return rows of beginning, length, place of the kind, and numbers by column; None is not counted."""
    begins_s, length_s, kinds, numbers = [*zip(*rows, strict=True)] or ((), (), (), ())
    begins, lengths, places = (np.array(each, np.int64) for each in (begins_s, length_s, kinds))
    return Cells(begins, lengths, places, np.array(numbers, float).reshape(len(begins_s), columns))


class Clock:
    """Local times of a zone, each of which is worked out once."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.local: Callable[[int], datetime] = cache(lambda at_s: datetime.fromtimestamp(at_s, zone))
        self.hour_s: Callable[[int], int] = cache(lambda at_s: begin_s(at_s, HOUR_S, zone))
        self._next_day_s: Callable[[int], int] = cache(lambda at_s: begin_s(at_s + _INTO_NEXT_DAY_S, DAY_S, zone))

    def end_s(self, begins_s: int, length_s: int) -> int:
        """Return the end of a period; a day in which the clocks are set has another length than its name says."""
        return self._next_day_s(begins_s) if length_s == DAY_S else begins_s + length_s

    def ends_s(self, begins_s: Ints, length_s: Ints) -> Ints:
        """Return the ends of periods."""
        days, ends_s = length_s == DAY_S, begins_s + length_s
        ends_s[days] = [self.end_s(at_s, DAY_S) for at_s in begins_s[days].tolist()]
        return ends_s


def summed(rows: Cells, kinds: Sequence[Kind]) -> Cells:
    """Return rows in any order, added up to cells."""
    code = (rows.begins_s * 2 + (rows.length_s == DAY_S)) * len(kinds) + rows.kinds
    _, first, cell = np.unique(code, return_index=True, return_inverse=True)
    numbers = sums_by(cell, len(first), rows.numbers)
    cells = Cells(rows.begins_s[first], rows.length_s[first], rows.kinds[first], numbers)
    rank = np.argsort(sorted(range(len(kinds)), key=lambda i: kinds[i].values))
    order = np.lexsort((rank[cells.kinds], cells.length_s, cells.numbers[:, 0], cells.begins_s))
    return Cells._make(each[order] for each in cells)


def sums_by(code: Ints, codes: int, numbers: Floats) -> Floats:
    """Return the sums of rows by their code, [codes, columns]. What is NaN in all rows of a code stays so."""
    sums = np.full((codes, numbers.shape[1]), np.nan)
    for column, mine in enumerate(numbers.T):
        known = ~np.isnan(mine)
        any_known = np.bincount(code, known, codes) > 0
        sums[any_known, column] = np.bincount(code, np.where(known, mine, 0.0), codes)[any_known]
    return sums


def tell(cells: Cells, kinds: Sequence[Kind], columns: Columns, clock: Clock) -> Floats:
    """Return what may be told of cells, [cells, columns]: people in tens, and times in s by the mean of many.

    Each month of a source stands for itself.
    """
    hours, hour = np.unique(cells.begins_s * 2 + (cells.length_s == DAY_S), return_inverse=True)
    local = [clock.local(int(code // 2)) for code in hours]
    number_of = Numbering()
    of_hours = [
        [number_of(margin) for margin in _margins(moment, bool(code % 2))]
        for moment, code in zip(local, hours.tolist(), strict=True)
    ]
    of_kinds = [[number_of(margin) for margin in kind.margins] for kind in kinds]
    month = _codes([(moment.year, moment.month) for moment in local])[hour]
    day = _codes([moment.date() for moment in local])[hour]
    alone = month * len(kinds) + _codes([kind.source for kind in kinds])[cells.kinds]
    group = day * len(kinds) + _codes([(kind.source, kind.group) for kind in kinds])[cells.kinds]
    said = np.full_like(cells.numbers, np.nan)
    for number in np.unique(alone):
        mine = np.flatnonzero(alone == number)
        places = zip(hour[mine].tolist(), cells.kinds[mine].tolist(), strict=True)
        said[mine] = _people(cells.numbers[mine], [of_hours[i] + of_kinds[j] for i, j in places], columns)
    parts = [cells.numbers, *(_sums_around(code, cells.numbers) for code in (group, alone))]
    for time, people in columns.times:
        said[:, time] = _times([part[:, [people, time]] for part in parts], said[:, people])
    return said


def _margins(moment: datetime, is_day: bool) -> tuple[Hashable, ...]:
    """Return the margins of a moment, within its month."""
    hour = None if is_day else moment.hour
    return "month", ("day", moment.day), ("hour", hour), ("week", moment.weekday(), hour)


def _codes(names: Sequence[Hashable]) -> Ints:
    """Return the number of each name; equal names have the same."""
    number_of = Numbering()
    return np.array([number_of(name) for name in names], np.int64)


def _people(numbers: Floats, margins: list[list[int]], columns: Columns) -> Floats:
    """Return the people told of the cells of one month and source; other columns are NaN."""
    said = np.full_like(numbers, np.nan)
    for chain in columns.people:
        most = np.full(len(numbers), np.inf)
        for column in chain:
            known = np.flatnonzero(~np.isnan(numbers[:, column]))
            mine = margins if len(known) == len(margins) else [margins[i] for i in known]
            said[known, column] = told_in_turn(numbers[known, column].tolist(), mine, most[known].tolist())
            most = np.where(np.isnan(said[:, column]), np.inf, said[:, column])
    return said


def _sums_around(code: Ints, numbers: Floats) -> Floats:
    """Return for each row the sums of all rows of its code."""
    _, part = np.unique(code, return_inverse=True)
    return sums_by(part, int(part.max(initial=-1)) + 1, numbers)[part]


def _times(parts: Sequence[Any], people: Floats) -> Floats:
    """Return the time, in s, of as many people as are told. NaN: there are too few for a mean.

    `parts` are people and their time in ms, [cells, 2], of the cell and of ever larger parts around it. The mean is
    that of the first one that holds ten people.
    """
    mean = np.full(len(people), np.nan)
    for part in parts:
        number, time_ms = part.T
        usable = np.isnan(mean) & (people > 0) & (number >= FEWEST_PEOPLE) & ~np.isnan(time_ms)
        mean[usable] = [round(each, 1) for each in (time_ms[usable] / 1000 / number[usable]).tolist()]
    told_s: Floats = people * mean
    return told_s
