"""Rows, budgets and totals; places and files that cannot be written."""

import dataclasses
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.settings import Camera
from players.ads.holders import Holders
from players.audience.basis import calibration_of, zone_of
from players.audience.present import NOBODY
from players.ledger import clock, past
from players.ledger.acceptance import accept
from players.ledger.ledger import Ledger
from players.ledger.paths import ledger_path
from players.ledger.shown import Shown
from tests.ads import F20, HOUSE, M30, decision, pick, present, tally_of
from tests.players.ledger.plays import AD, STATION, alter, play, run_child, run_script, sound, table


def test_a_row_holds_everything(ledger: Ledger, path: Path) -> None:
    seen = dataclasses.replace(present(F20, M30), model_sha256="ab" * 32)
    eligible = (("f20", 0.75), ("m30", 0.25))
    chosen = msgspec.structs.replace(decision(AD), present=seen, eligible=eligible)
    play_id = ledger.start(chosen, planned_ms=60)
    assert play_id is not None
    tally = tally_of(present(F20, M30), looked_ms=2500)
    time.sleep(0.06)
    cameras = [Camera(name="kerb", source="sample")]
    shown = Shown(
        frames_expected=480,
        frames_presented=470,
        status="played",
        tally=tally,
        exposure_zone=zone_of(cameras),
        calibration=calibration_of(cameras),
    )
    ledger.end(play_id, shown)
    ledger.close()
    row = table(path)[0]
    expected = {
        "play_id": play_id,
        "schema": 5,
        "station": "stop-7",
        "screen": "main",
        "venue_type": "outdoor.bus_shelters",
        "venue_taxonomy": 5,
        "lat": 37.5,
        "lon": 127.0,
        "campaign": "c-f20",
        "line": "f20",
        "creative": "f20-0",
        "decision_id": "d",
        "policy": "majority",
        "trigger": "target",
        "target": "F 20-29",
        "measured_share": 1.0,
        "ots_1s": 2,
        "ots_unknown": 0,
        "watchers_looked": 2,
        "watchers_2s": 2,
        "presence_ms": 16000,
        "dwell_ms": 16000,
        "attention_ms": 5000,
        "most_people": 2,
        "p_minor_max": None,
        "matched_ots": 1,
        "matched_looked": 1,
        "matched_attention_ms": 2500,
        "exposure_zone": "kerb: whole picture",
        "calibration": "kerb: yaw 0 +- 20, pitch 0 +- 16 deg",
        "measure_level": "viewable/OTS",
        "price": Decimal("0.12"),
        "price_per": "play",
        "rate": Decimal("0.12"),
        "reserved": Decimal("0.12"),
        "bill_on": "present",
        "cost": Decimal("0.12"),
        "currency": "EUR",
        "time_zone": "Asia/Seoul",
        "model_sha256": "ab" * 32,
        "planned_ms": 60,
        "frames_expected": 480,
        "frames_presented": 470,
        "status": "played",
        "billable": 1,
        "bill_code": "billed",
        "eligible": [["f20", 0.75], ["m30", 0.25]],
        **dict.fromkeys(("matched_watchers", "watchers", "person_ms", "ots", "qty_multiplier")),
    }
    assert {key: row[key] for key in expected} == expected
    assert 60 <= row["shown_ms"] < 600_000
    assert row["context"]["people"] == 2
    assert row["context"]["bins"] == {"F 20-29": 1.0, "M 30-39": 1.0}
    assert row["context"]["nearness"] == pytest.approx({"F 20-29": 0.1, "M 30-39": 0.1}, rel=1e-3)
    assert row["context"]["ages"] == {"M 35": 1.0, "F 25": 1.0}
    assert sum(row["context"]["expected"].values()) == pytest.approx(2, rel=1e-3)
    assert len(row["hash"]) == len(row["prev_hash"]) == 64
    assert row["clock_synced"] in (0, 1)
    age = datetime.now(UTC) - datetime.fromisoformat(row["started_utc"])
    assert timedelta(0) <= age < timedelta(seconds=60)


def test_totals_are_of_the_run_whatever_the_wall_clock_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is set back by a day and forward by two between plays; a player that starts again goes on counting."""
    shift = timedelta(0)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    monkeypatch.setattr(clock, "datetime", Clock)
    before = Ledger(path, STATION, "main", run="first")
    play(before)
    play(before, HOUSE)
    assert before.totals() == {"total": 2, "billable": 1, "by_ad": {"f20-0": 1, "house-0": 1}}
    before.close()
    for life, hours in enumerate((0, -24, 48), 1):
        shift = timedelta(hours=hours)
        book = Ledger(path, STATION, "main", run="second")
        play(book)
        play(book, who=NOBODY)
        assert book.totals() == {"total": 2 * life, "billable": life, "by_ad": {"f20-0": 2 * life}}
        book.close()
    last = Ledger(path, STATION, "main", run="third")
    assert last.totals()["total"] == 0
    last.close()
    assert [row["ended_seq"] for row in table(path)] == sorted(row["ended_seq"] for row in table(path))


def test_totals_sum_the_ads_played_least(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "ADS_LISTED", 1)
    for ad in (AD, HOUSE, AD):
        play(ledger, ad)
    assert ledger.totals()["by_ad"] == {"f20-0": 2, "(others)": 1}


def test_a_budget_is_reserved_given_back_and_never_overspent(ledger: Ledger, path: Path) -> None:
    ad = msgspec.structs.replace(AD, budget=Decimal("0.25"))
    first, second = (ledger.start(decision(ad), planned_ms=1) for _ in range(2))
    assert first and second
    assert ledger.start(decision(ad), planned_ms=1) is None
    failed = Shown(frames_expected=10, frames_presented=0, status="failed", tally=tally_of(NOBODY))
    ledger.end(first, failed)
    assert play(ledger, ad)
    ledger.end(second, failed)
    assert play(ledger, ad)
    assert play(ledger, ad) is None
    ledger.close()
    again = Ledger(path, STATION, "main")
    assert again.history.committed == {(*AD.key, "EUR"): 240_000}
    assert play(again, ad) is None
    again.close()
    assert sum(row["price"] for row in table(path) if row["billable"]) == Decimal("0.24")


FAILING = """
import sys
from decimal import Decimal
from pathlib import Path
from pipeline.settings import StationTable
from players.ledger.shown import Shown
from players.ledger.ledger import Ledger
from tests.ads import F20, decision, line, present, tally_of

ad = line("ad", price=Decimal("0.07"), currency="EUR", budget=Decimal("0.70"))
book = Ledger(Path(sys.argv[1]), StationTable(), "main", retry_s=0.0)
for attempt in range(300):
    chosen = decision(ad)
    play_id = book.start(chosen, planned_ms=0)
    if play_id is None and book.history.committed_by(ad) == 700_000 and book.accepts_paid:
        break  # the budget is spent
    if play_id is not None:
        tally = tally_of(present(F20))
        book.end(play_id, Shown(frames_expected=4, frames_presented=4, status="played", tally=tally))
print(book.history.committed_by(ad))
book.close()
"""


@pytest.mark.parametrize("every", [5, 7, 12])
def test_commits_that_fail_in_their_last_moment_bill_nothing_twice(path: Path, every: int) -> None:
    """A disk that fails to sync leaves open whether a commit got through; it happens a whole budget long."""
    inject = f"inject=fsync,fdatasync:error=EIO:when={every}+{every}"
    trace = path.parent.parent / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", inject, "-o", str(trace)]
    if shutil.which("strace") is None or subprocess.run([*strace, "true"], capture_output=True).returncode:
        pytest.skip("strace is missing or may not trace here: failing syncs were NOT tested")
    done = run_script(FAILING, path, *strace)
    assert "the disk failed to read or write it" in done.stderr
    verdict = sound(path)
    spent = [row["price"] for row in table(path) if row["billable"]]
    assert sum(spent) == Decimal("0.70")
    assert verdict.billable == 10
    assert done.stdout.split()[-1] == "700000"


def test_two_players_cannot_write_one_ledger(ledger: Ledger, path: Path) -> None:
    said = run_child(path, 0, "1.00", lambda count, said: count > 3)
    assert said[0] == "open"
    assert any(text.startswith("refused ad") for text in said)
    assert not any(text.startswith("started") for text in said)


def test_a_file_that_is_no_ledger_sells_nothing_and_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    book = Ledger(path, STATION, "main")
    assert not book.accepts_paid
    assert play(book) is None
    assert play(book, HOUSE) is None
    assert book.totals()["total"] == 0
    book.close()
    assert path.read_bytes().startswith(b"not a database")


def test_a_ledger_that_is_taken_away_sells_nothing_until_it_is_put_back(path: Path) -> None:
    ledger = Ledger(path, STATION, "main", retry_s=0.0)
    play(ledger)
    path.rename(path.with_name("moved"))
    assert play(ledger) is None and not ledger.accepts_paid
    assert play(ledger, HOUSE)
    path.with_name("moved").rename(path)
    assert ledger.accepts_paid and play(ledger)
    ledger.close()
    assert [row["line"] for row in table(path)] == ["f20", "house", "f20"]
    sound(path)


@pytest.mark.parametrize("backup", [False, True])
def test_the_remedy_for_a_ledger_that_is_gone_or_exchanged_is_one_that_helps(path: Path, backup: bool) -> None:
    ledger = Ledger(path, STATION, "main")
    play(ledger)
    ledger.close()
    kept = path.read_bytes()
    ledger = Ledger(path, STATION, "main", retry_s=0.0)
    play(ledger)
    path.rename(path.with_name("moved"))
    if backup:
        path.write_bytes(kept)
    assert play(ledger) is None and play(ledger, HOUSE)
    assert "start it again: it then says how to go on" in ledger.problem
    ledger.close()
    ledger = Ledger(path, STATION, "main", retry_s=0.0)
    if not backup:  # of a backup the log that lies there makes the whole ledger
        assert not ledger.accepts_paid and "stationcast ledger accept-loss" in ledger.problem
        assert accept(path.parent, STATION.name)
    assert ledger.accepts_paid and play(ledger)
    ledger.close()
    sound(path)


@pytest.mark.parametrize("column", ["started_utc", "ended_seq"])
def test_a_time_or_an_entry_that_is_none_sells_nothing(ledger: Ledger, path: Path, column: str) -> None:
    play(ledger)
    ledger.close()
    alter(path, f"UPDATE plays SET {column} = 'zzz'")
    book = Ledger(path, STATION, "main")
    assert not book.accepts_paid
    assert play(book, HOUSE) is None
    book.close()


def test_a_play_that_stopped_for_a_file_named_in_bytes_is_recorded_and_those_after_it(
    ledger: Ledger, path: Path
) -> None:
    play(ledger, status="failed", stop_reason="no film b\udcff")
    assert play(ledger)
    ledger.close()
    assert [row["stop_reason"] for row in table(path)] == ["no film b\\udcff", ""]
    assert sound(path).billable == 1


def test_a_place_that_cannot_be_written_sells_nothing_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    book = Ledger(tmp_path / "state" / "ledger-main.sqlite", STATION, "main", retry_s=0.05)
    assert not book.accepts_paid
    (tmp_path / "state").unlink()
    time.sleep(0.1)
    assert book.accepts_paid
    assert play(book)
    book.close()


def test_where_the_ledger_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert ledger_path(STATION, "main", Path("/x")) == tmp_path / "stationcast" / "stop-7" / "ledger-main.sqlite"
    here = msgspec.structs.replace(STATION, state_dir="state")
    assert ledger_path(here, "main", Path("/x")) == Path("/x/state/ledger-main.sqlite")


def test_money_and_times_are_those_of_advertiser_campaign_and_line(ledger: Ledger, path: Path) -> None:
    """Plays under the same id of somebody else, or of another campaign, take nothing from a budget, cap or gap."""
    ad = msgspec.structs.replace(AD, budget=Decimal("0.12"), min_gap_s=60.0, max_plays_per_hour=1)
    others = [msgspec.structs.replace(ad, advertiser="Evil"), msgspec.structs.replace(ad, campaign="other")]
    for other in others:
        play(ledger, other)
    for _ in range(2):
        history = ledger.history
        assert [history.committed_by(line) for line in (ad, *others)] == [0, 120_000, 120_000]
        assert pick(present(F20), ad, history=history, mono_ns=time.monotonic_ns()).line.key == ad.key
        ledger.close()
        ledger = Ledger(path, STATION, "main")
    told = Holders()
    ledger.tell_holders(told)
    assert told.by_kind["line"][ad.id].campaign == "other"
    ledger.close()
