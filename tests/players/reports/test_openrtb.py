"""OpenRTB objects of a screen: what is published and what was measured."""

import re
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.settings import Screen
from players.audience.present import NOBODY
from players.ledger.snapshot import reading
from players.reports import openrtb
from tests.ads import F20, HOUSE, M30, present
from tests.players.recording import MOKA, STATION, Record, at


def test_bid_objects_are_what_is_published_and_measured(record: Record) -> None:
    her, both = present(F20), present(F20, M30)
    path = record(
        [(at(4, 9, n), MOKA, her, 1.0) for n in range(10)]
        + [(at(4, 10, n), MOKA, both, 1.0) for n in range(10)]
        + [(at(4, 11, n), HOUSE, NOBODY, 1.0) for n in range(10)]
    )
    screen = Screen(name="main", width_px=1920, height_px=1080, rotation_deg=90)
    with reading([path]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        with pytest.raises(UserError, match="no play of screen 'other'"):
            openrtb.bid_objects(db, STATION, Screen(name="other"))
        with pytest.raises(UserError, match="of station 'elsewhere'"):
            openrtb.bid_objects(db, msgspec.structs.replace(STATION, name="elsewhere"), screen)
        wrong = msgspec.structs.replace(STATION, venue_type="transit.bus_stops")
        with pytest.raises(UserError, match=r"station.venue_type: 'transit.bus_stops' is no venue of OpenOOH 1.1"):
            openrtb.bid_objects(db, wrong, screen)
    assert msgspec.to_builtins(msgspec.convert(objects, openrtb.BidObjects)) == objects
    assert objects["dooh"] == {
        "id": "stop-7.main",
        "name": "stop-7 main",
        "venuetype": ["outdoor.bus_shelters"],
        "venuetypetax": 5,
    }
    assert objects["imp"]["qty"] == {"multiplier": 1.0, "sourcetype": 2}
    assert (objects["device"]["w"], objects["device"]["h"], objects["device"]["devicetype"]) == (1080, 1920, 8)
    assert objects["device"]["geo"]["lat"] == 52.5


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("dooh", {"venue": "x"}, "unknown field `venue`"),
        ("dooh", {"venuetype": "x"}, "Expected `array`, got `str` - at `$.venuetype`"),
        ("dooh", {"venuetypetax": "5"}, "Expected `int`, got `str` - at `$.venuetypetax`"),
        ("imp", {"qty": {"multiplier": 1.0}}, "missing required field `id`"),
        ("imp", {"id": "1", "qty": {"sourcetype": 2}}, "missing required field `multiplier` - at `$.qty`"),
        ("device", {"geo": {"lat": "north"}}, "Expected `float`, got `str` - at `$.geo.lat`"),
        ("device", {"dnt": 2}, "Invalid enum value 2 - at `$.dnt`"),
    ],
)
def test_what_is_not_openrtb_is_found(name: str, value: dict[str, Any], problem: str) -> None:
    kinds = {"dooh": openrtb.Dooh, "device": openrtb.Device, "imp": openrtb.Imp}
    with pytest.raises(msgspec.ValidationError, match=re.escape(problem)):
        msgspec.convert(value, kinds[name])
