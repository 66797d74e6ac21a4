"""Times as a ledger writes them: UTC with milliseconds, such as 2026-05-01T08:00:00.000Z."""

import ctypes
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.errors import UserError


def now() -> datetime:
    """Return the time of the wall clock in UTC, which may be wrong and may jump."""
    return datetime.now(UTC)


def utc_text(moment: datetime) -> str:
    """Return a time as the ledger writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_synchronised() -> bool:
    """Return whether the kernel says (adjtimex) that its clock is synchronised; False where it cannot be asked."""
    try:
        timex = ctypes.create_string_buffer(512)
        return ctypes.CDLL(None).adjtimex(timex) not in (-1, 5)
    except (OSError, AttributeError):
        return False


def utc_bound(text: str, zone: ZoneInfo) -> str:
    """Return a day (2026-05-01) or a time of the zone as the ledger writes it; UserError where it is neither."""
    try:
        moment = datetime.fromisoformat(text)
        return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise UserError(f"{text!r} is no day or time; write such as 2026-05-01 or 2026-05-01T08:00") from None


def next_day(text: str) -> str:
    """Return the day after a day, so that an `until` includes it; any other text as it is."""
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text
