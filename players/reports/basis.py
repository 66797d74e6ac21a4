"""Basis of counts: the place, the model, where the screen is, and the zone, each over its part of a span."""

import sqlite3
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from pipeline.errors import UserError
from pipeline.state import kept_card
from pipeline.text import decode
from pipeline.toml import parse_toml
from players.reports.periods import Span


class Basis(Struct, frozen=True, order=True):
    """Ground of the counts of one place. Counts of two of these are not mixed silently."""

    place: str
    model_sha256: str
    angles_deg: str
    zone_sha256: str


class Part(Struct):
    """Time of a span in which one basis held."""

    measured_ms: int = 0
    first_s: int = 1 << 62
    last_s: int = 0

    def add(self, begins_s: int, length_s: int, measured_ms: int) -> None:
        """Add a period."""
        self.measured_ms += measured_ms
        self.first_s, self.last_s = min(self.first_s, begins_s), max(self.last_s, begins_s + length_s)


def card_of(state: Path, sha256: str) -> dict[str, Any]:
    """Return the card of a model that counted; empty where it was not kept."""
    text = kept_card(state, sha256) if sha256 else None
    try:
        return dict(parse_toml(decode(text))) if text else {}
    except UserError:
        return {}


def span_s(span: Span) -> tuple[int, int]:
    """Return a span as UTC epoch, from and up to but without; from the beginning or to now where it is open."""
    first, stop = (None if text is None else int(datetime.fromisoformat(text).timestamp()) for text in span)
    return 0 if first is None else first, int(time.time()) if stop is None else stop


def parts_of(db: sqlite3.Connection, span_s: tuple[int, int]) -> dict[Basis, Part]:
    """Return what the counts of a span (UTC epoch, its end not part of it) rest on, in the order of time.

    A place that has not asked its model yet counts as one that has.
    """
    parts: defaultdict[Basis, Part] = defaultdict(Part)
    for row in db.execute(
        "SELECT place, model_sha256, angles_deg, zone_sha256, begins_s, length_s, measured_ms FROM audience_measured "
        "WHERE begins_s >= ? AND begins_s < ?",
        span_s,
    ):
        parts[Basis(*tuple(row)[:4])].add(row["begins_s"], row["length_s"], row["measured_ms"])
    for basis in [basis for basis in parts if not basis.model_sha256]:
        asked = [other for other in parts if other.model_sha256 and structs.replace(other, model_sha256="") == basis]
        if asked:
            part = parts.pop(basis)
            nearest = min(asked, key=lambda other: abs(parts[other].first_s - part.first_s))
            parts[nearest].add(part.first_s, part.last_s - part.first_s, part.measured_ms)
    return dict(sorted(parts.items(), key=lambda item: (item[1].first_s, item[0])))
