"""Coverage of forecasts: simulated weeks are foretold from the weeks before them, and compared.

    python -m bench.forecast [--stations 20]

Two kinds of weeks: simulated ones, from a law like that of the forecast, and replayed ones, from quite another. There
rain empties whole days, busfuls of people come at once, and levels drift.
Printed is how often the 90 % bounds hold, for numbers that may be told.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

import click
import numpy as np
from numpy.typing import NDArray

from players.reports.expectation import History, expect

GROUPS = 30
ROWS = {"day and hour": (2,), "hour": (0, 2), "day": (1, 2), "group": (0, 1), "day and group": (1,)}
"""Rows of a report by the axes (day, hour, group) over which they are summed."""
_HOURS = np.arange(24)
_WORKDAY = sum(h * np.exp(-0.5 * ((_HOURS - at) / w) ** 2) for h, at, w in ((1, 8, 1.5), (0.4, 13, 3), (1, 18, 2)))
_WEEKEND = 0.8 * np.exp(-0.5 * ((_HOURS - 15) / 4) ** 2)
_WEEKDAYS = np.array([1, 1.05, 1.1, 1.05, 1.2, 0.9, 0.6])


def simulated(weeks: int, busiest: float, seed: int) -> NDArray[np.int64]:
    """Return people by day, hour and group, [days, 24, GROUPS], whose hours and days scatter by gamma laws."""
    rng = np.random.default_rng([seed, weeks, 0])
    days = 7 * weeks
    means = busiest * _profile(days)
    means = means * rng.gamma(1 / 0.02, 0.02, (days, 1)) * rng.gamma(1 / 0.05, 0.05, (days, 24))
    return _by_group(rng.poisson(means), rng)


def replayed(weeks: int, busiest: float, seed: int) -> NDArray[np.int64]:
    """Return people as `simulated` does, of weeks with wet days, buses and a drift, which follow no such law."""
    rng = np.random.default_rng([seed, weeks, 1])
    days = 7 * weeks
    drift = np.exp(np.cumsum(rng.normal(0, 0.03, weeks)))[np.arange(days) // 7]
    wet = np.where(rng.random(days) < 0.15, rng.uniform(0.5, 0.8, days), 1.0)
    means = busiest * _profile(days) * (drift * wet)[:, None]
    buses = rng.poisson(means / 12) * rng.integers(4, 14, means.shape)
    return _by_group(rng.poisson(means / 2) + buses, rng)


WEEKS = {"simulated": simulated, "replayed": replayed}


def held(kind: str, past_weeks: int, busiest: float, stations: int) -> dict[str, list[bool]]:
    """Return for each kind of rows whether the bounds held, over the week after `past_weeks` of each station."""
    result: defaultdict[str, list[bool]] = defaultdict(list)
    for seed in range(stations):
        counts = WEEKS[kind](past_weeks + 1, busiest, seed)
        past, coming = counts[:-7], counts[-7:]
        draws = expect(History(date(2026, 5, 4), past.astype(float), np.ones(past.shape[:2])), 7, seed)
        for name, axes in ROWS.items():
            drawn, true = draws.sum(tuple(axis + 1 for axis in axes)), coming.sum(axes)
            low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
            result[name] += ((low <= true) & (true <= high))[drawn.mean(0) >= 10].tolist()
    return result


def run(stations: int) -> Iterator[tuple[str, int, float, dict[str, list[bool]]]]:
    """Foretell a week of so many stations for each kind of weeks, length of history and size."""
    for kind in WEEKS:
        for past_weeks in (3, 6, 12):
            for busiest in (40, 400):
                yield kind, past_weeks, busiest, held(kind, past_weeks, busiest, stations)


def _profile(days: int) -> NDArray[np.float64]:
    weekdays = np.arange(days) % 7
    shapes = np.where((weekdays >= 5)[:, None], _WEEKEND, _WORKDAY)
    return np.asarray(0.005 + shapes * _WEEKDAYS[weekdays][:, None])


def _by_group(totals: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    shares = rng.dirichlet(rng.dirichlet(np.full(GROUPS, 1.0)) * 60 + 0.02, totals.shape)
    return np.asarray(rng.multinomial(totals, shares))


@click.command()
@click.option("--stations", default=20, show_default=True, help="Stations of each kind.")
def main(stations: int) -> None:
    """Print how often 90 % bounds hold."""
    click.echo(f"| weeks | past | people in the busiest hour | {' | '.join(ROWS)} | all |")
    click.echo("|---|---|---|" + "---|" * (len(ROWS) + 1))
    for kind, past_weeks, busiest, result in run(stations):
        shares = [f"{100 * np.mean(result[name]):.1f} %" for name in ROWS]
        every = [each for values in result.values() for each in values]
        click.echo(f"| {kind} | {past_weeks} | {busiest:g} | {' | '.join(shares)} | {100 * np.mean(every):.1f} % |")


if __name__ == "__main__":
    main()
