"""Invoices, plays and audiences: money to the cent, days and hours of the station, sums over screens."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from players.ads.lines import Target
from players.ads.money import to_cents
from players.audience.present import NOBODY
from players.ledger.clock import next_day, utc_bound
from players.ledger.snapshot import reading
from players.reports import queries
from players.reports.audience import audience
from tests.ads import BERLIN, F20, F30, HOUSE, SEOUL, present
from tests.players.recording import MOKA, Play, Record, at, crowd, some_plays


def test_the_invoice_says_what_was_contracted_delivered_and_why_not(record: Record) -> None:
    path = record(some_plays())
    with reading([path]) as db:
        made = queries.billing(db, [MOKA])
    rows = {row["line"]: row for row in made.rows if row["line"]}
    assert set(rows) == {"moka", "soju", "dinar"}
    moka = rows["moka"]
    assert (moka["plays"], moka["billable"], moka["not billed"]) == (6, 3, "1 cut short, 2 target not met")
    assert (moka["contracted"], moka["spend"], moka["left"]) == (Decimal("100.00"), Decimal("0.38"), Decimal("99.62"))
    assert rows["soju"]["spend"] == Decimal(4)  # 3 plays of 2 people at 700 won a thousand: 4.2 won
    assert rows["dinar"]["spend"] == Decimal("0.005")  # 3 x 0.0015 = 0.0045, to the thousandth of a dinar
    totals = {row["currency"]: row["spend"] for row in made.rows if row["advertiser"] == "total"}
    assert totals == {"EUR": Decimal("0.38"), "KRW": Decimal(4), "KWD": Decimal("0.005")}


def test_what_is_left_is_of_the_whole_budget_whatever_the_period_and_a_new_advertiser_has_a_new_order(
    record: Record,
) -> None:
    path = record([(at(4, 9), MOKA, present(F20), 1.0), (at(5, 9), MOKA, present(F20), 1.0)])
    renamed = msgspec.structs.replace(MOKA, advertiser="Moka Ltd")
    since = utc_bound("2026-05-05", BERLIN), None
    with reading([path]) as db:
        late = queries.billing(db, [MOKA], since)
        rows = {row["advertiser"]: row for row in queries.billing(db, [renamed]).rows}
        bare = queries.billing(db).rows[-1]
    assert (late.rows[0]["spend"], late.rows[0]["left"]) == (Decimal("0.13"), Decimal("99.75"))
    assert late.notes
    assert (rows["Moka"]["contracted"], rows["Moka"]["spend"]) == (None, Decimal("0.25"))
    assert (rows["Moka Ltd"]["contracted"], rows["Moka Ltd"]["left"]) == (Decimal("100.00"), Decimal("100.00"))
    assert (rows["total"]["contracted"], rows["total"]["left"]) == (Decimal("100.00"), Decimal("100.00"))
    assert (bare["advertiser"], bare["contracted"], bare["left"]) == ("total", None, None)


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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["EUR", "KRW", "KWD"]), st.integers(0, 10**9)), max_size=20
    ),
    st.sampled_from(["EUR", "KRW", "KWD"]),
)
def test_spend_left_and_totals_are_by_line_and_currency(plays: list[tuple[str, str, int]], present: str) -> None:
    db = table_of([(name, micro, True) for name, _, micro in plays])
    for row, (_, code, _) in enumerate(plays, 1):
        db.execute("UPDATE plays SET currency = ? WHERE rowid = ?", (code, row))
    ordered = msgspec.structs.replace(MOKA, id="a", advertiser="x", campaign="x", currency=present)
    made = queries.billing(db, [ordered])
    exact = Counter({("a", present): 0})
    for name, code, micro in plays:
        exact[name, code] += micro
    rounded = {key: to_cents(Decimal(micro) / 1_000_000, key[1]) for key, micro in exact.items()}
    assert {(row["line"], row["currency"]): row["spend"] for row in made.parts} == rounded
    left = {(row["line"], row["currency"]): row["left"] for row in made.parts if row["left"] is not None}
    assert left == {("a", present): 100 - rounded["a", present]}
    for total in made.rows[len(made.parts) :]:
        assert total["spend"] == sum(amount for (_, code), amount in rounded.items() if code == total["currency"])


def table_of(plays: list[tuple[str, int, bool]]) -> Any:
    import sqlite3

    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.execute(
        "CREATE TABLE plays (station, screen, advertiser, campaign, line, currency, billable, bill_code, cost_micro, "
        "price_micro, matched_ots, matched_looked, matched_attention_ms, matched_watchers, schema, measured_share, "
        "shown_ms, trigger, started_utc, price_per, rate_micro, bill_on, measure_level, model_sha256, exposure_zone, "
        "calibration, clock_synced, time_zone)"
    )
    for name, price, billed in plays:
        code = "billed" if billed else "failed"
        row = ("s", "main", "x", "x", name, "EUR", billed, code, price, 0, 1, 0, 0, None, 5, 1.0, 8000, "target", "")
        row += ("play", price, "present", "viewable/OTS", "", None, None, 1, "UTC")
        db.execute(f"INSERT INTO plays VALUES ({', '.join('?' * len(row))})", row)
    return db


def test_an_invoice_states_the_people_of_the_plays_that_it_bills_and_no_others(record: Record) -> None:
    two, one = present(F20, F30), present(F20)
    ad = msgspec.structs.replace(MOKA, target=Target(gender="F", min_watchers=2))
    path = record([(at(4, 9, n), ad, who, 1.0) for n, who in enumerate((two, one, two, one, one) * 5)])
    with reading([path]) as db:
        (row, _) = queries.billing(db).rows
    assert (row["plays"], row["billable"], row["ots"]) == (25, 10, 20)


@pytest.mark.parametrize(
    ("day", "after"),
    [("2026-05-04", "2026-05-05"), ("20260504", "2026-05-05"), ("2028-02-28", "2028-02-29"),
     ("2026-05-04T10:00", "2026-05-04T10:00"), ("9999-12-31", "9999-12-31")],
)  # fmt: skip
def test_until_a_day_is_with_that_day_however_it_is_written(day: str, after: str) -> None:
    assert next_day(day) == after


def test_a_day_before_time_is_a_one_line_error() -> None:
    with pytest.raises(UserError, match="is no day or time"):
        utc_bound("0001-01-01", SEOUL)


def test_days_and_hours_are_the_stations_through_midnight_and_daylight_saving(record: Record) -> None:
    begin = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # 00:30 in Berlin, on the day of 25 hours
    hourly: list[Play] = [(begin + timedelta(hours=n), HOUSE, NOBODY, 1.0) for n in range(26)]
    path = record([(begin - timedelta(hours=1), HOUSE, NOBODY, 1.0), *hourly])
    with reading([path]) as db:
        days = {row["day"]: row["plays"] for row in queries.plays(db, ("day",), BERLIN).rows}
        hours = {row["hour"]: row["plays"] for row in queries.plays(db, ("hour",), BERLIN).rows}
        abroad = {row["day"]: row["plays"] for row in queries.plays(db, ("day",), SEOUL).rows}
        span = utc_bound("2026-10-25", BERLIN), utc_bound(next_day("2026-10-25"), BERLIN)
        (only,) = queries.plays(db, ("day",), BERLIN, span).rows[:-1]
    assert days == {"2026-10-24": 1, "2026-10-25": 25, "2026-10-26": 1, "total": 27}
    assert hours[2] == 2
    assert sum(abroad.values()) == 2 * 27
    assert (only["day"], only["plays"]) == ("2026-10-25", 25)


def test_each_play_is_on_the_invoice_of_the_month_in_which_it_began_and_on_no_other(record: Record) -> None:
    """One ends in the next month, two come in the hour that comes twice, one after the clock was set back."""
    twice = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    times = [datetime(2026, 10, 1, tzinfo=BERLIN), twice, twice + timedelta(hours=1), twice - timedelta(minutes=20)]
    times += [datetime(2026, 10, 31, 23, 59, 56, tzinfo=BERLIN), datetime(2026, 11, 1, tzinfo=BERLIN)]
    path = record([(when, MOKA, present(F20), 1.0) for when in times])
    bounds = [utc_bound(f"2026-{month:02}-01", BERLIN) for month in (9, 10, 11, 12)]
    with reading([path]) as db:
        months = [queries.billing(db, (), span, BERLIN).rows for span in itertools.pairwise(bounds)]
        whole = queries.billing(db).rows[0]
    assert [[(row["plays"], row["spend"]) for row in rows[:1]] for rows in months] == [
        [],
        [(5, Decimal("0.63"))],
        [(1, Decimal("0.13"))],
    ]
    assert (whole["plays"], whole["spend"]) == (6, Decimal("0.75"))


def test_the_leap_day_has_a_row(record: Record) -> None:
    path = record([(datetime(2028, 2, 29, 23, 30, tzinfo=BERLIN), HOUSE, NOBODY, 1.0)])
    with reading([path]) as db:
        assert queries.plays(db, ("day", "weekday"), BERLIN).rows[0]["day"] == "2028-02-29"


def test_plays_of_several_screens_add_up(record: Record) -> None:
    paths = [record(some_plays(), screen=name) for name in ("left", "right")]
    with reading(paths) as db:
        rows = queries.plays(db, ("screen",), BERLIN).rows
        spend = {row["line"]: row["spend"] for row in queries.billing(db).rows}
    assert [(row["screen"], row["plays"]) for row in rows] == [("left", 13), ("right", 13), ("total", 26)]
    assert spend["moka"] == Decimal("0.75")
    assert rows[0]["frames_pct"] == pytest.approx(100 * 12.5 / 13, abs=0.1)


def test_visits_are_counted_and_shared_out(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with reading([path]) as db:
        made = audience(db, ("gender", "decade"), BERLIN)
    assert [(row["gender"], row["decade"], row["people"]) for row in made.rows] == [
        ("M", "30-39", 10),  # 15 and 25: what is cut off is told with later people
        ("F", "20-29", 20),
        ("total", "", 30),
    ]
    assert made.rows[1]["share_pct"] == 66.7
    assert "watchers" not in made.columns, "nobody's looks were counted then"


def test_the_audience_of_a_day_is_of_that_day_where_it_begins_at_half_past_too(record: Record) -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    evening = datetime(2026, 5, 4, 23, 45, tzinfo=kolkata)
    crowds = [(evening + timedelta(hours=n), {F20: 12}) for n in range(25)]
    path = record([(evening, HOUSE, NOBODY, 1.0)], crowds)
    for day in ("2026-05-04", "2026-05-05"):
        span = utc_bound(day, kolkata), utc_bound(next_day(day), kolkata)
        with reading([path]) as db:
            assert [row["day"] for row in audience(db, ("day",), kolkata, span).rows] == [day, "total"]


def test_people_of_an_hour_that_two_ledgers_of_a_screen_share_are_all_counted(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), {F20: 12})])
    first = path.rename(path.with_name("ledger-set-aside.sqlite"))
    path.with_suffix(".mark").rename(first.with_suffix(".mark"))
    second = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), {F20: 20})])
    with reading([first, second]) as db:
        assert [row["people"] for row in audience(db, ("hour",), BERLIN).rows] == [30, 30]


def test_people_of_several_screens_add_up_as_each_is_told(record: Record) -> None:
    paths = [record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd(), screen=name) for name in ("left", "right")]
    told = []
    for read in (paths[:1], paths[1:], paths):
        with reading(read) as db:
            told.append(audience(db, ("site",), BERLIN).rows[0]["people"])
    assert told == [30, 30, 60]


def test_an_unknown_dimension_is_a_one_line_error(record: Record) -> None:
    path = record([])
    with reading([path]) as db, pytest.raises(UserError, match="'mood' is unknown or named twice"):
        audience(db, ("mood",), BERLIN)


def test_an_id_that_two_advertisers_had_is_told_apart(record: Record) -> None:
    """Ledgers of old versions may have such ids."""
    evil = msgspec.structs.replace(MOKA, advertiser="Evil", budget=Decimal("1.00"))
    path = record([(at(4, 9), MOKA, present(F20), 1.0), (at(5, 9), evil, present(F20), 1.0)])
    with reading([path]) as db:
        told = [row["line"] for row in queries.plays(db, ("line",), BERLIN).rows]
        rows = {row["advertiser"]: row for row in queries.billing(db, [MOKA, evil]).rows}
    assert told == [f"Evil/{MOKA.campaign}/{MOKA.id}", f"Moka/{MOKA.campaign}/{MOKA.id}", "total"]
    assert rows["Moka"]["left"] == MOKA.budget - rows["Moka"]["spend"]  # type: ignore[operator]
    assert rows["Evil"]["left"] == Decimal("1.00") - rows["Evil"]["spend"]
