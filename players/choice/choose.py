"""Which ad fits who is there: the audience of the last seconds, and the choice as a pure function of what is known."""

import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.messages import DECADES, Audience, Person
from players.ads.catalogue import (
    GENDERS,
    MAX_AGE_YEARS,
    MICRO,
    MINOR_DECADES,
    UNKNOWN_AGE,
    UNKNOWN_GENDER,
    Arrays,
    Catalogue,
    Creative,
    Line,
    Target,
)
from players.choice.history import History

Policy = Literal["majority", "weighted", "random"]
SURE_PEOPLE = 0.5
"""From this many people on, rounded half up, a group counts as one person present."""
_KEPT_MAX_NS = 60_000_000_000
"""No frame tells who is there for longer, however slow its camera is."""
_ADULT_YEARS = 10 * len(MINOR_DECADES)
_CELLS = 3 * (UNKNOWN_AGE + 1)
_AGES = 3 * (MAX_AGE_YEARS + 1)


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


@dataclass(frozen=True, eq=False)
class Present:
    """Who is there. `people` is a whole number; the arrays share it out, unknown last in each direction.

    cells: float [3, 10], people by gender and decade. expected: the same, each sure gender and age shared out by its
    class probabilities. nearness: float [3, 10], mean height of the faces as a share of the frame's.
    ages: float [3, 121], people by gender and year of age.
    """

    people: int
    cells: NDArray[np.float64]
    expected: NDArray[np.float64]
    nearness: NDArray[np.float64]
    ages: NDArray[np.float64]
    model_sha256: str = ""

    def groups(self) -> dict[tuple[str, str], float]:
        """People by (gender, decade) in words, `unknown` included, the empty groups left out."""
        decades = (*DECADES, "unknown")
        return {(GENDERS[g], decades[d]): float(self.cells[g, d]) for g, d in zip(*np.nonzero(self.cells), strict=True)}


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


class AudienceWindow:
    """Who was seen in the last `present_s` seconds, camera by camera, without tracking anybody.

    People of a camera: the most faces in any one frame. A group's count: people times the group's share of all faces,
    so that a missed face or a label that flickers neither drops nor doubles anybody. A camera whose newest frame is
    older counts nobody; one whose frames come further apart counts those of its newest until the next is overdue.
    """

    def __init__(self, present_s: float) -> None:
        self.present_ns = round(present_s * 1e9)
        self._frames: dict[str, deque[tuple[int, int, NDArray[np.float64]]]] = {}
        self._apart_ns: dict[str, int] = {}
        self._kept_ns: dict[str, int] = {}
        self._model_sha256 = ""

    def add(self, audience: Audience) -> None:
        """Take in one frame's people; frames may come late, but a camera's come in order."""
        row = np.zeros(3 * _CELLS + _AGES)
        for person in audience.faces:
            _count(row, person, audience.height_px)
        frames = self._frames.setdefault(audience.camera, deque())
        apart_ns = audience.captured_ns - frames[-1][0] if frames else 0
        slow_ns = min(apart_ns, self._apart_ns.get(audience.camera, 0))  # twice in a row: one gap is only an outage
        self._apart_ns[audience.camera] = apart_ns
        self._kept_ns[audience.camera] = max(self.present_ns, min(3 * slow_ns // 2, _KEPT_MAX_NS))
        frames.append((audience.captured_ns, len(audience.faces), row))
        while frames[0][0] < audience.captured_ns - self.present_ns:
            frames.popleft()
        self._model_sha256 = audience.model_sha256 or self._model_sha256

    def present(self, now_ns: int) -> Present:
        """Who is present at `now_ns` (CLOCK_MONOTONIC)."""
        people, total = 0, np.zeros(3 * _CELLS + _AGES)
        for camera, frames in self._frames.items():
            while len(frames) > 1 and frames[0][0] < now_ns - self.present_ns:
                frames.popleft()
            faces = sum(count for _, count, _ in frames)
            if faces and frames[-1][0] >= now_ns - self._kept_ns[camera]:
                most = max(count for _, count, _ in frames)
                people += most
                total += np.sum([row for _, _, row in frames], axis=0) * (most / faces)
        cells, expected, heights = total[: 3 * _CELLS].reshape(3, 3, UNKNOWN_AGE + 1)
        nearness = np.divide(heights, cells, out=np.zeros_like(heights), where=cells > 0)
        ages = total[3 * _CELLS :].reshape(3, MAX_AGE_YEARS + 1)
        return Present(people, cells, expected, nearness, ages, self._model_sha256)


NOBODY = AudienceWindow(1.0).present(0)


def matched(present: Present, target: Target, minors: bool = False) -> int:
    """How many of those present the target fits, rounded half up; unknown gender or age fits no target that asks it."""
    arrays = _arrays_of(target)
    return int(_whole(_matches(present, arrays, minors))[0]) if _holds(present, arrays)[0] else 0


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


def _count(row: NDArray[np.float64], person: Person, height_px: int) -> None:
    """Add one face to a frame's row: cells, expected, heights, ages."""
    p_decade = np.array(person.p_decade) if len(person.p_decade) == len(DECADES) else None
    gender = GENDERS.index(person.gender)
    decade = UNKNOWN_AGE if person.decade is None else person.decade
    if decade == UNKNOWN_AGE and p_decade is not None and p_decade[list(MINOR_DECADES)].sum() >= 0.5:
        gender = UNKNOWN_GENDER
    cell = gender * (UNKNOWN_AGE + 1) + decade
    row[cell] += 1
    row[2 * _CELLS + cell] += person.box_px[3] / height_px
    by_gender = np.zeros(3)
    by_gender[gender] = 1.0
    if gender != UNKNOWN_GENDER:
        by_gender[:2] = person.p_male, 1 - person.p_male
    by_decade = np.zeros(UNKNOWN_AGE + 1)
    if decade == UNKNOWN_AGE or p_decade is None or not p_decade.sum():
        by_decade[decade] = 1.0
    else:
        by_decade[:UNKNOWN_AGE] = p_decade / p_decade.sum()
    row[_CELLS : 2 * _CELLS] += np.outer(by_gender, by_decade).ravel()
    if person.age_years is not None:
        years = int(person.age_years)
        if decade != UNKNOWN_AGE:  # the likeliest decade and the mean of the years may lie on two sides of 20
            years = min(years, _ADULT_YEARS - 1) if decade in MINOR_DECADES else max(years, _ADULT_YEARS)
        row[3 * _CELLS + gender * (MAX_AGE_YEARS + 1) + years] += 1


@lru_cache(maxsize=4096)
def _arrays_of(target: Target) -> Arrays:
    return Arrays((Line(id="", campaign="", advertiser="", creatives=(), target=target),))


def _whole(people: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round half up; the small term forgives the last bit of a sum of shares."""
    return np.floor(people + SURE_PEOPLE + 1e-9)


def _matches(present: Present, arrays: Arrays, minors: bool) -> NDArray[np.float64]:
    """People whom each distinct target fits: float [targets]."""
    by_cell = np.tensordot(arrays.cells[minors], present.cells, 2)
    if arrays.by_age.any():
        by_cell = np.where(arrays.by_age, np.tensordot(arrays.ages[minors], present.ages, 2), by_cell)
    return by_cell


def _holds(present: Present, arrays: Arrays) -> NDArray[np.bool_]:
    """Whether each distinct target's condition on the company holds: a family needs an adult and a minor."""
    known = present.cells[:, :UNKNOWN_AGE]
    minors = known[:, list(MINOR_DECADES)].sum()
    family = bool(_whole(minors) >= 1 and _whole(known.sum() - minors) >= 1)
    return ~arrays.family | family


class _Aim(NamedTuple):
    """A group to please: indices of gender and decade, None where it does not matter, and how it reads."""

    gender: int | None
    decade: int | None
    people: float
    text: str


def _aims(present: Present) -> Iterator[_Aim]:
    """Groups from the most people to the fewest, then a gender or an age alone, then anyone; only sure ones."""
    cells, whole = present.cells, _whole(present.cells)
    known = [(g, d) for g in (0, 1) for d in range(UNKNOWN_AGE) if whole[g, d] >= 1]
    known.sort(key=lambda c: (-whole[c], -present.nearness[c], -cells[c], c))
    for g, d in known:
        yield _Aim(g, d, cells[g, d], f"{GENDERS[g]} {DECADES[d]}")
    for g, people in sorted(enumerate(cells[:2].sum(axis=1)), key=lambda pair: -pair[1]):
        if _whole(people) >= 1:
            yield _Aim(g, None, people, GENDERS[g])
    for d, people in sorted(enumerate(cells[:, :UNKNOWN_AGE].sum(axis=0)), key=lambda pair: -pair[1]):
        if _whole(people) >= 1:
            yield _Aim(None, d, people, DECADES[d])
    yield _Aim(None, None, present.people, "anyone")


def _minors_lead(present: Present) -> bool:
    """Whether minors are the group with most people, or more people than all others."""
    minors = present.cells[:, list(MINOR_DECADES)].sum()
    return next(_aims(present)).decade in MINOR_DECADES or minors > present.people - minors


def _wants(arrays: Arrays, aim: _Aim, minors: bool) -> NDArray[np.bool_]:
    """Which distinct targets include a person of the aim's group: bool [targets]."""
    wanted = arrays.cells[minors]
    gender = UNKNOWN_GENDER if aim.gender is None else aim.gender
    decade = UNKNOWN_AGE if aim.decade is None else aim.decade
    return (wanted[:, gender, decade] > 0) | arrays.anyone | arrays.family


def _choose_paid(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    arrays = catalogue.arrays
    people = _matches(present, arrays, rules.minors)
    whole = _whole(people)
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
        expected = np.tensordot(arrays.cells[rules.minors], present.expected, 2)
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
    whole = _whole(people)
    fits = _holds(present, arrays) & (whole >= arrays.min_watchers)
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
