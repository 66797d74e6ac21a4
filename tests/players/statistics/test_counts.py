"""The file of counts: durable, private, merged as it grows old, without a word that names anybody."""

import itertools
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.settings import Camera, StationTable, load
from pipeline.settings import Statistics as Kept
from players.audience.basis import zone_hash
from players.ledger import clock
from players.reports.audience import audience
from players.reports.basis import parts_of, span_s
from players.statistics.counts import MEASURES, CountsFile, Pending, counts_path
from players.statistics.reading import reading_counts
from players.statistics.stage import Statistics
from players.statistics.times import DAY_S, HOUR_S, LENGTHS_S, begin_s
from tests.ads import S
from tests.conftest import HANG_S
from tests.players.statistics.crowds import ANN, BEN, KERB, NINE_S, SEOUL, UTC_ZONE, job_of, kept_in, somebody, told

ONE = [1, 1, 0, 0, 60_000, 0, 0]


def pending_of(*minutes_s: int) -> Pending:
    """Return a woman in her twenties and a minute that was measured for each of these minutes."""
    pending = Pending()
    for minute_s in minutes_s:
        pending.add((minute_s, KERB, 1, 2), ONE)
        pending.add_measured(minute_s, KERB, 60 * S, 1)
    return pending


def test_the_file_is_this_accounts_alone_and_holds_no_name_of_a_track(tmp_path: Path) -> None:
    stage = Statistics(job_of(tmp_path))
    stage.step([told(at, somebody(ANN, 1, at), somebody(BEN, 1, at, "M", 35.0)) for at in (1, 2, 3)])
    stage.close()
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"audience.sqlite"}
    assert stat.S_IMODE((folder / "audience.sqlite").stat().st_mode) == 0o600
    data = (folder / "audience.sqlite").read_bytes()
    for track in (ANN, BEN):
        assert track.encode() not in data and bytes.fromhex(track) not in data
    cells = kept_in(folder / "audience.sqlite")
    assert {key[1:]: cell["visits"] for key, cell in cells.items()} == {("F", "20-29"): 1, ("M", "30-39"): 1}


def test_what_a_figure_rests_on_stands_beside_it_and_models_are_not_mixed(tmp_path: Path) -> None:
    zone = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
    camera = Camera(name="kerb", source="", zone=zone, screen_yaw_deg=10, group="both")
    stage = Statistics(job_of(tmp_path, camera, Camera(name="door", source="")))
    stage.step([told(1, somebody(ANN, 1, 1), group="both", model_sha256="a" * 64)])
    stage.step([told(2, somebody(BEN, 2, 2), group="both", model_sha256="b" * 64), told(2, camera="door")])
    stage.close()
    with reading_counts(tmp_path / "state" / "audience.sqlite") as db:
        rows = [dict(row) for row in db.execute("SELECT * FROM audience_counts ORDER BY model_sha256")]
        measured = {row["place"] for row in db.execute("SELECT * FROM audience_measured")}
    assert [row["model_sha256"] for row in rows] == ["a" * 64, "b" * 64]
    assert {(row["station"], row["place"], row["camera"], row["screens"]) for row in rows} == {
        ("stop-7", "both", "kerb", "main")
    }
    assert {row["angles_deg"] for row in rows} == {"10,0,20,16"} and {len(row["zone_sha256"]) for row in rows} == {16}
    assert measured == {"both", "door"}, "where nobody came is a place that was measured"


def test_a_groups_figures_rest_on_all_of_its_cameras_whichever_counts(tmp_path: Path) -> None:
    cameras = Camera(name="kerb", source="", group="both"), Camera(name="roof", source="", group="both", min_face_px=30)
    stage = Statistics(job_of(tmp_path, *cameras))
    for at_s, name in ((1, "kerb"), (2, "roof"), (3, "kerb")):
        stage.step([told(at_s, camera=name, group="both", model_sha256="a" * 64)])
    stage.close()
    with reading_counts(tmp_path / "state" / "audience.sqlite") as db:
        [basis] = parts_of(db, (0, 1 << 40))
    assert basis.angles_deg == "0,0,20,16"
    assert basis.zone_sha256 == f"kerb=;roof={zone_hash(cameras[1])}"


def test_who_is_there_when_the_process_is_replaced_is_counted_once(tmp_path: Path) -> None:
    now_s = time.monotonic()
    for begins in (0.0, 2.0):
        stage = Statistics(job_of(tmp_path))
        at_s = now_s - 3 + begins
        stage.step([told(at_s, somebody(ANN, now_s - 4, at_s))])
        stage.close()
    cells = kept_in(tmp_path / "state" / "audience.sqlite").values()
    assert sum(cell["visits"] for cell in cells) == 1


def test_a_kill_loses_the_open_minute_at_most(tmp_path: Path) -> None:
    """A process writes one minute after the other until it is killed: each that it said was written is there."""
    program = f"""
        from pathlib import Path
        from tests.players.statistics.test_counts import *
        file = CountsFile(Path({str(tmp_path)!r}) / "audience.sqlite", UTC_ZONE, Kept())
        for n in range(10**6):
            file.write(pending_of(NINE_S + 60 * n), "boot", n, NINE_S)
            print(n, flush=True)
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    lines = [writer.stdout.readline() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    said = int([*lines, *writer.stdout.readlines()][-1])
    writer.wait(HANG_S)
    writer.stdout.close()
    (cell,) = kept_in(tmp_path / "audience.sqlite").values()
    assert cell["visits"] in (said + 1, said + 2)
    file = CountsFile(tmp_path / "audience.sqlite", UTC_ZONE, Kept())
    assert file.counted_until_ns("boot") in (said, said + 1) and file.counted_until_ns("another boot") == 0
    file.close()


def test_on_a_full_disk_counts_wait_and_are_written_when_there_is_room(tmp_path: Path) -> None:
    program = f"""
        import resource, signal
        from pathlib import Path
        from tests.players.statistics.test_counts import *
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        stage = Statistics(job_of(Path({str(tmp_path)!r})))
        now_s = time.monotonic()
        stage.step([told(now_s, somebody(ANN, now_s, now_s))])
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        stage._minute_s = 0
        stage.step([told(now_s + 1, somebody(ANN, now_s, now_s + 1))])
        print(stage.status["counts_problem"], flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        stage.step([told(now_s + 2, somebody(BEN, now_s + 2, now_s + 2))])
        stage.close()
        print(stage.status["counts_problem"], flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=HANG_S, check=True
    )
    problem, after = done.stdout.split("\n")[:2]
    assert problem and not after
    assert "statistics_trouble" in done.stderr and "statistics_well_again" in done.stderr
    assert sum(cell["visits"] for cell in kept_in(tmp_path / "state" / "audience.sqlite").values()) == 2


@pytest.mark.parametrize(
    "data", [b"no database at all, but long enough to be one" * 9, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_damaged_file_is_kept_aside_and_another_begun(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "audience.sqlite"
    path.write_bytes(data)
    file = CountsFile(path, UTC_ZONE, Kept())
    file.write(pending_of(NINE_S), "", 0, NINE_S)
    file.close()
    (aside,) = tmp_path.glob("audience.sqlite.damaged-*")
    assert aside.read_bytes() == data
    assert [cell["visits"] for cell in kept_in(path).values()] == [1]


@pytest.mark.parametrize("table", ["counts", "measured"])
def test_a_file_of_which_a_part_is_damaged_is_kept_aside_too(tmp_path: Path, table: str) -> None:
    path = counts_path(StationTable(state_dir="state"), tmp_path)
    file = CountsFile(path, UTC_ZONE, Kept())
    file.write(pending_of(NINE_S), "", 0, NINE_S)
    file.close()
    db = sqlite3.connect(path)
    (page,), (size,) = (
        db.execute(sql).fetchone()
        for sql in (f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'", "PRAGMA page_size")
    )
    db.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)
    stage = Statistics(job_of(tmp_path))
    stage.step([told(1, somebody(ANN, 1, 1))])
    stage.close()
    (aside,) = path.parent.glob("audience.sqlite.damaged-*")
    assert aside.read_bytes() == data
    assert [cell["visits"] for cell in kept_in(path).values()] == [1]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = counts_path(StationTable(state_dir="state"), tmp_path)
    CountsFile(path, UTC_ZONE, Kept()).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    stage = Statistics(job_of(tmp_path))
    assert "newer version" in stage.status["counts_problem"]
    stage.close()
    assert path.read_bytes() == before
    with pytest.raises(UserError, match="newer version"), reading_counts(path):
        pass


def test_a_file_that_is_taken_away_is_begun_anew(tmp_path: Path) -> None:
    stage = Statistics(job_of(tmp_path))
    path = tmp_path / "state" / "audience.sqlite"
    path.rename(tmp_path / "elsewhere")
    stage.step([told(1, somebody(ANN, 1, 1))])
    stage.close()
    assert [cell["visits"] for cell in kept_in(path).values()] == [1]


def test_what_is_old_is_merged_into_longer_periods_and_forgotten_at_last(tmp_path: Path) -> None:
    kept = Kept(minute_days=1, five_minute_days=2, hour_days=3, day_days=4)
    file = CountsFile(tmp_path / "audience.sqlite", UTC_ZONE, kept)
    begins_s = NINE_S - 9 * HOUR_S
    file.write(pending_of(*range(begins_s, begins_s + DAY_S, 60)), "", 0, begins_s + DAY_S)
    found = []
    for day in (1, 2, 3, 30, 31, 32):
        file.write(Pending(), "", 0, begins_s + day * DAY_S)
        found.append({key[0]: cell["visits"] for key, cell in kept_in(tmp_path / "audience.sqlite").items()})
    file.close()
    assert found == [{60: 1440}, {300: 1440}, {3600: 1440}, {3600: 1440}, {86400: 1440}, {}]


@pytest.mark.parametrize("is_right", [False, True])
def test_a_clock_that_jumps_ahead_has_nothing_forgotten_unless_it_is_known_to_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_right: bool
) -> None:
    monkeypatch.setattr(clock, "is_synchronised", lambda: is_right)
    now_s = int(time.time()) // 60 * 60
    path = counts_path(StationTable(state_dir="state"), tmp_path)
    file = CountsFile(path, UTC_ZONE, Kept())
    file.write(pending_of(now_s - DAY_S, now_s - 120), "", 0, now_s)
    file.close()
    stage = Statistics(job_of(tmp_path))
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: now_s + 50 * 366.0 * DAY_S)
        stage.step([])
        ahead.setattr(time, "time", lambda: now_s + 50 * 366.0 * DAY_S + 1200)
        stage.step([])
    stage.close()
    assert {key[0]: cell["visits"] for key, cell in kept_in(path).items()} == ({} if is_right else {60: 2})


def test_what_a_clock_that_was_ahead_counted_is_not_of_today_and_lowers_no_share_that_was_measured(
    tmp_path: Path,
) -> None:
    file = CountsFile(tmp_path / "audience.sqlite", UTC_ZONE, Kept())
    pending = pending_of(*range(NINE_S, NINE_S + HOUR_S, 60))
    pending.add((NINE_S, KERB, 1, 2), [90, 0, 0, 0, 60_000, 0, 0])
    pending.add_measured(NINE_S + 50 * 366 * DAY_S, KERB, 60 * S, 1)
    pending.add((NINE_S + 50 * 366 * DAY_S, KERB, 1, 2), ONE)
    file.write(pending, "", 0, NINE_S)
    assert file.today(NINE_S + HOUR_S) == (150, 0)
    file.close()
    with reading_counts(tmp_path / "audience.sqlite") as db:
        made = audience(None, ("hour",), UTC_ZONE, (None, None), db, NINE_S + 2 * HOUR_S)
        (part,) = parts_of(db, span_s((None, None))).values()
    assert made.rows[-1]["measured_pct"] == 100.0
    assert part.last_s == NINE_S + HOUR_S


def test_what_was_told_of_a_month_stays_so_while_its_days_grow_too_old(tmp_path: Path) -> None:
    """A month that lost its hours day by day would be told anew each day, and the differences would tell much."""
    file = CountsFile(tmp_path / "audience.sqlite", UTC_ZONE, Kept(minute_days=1, five_minute_days=2, hour_days=3))
    pending = Pending()
    for day, hour in itertools.product(range(20), range(6)):
        pending.add((NINE_S + day * DAY_S + hour * HOUR_S, KERB, 1, 2), [3 + (day + hour) % 7, 1, 0, 0, 60_000, 0, 0])
    file.write(pending, "", 0, NINE_S)
    told = []
    for day in (21, 24, 27):
        file.write(Pending(), "", 0, NINE_S + day * DAY_S)
        with reading_counts(tmp_path / "audience.sqlite") as db:
            told.append(audience(None, ("day",), UTC_ZONE, (None, None), db, NINE_S + 28 * DAY_S).rows)
    file.close()
    assert len(told[0]) > 10 and told[0] == told[1] == told[2]


def test_merged_numbers_are_sums_and_the_most_at_once_is_the_largest(tmp_path: Path) -> None:
    file = CountsFile(tmp_path / "audience.sqlite", SEOUL, Kept(minute_days=1))
    for people in (2, 5, 1):
        pending = pending_of(NINE_S)
        pending.add_measured(NINE_S, KERB, 0, people)
        file.write(pending, "", 0, NINE_S)
    file.write(pending_of(NINE_S + 60), "", 0, NINE_S + 3 * DAY_S)
    file.close()
    with reading_counts(tmp_path / "audience.sqlite") as db:
        (cell,) = db.execute("SELECT * FROM audience_counts").fetchall()
        (measured,) = db.execute("SELECT * FROM audience_measured").fetchall()
    assert [cell[name] for name in MEASURES] == [4 * number for number in ONE]
    assert (cell["length_s"], cell["begins_s"]) == (300, NINE_S)
    assert (measured["measured_ms"], measured["most_at_once"]) == (240_000, 5)


zones = st.sampled_from(
    ["UTC", "Asia/Seoul", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"]
)
moments = st.integers(
    int(datetime(2005, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
)


@settings(max_examples=150, deadline=None)
@given(moments, zones, st.sampled_from(LENGTHS_S))
def test_a_period_is_of_one_hour_and_day_of_the_stations_clocks(at_s: int, name: str, length_s: int) -> None:
    zone = ZoneInfo(name)
    begins_s = begin_s(at_s, length_s, zone)
    local, begins = (datetime.fromtimestamp(moment_s, zone) for moment_s in (at_s, begins_s))
    assert 0 <= at_s - begins_s < (length_s if length_s < DAY_S else 25 * HOUR_S + HOUR_S)
    assert begin_s(begins_s, length_s, zone) == begins_s
    if length_s >= HOUR_S:
        assert begins.date() == local.date()
    if length_s == HOUR_S:
        assert begins.hour == local.hour and begins.utcoffset() == local.utcoffset()


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_day_is_one_period_also_where_the_clocks_are_set(day: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime.fromisoformat(day).replace(tzinfo=berlin)
    last = first + timedelta(days=1)
    moments_s = range(int(first.timestamp()), int(last.timestamp()), 600)
    assert {begin_s(at_s, DAY_S, berlin) for at_s in moments_s} == {int(first.timestamp())}


def test_a_longer_period_is_not_kept_for_a_shorter_time(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text('[[cameras]]\nname = "kerb"\nsource = "sample"\n[statistics]\nhour_days = 3\n')
    with pytest.raises(UserError, match=r"statistics\.hour_days: 3 is less than five_minute_days = 14"):
        load(path)
