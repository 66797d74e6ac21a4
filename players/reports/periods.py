"""Spans of time that reports are of."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

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


def span_in_words(span: Span, zone: ZoneInfo) -> str:
    """Return a span for a title, by the clocks of a zone: plays begin in it. Empty where it is open on both sides."""
    since, until = (
        None if at_s is None else f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%d %H:%M}" for at_s in map(bound_s, span)
    )
    words = [f"from {since}"] if since else []
    words += [f"until {until}"] if until else []
    return f", plays begun {' '.join(words)} ({zone.key})" if words else ""
