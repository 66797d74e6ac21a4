"""The choice of the next ad, as a pure function of the people present, the catalogue, the history and the moment."""

import math
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.settings import Policy
from players.ads.catalogue import Arrays, Catalogue
from players.ads.lines import MICRO, Creative, Line
from players.audience.present import Present
from players.choice.history import History
from players.choice.matching import company_fits, matches, minors_lead
from players.choice.policies import POLICIES, Eligible, Lots, by_weight

ELIGIBLE_MAX = 32
"""Largest number of lines that a decision lists by name; the others' probability is summed."""

Trigger = Literal["target", "fallback", "schedule"]


class Moment(NamedTuple):
    """The time at which an ad is to begin.

    at: for dates and dayparts, with a time zone. mono_ns: CLOCK_MONOTONIC in ns, for gaps and caps.
    """

    at: datetime
    mono_ns: int


class Rules(Struct, frozen=True, kw_only=True):
    """Rules of the choice, as the station sets them."""

    policy: Policy = "majority"
    minors: bool = False
    """Ads may be aimed at people under 20."""
    targeting: bool = True
    """Ads may be aimed at somebody; without it (modes off, count, measure) paid lines play if they are for anyone."""
    max_priority: int = 100
    """Priority that counts at most, whatever a line says."""
    max_weight: float = math.inf
    """Weight that the lines of one advertiser have at most together, among those that are drawn from."""
    paid: bool = True
    """Paid lines play; without it (a ledger that cannot be written) only house lines do."""


class Decision(Struct, frozen=True, kw_only=True):
    """The ad to show next, and why."""

    decision_id: str
    line: Line
    creative: Creative
    trigger: Trigger
    """`target`: aimed at the people present. `schedule`: paid, for anyone. `fallback`: a house ad."""
    policy: Policy
    propensity: float
    """Probability with which this creative was drawn, above 0 and at most 1."""
    reason: str
    target: str
    matched_watchers: int
    watchers: int
    price: Decimal
    """Money that the play reserves: the price of a play, or an estimate where people are billed (`Line.reserve`)."""
    present: Present
    """People for whom the decision was made."""
    eligible: tuple[tuple[str, float], ...]
    """Ids of the lines that could have been drawn, each with its probability, in the catalogue's order.

    Of more than ELIGIBLE_MAX lines the likeliest are listed, and always the drawn one. A last entry with an empty id
    then holds the sum of the others.
    """
    minors: bool = False


def choose(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    """Return the next ad: a paid line where one fits, else a house ad, else None.

    Lines must be eligible first: open now, within budget, cap and gap, and with a target that fits the people present.
    The policy then gives the odds. Where the largest group, or most people, are minors and `rules.minors` is false,
    only family and house ads play.
    """
    if rules.paid and catalogue.lines:
        decision = _choose_paid(present, catalogue, history, moment, rng, rules)
        if decision is not None:
            return decision
    return _choose_house(present, catalogue, history, moment, rng, rules)


def moment_in(seconds: float) -> Moment:
    """Return the moment in so many seconds from now."""
    return Moment(datetime.now(UTC) + timedelta(seconds=seconds), time.monotonic_ns() + round(seconds * 1e9))


class _Drawn(NamedTuple):
    """A line that was drawn: its row, its probability, and `Decision.eligible`."""

    row: int
    probability: float
    eligible: tuple[tuple[str, float], ...]


def _choose_paid(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    arrays = catalogue.arrays
    people = matches(present, arrays, rules.minors)
    price_micro = arrays.reserved_micro(people[arrays.target_row])
    fits = _fitting(present, arrays, people, rules)
    may = _open(catalogue, arrays, history, moment, price_micro) & fits.take(arrays.target_row)
    rows = np.flatnonzero(_separate(may, catalogue, arrays, history))
    if not rows.size:
        return None
    eligible = Eligible(arrays, rows, rules.minors, rules.targeting, rules.max_priority, rules.max_weight)
    lots = POLICIES[rules.policy](eligible, present)
    if not lots.rows.size:
        return None
    drawn = _draw(arrays.ids, lots, rng)
    line = catalogue.lines[drawn.row]
    return _decide(
        present,
        line,
        drawn,
        history,
        rng,
        rules,
        trigger="schedule" if line.target.anyone else "target",
        reason=f"{lots.why}; {lots.rows.size} fit, drawn with probability {drawn.probability:.3g}",
        hits=round(people[arrays.target_row[drawn.row]]),
        price=Decimal(int(price_micro[drawn.row])) / MICRO,
    )


def _fitting(present: Present, arrays: Arrays, people: NDArray[np.float64], rules: Rules) -> NDArray[np.bool_]:
    """Tell which distinct targets fit the people present, given how many each matches: bool [targets]."""
    fits = company_fits(present, arrays) & (people >= arrays.min_watchers)
    fits &= (arrays.min_watchers > 0) | (people >= 1) | arrays.anyone
    fits &= people + 1e-9 >= arrays.min_share * present.people
    if not rules.targeting:
        fits &= arrays.anyone
    elif not rules.minors and fits.any() and minors_lead(present):
        fits &= arrays.family
    return fits


def _open(
    catalogue: Catalogue, arrays: Arrays, history: History, moment: Moment, price_micro: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which lines may play now, whoever is present and whatever played before: bool [lines].

    Dates, dayparts, money, caps and gaps are looked at. `price_micro` is what a play of each line reserves.
    """
    local = moment.at.astimezone(catalogue.zone)
    minute = 60 * local.hour + local.minute
    committed, blocked_until_ns = history.columns(catalogue)
    is_open, paced_micro = arrays.in_minute(local.date(), minute)
    may = is_open & (committed + np.maximum(price_micro, arrays.least_micro) <= arrays.budget_micro)
    may &= blocked_until_ns <= moment.mono_ns
    return may & (committed <= paced_micro)


def _separate(may: NDArray[np.bool_], catalogue: Catalogue, arrays: Arrays, history: History) -> NDArray[np.bool_]:
    """Take away the rivals of the last line from those that may play: bool [lines], both.

    Where one has to wait for that, the last line's advertiser waits too: nobody gains by a name that others have.
    """
    last = history.last
    row = arrays.row.get(last.line) if last else None
    separation = catalogue.lines[row].separation if row is not None else last.separation if last else ""
    if last is None or separation not in arrays.separation:
        return may
    mine = arrays.advertiser == arrays.advertiser_number.get(last.line[0], -1)
    rivals = np.zeros_like(may)
    rivals[arrays.separation[separation]] = True
    rivals &= ~mine
    return may & ~rivals & ~mine if (may & rivals).any() else may


def _choose_house(
    present: Present, catalogue: Catalogue, history: History, moment: Moment, rng: Random, rules: Rules
) -> Decision | None:
    """Draw a house ad whose dates and dayparts are open, else any house ad: the screen is never black."""
    arrays = catalogue.house_arrays
    local = moment.at.astimezone(catalogue.zone)
    may = arrays.open_at(local.date(), 60 * local.hour + local.minute)
    rows = np.flatnonzero(may if may.any() else ~may)
    if not rows.size:
        return None
    why = "nothing paid fits who is there"
    if not present.people:
        why = "no camera tells who is there" if present.measured == 0 else "nobody is there"
    if not rules.paid:
        why = "the ledger cannot be written"
    drawn = _draw(arrays.ids, by_weight(Eligible(arrays, rows, rules.minors, rules.targeting), rows, why), rng)
    return _decide(
        present,
        catalogue.house[drawn.row],
        drawn,
        history,
        rng,
        rules,
        trigger="fallback",
        reason=why,
        hits=present.people,
        price=Decimal(0),
    )


def _draw(ids: NDArray[np.object_], lots: Lots, rng: Random) -> _Drawn:
    """Draw one line in proportion to its odds, and list the lots. `ids` holds the id of each row."""
    rows, odds, _ = lots
    total = np.cumsum(odds)
    drawn = min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), rows.size - 1)
    listed: slice | NDArray[np.intp] = slice(None)
    if rows.size > ELIGIBLE_MAX:
        likeliest = np.argpartition(odds, -ELIGIBLE_MAX)[-ELIGIBLE_MAX:]
        if drawn not in likeliest:
            likeliest[0] = drawn  # the least of them
        listed = np.sort(likeliest)
    share = odds[listed] / total[-1]
    named = tuple(zip(ids[rows[listed]].tolist(), share.tolist(), strict=True))
    if rows.size > ELIGIBLE_MAX:
        named += (("", max(0.0, 1.0 - float(share.sum()))),)
    return _Drawn(int(rows[drawn]), float(odds[drawn] / total[-1]), named)


def _decide(
    present: Present,
    line: Line,
    drawn: _Drawn,
    history: History,
    rng: Random,
    rules: Rules,
    *,
    trigger: Trigger,
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
        propensity=drawn.probability / len(fresh),
        reason=reason,
        target="house" if line.house else line.target.text(),
        matched_watchers=hits,
        watchers=present.people,
        price=price,
        present=present,
        eligible=drawn.eligible,
        minors=rules.minors,
    )
