"""Report of the people by gender and decade: as they were counted, and corrected by the model's own errors.

What is corrected are the numbers that the report of the audience tells, and nothing else. So a corrected number tells
nobody more than those do. What rounding may have moved is drawn at random, and is part of the intervals.
"""

import sqlite3
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.people import FEWEST_PEOPLE, HIDDEN, told
from players.ledger.clock import utc_text
from players.reports.audience import audience
from players.reports.basis import Basis, card_of, parts_of, span_s
from players.reports.by_hand import Factor, HandCount, count_of, kept_counts
from players.reports.correction import DRAWS, SAID_GROUPS, TRUE_DECADES, TRUE_GROUPS, correct, matrix_of
from players.reports.dimensions import known_dimensions
from players.reports.periods import Span
from players.reports.report import Report
from players.reports.rests_on import rests_on
from players.statistics.times import DAY_S, HOUR_S, begin_s

BY = ("gender", "decade")
COLUMNS = ("people", "corrected", "low", "high")
_NOTE = (
    "`corrected` is how many there were of each, by the errors that the model made on held-out faces; from `low` to "
    "`high` it lies in 95 of 100 cases, if the people here are taken for others as often as those faces were."
)
_CHANGED = "changed"
_AS_ONE = {"70-79": "70+", "80+": "70+"}


class Told(Struct):
    """Numbers of people that may be told, of one model: each group's, and in how many runs of hours it counted."""

    groups: Counter[str]
    runs: int = 0

    @property
    def all(self) -> int:
        """Number of all people."""
        return sum(self.groups.values())


def corrected(
    db: sqlite3.Connection,
    by: tuple[str, ...],
    zone: ZoneInfo,
    span: Span,
    state: Path,
) -> Report:
    """Return people by some of BY and by model, counted and corrected with 95 % intervals, and a total for each model.

    `db` is that of `reading_counts`, `state` the station's folder. Raises UserError for an unknown dimension.
    """
    known_dimensions(by, BY)
    by = tuple(name for name in BY if name in by)
    told_of: dict[str, Told] = {}
    for sha256, run in _runs(db, zone, span):
        numbers = told_of.setdefault(sha256, Told(Counter()))
        numbers.runs += 1
        for row in audience(None, BY, zone, run, db).parts:
            numbers.groups[f"{row['gender']} {row['decade']}"] += row["people"]
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
    notes += ["Hours in which the model changed are in no row."] if len(told_of) > 1 else []
    notes += ["Numbers of people are in tens; fewer than 10 are hidden."]
    notes += rests_on(parts, zone, state, by_hand)
    columns = ("model", *by, *COLUMNS)
    return Report(title="People by group", columns=columns, rows=rows + totals, totals=len(totals), notes=tuple(notes))


def _runs(db: sqlite3.Connection, zone: ZoneInfo, span: Span) -> list[tuple[str, Span]]:
    """Return the spans in which one model counted, in the order of time; hours in which it changed are in none.

    A model that has not been asked yet is the one before it.
    """
    models: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for row in db.execute("SELECT DISTINCT begins_s, length_s, model_sha256 FROM audience_measured"):
        is_day = row["length_s"] == DAY_S
        begins_s = row["begins_s"] if is_day else begin_s(row["begins_s"], HOUR_S, zone)
        models[begins_s, begins_s + (DAY_S if is_day else HOUR_S)].add(row["model_sha256"])
    if len(set().union(*models.values()) - {""}) < 2:
        return [(max(set().union(*models.values())), span)] if models else []
    first_s, stop_s = span_s(span)
    runs: list[tuple[str, int, int]] = []
    for (begins_s, ends_s), names in sorted(models.items()):
        named = names - {""} or {runs[-1][0] if runs else ""}
        name = named.pop() if len(named) == 1 else _CHANGED
        if begins_s < first_s or ends_s > stop_s:
            continue
        if runs and runs[-1][0] == name:
            runs[-1] = name, runs[-1][1], ends_s
        else:
            runs.append((name, begins_s, ends_s))
    as_text = lambda at_s: utc_text(datetime.fromtimestamp(at_s, UTC))  # noqa: E731
    return [(name, (as_text(begins_s), as_text(ends_s))) for name, begins_s, ends_s in runs if name != _CHANGED]


def _draws(numbers: Told, confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many people of TRUE_GROUPS there may have been, [draws, 16]; each draw sums to all who are told."""
    rng = np.random.default_rng(1)
    said = np.array([numbers.groups[group] for group in SAID_GROUPS])
    rounding = FEWEST_PEOPLE / 2 * np.sqrt(numbers.runs) * rng.standard_normal((DRAWS, len(said)))
    exact = np.maximum(np.rint(said + rounding), 0).astype(np.int64)
    people = correct(exact, confusion)
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
    decade = decade if decade in TRUE_DECADES else _AS_ONE.get(decade, decade)
    return tuple({"gender": gender, "decade": decade}[name] for name in by)
