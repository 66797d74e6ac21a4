"""Draws of what the next days will bring, from the counts of past weeks; each is equally likely.

An hour's expectation is the mean of its weekday and hour, drawn to the shape of working days or of weekends. Counts
scatter more than by chance alone: they are negative binomial (Poisson numbers of gamma distributed means, Hilbe,
Negative Binomial Regression, 2011). How far weeks, days and hours are off is measured by foretelling past weeks from
those before them. That holds what is not known of the means, too. Groups share an hour by a Dirichlet-multinomial law.
"""

from datetime import date, timedelta

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

HOURS = 24
WEEKS_MIN, WEEKS_MAX = 2, 12
DRAWS = 400
_FEW_WEEKS = 4
_PULLS = (0.25, 1.0, 4.0, 16.0)
"""Weeks for which the hours of all working days or weekends may count beside those of the very weekday."""
_KNOWN_SHARES = 50
"""People of all hours whose groups count beside those of the very hour."""
_LEAST = 1e-3

Floats = NDArray[np.float64]


class History(Struct, frozen=True):
    """Past days. `counts` are people by hour and group, [days, 24, groups]; `measured` is a share, [days, 24]."""

    first: date
    counts: Floats
    measured: Floats

    @property
    def weeks(self) -> int:
        """Number of whole weeks."""
        return len(self.counts) // 7


class Scatter(Struct, frozen=True):
    """Relative variances of weeks, days and hours around what is expected, and how many weeks and days told them."""

    week: float
    day: float
    hour: float
    weeks: int
    days: int


def expect(history: History, days: int, seed: int = 0, draws: int = DRAWS) -> Floats:
    """Return draws of the `days` after the last of the history, [draws, days, 24, groups].

    The last days of the history that make up whole weeks count, at most WEEKS_MAX; there must be WEEKS_MIN.
    """
    weeks = min(history.weeks, WEEKS_MAX)
    skipped = len(history.counts) - 7 * weeks
    counts, measured = history.counts[skipped:], history.measured[skipped:]
    first = history.first + timedelta(days=skipped)
    weekdays = np.array([(first.weekday() + i) % 7 for i in range(7 * weeks + days)])
    totals = counts.sum(2)
    pull, scatter = _learn(totals, measured, weekdays[: 7 * weeks])
    means = _means(totals, measured, weekdays[: 7 * weeks], pull)[weekdays[7 * weeks :]]
    rng = np.random.default_rng(seed)
    of_week = np.arange(days) // 7
    factors = _factors(rng, scatter.week, scatter.weeks, (draws, of_week[-1] + 1))[:, of_week, None]
    factors = factors * _factors(rng, scatter.day, scatter.days - 1, (draws, days))[:, :, None]
    factors = factors * _factors(rng, scatter.hour, HOURS * scatter.days, (draws, days, HOURS))
    people = rng.poisson(np.minimum(factors * means, 1e9))
    shares, alike = _shares(counts)
    drawn = rng.standard_gamma(np.broadcast_to(shares * alike, (*people.shape, shares.shape[1])))
    drawn = np.maximum(drawn, 1e-300)
    return rng.multinomial(people, drawn / drawn.sum(3, keepdims=True)).astype(float)


def _means(totals: Floats, measured: Floats, weekdays: NDArray[np.int64], pull: float) -> Floats:
    """Return the people expected by weekday and hour where all is measured, [7, 24]."""
    weekend = weekdays >= 5
    means = np.empty((7, HOURS))
    for weekday in range(7):
        mine, alike = weekdays == weekday, weekend == (weekday >= 5)
        kind = totals[alike].sum(0) / np.maximum(measured[alike].sum(0), _LEAST)
        level = totals[mine].sum() / max(float((measured[mine] * kind).sum()), _LEAST)
        means[weekday] = (totals[mine].sum(0) + pull * level * kind) / (measured[mine].sum(0) + pull)
    return np.maximum(means, _LEAST)


def _learn(totals: Floats, measured: Floats, weekdays: NDArray[np.int64]) -> tuple[float, Scatter]:
    """Return the pull that foretells past weeks best, and how far these were off. Days begin with a week.

    The later half of the weeks is foretold, each from those before it; of less than four weeks each from the others.
    """
    week = np.arange(len(totals)) // 7
    weeks = int(week[-1]) + 1
    few = weeks < _FEW_WEEKS
    numbers = range(0 if few else weeks // 2, weeks)
    tried = week >= numbers[0]
    best: tuple[float, float, Floats] | None = None
    for pull in _PULLS:
        told = np.zeros_like(totals)
        for number in numbers:
            rest, now = week != number if few else week < number, week == number
            told[now] = _means(totals[rest], measured[rest], weekdays[rest], pull)[weekdays[now]]
        told *= measured
        loss = float(((totals - told)[tried] ** 2 / np.maximum(told[tried], 1)).sum())
        if best is None or loss < best[0]:
            best = loss, pull, told
    assert best is not None
    _, pull, told = best
    off, told = (totals - told)[tried], told[tried]
    same_hour = (off**2 - told).sum(), (told**2).sum()
    same_day = (off.sum(1) ** 2).sum() - (off**2).sum(), (told.sum(1) ** 2).sum() - (told**2).sum()
    by_week = [each.reshape(-1, 7, HOURS).sum((1, 2)) for each in (off, told)]
    same_week = (
        (by_week[0] ** 2).sum() - (off.sum(1) ** 2).sum(),
        (by_week[1] ** 2).sum() - (told.sum(1) ** 2).sum(),
    )
    of_week, of_day, of_hour = (max(0.0, float(a / max(b, _LEAST))) for a, b in (same_week, same_day, same_hour))
    beyond = max(0.0, of_hour - max(of_day, of_week))
    return pull, Scatter(of_week, max(0.0, of_day - of_week), beyond, len(numbers), 7 * len(numbers))


def _factors(rng: np.random.Generator, variance: float, known_by: int, shape: tuple[int, ...]) -> Floats:
    """Draw gamma distributed factors of mean 1; the first axis has a variance of its own, as it is not known well."""
    degrees = max(known_by, 2)
    unsure = degrees / rng.chisquare(degrees, (shape[0], *[1] * (len(shape) - 1)))
    spread = np.maximum(variance * np.minimum(unsure, 10), 1e-9)
    return rng.standard_gamma(np.broadcast_to(1 / spread, shape)) * spread


def _shares(counts: Floats) -> tuple[Floats, float]:
    """Return the groups' shares by hour, [24, groups], and how alike they are from day to day (a concentration)."""
    groups = counts.shape[2]
    whole = (counts.sum((0, 1)) + 1 / groups) / (counts.sum() + 1)
    hour = counts.sum(0)
    shares = (hour + _KNOWN_SHARES * whole) / (hour.sum(1, keepdims=True) + _KNOWN_SHARES)
    people = counts.sum(2, keepdims=True)
    by_chance = shares * (1 - shares)
    beyond = ((counts - people * shares) ** 2 - people * by_chance).sum()
    most = (people * (people - 1) * by_chance).sum()
    alike = 1 / max(beyond / max(most, _LEAST), 1e-4) - 1
    return shares, float(max(alike, 1.0))
