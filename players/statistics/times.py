"""Periods of the statistics: minutes, five minutes, hours and days of a station, by when they begin."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE_S, FIVE_MINUTES_S, HOUR_S, DAY_S = 60, 300, 3600, 86400
LENGTHS_S = (MINUTE_S, FIVE_MINUTES_S, HOUR_S, DAY_S)
"""Lengths of the periods, each merged into the next. A day has that name also where the clocks are set in it."""


def begin_s(at_s: int, length_s: int, zone: ZoneInfo) -> int:
    """Return when the period of a moment begins (both UTC epoch).

    Hours and days are those that clocks of the zone show, also where it is off by half or quarter hours. Where the
    clocks are set within a period, another one begins.
    """
    if length_s < HOUR_S:
        return at_s // length_s * length_s
    moment = datetime.fromtimestamp(at_s, UTC)
    local = moment.astimezone(zone)
    if length_s == DAY_S:
        return _first_moment_s(local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None), zone)
    begins = moment - timedelta(minutes=local.minute, seconds=local.second)
    while begins.astimezone(zone).utcoffset() != local.utcoffset() and begins < moment:
        begins = begins.replace(second=0) + timedelta(minutes=1)
    return int(begins.timestamp())


def month_begins_s(at_s: int, zone: ZoneInfo) -> int:
    """Return when the month of a moment begins (both UTC epoch)."""
    local = datetime.fromtimestamp(at_s, zone)
    return _first_moment_s(local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None), zone)


def _first_moment_s(local: datetime, zone: ZoneInfo) -> int:
    """Return the first moment at which the clocks of the zone show a time, or a later one where it is skipped."""
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    shown = first.astimezone(zone).replace(tzinfo=None)
    if shown == local:
        return int(min(first, second).timestamp())
    before = second.astimezone(zone).utcoffset()  # skipped: the day begins when the clocks are set
    low, high = min(first, second), max(first, second)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return round(high.timestamp())
