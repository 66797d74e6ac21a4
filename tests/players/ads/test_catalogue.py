"""The catalogue and its columns."""

import dataclasses
from datetime import date, timedelta

import pytest

from tests.ads import (
    catalogue,
    line,
)


@pytest.mark.parametrize("ends", [date(2026, 5, 4), date(2026, 5, 7), date(2026, 5, 18)])
@pytest.mark.parametrize("dayparts", [((1320, 120),), ((1320, 120), (60, 180)), ((480, 1200),)])
def test_even_pacing_counts_the_nights_that_a_line_has(ends: date, dayparts: tuple[tuple[int, int], ...]) -> None:
    """Compare with a count minute by minute: without the night before its first day, with the one after its last."""
    arrays = catalogue(line("ad", starts=date(2026, 5, 4), ends=ends, weekdays=(0, 1, 3), dayparts=dayparts)).arrays
    days = [date(2026, 5, 3) + timedelta(days=n) for n in range((ends - date(2026, 5, 3)).days + 3)]
    minutes = [(day, minute, bool(arrays.open_at(day, minute)[0])) for day in days for minute in range(0, 1440, 20)]
    every = sum(is_open for _, _, is_open in minutes)
    over = 0
    for day, minute, is_open in minutes:
        over += is_open
        assert arrays.elapsed_share(day, minute + 19)[0] == pytest.approx(over / every)


def test_a_catalogue_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalogue().lines = ()  # type: ignore[misc]
