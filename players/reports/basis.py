"""Basis of figures of people: share measured, model and how well it does, where the screen is, zone and level."""

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from pipeline.errors import UserError
from pipeline.state import kept_card
from pipeline.text import decode
from pipeline.toml import parse_toml

LEVEL = "measure level: opportunities to see (1 s in the zone) and watchers, of faces that were found"
_FIGURES = (("adult_gender_accuracy", "gender from 20"), ("gender_accuracy", "gender"), ("decade_accuracy", "decade"))


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


def rests_on(parts: dict[Basis, Part], zone: ZoneInfo, state: Path) -> tuple[str, ...]:
    """Return a sentence for each basis, one for the measure level, and one where a place has several bases."""
    said = []
    for basis, part in parts.items():
        whole_ms = 1000 * (part.last_s - part.first_s)
        days = " to ".join(
            dict.fromkeys(
                f"{datetime.fromtimestamp(at_s, UTC).astimezone(zone):%Y-%m-%d}"
                for at_s in (part.first_s, part.last_s - 1)
            )
        )
        yaw, pitch, half_yaw, half_pitch = (*basis.angles_deg.split(","), "?", "?", "?", "?")[:4]
        said.append(
            f"{basis.place}, {days}: measured {100 * min(1, part.measured_ms / max(1, whole_ms)):.0f} % of the time; "
            f"{model_in_words(state, basis.model_sha256)}; screen at yaw {yaw} +- {half_yaw}, "
            f"pitch {pitch} +- {half_pitch} degrees; {f'zone {basis.zone_sha256}' if basis.zone_sha256 else 'no zone'}."
        )
    places = [basis.place for basis in parts]
    for place in dict.fromkeys(place for place in places if places.count(place) > 1):
        said.append(f"{place}: model, screen's place or zone changed; what was counted before and after is not alike.")
    return (*said, f"{LEVEL[0].upper()}{LEVEL[1:]}.") if said else ()


def model_in_words(state: Path, sha256: str) -> str:
    """Return a model's name, hash and figures, with those of groups of people where its card has them."""
    if not sha256:
        return "no model: nobody was classified"
    card = card_of(state, sha256)
    if not card:
        return f"model {sha256[:12]}, whose card was not kept"
    metrics = card.get("metrics", [])
    by_name = {metric["measure"]: metric for metric in metrics if ", group " not in metric["data"]}
    figures = [f"{words} {by_name[name]['value']:.2f}" for name, words in _FIGURES if name in by_name]
    groups = [
        f"{metric['data'].partition(', group ')[2]} {metric['value']:.2f}"
        for metric in metrics
        if ", group " in metric["data"] and metric["measure"] == "gender_accuracy"
    ]
    by_group = f"; gender by group: {', '.join(groups)}" if groups else ""
    told = f" ({', '.join(figures)} right{by_group})"
    return f"model {card['name']}, {sha256[:12]}{told if figures else ''}"
