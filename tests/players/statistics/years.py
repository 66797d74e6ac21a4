"""A station's counts over months, as a busy place has them."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from players.statistics.counts import MEASURES, make_tables
from players.statistics.times import DAY_S, FIVE_MINUTES_S, HOUR_S, MINUTE_S

BEGINS_S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
_BY_HOUR = np.array([1, 1, 1, 1, 1, 2, 4, 9, 12, 9, 7, 8, 10, 9, 8, 8, 10, 14, 15, 11, 8, 6, 4, 2]) / 162
_GENDERS = np.array([0.44, 0.48, 0.08])
_DECADES = np.array([0.02, 0.09, 0.25, 0.21, 0.15, 0.1, 0.06, 0.03, 0.01, 0.08])
_SHARE = np.outer(_GENDERS, _DECADES).ravel() / _DECADES.sum()


def crowds(rng: np.random.Generator, begins_s: int, ends_s: int, length_s: int, a_day: float) -> Iterator[tuple]:
    """Yield rows of `counts` without their basis: a place where so many people come a day."""
    for at_s in range(begins_s, ends_s, length_s):
        moment = datetime.fromtimestamp(at_s, UTC)
        weekend = 0.6 if moment.weekday() > 4 else 1.0
        people = rng.poisson(a_day * weekend * _BY_HOUR[moment.hour] * length_s / HOUR_S * _SHARE)
        for group in np.flatnonzero(people):
            visits = int(people[group])
            ots = int(rng.binomial(visits, 0.86))
            watchers = int(rng.binomial(ots, 0.31))
            long = int(rng.binomial(watchers, 0.45))
            dwell_ms = watchers * int(rng.integers(4000, 15_000))
            yield (length_s, at_s, *divmod(int(group), 10), visits, ots, watchers, long, visits * 6500, dwell_ms,
                   int(dwell_ms * rng.uniform(0.2, 0.5)))  # fmt: skip


def write_year(path: Path, days: int = 365, places: int = 1, a_day: float = 4000) -> None:
    """Write a file as it is after so many days: minutes of the last two, five minutes of the last 14, then hours."""
    rng, ends_s = np.random.default_rng(8), BEGINS_S + days * DAY_S
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    make_tables(db)
    db.execute("BEGIN")
    for place in range(1, places + 1):
        basis = (place, "stop-7", "target", f"kerb{place}", f"kerb{place}", "main", "ab" * 32, "0,0,20,16", "")
        db.execute(f"INSERT INTO bases VALUES ({', '.join('?' * 9)})", basis)
        since_s = BEGINS_S
        for length_s, kept_days in ((HOUR_S, 14), (FIVE_MINUTES_S, 2), (MINUTE_S, 0)):
            until_s = max(since_s, ends_s - kept_days * DAY_S)
            db.executemany(
                f"INSERT INTO counts VALUES ({', '.join('?' * (5 + len(MEASURES)))})",
                (
                    (length, at_s, place, *numbers)
                    for length, at_s, *numbers in crowds(rng, since_s, until_s, length_s, a_day)
                ),
            )
            db.executemany(
                "INSERT INTO measured VALUES (?, ?, ?, ?, 5)",
                ((length_s, at_s, place, 990 * length_s) for at_s in range(since_s, until_s, length_s)),
            )
            since_s = until_s
    db.execute("COMMIT")
    db.close()
