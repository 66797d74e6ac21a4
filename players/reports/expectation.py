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
    """Variances around what is expected, relative to its square, and how many weeks and days told them."""

    week: float
    day: float
    hour: float
    shape: float
    """Variance of an hour over all days of a week."""
    groups: float
    """Variance of an hour beyond chance, relative to what is expected itself: people come in groups."""
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
    factors = factors * _factors(rng, scatter.shape, HOURS * scatter.weeks, (draws, of_week[-1] + 1, HOURS))[:, of_week]
    factors = factors * _factors(rng, scatter.hour + scatter.groups / means, HOURS * scatter.days, (draws, days, HOURS))
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
    return pull, _scatter(off, told)


def _scatter(off: Floats, told: Floats) -> Scatter:
    """Return how far hours of whole weeks were off what was told of them, [days, 24]; by the method of moments.

    Products of two hours of one day tell what days have in common. Those of an hour on two days of a week tell of its
    shape, those of other hours of the week alone.
    """
    cell, day, hour, week = (_squares(off, told, axes) for axes in ((0, 1, 2), (0, 1), (0, 2), (0,)))
    of_week = _ratio(week - day - hour + cell)
    of_day = max(0.0, _ratio(day - cell) - of_week)
    of_shape = max(0.0, _ratio(hour - cell) - of_week)
    weights = np.stack((np.ones_like(told), 1 / (told + 1)))
    beyond, linear, square = ((weights * each).sum((1, 2)) for each in (off**2 - told, told, told**2))
    groups, whole = np.linalg.lstsq(np.stack((linear, square), 1), beyond)[0].tolist()
    if groups < 0:
        groups, whole = 0.0, _ratio(np.array([beyond[0], square[0]]))
    elif whole < 0:
        groups, whole = _ratio(np.array([beyond[1], linear[1]])), 0.0
    of_hour = max(0.0, whole - of_week - of_day - of_shape)
    return Scatter(of_week, of_day, of_hour, of_shape, groups, len(told) // 7, len(told))


def _squares(off: Floats, told: Floats, axes: tuple[int, ...]) -> Floats:
    """Return the sums of squares of both, where hours are summed but along `axes` (week, day, hour), [2]."""
    others = tuple({0, 1, 2} - {*axes})
    return np.array([(each.reshape(-1, 7, HOURS).sum(others) ** 2).sum() for each in (off, told)])


def _ratio(sums: Floats) -> float:
    return max(0.0, float(sums[0] / max(sums[1], _LEAST)))


def _factors(rng: np.random.Generator, variance: float | Floats, known_by: int, shape: tuple[int, ...]) -> Floats:
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
