"""Basis of counts: the place, the model, where the screen is, and the zone, each over its part of a span."""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from msgspec import Struct

from pipeline.errors import UserError
from pipeline.state import kept_card
from pipeline.text import decode
from pipeline.toml import parse_toml


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


def card_of(state: Path, sha256: str) -> dict[str, Any]:
    """Return the card of a model that counted; empty where it was not kept."""
    text = kept_card(state, sha256) if sha256 else None
    try:
        return dict(parse_toml(decode(text))) if text else {}
    except UserError:
        return {}


def parts_of(db: sqlite3.Connection, span_s: tuple[int, int]) -> dict[Basis, Part]:
    """Return what the counts of a span (UTC epoch, its end not part of it) rest on, in the order of time."""
    parts: defaultdict[Basis, Part] = defaultdict(Part)
    for row in db.execute(
        "SELECT place, model_sha256, angles_deg, zone_sha256, begins_s, length_s, measured_ms FROM audience_measured "
        "WHERE begins_s >= ? AND begins_s < ?",
        span_s,
    ):
        part = parts[Basis(*tuple(row)[:4])]
        part.measured_ms += row["measured_ms"]
        part.first_s = min(part.first_s, row["begins_s"])
        part.last_s = max(part.last_s, row["begins_s"] + row["length_s"])
    return dict(sorted(parts.items(), key=lambda item: (item[1].first_s, item[0])))
