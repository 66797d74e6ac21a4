"""OpenRTB 2.6 objects that a bid request for a screen needs: `dooh`, `device` and `imp.qty`.

The Structs have the fields that IAB Tech Lab publishes in github.com/InteractiveAdvertisingBureau/openrtb2.x, folder
jsonschema: DOOH, Device, Geo, Imp and Qty. `Imp` has only those that do not depend on the kind of ad.
"""

import sqlite3
import time
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pipeline.errors import UserError
from pipeline.settings import Screen, StationTable
from pipeline.venues import venues
from players.ledger.schema import OPENOOH_TAXONOMY
from players.reports.measures import AD, PLAYS_COLUMNS, told_cells, told_until

OOH_DEVICE = 8
"""Device type of AdCOM: out-of-home."""
PUBLISHER_PROVIDED = 2
"""Source of the multiplier, of AdCOM: measured by the publisher."""
USER_PROVIDED = 3
"""Location type of AdCOM: entered by a person."""


Text = str | UnsetType
Texts = list[str] | UnsetType
Whole = int | UnsetType
Number = float | UnsetType
Flag = Literal[0, 1] | UnsetType
Object = dict[str, Any] | UnsetType


class _Published(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Object whose fields are left out where they are not set."""


class Dooh(_Published, frozen=True, kw_only=True):
    """Object `dooh`: a screen and its venue."""

    id: Text = UNSET
    name: Text = UNSET
    venuetype: Texts = UNSET
    venuetypetax: Whole = UNSET
    publisher: Object = UNSET
    domain: Text = UNSET
    keywords: Text = UNSET
    content: Object = UNSET
    ext: Object = UNSET


class Geo(_Published, frozen=True, kw_only=True):
    """Object `device.geo`: a place."""

    lat: Number = UNSET
    lon: Number = UNSET
    type: Whole = UNSET
    accuracy: Whole = UNSET
    lastfix: Whole = UNSET
    ipservice: Whole = UNSET
    country: Text = UNSET
    region: Text = UNSET
    regionfips104: Text = UNSET
    metro: Text = UNSET
    city: Text = UNSET
    zip: Text = UNSET
    utcoffset: Whole = UNSET
    ext: Object = UNSET


class Device(_Published, frozen=True, kw_only=True):
    """Object `device`: the machine that shows the ad."""

    geo: Geo | UnsetType = UNSET
    dnt: Flag = UNSET
    lmt: Flag = UNSET
    ua: Text = UNSET
    sua: Object = UNSET
    ip: Text = UNSET
    ipv6: Text = UNSET
    devicetype: Whole = UNSET
    make: Text = UNSET
    model: Text = UNSET
    os: Text = UNSET
    osv: Text = UNSET
    hwv: Text = UNSET
    h: Whole = UNSET
    w: Whole = UNSET
    ppi: Whole = UNSET
    pxratio: Number = UNSET
    js: Flag = UNSET
    geofetch: Flag = UNSET
    flashver: Text = UNSET
    language: Text = UNSET
    langb: Text = UNSET
    carrier: Text = UNSET
    mccmnc: Text = UNSET
    connectiontype: Whole = UNSET
    ifa: Text = UNSET
    ext: Object = UNSET


class Qty(_Published, frozen=True, kw_only=True):
    """Object `imp.qty`: how many people a play reaches."""

    multiplier: float
    sourcetype: Whole = UNSET
    vendor: Text = UNSET
    ext: Object = UNSET


class Imp(_Published, frozen=True, kw_only=True):
    """Object `imp`: one play that is offered."""

    id: str
    qty: Qty | UnsetType = UNSET
    dt: Number = UNSET
    tagid: Text = UNSET
    instl: Flag = UNSET
    ext: Object = UNSET


class BidObjects(_Published, frozen=True, kw_only=True):
    """Objects of one screen."""

    dooh: Dooh
    device: Device
    imp: Imp


def bid_objects(db: sqlite3.Connection, station: StationTable, screen: Screen) -> dict[str, Any]:
    """Return {"dooh", "device", "imp"} of a screen.

    The multiplier is the mean number of opportunities to see of a play, in all ledgers that `db` reads. It is what the
    report of plays tells, by the plays of the screen. Each play counts by its share that was measured. Where the report
    tells nobody there is no `qty`. Raises UserError where no play ended, or where the venue is unknown.
    """
    if station.venue_type not in venues():
        given = f"{station.venue_type!r} is no venue" if station.venue_type else "no venue is given"
        raise UserError(
            f"station.venue_type: {given} of OpenOOH 1.1; write such as 'outdoor.bus_shelters', "
            "'transit.subway.platform' or 'office_buildings.office_buildings.elevator'"
        )
    zone = ZoneInfo(station.timezone)
    own, values = "station = ? AND screen = ?", (station.name, screen.name)
    (shown,) = db.execute(
        f"SELECT COUNT(*) FROM plays WHERE {own} AND status IN ('played', 'partial') AND frames_presented > 0",  # noqa: S608
        values,
    ).fetchone()
    now_s = time.time()
    (measured,) = db.execute(
        f"SELECT SUM(measured_share) FROM plays WHERE {own} AND started_utc < ?",  # noqa: S608
        (*values, told_until(zone, now_s)),
    ).fetchone()
    cells = told_cells(db, PLAYS_COLUMNS, AD, zone, (None, None), now_s=now_s)
    seen = sum(numbers["ots_1s"] for cell, numbers in cells.items() if cell[1:3] == (station.name, screen.name))
    if not shown:
        place = f"screen {screen.name!r} of station {station.name!r}"
        raise UserError(f"the ledger holds no play of {place} that ended; let it play first")
    turned = screen.rotation_deg in (90, 270)
    width_px, height_px = (screen.height_px, screen.width_px) if turned else (screen.width_px, screen.height_px)
    geo: Geo | UnsetType = UNSET
    if station.lat is not None and station.lon is not None:
        offset = datetime.now(ZoneInfo(station.timezone)).utcoffset()
        minutes = int(offset.total_seconds() // 60) if offset else 0
        geo = Geo(lat=station.lat, lon=station.lon, type=USER_PROVIDED, utcoffset=minutes)
    qty: Qty | UnsetType = UNSET
    if seen:
        qty = Qty(multiplier=round(seen / measured, 3), sourcetype=PUBLISHER_PROVIDED)
    objects = BidObjects(
        dooh=Dooh(
            id=f"{station.name}.{screen.name}",
            name=f"{station.name} {screen.name}",
            venuetype=[station.venue_type],
            venuetypetax=OPENOOH_TAXONOMY,
        ),
        device=Device(devicetype=OOH_DEVICE, w=width_px, h=height_px, language=screen.language, geo=geo),
        imp=Imp(id="1", qty=qty),
    )
    return dict(msgspec.to_builtins(objects))
