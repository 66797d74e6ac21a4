"""Days and hours are the station's in every zone: those of half and quarter hours, and when the clocks are set.

The other computation is the C library's `localtime`, which reads the same files of zones by code of its own.
"""

import json
import os
import tempfile
import time
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pipeline.settings import StationTable, Statistics
from players.ads.lines import WEEKDAYS
from players.audience.tally import Tally
from players.commands.ledger import ledger as ledger_command
from players.commands.report import report as report_command
from players.ledger import clock as ledger_clock
from players.ledger.clock import next_day, utc_bound
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from players.ledger.snapshot import reading
from players.reports import queries
from players.reports.audience import audience
from players.reports.report import Report
from players.statistics.counts import CountsFile, Pending
from players.statistics.reading import reading_counts
from players.statistics.times import DAY_S, HOUR_S
from tests.ads import F20, HOUSE, S, catalogue, decision, line
from tests.players.recording import count_as_before
from tests.players.statistics.crowds import KERB

FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
BY = ("day", "weekday", "hour")


@cache
def file_of(zone: str) -> str:
    """Return the file from which zoneinfo reads a zone."""
    places = [Path(place) for place in zoneinfo.TZPATH] + [Path(tzdata.__file__).parent / "zoneinfo"]
    return str(next(place / zone for place in places if (place / zone).is_file()))


def local_time(moment: datetime, zone: str) -> time.struct_time:
    """Return the local time by the C library."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = f":{file_of(zone)}"
    time.tzset()
    try:
        return time.localtime(moment.timestamp())
    finally:
        os.environ.pop("TZ") if before is None else os.environ.__setitem__("TZ", before)
        time.tzset()


def expected(moment: datetime, zone: str) -> tuple[str, str, int]:
    """Return day, weekday and hour of a moment by the C library."""
    local = local_time(moment, zone)
    day = f"{local.tm_year:04}-{local.tm_mon:02}-{local.tm_mday:02}"
    return day, WEEKDAYS[local.tm_wday], local.tm_hour


@contextmanager
def ledger_of(zone: str, moments: list[datetime], people: int = 20) -> Iterator[list[Path]]:
    """Record, at each moment, so many visits of one second, then a play of a house ad."""
    now = [FIRST]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return now[0]

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger_clock, "datetime", Clock)
        path = Path(folder) / "ledger-main.sqlite"
        book = Ledger(path, StationTable(timezone=zone), "main")
        for moment in moments:
            now[0] = moment
            play_id = book.start(decision(HOUSE), planned_ms=0)
            assert play_id is not None
            tally = Tally()
            book.end(play_id, Shown(frames_expected=1, frames_presented=1, status="played", tally=tally))
        book.close()
        for moment in moments:
            count_as_before(path, moment, {F20: people}, station="station")
        yield [path]


def counted(made: Report, number: str) -> dict[tuple[str, str, int], int]:
    return {(row["day"], row["weekday"], row["hour"]): row[number] for row in made.parts}


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """Return the moments at which the clocks of a zone are set, to the second."""
    there, found = ZoneInfo(zone), []
    low = FIRST
    while low < LAST:
        high = low + timedelta(days=7)
        if low.astimezone(there).utcoffset() != high.astimezone(there).utcoffset():
            begin, end = low, high
            while end - begin > timedelta(seconds=1):
                middle = begin + timedelta(seconds=(end - begin) // timedelta(seconds=2))
                if middle.astimezone(there).utcoffset() == low.astimezone(there).utcoffset():
                    begin = middle
                else:
                    end = middle
            found.append(end)
        low = high
    return tuple(found)


zones = st.sampled_from(sorted(zoneinfo.available_timezones()))
seconds = st.integers(0, int((LAST - FIRST).total_seconds()) - 1)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """Draw a moment: any, or one within two hours of a change of the zone's clocks."""
    near = changes(zone)
    if near and draw(st.booleans()):
        return draw(st.sampled_from(near)) + timedelta(seconds=draw(st.integers(-7200, 7200)))
    return FIRST + timedelta(seconds=draw(seconds))


@settings(max_examples=60)
@given(st.data(), zones)
def test_plays_and_audience_are_of_the_day_and_hour_of_the_zone(data: st.DataObject, zone: str) -> None:
    moment = data.draw(moments(zone))
    with ledger_of(zone, [moment]) as paths, reading(paths) as db:
        plays = queries.plays(db, BY, ZoneInfo(zone))
        people = audience(db, BY, ZoneInfo(zone), now_s=LAST.timestamp() + 86400)
    assert counted(plays, "plays") == {expected(moment, zone): 1}
    assert counted(people, "people") == {expected(moment, zone): 20}


@pytest.mark.parametrize(
    ("zone", "when", "hour"),
    [
        ("Asia/Kolkata", datetime(2026, 4, 6, 0, 15), 0),
        ("Asia/Kathmandu", datetime(2026, 4, 6, 0, 5), 0),
        ("Asia/Kathmandu", datetime(2026, 4, 6, 23, 50), 23),
        ("Australia/Eucla", datetime(2026, 4, 6, 0, 40), 0),
        ("Pacific/Chatham", datetime(2026, 4, 6, 0, 1), 0),
        ("America/St_Johns", datetime(2026, 4, 6, 0, 1), 0),
    ],
)
def test_a_quarter_past_midnight_is_of_the_new_day(zone: str, when: datetime, hour: int) -> None:
    moment = when.replace(tzinfo=ZoneInfo(zone))
    since = utc_bound("2026-04-06", ZoneInfo(zone)), utc_bound(next_day("2026-04-06"), ZoneInfo(zone))
    with ledger_of(zone, [moment, moment - timedelta(days=1)]) as paths, reading(paths) as db:
        for make, number, value in ((queries.plays, "plays", 1), (audience, "people", 20)):
            made = make(db, BY, ZoneInfo(zone), since)
            assert counted(made, number) == {("2026-04-06", "mon", hour): value}


def test_the_reports_of_a_station_in_kolkata_are_of_its_own_sixth_of_april(tmp_path: Path) -> None:
    """The wall clock shows 00:15 on 6 April, which in UTC is the evening of the 5th."""
    station = tmp_path / "station.toml"
    station.write_text('[station]\ntimezone = "Asia/Kolkata"\n[[cameras]]\nname = "c"\nsource = "sample"\n')
    words = ["--station", str(station), "--by", "day,hour", "--since", "2026-04-06", "--until", "2026-04-06"]
    words += ["--format", "json"]
    with ledger_of("Asia/Kolkata", [datetime(2026, 4, 5, 18, 45, tzinfo=UTC)]) as paths:
        for name, number, value in (("plays", "plays", 1), ("audience", "people", 20)):
            done = CliRunner().invoke(report_command, [name, *words, "--ledger", str(paths[0])])
            assert done.exit_code == 0, done.output
            rows = [(row["day"], row["hour"], row[number]) for row in json.loads(done.stdout)["rows"]]
            assert rows == [("2026-04-06", 0, value), ("total", "", value)]


def test_ledgers_alone_are_told_by_the_clocks_of_the_stations_that_wrote_them() -> None:
    """The first second of May in Seoul is still April in UTC, and the last one is no longer June."""
    first = datetime(2026, 4, 30, 15, 0, 0, tzinfo=UTC)
    moments = [first - timedelta(seconds=1), first, datetime(2026, 5, 31, 14, 59, 59, tzinfo=UTC)]
    may = ["--since", "2026-05-01", "--until", "2026-05-31", "--format", "json"]
    with ledger_of("Asia/Seoul", moments) as seoul, ledger_of("Europe/Berlin", moments[:1]) as berlin:
        alone = ["--ledger", str(seoul[0])]
        made = [CliRunner().invoke(report_command, ["plays", "--by", "day", *may, *alone, *more]).stdout for more in (
            [], ["--ledger", str(berlin[0])]
        )]  # fmt: skip
        lines = (
            CliRunner().invoke(ledger_command, ["export", *may[:4], "--format", "jsonl", *alone]).stdout.splitlines()
        )
    by_seoul, by_utc = map(json.loads, made)
    assert [row["day"] for row in by_seoul["rows"]] == ["2026-05-01", "2026-05-31", "total"]
    assert [json.loads(line)["started_utc"] for line in lines] == [
        "2026-04-30T15:00:00.000Z",
        "2026-05-31T14:59:59.000Z",
    ]
    assert not any("clocks" in note for note in by_seoul["notes"])
    assert [row["day"] for row in by_utc["rows"]] == ["2026-05-31", "total"]
    assert (
        "Plays were written by the clocks of Asia/Seoul; days and hours are told by the clocks of UTC."
        in by_utc["notes"]
    )


def test_an_hour_that_comes_twice_is_one_row_and_said() -> None:
    """Clocks go back by half an hour on Lord Howe Island: 01:30 to 02:00 comes twice."""
    for zone, first, times, hour in (
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 35, tzinfo=UTC), 4, 1),
        ("Europe/Berlin", datetime(2026, 10, 25, 0, 5, tzinfo=UTC), 8, 2),
    ):
        every = [first + timedelta(minutes=15 * n) for n in range(times)]
        with ledger_of(zone, every) as paths, reading(paths) as db:
            for make, number, each in ((queries.plays, "plays", 1), (audience, "people", 20)):
                made = make(db, ("day", "hour"), ZoneInfo(zone))
                rows = {row["hour"]: row[number] for row in made.parts}
                assert rows[hour] == each * sum(expected(moment, zone)[2] == hour for moment in every)
                (note,) = (text for text in made.notes if "clocks were set back" in text)
                day = first.astimezone(ZoneInfo(zone)).date()
                assert f"hour {hour} of {day} lasted longer" in note
                assert not any("set back" in text for text in make(db, ("day",), ZoneInfo(zone)).notes)


def test_hours_of_utc_that_an_older_version_counted_stay_and_are_told_as_what_they_are() -> None:
    with ledger_of("Asia/Kolkata", [datetime(2026, 4, 5, 18, 45, tzinfo=UTC)]) as paths:
        import sqlite3

        db = sqlite3.connect(paths[0])
        db.execute("INSERT INTO audience_hours VALUES ('station', 'main', '2026-04-05T17', 20, 20000, 20000)")
        db.execute("INSERT INTO audience_groups VALUES ('station', 'main', '2026-04-05T17', 'F', '20-29', 20000)")
        db.commit()
        db.close()
        with reading(paths) as db:
            kolkata = audience(db, ("day", "hour"), ZoneInfo("Asia/Kolkata"))
            seoul = audience(db, ("day", "hour"), ZoneInfo("Asia/Seoul"))
    assert [(row["day"], row["hour"], row["people"]) for row in kolkata.parts] == [
        ("2026-04-05", 22, 20), ("2026-04-06", 0, 20),
    ]  # fmt: skip
    assert [any("older versions" in note for note in made.notes) for made in (kolkata, seoul)] == [True, False]
    assert sum(row["people"] for row in seoul.parts) == 40


@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), zones)
def test_a_day_from_and_a_day_until_are_what_the_clocks_of_the_zone_show(data: st.DataObject, zone: str) -> None:
    """Days whose beginning is skipped or comes twice too; not those that come back after they were over."""
    there, moment = ZoneInfo(zone), data.draw(moments(zone))
    day = expected(moment, zone)[0]
    since, until = utc_bound(day, there), utc_bound(next_day(day), there)
    begins = datetime.fromisoformat(since)
    assume(expected(begins - timedelta(seconds=1), zone)[0] < expected(begins, zone)[0])
    midnight = datetime.fromisoformat(f"{next_day(day)}T00:00")
    after = datetime.fromisoformat(until)
    assume(all(expected(after + timedelta(minutes=n), zone)[0] > day for n in range(0, 200, 20)))
    assert since <= moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") < until
    assert expected(begins, zone)[0] == day and expected(begins - timedelta(seconds=1), zone)[0] < day
    assert after.astimezone(there).replace(tzinfo=None) >= midnight


@pytest.mark.parametrize(
    ("zone", "time_", "utc"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00.000Z"),  # skipped: when the clocks are set
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00.000Z"),  # twice: the first
        ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:30:00.000Z"),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00.000Z"),  # the day begins at one o'clock
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z"),  # the day was left out
        ("Asia/Kolkata", "2026-04-06", "2026-04-05T18:30:00.000Z"),
    ],
)
def test_a_time_that_is_skipped_or_comes_twice_is_a_moment(zone: str, time_: str, utc: str) -> None:
    assert utc_bound(time_, ZoneInfo(zone)) == utc


@settings(max_examples=150)
@given(st.data(), zones, st.tuples(st.integers(0, 1439), st.integers(1, 1439)))
@example(None, "Europe/Berlin", (90, 60))
def test_a_line_is_open_when_the_clocks_of_the_zone_show_its_daypart(
    data: st.DataObject | None, zone: str, part: tuple[int, int]
) -> None:
    """A time that is skipped when the clocks are set is not open, one that comes twice is open twice."""
    moment = data.draw(moments(zone)) if data else datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    first, length = part
    local = local_time(moment, zone)
    minute, today = 60 * local.tm_hour + local.tm_min, date(local.tm_year, local.tm_mon, local.tm_mday)
    for starts, ends in ((None, None), (today, today), (today - timedelta(days=1), today - timedelta(days=1))):
        ad = line("ad", dayparts=((first, (first + length) % 1440),), starts=starts, ends=ends)
        there = moment.astimezone(ZoneInfo(zone))
        is_open = catalogue(ad).arrays.open_at(there.date(), 60 * there.hour + there.minute)[0]
        begun_today = first <= minute < first + length and (starts is None or starts == today)
        begun_before = minute < first + length - 1440 and (starts is None or starts < today)
        assert is_open == (begun_today or begun_before)


@pytest.mark.parametrize("day", ["2026-03-28", "2026-03-29", "2026-10-25"])
def test_a_day_whose_hours_were_merged_is_in_its_report_and_measured_as_a_whole_when_the_clocks_are_set(
    tmp_path: Path, day: str
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first_s, stop_s = (int(datetime.fromisoformat(utc_bound(one, berlin)).timestamp()) for one in (day, next_day(day)))
    pending = Pending()
    for hour_s in range(first_s, stop_s, HOUR_S):
        pending.add((hour_s, KERB, 1, 2), [20, 20, 0, 0, 20_000, 0, 0])
        pending.add_measured(hour_s, KERB, HOUR_S * S, 1)
    kept = Statistics(minute_days=1, five_minute_days=2, hour_days=3)
    file = CountsFile(tmp_path / "audience.sqlite", berlin, kept)
    for number in range(2):
        file.write(pending if not number else Pending(), "", 0, stop_s + 90 * DAY_S)
    file.close()
    span = (utc_bound(day, berlin), utc_bound(next_day(day), berlin))
    with reading_counts(tmp_path / "audience.sqlite") as db:
        lengths_s = {row[0] for row in db.execute("SELECT length_s FROM counts")}
        rows = audience(None, ("day",), berlin, span, db, stop_s + 91 * DAY_S).rows
    assert lengths_s == {DAY_S}
    assert [(row["day"], row["people"], row["measured_pct"]) for row in rows] == [
        (day, 20 * (stop_s - first_s) // HOUR_S, 100.0),
        ("total", 20 * (stop_s - first_s) // HOUR_S, 100.0),
    ]
