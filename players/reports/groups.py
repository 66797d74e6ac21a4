"""Report of the people by gender and decade: as they were counted, and corrected by the model's own errors.

What is corrected are the numbers that may be told, and nothing else. So a corrected number tells nobody more than the
number beside it. What rounding and hiding take away is drawn at random, and is part of the intervals.
"""

import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.people import FEWEST_PEOPLE, HIDDEN, told
from players.ledger.clock import utc_text
from players.reports.basis import Basis, card_of, parts_of
from players.reports.by_hand import Factor, HandCount, count_of, kept_counts
from players.reports.corrected import DRAWS, SAID_GROUPS, TRUE_DECADES, TRUE_GROUPS, corrected, matrix_of
from players.reports.periods import Periods, Span
from players.reports.report import Report
from players.reports.rests_on import rests_on

BY = ("gender", "decade")
COLUMNS = ("people", "corrected", "low", "high")
_NOTE = (
    "`corrected` is how many there were of each, by the errors that the model made on held-out faces; from `low` to "
    "`high` it lies in 95 of 100 cases, if the people here are taken for others as often as those faces were."
)
_FORMER_SAID = {"70-79": "70+", "80+": "70+"}


class Told(Struct):
    """Numbers of people that may be told, of one model: each group's, all, and in how many periods each was told."""

    groups: Counter[str]
    all: int = 0
    hidden: int = 0
    periods: Counter[str] = Counter()


def groups(
    db: sqlite3.Connection,
    by: tuple[str, ...],
    zone: ZoneInfo,
    span: Span,
    state: Path,
) -> Report:
    """Return people by some of BY and by model, counted and corrected with 95 % intervals, and a total for each model.

    `db` is that of `reading_counts`, `state` the station's folder. Raises UserError for an unknown dimension.
    """
    if not by or set(by) - {*BY} or len(set(by)) < len(by):
        raise UserError(f"--by: {','.join(by)!r} is none of gender, decade and gender,decade")
    by = tuple(name for name in BY if name in by)
    periods = Periods(zone, span)
    told_of = _told_by_model(db, periods)
    parts, by_hand = parts_of(db, span_s(span)), kept_counts(state)
    rows, totals, notes = [], [], [_NOTE]
    for sha256, numbers in sorted(told_of.items()):
        card = card_of(state, sha256)
        name = card.get("name", sha256[:12]) if sha256 else "none"
        confusion = card.get("confusion", {})
        draws = _draws(numbers, matrix_of(confusion["said"])) if confusion and numbers.all else None
        if draws is None:
            notes.append(f"{name}: not corrected, as its card does not say whom it takes for whom.")
        else:
            faces = sum(sum(row.values()) for row in confusion["said"].values())
            notes.append(f"{name}: corrected by {faces} faces of {confusion['data']}.")
        factors = _factors([basis for basis in parts if basis.model_sha256 == sha256], by_hand)
        if draws is not None and factors is not None:
            draws = draws * factors[:, None]
        rows += [{"model": name, **row} for row in _rows(by, numbers, draws)]
        total = {"model": name, by[0]: "total", "people": numbers.all or HIDDEN}
        if factors is not None:
            total |= _interval(numbers.all * factors)
        totals.append(total)
    notes += ["Numbers of people are rounded to tens, month by month or day by day; fewer than 10 are hidden."]
    notes += (
        ["People are told for whole days of the station; parts of a day are left out."] if periods.cuts_days else []
    )
    notes += rests_on(parts, zone, state, by_hand)
    columns = ("model", *by, *COLUMNS)
    return Report(title="People by group", columns=columns, rows=rows + totals, totals=len(totals), notes=tuple(notes))


def span_s(span: Span) -> tuple[int, int]:
    """Return a span as UTC epoch, from and up to but without; from or to the end of time where it is open."""
    first, stop = (None if text is None else int(datetime.fromisoformat(text).timestamp()) for text in span)
    return 0 if first is None else first, 1 << 40 if stop is None else stop


def _told_by_model(db: sqlite3.Connection, periods: Periods) -> dict[str, Told]:
    people: Counter[tuple[str, str, str]] = Counter()
    whole: Counter[tuple[str, str]] = Counter()
    for row in db.execute(
        "SELECT model_sha256, begins_s, gender, decade, SUM(visits) AS people FROM audience_counts GROUP BY 1, 2, 3, 4"
    ):
        period = periods.of(utc_text(datetime.fromtimestamp(row["begins_s"], UTC)))
        if period:
            people[row["model_sha256"], period, f"{row['gender']} {row['decade']}"] += row["people"]
            whole[row["model_sha256"], period] += row["people"]
    result: dict[str, Told] = {}
    for (model, _), number in whole.items():
        numbers = result.setdefault(model, Told(Counter(), periods=Counter()))
        numbers.all += told(number)
    for (model, _, group), number in people.items():
        if told(number):
            result[model].groups[group] += told(number)
            result[model].periods[group] += 1
    for numbers in result.values():
        numbers.hidden = max(0, numbers.all - sum(numbers.groups.values()))
    return result


def _draws(numbers: Told, confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many people of TRUE_GROUPS there may have been, [draws, 16]; each draw sums to all who are told."""
    rng = np.random.default_rng(1)
    said = np.array([numbers.groups[group] for group in SAID_GROUPS])
    rounding = FEWEST_PEOPLE * np.sqrt(np.array([numbers.periods[group] for group in SAID_GROUPS]) / 12)
    exact = np.maximum(np.rint(said + rounding * rng.standard_normal((DRAWS, len(said)))), 0).astype(np.int64)
    # The hidden are spread as the model's answers are, among the groups that are not told.
    spread = np.where(said > 0, 0.1, 1.0) * (confusion.sum(0) + 1)
    exact += rng.multinomial(numbers.hidden, spread / spread.sum(), DRAWS)
    people = corrected(exact, confusion)
    scaled: NDArray[np.float64] = people * (numbers.all / np.maximum(people.sum(1, keepdims=True), 1))
    return scaled


def _rows(by: tuple[str, ...], numbers: Told, draws: NDArray[np.float64] | None) -> list[dict[str, Any]]:
    """Return a row for each group of `by`; raw numbers of who is unknown stand without a corrected one."""
    raw: Counter[tuple[str, ...]] = Counter()
    for group, number in numbers.groups.items():
        raw[_key(by, group)] += number
    true = [_key(by, group) for group in TRUE_GROUPS]
    rows = []
    for key in [*dict.fromkeys(true), *sorted(raw.keys() - {*true})]:
        row: dict[str, Any] = dict(zip(by, key, strict=True)) | {"people": raw[key] or HIDDEN}
        if draws is not None and key in true:
            sums = draws[:, [each == key for each in true]].sum(1)
            row |= _interval(sums)
        if any(row.get(name, HIDDEN) != HIDDEN for name in ("people", "corrected")):
            rows.append(row)
    return rows


def _interval(draws: NDArray[np.float64]) -> dict[str, Any]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"corrected": told(float(draws.mean())) or HIDDEN, "low": told(float(low)), "high": told(float(high))}


def _factors(bases: list[Basis], by_hand: tuple[HandCount, ...]) -> NDArray[np.float64] | None:
    """Return draws of the factor of a count by hand, [DRAWS]; None where none holds for all that was counted."""
    count = count_of(by_hand, bases[0]) if len(bases) == 1 else None
    if count is None:
        return None
    people: Factor = count.people
    scatter = (people.high - people.low) / (2 * 1.96) * np.random.default_rng(2).standard_normal(DRAWS)
    return np.maximum(people.value + scatter, 0)


def _key(by: tuple[str, ...], group: str) -> tuple[str, ...]:
    gender, decade = group.split(" ")
    decade = decade if decade in TRUE_DECADES else _FORMER_SAID.get(decade, decade)
    return tuple({"gender": gender, "decade": decade}[name] for name in by)
