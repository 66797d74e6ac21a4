"""Times as a ledger writes them: UTC with milliseconds, such as 2026-05-01T08:00:00.000Z."""

import ctypes
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
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


def boot_id() -> str:
    """Return the kernel's name for this boot of the machine; empty where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def utc_bound(text: str, zone: ZoneInfo) -> str:
    """Return a day (2026-05-01) or a time of the zone as the ledger writes it; UserError where it is neither.

    A day is its first moment. A time that comes twice is the first of the two; one that is skipped is when the clocks
    are set.
    """
    try:
        moment = datetime.fromisoformat(text)
        return utc_text(moment if moment.tzinfo else _first_moment(moment, zone))
    except (ValueError, OverflowError):
        raise UserError(f"{text!r} is no day or time; write such as 2026-05-01 or 2026-05-01T08:00") from None


def _first_moment(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment, in UTC, at which the clocks of the zone show a time or a later one."""
    after, before = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if after <= before:
        return after
    skipped_from = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):  # the clocks jump over it between the two
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == skipped_from:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def next_day(text: str) -> str:
    """Return the day after a day, so that an `until` includes it; any other text as it is."""
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text
