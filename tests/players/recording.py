"""Plays and audiences of known times, and the orders that they belong to, for tests of ledgers' reports."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.messages import DECADES
from pipeline.settings import StationTable
from players.ads.lines import Line, Target
from players.audience.present import Present
from tests.ads import BERLIN, F20, F30, HOUSE, M30, line, present

STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=52.5, lon=13.4, timezone="Europe/Berlin")
WOMEN = Target(gender="F")
MOKA = line("moka", WOMEN, advertiser="Moka", price=Decimal("0.125"), currency="EUR", budget=Decimal("100"))
SOJU = line("soju", WOMEN, advertiser="Soju", price=Decimal("700"), per="1000 ots", currency="KRW")
DINAR = line("dinar", WOMEN, advertiser="Dinar", price=Decimal("0.0015"), currency="KWD")

Play = tuple[datetime, Line, Present, float]
Crowd = tuple[datetime, dict[Any, int]]
"""A time, and how many came then by gender and age."""
Record = Callable[..., Path]
"""The fixture `record`: `record([(when, line, who is present, share of the frames shown)])` returns a ledger."""


def at(day: int, hour: int, minute: int = 0, month: int = 5, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=zone)


def some_plays() -> list[Play]:
    her, him = present(F20), present(M30)
    plays: list[Play] = [(at(4, 9, n), MOKA, her, 1.0) for n in range(3)]
    plays += [(at(4, 10, n), MOKA, him, 1.0) for n in range(2)]
    plays += [(at(4, 11, 0), MOKA, her, 0.5), (at(4, 11, 1), HOUSE, her, 1.0)]
    plays += [(at(5, 9, n), SOJU, present(F20, F30), 1.0) for n in range(3)]
    plays += [(at(5, 10, n), DINAR, her, 1.0) for n in range(3)]
    return plays


def crowd() -> list[Crowd]:
    """Return visits: 25 women in their twenties at 9, 12 men in their thirties at 9 and 3 at 10."""
    return [(at(4, 9), {F20: 25, M30: 12}), (at(4, 10), {M30: 3})]


def count_as_before(
    ledger: Path, when: datetime, people: dict[Any, int], screen: str = "main", station: str = STATION.name
) -> None:
    """Write visits of a second each into a ledger, as players did until schema 4: by quarter of an hour."""
    quarter = when.astimezone(UTC)
    begins = f"{quarter.replace(minute=quarter.minute // 15 * 15):%Y-%m-%dT%H:%M}"
    with closing(sqlite3.connect(ledger)) as db, db:
        visits = sum(people.values())
        db.execute(
            "INSERT INTO audience_quarters VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "visits = visits + excluded.visits, person_ms = person_ms + excluded.person_ms",
            (station, screen, begins, visits, 1000 * visits, 1000 * visits),
        )
        for (gender, age), number in people.items():
            db.execute(
                "INSERT INTO audience_quarter_groups VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET person_ms = person_ms + excluded.person_ms",
                (station, screen, begins, gender, DECADES[int(age) // 10], 1000 * number),
            )
