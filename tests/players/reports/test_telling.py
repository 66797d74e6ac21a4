"""Cells of people are told as the rule says, whatever else a report reads."""

from collections import defaultdict
from collections.abc import Hashable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from players.reports.telling import Clock, Columns, Kind, rows_of, summed, tell
from players.statistics.times import DAY_S, HOUR_S

KINDS = [
    Kind((source, group, more), source, (("group", group), (group, more)), group)
    for source in ("a", "b")
    for group in ("men", "women")
    for more in ("young", "old")
]
COLUMNS = Columns(people=((0, 1), (2,)), times=((3, 0), (4, 1)))
FIRST_S = int(datetime(2026, 4, 29, tzinfo=UTC).timestamp())
CLOCK = Clock(ZoneInfo("Asia/Kolkata"))
Row = tuple[int, int, int, list[float | None]]


@st.composite
def rows_(draw: st.DrawFn) -> Row:
    people = draw(st.integers(0, 25))
    looked = draw(st.one_of(st.none(), st.integers(0, people)))
    times = [draw(st.integers(0, 5000)) * people, None if looked is None else draw(st.integers(0, 5000)) * looked]
    length_s = draw(st.sampled_from((HOUR_S, HOUR_S, DAY_S)))
    begins_s = FIRST_S + draw(st.integers(0, 4)) * DAY_S
    begins_s = begins_s - 5 * HOUR_S - 1800 if length_s == DAY_S else begins_s + draw(st.integers(6, 8)) * HOUR_S + 1800
    return begins_s, length_s, draw(st.integers(0, 7)), [people, looked, draw(st.integers(0, 12)), *times]


def slowly(rows: list[Row]) -> dict[tuple[int, int, int], list[float | None]]:
    """Return what is told of each cell, worked out one after the other."""
    cells: dict[tuple[int, int, int], list[float | None]] = {}
    for *key, numbers in rows:
        mine = cells.setdefault((*key,), [None] * 5)
        for i, number in enumerate(numbers):
            mine[i] = mine[i] if number is None else (mine[i] or 0) + number
    short: dict[Hashable, float] = defaultdict(float)
    said = {}
    order = sorted(cells, key=lambda cell: (cell[0], cells[cell][0], cell[1], KINDS[cell[2]].values))
    for cell in order:
        kind, local = KINDS[cell[2]], CLOCK.local(cell[0])
        hour = None if cell[1] == DAY_S else local.hour
        alone = kind.source, local.year, local.month
        margins = [
            ("month",),
            ("day", local.day),
            ("hour", hour),
            ("weekday and hour", local.weekday(), hour),
            *kind.margins,
        ]
        told: list[float | None] = [None] * 5
        for chain in COLUMNS.people:
            most = 1e9
            for column in chain:
                number = cells[cell][column]
                if number is None:
                    continue
                carried = [short[alone, column, margin] for margin in margins]
                whole = number // 10 * 10
                if number > whole and (sum(carried) + 4 * carried[0]) / (len(margins) + 4) + number - whole >= 10:
                    whole += 10
                told[column] = most = min(whole, most)
                for margin in margins:
                    short[alone, column, margin] += number - most
        for time, people in COLUMNS.times:
            around = [
                [other for other in cells if CLOCK.local(other[0]).date() == local.date()
                 and (KINDS[other[2]].source, KINDS[other[2]].group) == (kind.source, kind.group)],
                [other for other in cells if KINDS[other[2]].source == kind.source
                 and CLOCK.local(other[0]).month == local.month],
            ]  # fmt: skip
            for part in ([cell], *around) if told[people] else ():
                known = [
                    [cells[other][column] for other in part if cells[other][column] is not None]
                    for column in (people, time)
                ]
                if sum(known[0]) >= 10 and known[1]:
                    told[time] = told[people] * round(sum(known[1]) / 1000 / sum(known[0]), 1)
                    break
        said[cell] = told
    return said


@settings(max_examples=80)
@given(st.lists(rows_(), min_size=1, max_size=60))
def test_what_is_told_of_all_cells_at_once_is_what_is_told_of_one_after_the_other(rows: list[Row]) -> None:
    cells = summed(rows_of(rows, 5), KINDS)
    said = tell(cells, KINDS, COLUMNS, CLOCK)
    keys = zip(cells.begins_s.tolist(), cells.length_s.tolist(), cells.kinds.tolist(), strict=True)
    mine = {
        key: [None if np.isnan(number) else number for number in told] for key, told in zip(keys, said, strict=True)
    }
    assert mine == slowly(rows) and list(mine) == list(slowly(rows))


@settings(max_examples=40)
@given(st.lists(rows_(), min_size=1, max_size=60))
def test_what_is_told_of_one_source_is_the_same_whatever_else_is_read(rows: list[Row]) -> None:
    """Else the difference of a report of all screens and of reports of each would tell what both hide."""

    def told(some: list[Row]) -> dict[tuple[int, int, int], list[float]]:
        cells = summed(rows_of(some, 5), KINDS)
        numbers = np.nan_to_num(tell(cells, KINDS, COLUMNS, CLOCK), nan=-1).tolist()
        keys = zip(cells.begins_s.tolist(), cells.length_s.tolist(), cells.kinds.tolist(), strict=True)
        return dict(zip(keys, numbers, strict=True))

    parts = [[row for row in rows if KINDS[row[2]].source == source] for source in ("a", "b")]
    assert told(rows) == told(parts[0]) | told(parts[1])
