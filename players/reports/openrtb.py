"""What a bid request for a screen needs to say of it: OpenRTB 2.6 `dooh`, `device` and `imp.qty`.

The published fields and venues, and where they are published, are in openrtb.toml.
"""

import sqlite3
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.errors import UserError
from pipeline.settings import Screen, StationTable
from players.ledger.schema import OPENOOH_TAXONOMY

OOH_DEVICE = 8
"""AdCOM device type: out-of-home."""
PUBLISHER_PROVIDED = 2
"""AdCOM DOOH multiplier measurement source: the publisher's own."""
USER_PROVIDED = 3
"""AdCOM location type: entered by a person."""

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
FIELDS: dict[str, dict[str, str]] = _DATA["fields"]
REQUIRED: dict[str, list[str]] = _DATA["required"]
VENUES = frozenset(_DATA["openooh"]["venues"])
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "object": (dict,)}


def bid_objects(db: sqlite3.Connection, station: StationTable, screen: Screen) -> dict[str, Any]:
    """{"dooh", "device", "imp"} of a screen. The multiplier is the mean number of people who could see a play, over
    every play in the ledgers that `db` reads and that was on a display; UserError where there is none, or the venue
    is unknown."""
    if station.venue_type not in VENUES:
        given = f"{station.venue_type!r} is no venue" if station.venue_type else "no venue is given"
        raise UserError(
            f"station.venue_type: {given} of OpenOOH 1.1; write such as 'outdoor.bus_shelters', "
            "'transit.subway.platform' or 'office_buildings.office_buildings.elevator'"
        )
    shown, mean = db.execute(
        "SELECT COUNT(*), AVG(qty_multiplier) FROM plays "
        "WHERE station = ? AND screen = ? AND status IN ('played', 'partial') AND frames_presented > 0",
        (station.name, screen.name),
    ).fetchone()
    if not shown:
        place = f"screen {screen.name!r} of station {station.name!r}"
        raise UserError(f"the ledger holds no play of {place} that ended; let it play first")
    turned = screen.rotation_deg in (90, 270)
    width_px, height_px = (screen.height_px, screen.width_px) if turned else (screen.width_px, screen.height_px)
    device: dict[str, Any] = {"devicetype": OOH_DEVICE, "w": width_px, "h": height_px, "language": screen.language}
    if station.lat is not None and station.lon is not None:
        offset = datetime.now(ZoneInfo(station.timezone)).utcoffset()
        device["geo"] = {"lat": station.lat, "lon": station.lon, "type": USER_PROVIDED}
        device["geo"]["utcoffset"] = int(offset.total_seconds() // 60) if offset else 0
    objects = {
        "dooh": {
            "id": f"{station.name}.{screen.name}",
            "name": f"{station.name} {screen.name}",
            "venuetype": [station.venue_type],
            "venuetypetax": OPENOOH_TAXONOMY,
        },
        "device": device,
        "imp": {"id": "1", "qty": {"multiplier": round(mean, 3), "sourcetype": PUBLISHER_PROVIDED}},
    }
    problems = [problem for name, value in objects.items() for problem in check(name, value)]
    if problems:
        raise UserError(f"not OpenRTB 2.6: {problems[0]}")
    return objects


def check(name: str, value: dict[str, Any]) -> list[str]:
    """What is wrong with an object, compared with the published fields; nothing is an empty list."""
    fields = FIELDS[name]
    problems = [f"{name}.{key}: missing" for key in REQUIRED.get(name, ()) if key not in value]
    for key, given in value.items():
        kind = fields.get(key)
        if kind is None:
            problems.append(f"{name}.{key}: no such field")
        elif kind in FIELDS:
            problems += check(kind, given) if isinstance(given, dict) else [f"{name}.{key}: not an object"]
        elif not _is(kind, given):
            problems.append(f"{name}.{key}: not {kind}")
    return problems


def _is(kind: str, value: Any) -> bool:
    if kind == "0 or 1":
        return value in (0, 1)
    if kind == "array of string":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
