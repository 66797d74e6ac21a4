"""The catalogue: every line that may be shown, also as columns of numbers, for a quick choice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from players.ads.lines import MICRO, MINUTES_A_DAY, Creative, Line, Target, micro
from players.audience.groups import GENDERS, MAX_AGE_YEARS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER


def week_minutes(line: Line) -> NDArray[np.bool_]:
    """Return the minutes of a local week in which the line may play: bool [2, 7 x 1440], Monday 00:00 first.

    Row 0: within the day on which a daypart begins. Row 1: after the midnight that it runs over.
    """
    open_minutes = np.zeros(2 * MINUTES_A_DAY, dtype=bool)  # of a day and the one after it
    for first, stop in line.dayparts:
        open_minutes[first : first + ((stop - first) % MINUTES_A_DAY or MINUTES_A_DAY)] = True
    week = np.zeros((2, 7, MINUTES_A_DAY), dtype=bool)
    days = np.array(line.weekdays, dtype=np.intp)
    week[0, days] = open_minutes[:MINUTES_A_DAY]
    week[1, (days + 1) % 7] = open_minutes[MINUTES_A_DAY:]
    return week.reshape(2, -1)


class Arrays:
    """Lines as columns: one choice is a few numpy operations over all of them.

    `targets` are the distinct targets; `target_row` is each line's among them.
    `bins[minors]` is float [targets, 3, 10]: the share of each gender and decade, unknown last, that a target wants.
    `ages[minors]` is float [targets, 3, 121], of targets by years, zero for the others. With `minors` False both leave
    out people under 20. Columns named after fields of Target have a row a target, the others a row a line.
    """

    def __init__(self, lines: tuple[Line, ...]) -> None:
        targets = list(dict.fromkeys(line.target for line in lines))
        number = {target: row for row, target in enumerate(targets)}
        self.targets = tuple(targets)
        self.target_row = np.array([number[line.target] for line in lines], dtype=np.intp)
        self.bins = {m: _stack([_bins(t, m) for t in targets], (3, UNKNOWN_AGE + 1)) for m in (False, True)}
        self.ages = {m: _stack([_ages(t, m) for t in targets], (3, MAX_AGE_YEARS + 1)) for m in (False, True)}
        self.min_watchers = np.array([t.min_watchers for t in targets], dtype=np.float64)
        self.min_share = np.array([t.min_share for t in targets], dtype=np.float64)
        self.family = np.array([t.family for t in targets], dtype=bool)
        self.anyone = np.array([t.anyone for t in targets], dtype=bool)
        self.by_age = np.array([bool(t.ages) and not t.by_decade for t in targets], dtype=bool)
        self.starts = np.array([(line.starts or date.min).toordinal() for line in lines], dtype=np.int64)
        self.ends = np.array([(line.ends or date.max).toordinal() for line in lines], dtype=np.int64)
        plans = list(dict.fromkeys((line.weekdays, line.dayparts) for line in lines))
        plan_number = {plan: row for row, plan in enumerate(plans)}
        self.plan_row = np.array([plan_number[line.weekdays, line.dayparts] for line in lines], dtype=np.intp)
        by_plan = {(line.weekdays, line.dayparts): line for line in lines}
        weeks = [np.packbits(week_minutes(by_plan[plan]), axis=1) for plan in plans]
        self.week_bits = _stack(weeks, (2, 7 * MINUTES_A_DAY // 8), np.uint8)
        self.priority = np.array([line.priority for line in lines], dtype=np.int64)
        self.weight = np.array([line.weight for line in lines], dtype=np.float64)
        unlimited = 2**62
        self.budget_micro = np.array(
            [unlimited if line.budget is None else micro(line.budget) for line in lines], dtype=np.int64
        )
        self.price_micro = np.array([micro(line.price) if line.per == "play" else 0 for line in lines], dtype=np.int64)
        self.per_person_micro = np.array([float(line.per_person * MICRO) for line in lines], dtype=np.float64)
        self.least_micro = self.reserved_micro(np.maximum(1, self.min_watchers)[self.target_row])
        """Millionths that a play of each line reserves for the fewest people who are billed: int64 [lines]."""
        self.even = np.array([line.pacing == "even" for line in lines], dtype=bool)
        self.ids = np.array([line.id for line in lines], dtype=object)
        self.row = {line.key: row for row, line in enumerate(lines)}
        rivals: dict[str, list[int]] = {}
        for row, line in enumerate(lines):
            if line.separation:
                rivals.setdefault(line.separation, []).append(row)
        self.separation = {name: np.array(rows, dtype=np.intp) for name, rows in rivals.items()}
        advertisers = {name: number for number, name in enumerate(dict.fromkeys(line.advertiser for line in lines))}
        self.advertiser_number = advertisers
        self.advertiser = np.array([advertisers[line.advertiser] for line in lines], dtype=np.intp)
        self._paced_day: tuple[date, NDArray, NDArray, NDArray] | None = None
        self._minute: tuple[date, int] | None = None
        self._of_minute: tuple[NDArray[np.bool_], NDArray[np.float64]]

    def reserved_micro(self, people: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the millionths that a play of each line reserves for so many people of its target: int64 [lines]."""
        return self.price_micro + np.ceil(np.round(self.per_person_micro * people, 3)).astype(np.int64)

    def in_minute(self, day: date, minute: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return `open_at` of that minute, bool [lines], and what each line may have spent by then, float [lines].

        The amount is in millionths, infinite without even pacing. Both are worked out once a minute: do not write.
        """
        if self._minute != (day, minute):
            paced = np.full(len(self.even), np.inf)
            if self.even.any():
                np.multiply(self.budget_micro, self.elapsed_share(day, minute), out=paced, where=self.even)
            self._of_minute = self.open_at(day, minute), paced
            self._minute = day, minute
        return self._of_minute

    def open_at(self, day: date, minute: int) -> NDArray[np.bool_]:
        """Tell which lines are open in that minute of that local day, by dates, weekdays and dayparts: bool [lines].

        After midnight a daypart of the evening before still belongs to that evening's day, for the dates too.
        """
        of_week = day.weekday() * MINUTES_A_DAY + minute
        plan_open = (self.week_bits[:, :, of_week >> 3] >> (7 - (of_week & 7))) & 1 > 0
        may = np.zeros(len(self.starts), dtype=bool)
        for begun, its_plans in ((day.toordinal(), plan_open[:, 0]), (day.toordinal() - 1, plan_open[:, 1])):
            if its_plans.any():
                may |= its_plans.take(self.plan_row) & (self.starts <= begun) & (begun <= self.ends)
        return may

    def elapsed_share(self, day: date, minute: int) -> NDArray[np.float64]:
        """Return how much of each line's open time is over: float [lines], 0 to 1; without end 1."""
        if self._paced_day is None or self._paced_day[0] != day:
            self._paced_day = (day, *self._pace(day))
        _, before, total, today = self._paced_day
        on = day.toordinal()
        part = np.where(on == self.starts, 0, np.where(on <= self.ends, 1, 2))
        over = np.where((self.starts <= on) & (on <= self.ends + 1), today[part, self.plan_row, minute], 0)
        return np.minimum(1.0, (before + over) / np.maximum(total, 1))

    def _pace(self, day: date) -> tuple[NDArray, NDArray, NDArray]:
        """Return open minutes: of each line before `day` and in all, two int64 [lines], and of each plan within `day`.

        A plan is a set of weekdays and dayparts. The last array is int16 [3, plans, 1440], minutes so far: as on a
        line's first day, when nothing runs over from the evening before; on a later day; and on the day after the last
        one, when nothing else is open.
        """
        begun, over = self.week_bits[:, 0], self.week_bits[:, 1]
        parts = (begun, begun | over, over)
        of_day = slice(day.weekday() * MINUTES_A_DAY // 8, (day.weekday() + 1) * MINUTES_A_DAY // 8)
        today = np.stack([np.cumsum(np.unpackbits(part[:, of_day], axis=1), axis=1, dtype=np.int16) for part in parts])
        a_day = [
            np.unpackbits(part, axis=1).reshape(-1, 7, MINUTES_A_DAY).sum(axis=2, dtype=np.int64)[self.plan_row]
            for part in parts
        ]
        edges = (self.starts, self.starts + 1, self.ends + 1, self.ends + 2)

        def until(stop: NDArray) -> NDArray:
            return sum(
                (_open_minutes(a_day[n], edges[n], np.minimum(stop, edges[n + 1])) for n in range(3)),
                np.zeros_like(self.starts),
            )

        ended = self.ends < date.max.toordinal()
        total = np.where(ended, until(self.ends + 2), 0)
        before = np.where(ended, until(np.full_like(self.starts, day.toordinal())), 1)
        return before, total, today


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Everything that may be shown: paid lines and house lines.

    `problems` are what was left out, each in one line of text. `unplayable` are paid lines without a medium that can be
    shown; they are still owed to their advertisers. `silent` says why, by their ids.
    `waiting` are media that are examined or still written, each in one line. `unused` are (name, reason) of files and
    folders that play no part.
    """

    lines: tuple[Line, ...]
    house: tuple[Line, ...]
    zone: ZoneInfo
    version: str = ""
    problems: tuple[str, ...] = ()
    unplayable: tuple[Line, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    unused: tuple[tuple[str, str], ...] = ()
    arrays: Arrays = field(init=False, repr=False)
    house_arrays: Arrays = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrays", Arrays(self.lines))
        object.__setattr__(self, "house_arrays", Arrays(self.house))

    @property
    def says(self) -> tuple[object, ...]:
        """Return all that tells this catalogue from another reading of the same folder."""
        return self.version, self.unplayable, self.problems, self.silent, self.waiting, self.unused

    @property
    def creatives(self) -> tuple[Creative, ...]:
        """Return every creative, those of the paid lines first."""
        return tuple(creative for line in (*self.lines, *self.house) for creative in line.creatives)


def _open_minutes(a_day: NDArray, first: NDArray, stop: NDArray) -> NDArray[np.int64]:
    """Return the open minutes from day `first` up to but without `stop`: int64 [n].

    Days are ordinals, int64 [n]. `a_day` are the open minutes of each weekday, int64 [n, 7].
    """
    days = np.maximum(stop - first, 0)
    minutes = (days // 7) * a_day.sum(axis=1)
    rows = np.arange(len(days))
    for extra in range(6):
        weekday = (first + days // 7 * 7 + extra - 1) % 7
        minutes = minutes + np.where(extra < days % 7, a_day[rows, weekday], 0)
    return minutes


def _stack(rows: list[NDArray], shape: tuple[int, ...], dtype: type = float) -> NDArray:
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype=dtype)


def _genders(target: Target) -> list[int]:
    return [0, 1, UNKNOWN_GENDER] if target.gender is None else [GENDERS.index(target.gender)]


def _bins(target: Target, minors: bool) -> NDArray[np.float64]:
    """Return the share of each gender and decade that the target wants: float [3, 10], unknown last.

    Unknown is wanted only where the target asks for nothing in that direction.
    """
    by_decade = np.zeros(UNKNOWN_AGE + 1)
    if not target.ages:
        by_decade[:] = 1.0
    for low, high in target.ages:
        for decade in range(UNKNOWN_AGE):
            first, last = 10 * decade, MAX_AGE_YEARS if decade == UNKNOWN_AGE - 1 else 10 * decade + 9
            years = min(high, last) - max(low, first) + 1
            by_decade[decade] = min(1.0, by_decade[decade] + max(0, years) / (last - first + 1))
    if target.family:
        by_decade[UNKNOWN_AGE] = 0.0
    if (target.family or not minors) and not target.anyone:
        by_decade[list(MINOR_DECADES)] = 0.0
    wanted = np.zeros((3, UNKNOWN_AGE + 1))
    wanted[_genders(target)] = by_decade
    return wanted


def _ages(target: Target, minors: bool) -> NDArray[np.float64]:
    """Return 1 for each gender and year that a target by years wants: float [3, 121]; zeros for targets by decade."""
    wanted = np.zeros((3, MAX_AGE_YEARS + 1))
    if target.by_decade:
        return wanted
    for low, high in target.ages:
        wanted[np.ix_(_genders(target), range(low, high + 1))] = 1.0
    if not minors:
        wanted[:, : 10 * len(MINOR_DECADES)] = 0.0
    return wanted
