"""Reports: money to the cent, days and hours of the station, hidden cells, OpenRTB objects, and the commands."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UserError
from pipeline.messages import DECADES
from pipeline.settings import Screen, StationTable
from players.ads.lines import WEEKDAYS, Line, Target
from players.ads.money import to_cents
from players.audience.present import NOBODY, Present
from players.choice import simulate
from players.choice.choose import Rules
from players.ledger import chain
from players.ledger import ledger as ledger_module
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger
from players.reports import openrtb, plots, queries
from tests.ads import BERLIN, F20, F30, HOUSE, M30, MS, SEOUL, catalogue, decision, line, present

STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=52.5, lon=13.4, timezone="Europe/Berlin")
WOMEN = Target(gender="F")
MOKA = line("moka", WOMEN, advertiser="Moka", price=Decimal("0.125"), currency="EUR", budget=Decimal("100"))
SOJU = line("soju", WOMEN, advertiser="Soju", cpm=Decimal("700"), currency="KRW")
DINAR = line("dinar", WOMEN, advertiser="Dinar", price=Decimal("0.0015"), currency="KWD")

Play = tuple[datetime, Line, Present, float]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`record([(when, line, who, share shown)])` -> a ledger that holds these plays at these times."""

    def make(plays: list[Play], audience: list[tuple[datetime, list[Present]]] = [], screen: str = "main") -> Path:  # noqa: B006
        path = tmp_path / f"ledger-{screen}.sqlite"
        clock = [datetime(2026, 1, 1, tzinfo=UTC)]

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return clock[0].astimezone(tz)

        monkeypatch.setattr(ledger_module, "datetime", Clock)
        book = Ledger(path, STATION, screen)
        mono_ns = 0
        for when, seen in audience:
            clock[0] = when
            for who in (NOBODY, *seen, NOBODY):
                book.measure(who, mono_ns)
                mono_ns += 1000 * MS
            mono_ns += 60_000 * MS
        for when, ad, who, share in plays:
            clock[0] = when
            chosen = decision(ad)
            play_id = book.start(chosen, planned_ms=0)
            assert play_id is not None
            exposure = Exposure(chosen)
            exposure.add(who, 0)
            clock[0] = when + timedelta(seconds=8)
            book.end(
                play_id,
                Shown(frames_expected=480, frames_presented=round(480 * share), status="played", exposure=exposure),
            )
        book.close()
        monkeypatch.undo()
        return path

    return make


def at(day: int, hour: int, minute: int = 0, month: int = 5, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=zone)


def some_plays() -> list[Play]:
    her, him = present(F20), present(M30)
    plays: list[Play] = [(at(4, 9, n), MOKA, her, 1.0) for n in range(3)]
    plays += [(at(4, 10, n), MOKA, him, 1.0) for n in range(2)]
    plays += [(at(4, 11, 0), MOKA, her, 0.5), (at(4, 11, 1), HOUSE, her, 1.0)]
    plays += [(at(5, 9, n), SOJU, present(F20, F30), 1.0) for n in range(3)]
    plays += [(at(5, 10, n), DINAR, her, 1.0) for n in range(3)]
    return plays


# money


def test_the_invoice_says_what_was_contracted_delivered_and_why_not(record: Callable[..., Path]) -> None:
    path = record(some_plays())
    with chain.reading([path]) as db:
        made = queries.billing(db, [MOKA])
    rows = {row["line"]: row for row in made.rows if row["line"]}
    assert set(rows) == {"moka", "soju", "dinar"}
    moka = rows["moka"]
    assert (moka["plays"], moka["billable"], moka["not billed"]) == (6, 3, "1 cut short, 2 target not met")
    assert (moka["contracted"], moka["spend"], moka["left"]) == (Decimal("100.00"), Decimal("0.38"), Decimal("99.62"))
    assert rows["soju"]["spend"] == Decimal(2)  # 3 plays at 0.70, chosen for one watcher each: 2.1 won
    assert rows["dinar"]["spend"] == Decimal("0.005")  # 3 x 0.0015 = 0.0045, to the thousandth of a dinar
    totals = {row["currency"]: row["spend"] for row in made.rows if row["advertiser"] == "total"}
    assert totals == {"EUR": Decimal("0.38"), "KRW": Decimal(2), "KWD": Decimal("0.005")}


def test_what_is_left_is_of_the_whole_budget_whatever_the_period_and_the_advertisers_name(
    record: Callable[..., Path],
) -> None:
    path = record([(at(4, 9), MOKA, present(F20), 1.0), (at(5, 9), MOKA, present(F20), 1.0)])
    renamed = msgspec.structs.replace(MOKA, advertiser="Moka Ltd")
    since = chain.utc_bound("2026-05-05", BERLIN), None
    with chain.reading([path]) as db:
        late = queries.billing(db, [MOKA], since)
        rows = {row["advertiser"]: row for row in queries.billing(db, [renamed]).rows}
        bare = queries.billing(db).rows[-1]
    assert (late.rows[0]["spend"], late.rows[0]["left"]) == (Decimal("0.13"), Decimal("99.75"))
    assert late.notes
    assert (rows["Moka"]["contracted"], rows["Moka"]["spend"]) == (None, Decimal("0.25"))
    assert (rows["Moka Ltd"]["contracted"], rows["Moka Ltd"]["left"]) == (Decimal("100.00"), Decimal("99.75"))
    assert (rows["total"]["contracted"], rows["total"]["left"]) == (Decimal("100.00"), Decimal("99.75"))
    assert (bare["advertiser"], bare["contracted"], bare["left"]) == ("total", None, None)


def test_ledger_csv_json_and_invoice_agree_to_the_cent(record: Callable[..., Path]) -> None:
    path = record(some_plays())
    with chain.reading([path]) as db:
        made = queries.billing(db)
        text = io.StringIO()
        chain.export(chain.rows(db), "csv", text)
        lines = io.StringIO()
        chain.export(chain.rows(db), "jsonl", lines)
    from_csv = list(csv.DictReader(io.StringIO(text.getvalue())))
    from_json = [json.loads(row) for row in lines.getvalue().splitlines()]
    invoice_csv = list(csv.DictReader(io.StringIO(queries.as_csv(made))))
    invoice_json = json.loads(queries.as_json(made))["rows"]
    for row in made.rows:
        if not row["line"]:
            continue
        for export in (from_csv, from_json):
            mine = [play for play in export if play["line"] == row["line"] and int(play["billable"])]
            assert len(mine) == row["billable"]
            assert to_cents(sum(Decimal(play["price"]) for play in mine), row["currency"]) == row["spend"]
        for invoice in (invoice_csv, invoice_json):
            (same,) = (other for other in invoice if other["line"] == row["line"])
            assert same["spend"] == format(row["spend"], "f")


def test_no_text_of_a_csv_is_a_formula_and_every_number_stays_one(record: Callable[..., Path]) -> None:
    ad = msgspec.structs.replace(MOKA, advertiser="=HYPERLINK(1)")
    small = msgspec.structs.replace(ad, budget=Decimal("0.1"))
    path = record([(at(4, 9, n), ad, present(F20), 1.0) for n in range(2)])
    with chain.reading([path]) as db:
        invoice = csv.DictReader(io.StringIO(queries.as_csv(queries.billing(db, [small]))))
        text = io.StringIO()
        chain.export(chain.rows(db), "csv", text)
    first = next(invoice)
    assert (first["advertiser"], first["spend"], first["left"]) == ("'=HYPERLINK(1)", "0.25", "-0.15")
    assert {row["advertiser"] for row in csv.DictReader(io.StringIO(text.getvalue()))} == {"'=HYPERLINK(1)"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**8), st.booleans()), max_size=30))
def test_totals_are_the_sums_of_the_invoice_lines(plays: list[tuple[str, int, bool]]) -> None:
    made = queries.billing(table_of(plays))
    rows = [row for row in made.rows if row["line"]]
    for row in rows:
        exact = sum(price for name, price, billed in plays if name == row["line"] and billed)
        assert row["spend"] == to_cents(Decimal(exact) / 1_000_000, "EUR")
        assert row["spend"].as_tuple().exponent == -2
    totals = [row for row in made.rows if row["advertiser"] == "total"]
    assert len(totals) == bool(plays)
    if totals:
        assert totals[0]["spend"] == sum(row["spend"] for row in rows)


def table_of(plays: list[tuple[str, int, bool]]) -> Any:
    import sqlite3

    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.execute(
        "CREATE TABLE plays (advertiser, campaign, line, currency, billable, bill_reason, price_micro, "
        "matched_watchers, trigger, started_utc)"
    )
    for name, price, billed in plays:
        db.execute("INSERT INTO plays VALUES ('x', 'x', ?, 'EUR', ?, '', ?, 1, 'target', '')", (name, billed, price))
    return db


# days and hours


@pytest.mark.parametrize(
    ("day", "after"),
    [("2026-05-04", "2026-05-05"), ("20260504", "2026-05-05"), ("2028-02-28", "2028-02-29"),
     ("2026-05-04T10:00", "2026-05-04T10:00"), ("9999-12-31", "9999-12-31")],
)  # fmt: skip
def test_until_a_day_is_with_that_day_however_it_is_written(day: str, after: str) -> None:
    assert chain.next_day(day) == after


def test_a_day_before_time_is_a_one_line_error() -> None:
    with pytest.raises(UserError, match="is no day or time"):
        chain.utc_bound("0001-01-01", SEOUL)


def test_days_and_hours_are_the_stations_through_midnight_and_daylight_saving(record: Callable[..., Path]) -> None:
    begin = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # 00:30 in Berlin, on the day of 25 hours
    hourly: list[Play] = [(begin + timedelta(hours=n), HOUSE, NOBODY, 1.0) for n in range(26)]
    path = record([(begin - timedelta(hours=1), HOUSE, NOBODY, 1.0), *hourly])
    with chain.reading([path]) as db:
        days = {row["day"]: row["plays"] for row in queries.plays(db, ("day",), BERLIN).rows}
        hours = {row["hour"]: row["plays"] for row in queries.plays(db, ("hour",), BERLIN).rows}
        abroad = {row["day"]: row["plays"] for row in queries.plays(db, ("day",), SEOUL).rows}
        span = chain.utc_bound("2026-10-25", BERLIN), chain.utc_bound(chain.next_day("2026-10-25"), BERLIN)
        (only,) = queries.plays(db, ("day",), BERLIN, span).rows[:-1]
    assert days == {"2026-10-24": 1, "2026-10-25": 25, "2026-10-26": 1, "total": 27}
    assert hours[2] == 2
    assert sum(abroad.values()) == 2 * 27
    assert (only["day"], only["plays"]) == ("2026-10-25", 25)


def test_the_leap_day_has_a_row(record: Callable[..., Path]) -> None:
    path = record([(datetime(2028, 2, 29, 23, 30, tzinfo=BERLIN), HOUSE, NOBODY, 1.0)])
    with chain.reading([path]) as db:
        assert queries.plays(db, ("day", "weekday"), BERLIN).rows[0]["day"] == "2028-02-29"


def test_plays_of_several_screens_add_up(record: Callable[..., Path]) -> None:
    paths = [record(some_plays(), screen=name) for name in ("left", "right")]
    with chain.reading(paths) as db:
        rows = queries.plays(db, ("screen",), BERLIN).rows
        spend = {row["line"]: row["spend"] for row in queries.billing(db).rows}
    assert [(row["screen"], row["plays"]) for row in rows] == [("left", 13), ("right", 13), ("total", 26)]
    assert spend["moka"] == Decimal("0.75")
    assert rows[0]["frames_pct"] == pytest.approx(100 * 12.5 / 13, abs=0.1)


# audiences


def crowd() -> list[tuple[datetime, list[Present]]]:
    """25 women in their twenties at 9, 12 men in their thirties at 9 and 3 at 10."""
    her, him = present(F20), present(M30)
    nine, ten = at(4, 9), at(4, 10)
    return [(nine, [her])] * 25 + [(nine, [him])] * 12 + [(ten, [him])] * 3


def test_visits_are_counted_and_shared_out(record: Callable[..., Path]) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with chain.reading([path]) as db:
        made = queries.audience(db, ("gender", "decade"), BERLIN)
    assert [(row["gender"], row["decade"], row["people"]) for row in made.rows] == [
        ("M", "30-39", 15),
        ("F", "20-29", 25),
        ("total", "", 40),
    ]
    assert made.rows[1]["share_pct"] == 62.5
    assert "mean_s" not in made.columns


def test_the_audience_of_a_day_is_of_that_day_where_it_begins_at_half_past_too(record: Callable[..., Path]) -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    evening = datetime(2026, 5, 4, 23, 45, tzinfo=kolkata)
    crowds = [(evening + timedelta(hours=n), [present(F20)]) for n in range(25) for _ in range(12)]
    path = record([(evening, HOUSE, NOBODY, 1.0)], crowds)
    for day in ("2026-05-04", "2026-05-05"):
        span = chain.utc_bound(day, kolkata), chain.utc_bound(chain.next_day(day), kolkata)
        with chain.reading([path]) as db:
            assert [row["day"] for row in queries.audience(db, ("day",), kolkata, span).rows] == [day, "total"]


def test_small_cells_are_hidden_and_one_more_so_that_the_total_does_not_tell(record: Callable[..., Path]) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with chain.reading([path]) as db:
        made = queries.audience(db, ("hour", "gender"), BERLIN)
    people = {(row["hour"], row["gender"]): row["people"] for row in made.rows}
    assert people[10, "M"] == queries.HIDDEN
    assert people[9, "M"] == queries.HIDDEN
    assert people["total", ""] == 40
    hidden = [row for row in made.rows if row["people"] == queries.HIDDEN]
    assert len(hidden) == 3
    assert all(row["mean_s"] == row["share_pct"] == row["person_hours"] == queries.HIDDEN for row in hidden)


def test_an_audience_under_ten_is_hidden_altogether(record: Callable[..., Path]) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), [present(F20)])] * 9)
    with chain.reading([path]) as db:
        made = queries.audience(db, ("gender",), BERLIN)
    assert {row["people"] for row in made.rows} == {queries.HIDDEN}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), st.integers(0, 40), max_size=18)
)
def test_no_margin_gives_a_small_cell_away(counts: dict[tuple[Any, ...], int]) -> None:
    hidden = queries.hide(counts, 3)
    assert {key for key, number in counts.items() if number < 10} <= hidden
    for margin in itertools.chain.from_iterable(itertools.combinations(range(3), size) for size in range(3)):
        slices: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
        for key in counts:
            slices[tuple(key[i] for i in margin)].append(key)
        for keys in slices.values():
            secret = [key for key in keys if key in hidden]
            if secret and len(secret) < len(keys):
                assert len(secret) >= 2
                assert sum(counts[key] for key in secret) >= 10
    if all(number >= 10 for number in counts.values()):
        assert not hidden


def test_few_watchers_of_plays_are_hidden_too(record: Callable[..., Path]) -> None:
    her, him = present(F20), present(M30)
    path = record(
        [(at(4, 9, n), HOUSE, her, 1.0) for n in range(12)] + [(at(4, 9 + n), MOKA, him, 1.0) for n in (1, 2)]
    )
    with chain.reading([path]) as db:
        by_line = queries.plays(db, ("line",), BERLIN)
        one_line = queries.plays(db, ("line",), BERLIN, (chain.utc_bound("2026-05-04T10:00", BERLIN), None))
    assert [(row["line"], row["plays"], row["watchers"]) for row in by_line.rows] == [
        ("house", 12, queries.HIDDEN),
        ("moka", 2, queries.HIDDEN),
        ("total", 14, 14),
    ]
    assert {row["watchers"] for row in one_line.rows} == {queries.HIDDEN}
    assert "2 cells are hidden" in by_line.notes[0]


def test_an_invoice_states_the_watchers_of_the_plays_that_it_bills_and_no_others(record: Callable[..., Path]) -> None:
    two, one = present(F20, F30), present(F20)
    ad = msgspec.structs.replace(MOKA, target=Target(gender="F", min_watchers=2))
    path = record([(at(4, 9, n), ad, who, 1.0) for n, who in enumerate((two, one, two, one, one))])
    with chain.reading([path]) as db:
        (row, _) = queries.billing(db).rows
    assert (row["plays"], row["billable"], row["watchers"]) == (5, 2, 4)


def test_people_of_an_hour_that_two_ledgers_of_a_screen_share_are_all_counted(record: Callable[..., Path]) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), [present(F20)])] * 12)
    first = path.rename(path.with_name("ledger-set-aside.sqlite"))
    second = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), [present(F20)])] * 20)
    with chain.reading([first, second]) as db:
        assert [row["people"] for row in queries.audience(db, ("hour",), BERLIN).rows] == [32, 32]


def test_people_of_several_screens_are_said_to_be_counted_at_each(record: Callable[..., Path]) -> None:
    paths = [record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd(), screen=name) for name in ("left", "right")]
    with chain.reading(paths) as db:
        made = queries.audience(db, ("site",), BERLIN)
    assert made.rows[0]["people"] == 80
    assert "each of 2 screens" in made.notes[1]


def test_an_unknown_dimension_is_a_one_line_error(record: Callable[..., Path]) -> None:
    path = record([])
    with chain.reading([path]) as db, pytest.raises(UserError, match="'mood' is unknown or named twice"):
        queries.audience(db, ("mood",), BERLIN)


# OpenRTB


def test_bid_objects_are_what_is_published_and_measured(record: Callable[..., Path]) -> None:
    her, both = present(F20), present(F20, M30)
    path = record([(at(4, 9), MOKA, her, 1.0), (at(4, 10), MOKA, both, 1.0), (at(4, 11), HOUSE, NOBODY, 1.0)])
    screen = Screen(name="main", width_px=1920, height_px=1080, rotation_deg=90)
    with chain.reading([path]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        with pytest.raises(UserError, match="no play of screen 'other'"):
            openrtb.bid_objects(db, STATION, Screen(name="other"))
        with pytest.raises(UserError, match="of station 'elsewhere'"):
            openrtb.bid_objects(db, msgspec.structs.replace(STATION, name="elsewhere"), screen)
        wrong = msgspec.structs.replace(STATION, venue_type="transit.bus_stops")
        with pytest.raises(UserError, match=r"station.venue_type: 'transit.bus_stops' is no venue of OpenOOH 1.1"):
            openrtb.bid_objects(db, wrong, screen)
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
        ("dooh", {"venue": "x"}, "dooh.venue: no such field"),
        ("dooh", {"venuetype": "x"}, "dooh.venuetype: not array of string"),
        ("dooh", {"venuetypetax": "5"}, "dooh.venuetypetax: not integer"),
        ("imp", {"qty": {"multiplier": 1.0}}, "imp.id: missing"),
        ("imp", {"id": "1", "qty": {"sourcetype": 2}}, "qty.multiplier: missing"),
        ("device", {"geo": {"lat": "north"}}, "geo.lat: not number"),
        ("device", {"dnt": 2}, "device.dnt: not 0 or 1"),
    ],
)
def test_what_is_not_openrtb_is_found(name: str, value: dict[str, Any], problem: str) -> None:
    assert openrtb.check(name, value) == [problem]


# pictures and commands


def test_every_report_can_be_drawn(record: Callable[..., Path], tmp_path: Path) -> None:
    path = record(some_plays(), crowd())
    with chain.reading([path]) as db:
        plots.plot_billing(queries.billing(db, [MOKA]), tmp_path / "billing.png")
        for by in (("line",), ("hour",), ("line", "creative")):
            plots.plot_plays(queries.plays(db, by, BERLIN), tmp_path / f"plays-{'-'.join(by)}.png")
        for by in (("gender", "decade"), ("hour",), ("hour", "gender"), ("weekday", "hour")):
            plots.plot_audience(queries.audience(db, by, BERLIN), tmp_path / f"audience-{'-'.join(by)}.png")
    drawn = sorted(tmp_path.glob("*.png"))
    assert len(drawn) == 8
    for picture in drawn:
        with Image.open(picture) as image:
            assert image.size[0] > 1000
            assert len(image.convert("L").getcolors() or range(999)) > 10


def test_a_report_of_many_rows_is_a_picture_that_can_be_looked_at(tmp_path: Path) -> None:
    """The first rows, said to be the first; no colour stands for two names."""
    days = [f"2026-05-{day:02}" for day in range(1, 32)]
    rows = [{"day": day, "hour": hour, "people": 20, "share_pct": 1.0} for day in days for hour in range(24)]
    audience = queries.Report(title="Audience", columns=("day", "hour", "people", "share_pct"), rows=rows)
    plots.plot_audience(audience, tmp_path / "audience.svg")
    plots.plot_audience(audience, tmp_path / "audience.png")
    assert "<!-- The first 30 of 744 rows" in (tmp_path / "audience.svg").read_text("utf-8")
    with Image.open(tmp_path / "audience.png") as image:
        assert max(image.size) < 3000


def test_every_decade_has_a_colour_and_every_hour_of_a_week_of_plays_a_place(tmp_path: Path) -> None:
    decades = [*DECADES, "unknown"]
    rows: list[dict[str, Any]] = [{"hour": hour, "decade": name, "people": 20} for hour in (9, 18) for name in decades]
    audience = queries.Report(title="Audience", columns=("hour", "decade", "people"), rows=rows)
    plots.plot_audience(audience, tmp_path / "audience.svg")
    assert "<!-- Audience by hour and decade -->" in (tmp_path / "audience.svg").read_text("utf-8")
    rows = [{"weekday": day, "hour": hour, "plays": 5, "billable": 3} for day in WEEKDAYS for hour in range(24)]
    plays = queries.Report(title="Plays", columns=("weekday", "hour", "plays", "billable"), rows=rows)
    plots.plot_plays(plays, tmp_path / "plays.svg")
    drawn = (tmp_path / "plays.svg").read_text("utf-8")
    assert all(f"<!-- {text} -->" in drawn for text in ("Plays by weekday and hour", "sun", "23"))


def test_the_hours_of_a_simulation_are_those_of_the_clock_when_it_is_set_back(tmp_path: Path) -> None:
    scenes = [simulate.Scene(0.0, (simulate.Passer("F", 25.0),)), simulate.Scene(6 * 3600.0, ())]
    played = simulate.simulate(catalogue(MOKA, zone=BERLIN), scenes, at(25, 0, month=10), Rules())
    plots.plot_simulation(played, tmp_path / "night.svg")
    drawn = re.findall(r"<!-- (\d\d) -->", (tmp_path / "night.svg").read_text("utf-8"))
    assert drawn[:6] == ["00", "01", "02", "02", "03", "04"]


@pytest.mark.parametrize("day", [pytest.param(1, marks=pytest.mark.slow), 15, pytest.param(31, marks=pytest.mark.slow)])
def test_a_simulation_of_an_even_line_spends_what_is_due_in_its_span(day: int) -> None:
    days: dict[str, Any] = {"starts": date(2026, 3, 1), "ends": date(2026, 3, 31), "pacing": "even"}
    even = line("even", WOMEN, price=Decimal(120), currency="KRW", budget=Decimal(500_000), **days)
    scenes = [simulate.Scene(0.0, (simulate.Passer("F", 25.0),)), simulate.Scene(86400.0, ())]
    played = simulate.simulate(catalogue(even), scenes, at(day, 0, month=3, zone=SEOUL), Rules())
    row = next(row for row in simulate.delivery(played).rows if row["line"] == "even")
    assert row["goal by now"] == 16129  # of 500,000 in 31 days
    assert row["spend"] == pytest.approx(16129, abs=120)
    assert row["delivered_pct"] == pytest.approx(100, abs=1)


def test_the_spend_of_each_currency_has_a_panel_of_its_own(tmp_path: Path) -> None:
    scenes = [simulate.Scene(0.0, (simulate.Passer("F", 25.0),)), simulate.Scene(600.0, ())]
    tea = msgspec.structs.replace(MOKA, id="tea")
    played = simulate.simulate(catalogue(MOKA, tea, SOJU, line("free")), scenes, at(4, 9), Rules(), 5)
    plots.plot_simulation(played, tmp_path / "spend.svg")
    drawn = re.findall(r"<!-- (.*) -->", (tmp_path / "spend.svg").read_text("utf-8"))
    assert [text for text in drawn if text.startswith("Spend")] == ["Spend, EUR", "Spend, KRW"]
    for row in simulate.delivery(played).rows:
        text = f"{row['line']}  {row['spend']} {row['currency']}"
        assert (text in drawn) == (row["currency"] != ""), text


def test_long_names_and_titles_leave_room_for_what_they_name(record: Callable[..., Path], tmp_path: Path) -> None:
    owner = "Association of Coffee Roasters and Tea Blenders of the Greater Metropolitan Area, " * 2
    ads = [msgspec.structs.replace(MOKA, id=name, advertiser=owner) for name in ("moka-women", "moka-men")]
    path = record([(at(4, 9, n), ad, present(F20), 1.0) for n, ad in enumerate(ads)])
    with chain.reading([path]) as db:
        plots.plot_billing(queries.billing(db), tmp_path / "billing.svg")
        plots.plot_plays(queries.plays(db, queries.PLAYS_BY, BERLIN), tmp_path / "plays.svg")
    billing, plays = ((tmp_path / name).read_text("utf-8") for name in ("billing.svg", "plays.svg"))
    for name in ("Association of Coffee …tan Area, : moka-women", "Association of Coffee …litan Area, : moka-men"):
        assert f"<!-- {name} -->" in billing
    for picture in (billing, plays):
        assert min(float(x) for x in re.findall(r'<g id="text_\d+">.*?translate\(([-\d.]+) ', picture, re.DOTALL)) > 0
    assert "<!-- Plays by advertiser, -->" in plays


def test_a_name_is_drawn_as_it_is_written_and_one_that_reads_total_is_no_total(
    record: Callable[..., Path], tmp_path: Path
) -> None:
    her = present(F20)
    named = {"total": MOKA, "Cash $_$ Carry $": SOJU}
    ads = [msgspec.structs.replace(ad, id="total", campaign="total", advertiser=name) for name, ad in named.items()]
    path = record([(at(4, 9, n), ad, her, 1.0) for n, ad in enumerate(ads)])
    with chain.reading([path]) as db:
        billed, played = queries.billing(db), queries.plays(db, ("advertiser",), BERLIN)
    assert len(billed.rows) == 4 and len(played.rows) == 3
    plots.plot_billing(billed, tmp_path / "billing.svg")
    plots.plot_plays(played, tmp_path / "plays.svg")
    for picture, end in (("billing.svg", ": total"), ("plays.svg", "")):
        for name in named:
            assert f"<!-- {name}{end} -->" in (tmp_path / picture).read_text("utf-8")


def test_json_has_the_columns_of_the_report(record: Callable[..., Path]) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with chain.reading([path]) as db:
        for made in (queries.audience(db, ("gender",), BERLIN), queries.audience(db, ("hour",), BERLIN)):
            assert {tuple(row) for row in json.loads(queries.as_json(made))["rows"]} == {made.columns}


@pytest.mark.parametrize("name", ["plot", "plot.txt", "none/plot.png"])
def test_a_picture_is_written_where_it_was_asked_for_or_not_at_all(tmp_path: Path, name: str) -> None:
    report = queries.Report(title="Plays", columns=("line", "plays"), rows=[])
    with pytest.raises(UserError, match="--plot: "):
        plots.plot_plays(report, tmp_path / name)
    assert not list(tmp_path.iterdir())


def stationcast(*words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    program = "from pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_an_order_without_a_playable_medium_stays_on_the_invoice(record: Callable[..., Path], tmp_path: Path) -> None:
    record([(at(4, 9), MOKA, present(F20), 1.0)])
    campaigns = tmp_path / "campaigns"
    campaigns.mkdir()
    (campaigns / "tea.toml").write_text(
        'advertiser = "Tea"\ncampaign = "tea"\ncurrency = "EUR"\n[[lines]]\nid = "tea-line"\nprice = "0.50"\n'
        'budget = "75"\n[[lines.creatives]]\nid = "tea-ad"\nfile = "lost.png"\n'
    )
    (tmp_path / "station.toml").write_text(
        '[station]\nstate_dir = "."\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    done = stationcast("report", "billing", "--station", str(tmp_path / "station.toml"), "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["line"]: row for row in json.loads(done.stdout)["rows"]}
    assert [rows["tea-line"][name] for name in ("contracted", "plays", "left")] == ["75.00", 0, "75.00"]
    assert "problem: tea.toml: creative tea-ad: file: there is no file 'lost.png'" in done.stderr


def test_the_commands_from_ledger_to_invoice(record: Callable[..., Path], tmp_path: Path) -> None:
    path, other = record(some_plays(), crowd()), record(some_plays(), screen="other")
    named = ("--ledger", str(path))
    verified = stationcast("ledger", "verify", *named)
    assert verified.returncode == 0, verified.stderr
    assert "sound: 13 plays, 9 billable, 26 links" in verified.stdout
    exported = stationcast("ledger", "export", *named, "--campaign", "c-moka", "--until", "2026-05-04")
    assert len(exported.stdout.splitlines()) == 7
    billed = json.loads(stationcast("report", "billing", *named, "--format", "json").stdout)
    assert next(row["spend"] for row in billed["rows"] if row["line"] == "moka") == "0.38"
    table = stationcast("report", "audience", *named, "--by", "gender").stdout
    assert "62.5" in table
    signed = stationcast("ledger", "sign", *named, "--out", str(tmp_path / "statement.json"))
    assert signed.returncode == 0, signed.stderr
    public = json.loads((tmp_path / "statement.json").read_text("utf-8"))["public_key"]
    made = f"made the key {tmp_path / 'signing-key.pem'}: back it up; its public half is {public}\n"
    assert (signed.stderr, stationcast("ledger", "sign", *named).stderr) == (made, "")
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    for words, says in (
        (("ledger", "export", *named, "--format", "parquet", "--out", "/none/x"), "/none/x: cannot be written"),
        (("ledger", "export", *named, "--format", "parquet", "--out", str(full)), "full: cannot be written: No space"),
        (("ledger", "export", *named, "--since", ""), "'' is no day or time"),
        (("ledger", "sign", *named, "--key", "/proc/none/key.pem"), "cannot be written"),
        (("ledger", "sign", *named, "--key", str(tmp_path)), "not an unencrypted PEM key"),
        (("ledger", "verify", *named, "--signed", str(tmp_path)), "not a signed statement"),
        (("report", "billing", *named, *named), "is in two of the ledgers"),
        (
            ("ledger", "verify", *named, "--ledger", str(other), "--signed", str(tmp_path / "statement.json")),
            "there are 2 ledgers; name one with --ledger",
        ),
    ):
        done = stationcast(*words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert says in done.stderr
    assert full.is_symlink()
    held = stationcast("ledger", "verify", *named, "--signed", str(tmp_path / "statement.json"))
    assert "holds what was signed" in held.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ledger", "verify", "--ledger", "/none.sqlite"), "/none.sqlite: there is no such ledger"),
        (("ledger", "verify", "--ledger", "/"), "/: there is no such ledger"),
        (("campaigns", "simulate", "--begin", "9999-12-31"), "--begin: 9999-12-31 is out of reach"),
        (("report", "billing"), "there is no ledger yet; let the station play first"),
        (("report", "plays", "--ledger", "/none", "--since", "soon"), "'soon' is no day or time"),
        (("ledger", "export", "--since", "2026-05-02", "--until", "2026-05-01"), "--until: 2026-05-01 is not after"),
        (("campaigns", "simulate", "--hours", "nan"), "--hours: nan is no number of hours"),
        (("campaigns", "check", "/none"), "no folder /none"),
        (("campaigns", "import", "/none"), "/none: no such folder"),
        (("campaigns", "simulate", "--hours", "0.1", "--plot", "/none/x.png"), "--plot: /none/x.png"),
    ],
)
def test_a_mistake_at_the_command_line_is_one_line_and_exit_2(words: tuple[str, ...], says: str) -> None:
    done = stationcast(*words)
    assert done.returncode == 2
    assert done.stdout == "" or "--plot" in words
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("stationcast: error: ")
    assert says in done.stderr
