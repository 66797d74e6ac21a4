"""Dimensions by which reports count: their values, their order, and hours that come twice."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipeline.errors import UserError
from pipeline.messages import DECADES
from players.ads.lines import WEEKDAYS
from players.audience.groups import GENDERS

_LONGER_NAMED = 3
"""Largest number of hours that a note names."""


def longer_hours(local: datetime) -> set[tuple[str, int]]:
    """Return the day and the hour of a moment whose time of day comes twice, as the clocks were set back; else none."""
    again = local.replace(fold=1 - local.fold)
    return set() if again.utcoffset() == local.utcoffset() else {(local.date().isoformat(), local.hour)}


def longer_note(longer: set[tuple[str, int]], by: tuple[str, ...]) -> tuple[str, ...]:
    if not longer or "hour" not in by:
        return ()
    named = [f"hour {hour} of {day}" for day, hour in sorted(longer)[:_LONGER_NAMED]]
    more = f" and {len(longer) - len(named)} more" if len(longer) > len(named) else ""
    return (f"The clocks were set back: {', '.join(named)}{more} lasted longer, and rows hold all of it.",)


def value_of(name: str, row: Any, local: datetime) -> Any:
    if name == "hour":
        return local.hour
    if name == "weekday":
        return WEEKDAYS[local.weekday()]
    if name == "day":
        return local.date().isoformat()
    return row[name]


_ORDERED = {"weekday": WEEKDAYS, "decade": (*DECADES, "unknown"), "gender": GENDERS}


def order_of(by: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return a sorting key: weekdays, decades and genders in their own order, everything else by value."""
    return lambda key: tuple(
        _ORDERED[name].index(value) if name in _ORDERED else value for name, value in zip(by, key, strict=True)
    )


def known_dimensions(by: tuple[str, ...], names: tuple[str, ...]) -> None:
    if not by:
        raise UserError(f"--by: name at least one of {','.join(names)}")
    for name in by:
        if name not in names or by.count(name) > 1:
            raise UserError(f"--by: {name!r} is unknown or named twice; choose of {','.join(names)}")
