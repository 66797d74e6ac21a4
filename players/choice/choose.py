"""Which ad fits who is there: the audience of the last seconds, and the choice as a pure function of what is known."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.messages import DECADES
from players.ads.catalogue import Arrays, Catalogue
from players.ads.lines import MICRO, Creative, Line
from players.audience.groups import GENDERS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER
from players.audience.present import Present
from players.choice.history import History
from players.choice.matching import holds, matches, whole_people

Policy = Literal["majority", "weighted", "random"]


class Moment(NamedTuple):
    """When an ad is to begin: the time, for dates and dayparts, and CLOCK_MONOTONIC in ns, for gaps and caps."""

    at: datetime
    mono_ns: int


class Rules(Struct, frozen=True, kw_only=True):
    """How to choose. `minors` allows ads aimed at people under 20; without `targeting` (modes off, count, measure) only
    lines for anyone and house lines play, without `paid` (a ledger that cannot be written) only house lines."""

    policy: Policy = "majority"
    minors: bool = False
    targeting: bool = True
    paid: bool = True


class Decision(Struct, frozen=True, kw_only=True):
    """What to show next and why. `trigger`: `target` (aimed at who is there), `schedule` (paid, for anyone) or
    `fallback` (house). `propensity` is the probability with which this creative was drawn. `price` is what the
    play costs if it turns out billable: never more."""

    decision_id: str
    line: Line
    creative: Creative
    trigger: Literal["target", "fallback", "schedule"]
    policy: Policy
    propensity: float
    reason: str
    target: str
    matched_watchers: int
    watchers: int
    price: Decimal
    minors: bool = False


def choose(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    """The next ad: eligibility first, then priority, then weight; a house ad when nothing paid fits, None without any.

    `majority` aims at the (gender, decade) group with most people present (ties: nearer faces), then at the next ones,
    then at a sure gender or age alone. `weighted` draws in proportion to weight times the expected number of matching
    people, `random` draws every eligible line alike. Where the largest group, or most of the people, are minors and
    `rules.minors` is false, only family and house ads play.
    """
    if rules.paid and catalogue.lines:
        decision = _choose_paid(present, catalogue, history, moment, rng, rules)
        if decision is not None:
            return decision
    return _choose_house(present, catalogue, history, moment, rng, rules)


def moment_in(seconds: float) -> Moment:
    """The moment in so many seconds."""
    return Moment(datetime.now(UTC) + timedelta(seconds=seconds), time.monotonic_ns() + round(seconds * 1e9))


class _Aim(NamedTuple):
    """A group to please: indices of gender and decade, None where it does not matter, and how it reads."""

    gender: int | None
    decade: int | None
    people: float
    text: str


def _aims(present: Present) -> Iterator[_Aim]:
    """Groups from the most people to the fewest, then a gender or an age alone, then anyone; only sure ones."""
    bins, whole = present.bins, whole_people(present.bins)
    known = [(g, d) for g in (0, 1) for d in range(UNKNOWN_AGE) if whole[g, d] >= 1]
    known.sort(key=lambda c: (-whole[c], -present.nearness[c], -bins[c], c))
    for g, d in known:
        yield _Aim(g, d, bins[g, d], f"{GENDERS[g]} {DECADES[d]}")
    for g, people in sorted(enumerate(bins[:2].sum(axis=1)), key=lambda pair: -pair[1]):
        if whole_people(people) >= 1:
            yield _Aim(g, None, people, GENDERS[g])
    for d, people in sorted(enumerate(bins[:, :UNKNOWN_AGE].sum(axis=0)), key=lambda pair: -pair[1]):
        if whole_people(people) >= 1:
            yield _Aim(None, d, people, DECADES[d])
    yield _Aim(None, None, present.people, "anyone")


def _minors_lead(present: Present) -> bool:
    """Whether minors are the group with most people, or more people than all others."""
    minors = present.bins[:, list(MINOR_DECADES)].sum()
    return next(_aims(present)).decade in MINOR_DECADES or minors > present.people - minors


def _wants(arrays: Arrays, aim: _Aim, minors: bool) -> NDArray[np.bool_]:
    """Which distinct targets include a person of the aim's group: bool [targets]."""
    wanted = arrays.bins[minors]
    gender = UNKNOWN_GENDER if aim.gender is None else aim.gender
    decade = UNKNOWN_AGE if aim.decade is None else aim.decade
    return (wanted[:, gender, decade] > 0) | arrays.anyone | arrays.family


def _choose_paid(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    arrays = catalogue.arrays
    people = matches(present, arrays, rules.minors)
    whole = whole_people(people)
    price_micro = arrays.price_micro
    if arrays.cpm_micro.any():
        price_micro = price_micro + np.ceil(arrays.cpm_micro * whole[arrays.target_row] / 1000).astype(np.int64)
    fits = _fitting(present, arrays, people, rules)
    rows = np.flatnonzero(_open(catalogue, arrays, history, moment, price_micro) & fits.take(arrays.target_row))
    why = "eligible"
    if rules.policy == "majority" and rules.targeting:
        rows, why = _most_present(present, arrays, rows, rules)
    if not rows.size:
        return None
    if rules.policy != "random":
        priority = arrays.priority[rows]
        rows = rows[priority == priority.max()]
    odds = np.ones(rows.size) if rules.policy == "random" else arrays.weight[rows]
    if rules.policy == "weighted":
        expected = np.tensordot(arrays.bins[rules.minors], present.expected, 2)
        odds = odds * np.maximum(expected, 1e-3)[arrays.target_row[rows]]
        why = "expected matches"
    if not odds.any():
        return None
    drawn, probability = _draw(odds, rng)
    row = int(rows[drawn])
    line = catalogue.lines[row]
    hits = int(whole[arrays.target_row[row]])
    reason = f"{why}; {np.count_nonzero(odds)} fit, drawn with probability {probability:.3g}"
    trigger: Literal["schedule", "target"] = "schedule" if line.target.anyone else "target"
    price = Decimal(int(price_micro[row])) / MICRO
    return _decide(present, line, history, rng, rules, trigger, probability, reason, hits, price)


def _fitting(present: Present, arrays: Arrays, people: NDArray[np.float64], rules: Rules) -> NDArray[np.bool_]:
    """Which distinct targets fit who is there, given the `people` that each matches: bool [targets]."""
    whole = whole_people(people)
    fits = holds(present, arrays) & (whole >= arrays.min_watchers)
    fits &= (arrays.min_watchers > 0) | (whole >= 1) | arrays.anyone
    fits &= people + 1e-9 >= arrays.min_share * present.people
    if not rules.targeting:
        fits &= arrays.anyone
    elif not rules.minors and fits.any() and _minors_lead(present):
        fits &= arrays.family
    return fits


def _most_present(
    present: Present, arrays: Arrays, rows: NDArray[np.intp], rules: Rules
) -> tuple[NDArray[np.intp], str]:
    """Of the lines in `rows` those that want the first group which any of them wants, and why; none where none does."""
    targets = arrays.target_row[rows]
    open_targets = np.bincount(targets, minlength=len(arrays.targets)) > 0
    for aim in _aims(present):
        aimed = open_targets & _wants(arrays, aim, rules.minors)
        if aimed.any():
            return rows[aimed[targets]], f"most present: {aim.text} ({aim.people:.3g} of {present.people} people)"
    return rows[:0], ""


def _open(
    catalogue: Catalogue, arrays: Arrays, history: History, moment: Moment, price_micro: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which lines may play now, whoever is there (dates, dayparts, money, caps, gaps, separation): bool [lines]."""
    local = moment.at.astimezone(catalogue.zone)
    minute = 60 * local.hour + local.minute
    committed, blocked_until_ns = history.columns(catalogue)
    is_open, paced_micro = arrays.in_minute(local.date(), minute)
    may = is_open & (committed + price_micro <= arrays.budget_micro)
    may &= blocked_until_ns <= moment.mono_ns
    may &= committed <= paced_micro
    last = history.last
    if last:
        row = arrays.row.get(last.line)
        group = last.separation if row is None else catalogue.lines[row].separation
        if group in arrays.separation:
            rivals = arrays.separation[group]
            may[rivals] &= arrays.advertiser[rivals] == arrays.advertiser_number.get(last.advertiser, -1)
    return may


def _choose_house(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    """A house ad whose dates and dayparts are open, else any house ad: the screen is never black."""
    if not catalogue.house:
        return None
    arrays = catalogue.house_arrays
    local = moment.at.astimezone(catalogue.zone)
    may = arrays.open_at(local.date(), 60 * local.hour + local.minute)
    if not may.any():
        may[:] = True
    odds = np.where(may & (arrays.priority == arrays.priority[may].max()), arrays.weight, 0.0)
    row, probability = _draw(odds, rng)
    why = "nobody is there" if not present.people else "nothing paid fits who is there"
    if not rules.paid:
        why = "the ledger cannot be written"
    return _decide(
        present, catalogue.house[row], history, rng, rules, "fallback", probability, why, present.people, Decimal(0)
    )


def _draw(odds: NDArray[np.float64], rng: Random) -> tuple[int, float]:
    """A row drawn in proportion to its odds, and its probability."""
    total = np.cumsum(odds)
    row = min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), int(np.nonzero(odds)[0][-1]))
    return row, float(odds[row] / total[-1])


def _decide(
    present: Present,
    line: Line,
    history: History,
    rng: Random,
    rules: Rules,
    trigger: Literal["target", "fallback", "schedule"],
    probability: float,
    reason: str,
    hits: int,
    price: Decimal,
) -> Decision:
    """Draw one of the line's creatives, not the one just shown where there is another."""
    shown = history.last.creative if history.last else ""
    fresh = [creative for creative in line.creatives if creative.id != shown] or list(line.creatives)
    return Decision(
        decision_id=uuid.uuid4().hex,
        line=line,
        creative=rng.choice(fresh),
        trigger=trigger,
        policy=rules.policy,
        propensity=probability / len(fresh),
        reason=reason,
        target="house" if line.house else line.target.text(),
        matched_watchers=hits,
        watchers=present.people,
        price=price,
        minors=rules.minors,
    )
