"""Small numbers of people are told by no report, and no two reports together tell them."""

import itertools
import sqlite3
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.people import FEWEST_PEOPLE, HIDDEN, told
from pipeline.settings import Screen
from players.ads.lines import Target
from players.audience.present import NOBODY
from players.ledger.clock import next_day, utc_bound
from players.ledger.snapshot import reading
from players.reports import openrtb, queries
from players.reports.periods import Periods
from tests.ads import BERLIN, F20, HOUSE, M30, present
from tests.players.recording import MOKA, STATION, Record, at, crowd

GENDERS, DECADES = ("M", "F"), ("20-29", "30-39")
DAYS = tuple((date(2026, 4, 29) + timedelta(days=n)).isoformat() for n in range(5))
Cells = dict[tuple[int, str, str], int]


def audience_of(cells: Cells) -> sqlite3.Connection:
    """Return a database that holds these visits by day, gender and decade, at nine in the morning."""
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    for table, columns in (
        ("audience_hours", "station, screen, hour_utc, visits"),
        ("audience_groups", "station, screen, hour_utc, gender, decade, person_ms"),
        ("audience_quarters", "station, screen, begins_utc, visits"),
        ("audience_quarter_groups", "station, screen, begins_utc, gender, decade, person_ms"),
    ):
        db.execute(f"CREATE TABLE {table} ({columns})")
    for day, name in enumerate(DAYS):
        groups = {key[1:]: number for key, number in cells.items() if key[0] == day and number}
        begins = f"{name}T09:15"
        db.execute("INSERT INTO audience_quarters VALUES ('s', 'main', ?, ?)", (begins, sum(groups.values())))
        for (gender, decade), number in groups.items():
            row = (begins, gender, decade, 8000 * number)
            db.execute("INSERT INTO audience_quarter_groups VALUES ('s', 'main', ?, ?, ?, ?)", row)
    return db


cells_ = st.dictionaries(
    st.tuples(st.integers(0, len(DAYS) - 1), st.sampled_from(GENDERS), st.sampled_from(DECADES)), st.integers(0, 40)
)
spans = st.tuples(st.sampled_from((None, *DAYS)), st.sampled_from((None, *DAYS)))
bys = st.sampled_from([by for n in (1, 2, 3) for by in itertools.permutations(("day", "gender", "decade", "hour"), n)])


def people(db: sqlite3.Connection, by: tuple[str, ...], span: tuple[str | None, str | None]) -> dict[Any, int]:
    since, until = span
    bounds = (
        None if since is None else utc_bound(since, BERLIN),
        None if until is None else utc_bound(next_day(until), BERLIN),
    )
    made = queries.audience(db, by, BERLIN, bounds)
    for row in made.rows:
        assert row["people"] >= FEWEST_PEOPLE and HIDDEN not in row.values()
        assert row["person_hours"] == round(8 * row["people"] / 3600, 2)
    return {tuple(row[name] for name in by): row["people"] for row in made.rows}


@settings(max_examples=300, deadline=None)
@given(cells_, bys, bys, spans, spans)
def test_no_pair_of_reports_tells_a_number_that_is_hidden(
    cells: Cells,
    by: tuple[str, ...],
    other_by: tuple[str, ...],
    span: tuple[str | None, str | None],
    other_span: tuple[str | None, str | None],
) -> None:
    """Whatever is added up and subtracted, differences are multiples of ten; a hidden number is 1 to 9."""
    db = audience_of(cells)
    one, two = people(db, by, span), people(db, other_by, other_span)
    numbers = [*one.values(), *two.values()]
    assert all(number % FEWEST_PEOPLE == 0 for number in numbers)


@settings(max_examples=200, deadline=None)
@given(cells_, st.sampled_from(GENDERS), st.sampled_from(DECADES), st.integers(0, len(DAYS) - 1), spans)
def test_a_hidden_group_of_a_day_changes_no_row_but_the_total(
    cells: Cells, gender: str, decade: str, day: int, span: tuple[str | None, str | None]
) -> None:
    """A group of fewer than ten on a day is in no row of that day, and changes no other row."""
    few, by_all = {**cells, (day, gender, decade): 3}, ("day", "gender", "decade")
    rows = people(audience_of(few), by_all, span)
    without = people(audience_of({**few, (day, gender, decade): 0}), by_all, span)
    assert (DAYS[day], gender, decade) not in rows
    assert {key for key in {*rows, *without} if rows.get(key) != without.get(key)} <= {("total", "", "")}
    group = people(audience_of(few), ("gender", "decade"), (DAYS[day], DAYS[day]))
    assert (gender, decade) not in group


@settings(max_examples=200, deadline=None)
@given(cells_, st.integers(0, len(DAYS) - 1), st.integers(0, len(DAYS) - 1))
def test_a_span_that_slides_by_a_day_tells_what_the_day_tells(cells: Cells, first: int, last: int) -> None:
    """Days of no whole month: the difference of two spans is the report of the day between them."""
    first, last = sorted((first, last))
    db = audience_of(cells)
    if first == last:
        return
    longer = people(db, ("gender",), (DAYS[first], DAYS[last]))
    shorter = people(db, ("gender",), (DAYS[first], DAYS[last - 1]))
    day = people(db, ("gender",), (DAYS[last], DAYS[last]))
    for key in {*longer, *shorter, *day}:
        assert longer.get(key, 0) - shorter.get(key, 0) == day.get(key, 0)


@given(st.integers(0, 10_000))
def test_what_is_told_is_ten_or_more_in_tens_and_near(number: int) -> None:
    said = told(number)
    assert said == 0 if number < 10 else abs(said - number) <= 5 and said >= 10 and said % 10 == 0


def test_small_numbers_are_not_listed_and_no_total_tells_them(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with reading([path]) as db:
        made = queries.audience(db, ("hour", "gender"), BERLIN)
    said = {(row["hour"], row["gender"]): row["people"] for row in made.rows}
    assert said == {(9, "M"): 10, (9, "F"): 30, ("total", ""): 40}
    assert "Rows of fewer than 10 people are not listed." in made.notes


def test_an_audience_under_ten_is_not_told_at_all(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), [present(F20)])] * 9)
    with reading([path]) as db:
        assert queries.audience(db, ("gender",), BERLIN).rows == []


def test_a_part_of_a_day_tells_no_people(record: Record) -> None:
    path = record([(at(4, 9, n), HOUSE, present(F20), 1.0) for n in range(30)], [(at(4, 9), [present(F20)])] * 20)
    span = utc_bound("2026-05-04T09:00", BERLIN), None
    with reading([path]) as db:
        seen, played = queries.audience(db, ("gender",), BERLIN, span), queries.plays(db, ("line",), BERLIN, span)
        whole = queries.plays(db, ("line",), BERLIN, (utc_bound("2026-05-04", BERLIN), None))
    assert seen.rows == [] and any("whole days" in note for note in seen.notes)
    assert [(row["plays"], row["watchers"]) for row in played.rows] == [(30, HIDDEN), (30, HIDDEN)]
    assert [row["watchers"] for row in whole.rows] == [30, 30]


def test_months_are_told_whole_and_what_is_left_by_days() -> None:
    span = utc_bound("2026-03-30", BERLIN), utc_bound("2026-05-02T12:00", BERLIN)
    periods = Periods(BERLIN, span)
    moments = ("2026-03-29T21:00", "2026-03-30T10:00", "2026-04-15T10:00", "2026-05-01T10:00", "2026-05-02T09:00")
    assert [periods.of(moment) for moment in moments] == ["", "2026-03-30", "2026-04", "2026-05-01", ""]
    assert periods.cuts_days
    assert Periods(BERLIN, (None, None)).of("2026-05-02T09:00") == "2026-05"


def test_the_multiplier_of_a_bid_tells_no_watchers_that_reports_hide(record: Record) -> None:
    """Multiplier times plays is what `report plays` tells; where it hides the number, there is no multiplier."""
    screen = Screen(name="main")
    few = record([(at(4, 9, n), MOKA, present(F20), 1.0) for n in range(7)])
    with reading([few]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        assert {row["watchers"] for row in queries.plays(db, ("line",), BERLIN).rows} == {HIDDEN}
    assert "qty" not in objects["imp"]
    few.unlink()
    few.with_suffix(".mark").unlink()
    plays = [(at(4, 9, n), MOKA, present(F20), 1.0) for n in range(23)]
    plays += [(at(5, 9, n), HOUSE, present(M30, F20), 1.0) for n in range(2)]
    with reading([record(plays)]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        rows = queries.plays(db, ("line",), BERLIN).rows
    assert [row["watchers"] for row in rows] == [HIDDEN, 20, 30]
    assert round(objects["imp"]["qty"]["multiplier"] * 25, 1) == 30


def test_an_invoice_tells_watchers_as_reports_do(record: Record) -> None:
    ad = msgspec.structs.replace(MOKA, target=Target(gender="F"), price=Decimal("0.10"))
    path = record([(at(4 + n // 12, 9, n % 12), ad, present(F20), 1.0) for n in range(18)])
    sixth = utc_bound("2026-05-05", BERLIN), utc_bound("2026-05-06", BERLIN)
    with reading([path]) as db:
        whole, day = (queries.billing(db, (), span, BERLIN) for span in ((None, None), sixth))
    assert [row["watchers"] for row in whole.rows] == [20, 20]
    assert [(row["billable"], row["watchers"]) for row in day.rows] == [(6, HIDDEN), (6, HIDDEN)]
