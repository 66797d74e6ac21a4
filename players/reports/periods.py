"""Fixed periods for which people are told: whole months and days of a station, so that spans cannot be compared.

A span of time is taken apart into the whole months in it and the whole days that are left. Each is told by itself
(pipeline/people.py), and what is told of a longer span is their sum. So no two spans differ by less than a whole day.
"""

import calendar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from pipeline.errors import UserError
from players.ledger.clock import next_day, utc_bound

Span = tuple[str | None, str | None]
"""Span of time: its beginning, and its end, which is not part of it. Times are texts as in the ledger; None is open."""


class Periods:
    """Periods of a span in a zone."""

    def __init__(self, zone: ZoneInfo, span: Span) -> None:
        self._zone = zone
        self._span = span
        self._known: dict[str, str] = {}
        self.cuts_days = False
        """True once a moment lay in a part of a day, of which no people are told."""

    def of(self, begins_utc: str) -> str:
        """Return the period of a moment of the ledger: its month, or else its day; empty where neither is whole.

        A text that is no time is in no period.
        """
        try:
            moment = datetime.fromisoformat(begins_utc)
        except ValueError:
            return ""
        day = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(self._zone).date()
        text = day.isoformat()
        if text not in self._known:
            self._known[text] = self._find(day)
        full = begins_utc + "0000-00-00T00:00:00.000Z"[len(begins_utc) :]
        inside = (self._span[0] is None or full >= self._span[0]) and (self._span[1] is None or full < self._span[1])
        self.cuts_days |= inside and not self._known[text]
        return self._known[text]

    def _find(self, day: date) -> str:
        last = calendar.monthrange(day.year, day.month)[1]
        if self._holds(day.replace(day=1)) and self._holds(day.replace(day=last)):
            return f"{day:%Y-%m}"
        return day.isoformat() if self._holds(day) else ""

    def _holds(self, day: date) -> bool:
        """Return whether the span holds a whole day."""
        since, until = self._span
        try:
            begins, ends = (utc_bound(text, self._zone) for text in (day.isoformat(), next_day(day.isoformat())))
        except UserError:  # before or after all time
            return since is None and until is None
        return (since is None or since <= begins) and (until is None or ends <= until)
