"""Small numbers of people are told by no report, and no two reports together tell them."""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
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
from players.reports import measures, openrtb, queries
from players.reports.audience import audience
from players.reports.report import Report
from players.statistics.counts import make_tables
from players.statistics.reading import make_views
from tests.ads import BERLIN, F20, HOUSE, M30, present
from tests.players.recording import MOKA, STATION, Record, at, crowd

GENDERS, DECADES = ("M", "F"), ("20-29", "30-39")
DAYS = tuple((date(2026, 4, 29) + timedelta(days=n)).isoformat() for n in range(5))
Cell = tuple[int, int, str, str]
Cells = dict[Cell, list[int]]
"""Visits, OTS, watchers, watchers of 2 s, presence, dwell and attention (ms) by day, hour, gender and decade."""
LATER_S = 2e9


def counts_of(cells: Cells) -> sqlite3.Connection:
    """Return a database of a station's counts that holds these cells."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    make_tables(db)
    make_views(db)
    db.row_factory = sqlite3.Row
    db.execute("INSERT INTO bases VALUES (1, 's', 'target', 'kerb', 'kerb', 'main', '', '', '')")
    for (day, hour, gender, decade), numbers in cells.items():
        begins = datetime.fromisoformat(f"{DAYS[day]}T{hour:02}:15").replace(tzinfo=BERLIN)
        place = (300, int(begins.timestamp()), 1, GENDERS.index(gender), DECADES.index(decade) + 2)
        db.execute(f"INSERT INTO counts VALUES ({', '.join('?' * 12)})", (*place, *numbers))
    return db


@st.composite
def numbers_(draw: st.DrawFn) -> list[int]:
    visits = draw(st.one_of(st.integers(0, 12), st.integers(0, 40)))
    ots = draw(st.integers(0, visits))
    watchers = draw(st.integers(0, ots))
    dwell_ms = watchers * draw(st.integers(1000, 30_000))
    return [visits, ots, watchers, draw(st.integers(0, watchers)), visits * draw(st.integers(500, 60_000)), dwell_ms,
            dwell_ms * draw(st.integers(0, 10)) // 10]  # fmt: skip


cells_ = st.dictionaries(
    st.tuples(
        st.integers(0, len(DAYS) - 1), st.sampled_from((9, 10)), st.sampled_from(GENDERS), st.sampled_from(DECADES)
    ),
    numbers_(),
    min_size=1,
)
spans = st.tuples(st.sampled_from((None, *DAYS)), st.sampled_from((None, *DAYS)))
bys = st.sampled_from([by for n in (1, 2) for by in itertools.permutations(("day", "gender", "decade", "hour"), n)])
FINEST = ("day", "hour", "gender", "decade")


def report_of(
    db: sqlite3.Connection, by: tuple[str, ...], span: tuple[str | None, str | None] = (None, None)
) -> Report:
    since, until = span
    bounds = (
        None if since is None else utc_bound(since, BERLIN),
        None if until is None else utc_bound(next_day(until), BERLIN),
    )
    return audience(None, by, BERLIN, bounds, db, LATER_S)


@settings(max_examples=60, deadline=None)
@given(st.data(), cells_, st.integers(0, 9))
def test_whatever_reports_are_put_together_a_hidden_cell_could_be_any_number_from_0_to_9(
    data: st.DataObject, cells: Cells, number: int
) -> None:
    """Another crowd is built, of which one hidden cell has another number: every report of it says the same."""
    told = {
        (DAYS.index(row["day"]), row["hour"], row["gender"], row["decade"]): row
        for row in report_of(counts_of(cells), FINEST).parts
    }
    others: Cells = {}
    for key, row in told.items():
        people = [row["people"], row["ots"] or 0, row["watchers"] or 0, row["watchers_2s"] or 0]
        stay, dwell, attention = (row[name] or 0 for name in ("stay_s", "dwell_s", "attention_s"))
        times = [row["people"] * stay, (row["watchers"] or 0) * dwell, (row["watchers"] or 0) * attention]
        others[key] = [*people, *(round(1000 * time_s) for time_s in times)]
    hidden = data.draw(st.sampled_from(sorted(cells)))
    if hidden in told:
        return
    others[hidden] = [number, number, number, number, 7000 * number, 7000 * number, 3000 * number]
    one, other = counts_of(cells), counts_of(others)
    for _ in range(4):
        by, span = data.draw(bys), data.draw(spans)
        assert report_of(one, by, span).rows == report_of(other, by, span).rows


@settings(max_examples=60, deadline=None)
@given(cells_, bys, spans)
def test_numbers_of_people_are_tens_and_rows_add_up_to_the_total_whatever_they_are_by(
    cells: Cells, by: tuple[str, ...], span: tuple[str | None, str | None]
) -> None:
    db = counts_of(cells)
    made, finest = report_of(db, by, span), report_of(db, FINEST, span)
    for name in ("people", "ots", "watchers", "watchers_2s"):
        numbers = [row[name] for row in made.parts]
        assert all(number % FEWEST_PEOPLE == 0 for number in numbers)
        assert name != "people" or all(number >= FEWEST_PEOPLE for number in numbers)
        assert sum(numbers) == sum(row[name] for row in finest.parts)
        assert not made.rows or made.rows[-1][name] == sum(numbers)


def test_many_small_cells_are_told_together() -> None:
    """A shop of 80 people a day: the cells of an hour and a group are hidden alone, and their sums are near."""
    rng = Random(3)
    cells: Cells = {}
    for day, hour, n in itertools.product(range(len(DAYS)), range(8, 20), range(8)):
        gender, decade = rng.choice(GENDERS), rng.choice(DECADES)
        numbers = cells.setdefault((day, hour, gender, decade), [0] * 7)
        for i in range(1 + (n % 2) + (n % 4 == 0)):
            numbers[i] += 1
    db = counts_of(cells)
    for by, key in ((("day",), lambda cell: DAYS[cell[0]]), (("hour",), lambda cell: cell[1]),
                    (("gender",), lambda cell: cell[2])):  # fmt: skip
        told = {row[by[0]]: row["people"] for row in report_of(db, by).parts}
        truth: Counter[Any] = Counter()
        for cell, numbers in cells.items():
            truth[key(cell)] += numbers[0]
        assert told.keys() <= truth.keys()
        assert all(abs(told.get(name, 0) - number) <= 20 for name, number in truth.items()), by


def test_an_hour_is_told_when_it_is_over_and_who_came_in_it_has_gone() -> None:
    nine = {(0, 9, "F", "20-29"): [50] * 7}
    end_s = datetime.fromisoformat(f"{DAYS[0]}T10:00").replace(tzinfo=BERLIN).timestamp()
    for later_s, rows in ((0, 0), (200, 0), (400, 2)):
        assert len(audience(None, ("hour",), BERLIN, (None, None), counts_of(nine), end_s + later_s).rows) == rows


def test_times_of_fewer_than_ten_people_are_told_by_the_mean_of_more() -> None:
    """Nine women stay for 100 s and thirty men for 10 s; rows of women tell nothing, and no total tells theirs."""
    cells = {(0, 9, "F", "20-29"): [9, 9, 0, 0, 900_000, 0, 0], (0, 9, "M", "20-29"): [30, 30, 0, 0, 300_000, 0, 0]}
    (row, total) = report_of(counts_of(cells), ("gender",)).rows
    assert (row["gender"], row["people"], row["stay_s"]) == ("M", 30, 10.0)
    assert (total["people"], total["stay_s"]) == (30, 10.0)


@given(st.integers(0, 10_000))
def test_what_is_told_is_ten_or_more_in_tens_and_near(number: int) -> None:
    said = told(number)
    assert said == 0 if number < 10 else abs(said - number) <= 5 and said >= 10 and said % 10 == 0


def test_small_numbers_are_not_listed_and_no_total_tells_them(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with reading([path]) as db:
        made = audience(db, ("hour", "gender"), BERLIN)
    said = {(row["hour"], row["gender"]): row["people"] for row in made.rows}
    assert said == {(9, "M"): 10, (9, "F"): 20, ("total", ""): 30}
    assert "Rows of fewer than 10 people are not listed." in made.notes


def test_an_audience_under_ten_is_not_told_at_all(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), {F20: 9})])
    with reading([path]) as db:
        assert audience(db, ("gender",), BERLIN).rows == []


def test_a_part_of_an_hour_tells_no_people_of_plays(record: Record) -> None:
    path = record([(at(4, 9, n), HOUSE, present(F20), 1.0) for n in range(30)])
    half_past, hour = at(4, 9, 30), utc_bound("2026-05-04T09:00", BERLIN)
    with reading([path]) as db:
        cut = queries.plays(db, ("line",), BERLIN, (None, half_past.isoformat()))
        whole = queries.plays(db, ("line",), BERLIN, (hour, None))
    assert {row["ots"] for row in cut.rows} == {HIDDEN} and any("whole hours" in note for note in cut.notes)
    assert [row["ots"] for row in whole.rows] == [30, 30] and not any("whole hours" in note for note in whole.notes)


def plays_of(people: dict[tuple[int, str], int], screen_of: Callable[[str], str] = "main".format) -> sqlite3.Connection:
    """Return a database of one play an hour and line, seen by so many people, of whom half looked."""
    db = sqlite3.connect(":memory:")
    numbers = ("schema", "measured_share", *measures.PLAYS_COLUMNS)
    db.execute(f"CREATE TABLE plays ({', '.join(('started_utc', *measures.AD, *numbers))})")
    for (hour, line), seen in people.items():
        ad = ("s", screen_of(line), "x", "x", line, "a", "target")
        row = (
            f"2026-05-{4 + hour // 24:02}T{hour % 24:02}:20:00.000Z",
            *ad,
            5,
            1.0,
            seen,
            seen // 2,
            0,
            500 * seen,
            None,
        )
        db.execute(f"INSERT INTO plays VALUES ({', '.join('?' * len(row))})", row)
    return db


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 60), st.sampled_from("abc")), st.integers(0, 35), min_size=1, max_size=40)
)
def test_a_hidden_cell_of_plays_could_be_any_number_from_0_to_9(people: dict[tuple[int, str], int]) -> None:
    def told_of(crowd: dict[tuple[int, str], int]) -> dict[tuple[int, str], int]:
        cells = measures.told_cells(plays_of(crowd), measures.PLAYS_COLUMNS, measures.AD, BERLIN, (None, None))
        return dict(zip(sorted(crowd), (numbers["ots_1s"] for _, numbers in sorted(cells.items())), strict=True))

    said = told_of(people)
    assert all(number % FEWEST_PEOPLE == 0 for number in said.values())
    assert abs(sum(said.values()) - sum(people.values())) < 60
    for cell in [cell for cell, number in said.items() if number == 0][:3]:
        for number in range(FEWEST_PEOPLE):
            assert told_of(said | {cell: number}) == said


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 60), st.sampled_from("abc")), st.integers(0, 35), min_size=1, max_size=40)
)
def test_plays_of_a_screen_are_told_alike_whichever_ledgers_are_read_with_its_own(
    people: dict[tuple[int, str], int],
) -> None:
    """Else reports of each ledger and of all together would tell by their difference what both hide."""

    def told_of(crowd: dict[tuple[int, str], int]) -> dict[measures.Cell, dict[str, Any]]:
        db = plays_of(crowd, screen_of=str)
        return measures.told_cells(db, measures.PLAYS_COLUMNS, measures.AD, BERLIN, (None, None))

    apart = [told_of({cell: number for cell, number in people.items() if cell[1] == screen}) for screen in "abc"]
    assert told_of(people) == apart[0] | apart[1] | apart[2]


def test_the_multiplier_of_a_bid_tells_no_people_that_reports_hide(record: Record) -> None:
    """Multiplier times plays is what `report plays` tells; where it hides the number, there is no multiplier."""
    screen = Screen(name="main")
    few = record([(at(4, 9, n), MOKA, present(F20), 1.0) for n in range(7)])
    with reading([few]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        assert {row["ots"] for row in queries.plays(db, ("line",), BERLIN).rows} == {HIDDEN}
    assert "qty" not in objects["imp"]
    few.unlink()
    few.with_suffix(".mark").unlink()
    plays = [(at(4, 9, n), MOKA, present(F20), 1.0) for n in range(23)]
    plays += [(at(5, 9, n), HOUSE, present(M30, F20), 1.0) for n in range(2)]
    with reading([record(plays)]) as db:
        objects = openrtb.bid_objects(db, STATION, screen)
        rows = queries.plays(db, ("line",), BERLIN).rows
    assert [row["ots"] for row in rows] == [HIDDEN, 20, 20]
    assert round(objects["imp"]["qty"]["multiplier"] * 25, 1) == 20


def test_an_invoice_tells_people_as_reports_do(record: Record) -> None:
    ad = msgspec.structs.replace(MOKA, target=Target(gender="F"), price=Decimal("0.10"))
    path = record([(at(4 + n // 24, 9, n % 24), ad, present(F20), 1.0) for n in range(30)])
    sixth = utc_bound("2026-05-05", BERLIN), utc_bound("2026-05-06", BERLIN)
    with reading([path]) as db:
        whole, day = (queries.billing(db, (), span, BERLIN) for span in ((None, None), sixth))
    assert [row["ots"] for row in whole.rows] == [20, 20]
    assert [(row["billable"], row["ots"]) for row in day.rows] == [(6, HIDDEN), (6, HIDDEN)]
