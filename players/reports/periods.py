"""Spans of time that reports are of."""

from datetime import UTC, datetime

Span = tuple[str | None, str | None]
"""Span of time: its beginning, and its end, which is not part of it. Times are texts as in the ledger; None is open."""

_FIRST_S, _LAST_S = -62_104_060_800.0, 253_339_228_800.0


def bound_s(text: str | None) -> float | None:
    """Return a bound of a span in s of the UTC epoch; None where it is open. It lies in the years 2 to 9998."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    at_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return min(max(at_s, _FIRST_S), _LAST_S)
