"""Delivery of a simulation: what is due in its span is spent."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from players.choice import simulate
from players.choice.choose import Rules
from players.reports.delivery import delivery
from tests.ads import SEOUL, catalogue, line
from tests.players.recording import WOMEN, at


@pytest.mark.parametrize("day", [pytest.param(1, marks=pytest.mark.slow), 15, pytest.param(31, marks=pytest.mark.slow)])
def test_a_simulation_of_an_even_line_spends_what_is_due_in_its_span(day: int) -> None:
    days: dict[str, Any] = {"starts": date(2026, 3, 1), "ends": date(2026, 3, 31), "pacing": "even"}
    even = line("even", WOMEN, price=Decimal(120), currency="KRW", budget=Decimal(500_000), **days)
    crowds = [simulate.Crowd(0.0, (simulate.Passer("F", 25.0),)), simulate.Crowd(86400.0, ())]
    played = simulate.simulate(catalogue(even), crowds, at(day, 0, month=3, zone=SEOUL), Rules())
    row = next(row for row in delivery(played).rows if row["line"] == "even")
    assert row["goal by now"] == 16129  # of 500,000 in 31 days
    assert row["spend"] == pytest.approx(16129, abs=120)
    assert row["delivered_pct"] == pytest.approx(100, abs=1)
