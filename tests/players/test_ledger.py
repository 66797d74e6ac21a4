"""The ledger: what is billed and why, kills, full disks, torn logs, clocks that jump, and what the chain proves."""

import base64
import csv
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.settings import StationTable
from players.ads.lines import Line, Target
from players.audience.present import NOBODY, Present
from players.choice.history import HOUR_NS
from players.ledger import chain
from players.ledger import ledger as ledger_module
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import BALLAST_BYTES, Ledger, ledger_path
from players.reports import queries
from tests.ads import F20, HOUSE, M30, MS, SEOUL, decision, line, pick, present

STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=37.5, lon=127, timezone="Asia/Seoul")
AD = line("f20", Target(gender="F", ages=((20, 29),)), price=Decimal("0.12"), currency="EUR")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger-main.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    book = Ledger(path, STATION, "main")
    yield book
    book.close()


def play(
    book: Ledger, ad: Line = AD, who: Present | None = None, shown: float = 1.0, status: Any = "played", **more: Any
) -> str | None:
    """One whole play of 480 frames, in front of `who`."""
    chosen = decision(ad)
    play_id = book.start(chosen, planned_ms=0)
    if play_id is not None:
        exposure = Exposure(chosen)
        exposure.add(who or present(F20), 0)
        frames = round(480 * shown)
        book.end(play_id, Shown(frames_expected=480, frames_presented=frames, status=status, exposure=exposure, **more))
    return play_id


def table(path: Path) -> list[dict[str, Any]]:
    with chain.reading([path]) as db:
        return list(chain.rows(db))


def alter(path: Path, sql: str) -> None:
    """Change ended plays in spite of their trigger."""
    db = sqlite3.connect(path)
    db.executescript(f"DROP TRIGGER ended_stays; {sql}")
    db.close()


def sound(path: Path) -> chain.Verdict:
    verdict = chain.verify(path)
    assert not verdict.problem
    return verdict


# what is billed


@pytest.mark.parametrize(
    ("how", "billed", "why"),
    [
        ({}, 1, "billed: the target (F 20-29) was met by 1, 100 % shown"),
        ({"shown": 0.75}, 1, "billed: the target (F 20-29) was met by 1, 75 % shown"),
        ({"shown": 0.74}, 0, "not billed: only 74 % of it was shown"),
        ({"who": present(M30)}, 0, "not billed: the target (F 20-29) was met by 0 while it was shown"),
        ({"who": NOBODY}, 0, "not billed: the target (F 20-29) was met by 0 while it was shown"),
        ({"status": "failed", "stop_reason": "torn file"}, 0, "not billed: it failed (torn file)"),
        ({"ad": HOUSE}, 0, "not billed: a house ad"),
        (
            {"ad": line("two", Target(min_watchers=2))},
            0,
            "not billed: the target (anyone, at least 2 watchers) was met",
        ),
    ],
)
def test_what_is_billed_and_why(ledger: Ledger, path: Path, how: dict[str, Any], billed: int, why: str) -> None:
    play(ledger, **how)
    ledger.close()
    row = table(path)[0]
    assert (row["billable"], row["bill_reason"][: len(why)]) == (billed, why)
    sound(path)


def test_what_nobody_saw_is_not_billed_however_little_is_asked(path: Path) -> None:
    book = Ledger(path, STATION, "main", min_presented=0.0)
    play(book, shown=0.0)
    play(book, shown=0.01)
    book.close()
    assert [row["billable"] for row in table(path)] == [0, 1]


def test_a_play_cut_short_is_not_billed_however_smooth_it_was(ledger: Ledger, path: Path) -> None:
    chosen = decision(AD)
    play_id = ledger.start(chosen, planned_ms=8000)
    assert play_id is not None
    exposure = Exposure(chosen)
    exposure.add(present(F20), 0)
    cut = Shown(frames_expected=3, frames_presented=3, status="partial", shown_ms=80, exposure=exposure)
    ledger.end(play_id, cut)
    ledger.close()
    (row,) = table(path)
    assert (row["billable"], row["bill_reason"]) == (0, "not billed: only 1 % of it was shown")


@pytest.mark.parametrize(("presented", "billed", "share"), [(360, 0, 72), (380, 1, 76)])
def test_frames_lost_and_time_cut_off_both_count_and_waiting_for_the_disk_does_not(
    ledger: Ledger, path: Path, presented: int, billed: int, share: int
) -> None:
    """Four fifths of the time was shown, and of its 400 frames not all; the commits themselves took longer."""
    chosen = decision(AD)
    play_id = ledger.start(chosen, planned_ms=50)
    assert play_id is not None
    exposure = Exposure(chosen)
    exposure.add(present(F20), 0)
    time.sleep(0.06)
    shown = Shown(frames_expected=400, frames_presented=presented, status="partial", shown_ms=40, exposure=exposure)
    ledger.end(play_id, shown)
    ledger.close()
    (row,) = table(path)
    assert (row["billable"], row["shown_ms"]) == (billed, 40)
    assert f"{share} % " in row["bill_reason"]


def test_a_row_holds_everything(ledger: Ledger, path: Path) -> None:
    chosen = decision(AD)
    play_id = ledger.start(chosen, planned_ms=60, model_sha256="ab" * 32)
    assert play_id is not None
    exposure = Exposure(chosen)
    exposure.add(present(F20, M30), 0)
    exposure.add(present(F20), 2000 * MS)
    exposure.add(present(F20, F20, M30), 3000 * MS)
    time.sleep(0.06)
    ledger.end(play_id, Shown(frames_expected=480, frames_presented=470, status="played", exposure=exposure))
    ledger.close()
    row = table(path)[0]
    expected = {
        "play_id": play_id,
        "schema": 1,
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
        "matched_watchers": 2,
        "watchers": 3,
        "person_ms": 5000,
        "ots": 4,
        "qty_multiplier": 4.0,
        "price": Decimal("0.12"),
        "currency": "EUR",
        "time_zone": "Asia/Seoul",
        "model_sha256": "ab" * 32,
        "planned_ms": 60,
        "frames_expected": 480,
        "frames_presented": 470,
        "status": "played",
        "billable": 1,
        "watchers_2s": None,
        "attention_ms": None,
    }
    assert {key: row[key] for key in expected} == expected
    assert 60 <= row["shown_ms"] < 600_000
    assert len(row["hash"]) == len(row["prev_hash"]) == 64
    assert row["clock_synced"] in (0, 1)
    age = datetime.now(UTC) - datetime.fromisoformat(row["started_utc"])
    assert timedelta(0) <= age < timedelta(seconds=60)


def test_totals_count_since_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    play(ledger)
    play(ledger, HOUSE)
    time.sleep(0.01)
    since_ms = int(time.time() * 1000)
    time.sleep(0.01)
    play(ledger)
    play(ledger, who=NOBODY)
    assert ledger.totals(0) == {"total": 4, "billable": 2, "by_ad": {"f20-0": 3, "house-0": 1}}
    assert ledger.totals(since_ms) == {"total": 2, "billable": 1, "by_ad": {"f20-0": 2}}
    monkeypatch.setattr(ledger_module, "ADS_TOLD", 1)
    assert ledger.totals(0)["by_ad"] == {"f20-0": 3, "(others)": 1}


# budgets


def test_a_budget_is_reserved_given_back_and_never_overspent(ledger: Ledger, path: Path) -> None:
    ad = msgspec.structs.replace(AD, budget=Decimal("0.25"))
    first, second = (ledger.start(decision(ad), planned_ms=1) for _ in range(2))
    assert first and second
    assert ledger.start(decision(ad), planned_ms=1) is None
    failed = Shown(frames_expected=10, frames_presented=0, status="failed", exposure=Exposure(decision(ad)))
    ledger.end(first, failed)
    assert play(ledger, ad)
    ledger.end(second, failed)
    assert play(ledger, ad)
    assert play(ledger, ad) is None
    ledger.close()
    again = Ledger(path, STATION, "main")
    assert again.history.committed == {"f20": 240_000}
    assert play(again, ad) is None
    again.close()
    assert sum(row["price"] for row in table(path) if row["billable"]) == Decimal("0.24")


def test_caps_and_gaps_outlive_a_restart(ledger: Ledger, path: Path) -> None:
    play(ledger)
    play(ledger)
    ledger.close()
    again = Ledger(path, STATION, "main")
    starts = again.history.starts_ns["f20"]
    again.close()
    now_ns = time.monotonic_ns()
    assert len(starts) == 2
    assert all(0 <= now_ns - start < 60 * 10**9 for start in starts)


def test_a_rival_does_not_follow_a_restart(ledger: Ledger, path: Path) -> None:
    cola, pepper = line("cola", separation="drinks"), line("pepper", separation="drinks")
    play(ledger, pepper)
    play(ledger, cola)
    ledger.close()
    again = Ledger(path, STATION, "main")
    again.close()
    shown, now_ns = again.history, time.monotonic_ns()
    next_ones = {pick(present(F20), cola, pepper, history=shown, mono_ns=now_ns, seed=n).line.id for n in range(30)}
    assert next_ones == {"cola"}


def test_who_is_there_is_written_though_nothing_plays(ledger: Ledger) -> None:
    """Nothing that is measured waits in memory for a play that may not come all night."""
    her, him = present(F20), present(M30)
    for second in range(180):
        ledger.measure(NOBODY if second % 10 < 5 else her if second % 20 < 10 else him, second * 1000 * MS)
    (visits,) = ledger._need_db().execute("SELECT SUM(visits) FROM audience_hours").fetchone()
    assert 10 <= visits <= 18


def test_money_that_a_failed_commit_wrote_after_all_is_counted_once(ledger: Ledger, path: Path) -> None:
    ad = line("f20", price=Decimal("0.12"), currency="EUR", budget=Decimal("0.36"))
    play_id = ledger.start(decision(ad), planned_ms=0)
    assert play_id is not None
    opened = ledger._open[play_id]
    exposure = Exposure(decision(ad))
    exposure.add(present(F20), 0)
    ledger.end(play_id, Shown(frames_expected=4, frames_presented=4, status="played", exposure=exposure))
    ledger._pending.append((play_id, opened, {"billable": 1}))  # as a commit leaves it that fails behind its last write
    ledger._fail("disk I/O error")
    ledger._broken, ledger._retry_at_s = True, 0.0
    assert ledger.accepts_paid
    assert ledger.history.committed == {"f20": 120_000}
    assert play(ledger, ad) and play(ledger, ad)
    assert play(ledger, ad) is None
    ledger.close()
    assert sound(path).billable == 3


def test_caps_and_gaps_go_by_the_boots_own_clock_and_are_told_anew_when_the_other_is_set(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a battery starts in 1970, or hours behind, until a server tells it the time."""
    shift = timedelta(hours=-30)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    def ages_h(book: Ledger) -> dict[str, float]:
        now_ns = time.monotonic_ns()
        return {name: round((now_ns - starts[-1]) / HOUR_NS, 1) for name, starts in book.history.starts_ns.items()}

    monkeypatch.setattr(ledger_module, "datetime", Clock)
    monkeypatch.setattr(ledger_module, "_clock_synced", lambda: 0)
    play(ledger, line("old"))
    shift = timedelta(hours=-10)
    play(ledger, line("late"))
    ledger.close()
    shift = timedelta(0)
    again = Ledger(path, STATION, "main")
    assert ages_h(again) == {"old": 0.0, "late": 0.0}
    again.close()
    alter(path, "UPDATE plays SET started_mono_ns = started_mono_ns + 9000000000000000")
    shift = timedelta(days=-20_000)
    booted = Ledger(path, STATION, "main")
    assert ages_h(booted) == {"late": 0.0, "old": 20.0}
    shift = timedelta(0)
    monkeypatch.setattr(ledger_module, "_clock_synced", lambda: 1)
    play(booted, HOUSE)
    assert ages_h(booted) == {"late": 10.0, "house": 0.0}
    booted.close()


# kills

CHILD = """
import sys, random
from decimal import Decimal
from pathlib import Path
from pipeline.settings import StationTable
from players.ads.lines import Target
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger
from tests.ads import F20, HOUSE, decision, line, pick, present

rng = random.Random(int(sys.argv[2]))
ads = [line(f"ad{n}", Target(gender="F"), price=Decimal("0.07"), budget=Decimal(sys.argv[3]), currency="EUR")
       for n in range(3)] + [HOUSE]
book = Ledger(Path(sys.argv[1]), StationTable(), "main")
who = present(F20)
print("open", flush=True)
while True:
    chosen = decision(rng.choice(ads))
    play_id = book.start(chosen, planned_ms=0)
    if play_id is None:
        print("refused", chosen.line.id, flush=True)
        continue
    print("started", play_id, flush=True)
    exposure = Exposure(chosen)
    exposure.add(who, 0)
    book.end(play_id, Shown(frames_expected=480, frames_presented=480, status="played", exposure=exposure))
    print("ended", play_id, flush=True)
"""


def run_child(path: Path, seed: int, budget: str, until: Callable[[int, list[str]], bool]) -> list[str]:
    """Let a real player's loop run until `until(lines so far, line)`, then kill -9; everything it acknowledged."""
    command = [sys.executable, "-c", CHILD, str(path), str(seed), budget]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as child:
        assert child.stdout is not None
        said: list[str] = []
        for text in child.stdout:
            said.append(text.strip())
            if until(len(said), said):
                break
        child.send_signal(signal.SIGKILL)
        said += [text.strip() for text in child.stdout.read().splitlines() if text.strip()]
    return said


def chaos(path: Path, plays: int, kills: int, budget: str) -> None:
    rng = Random(7)
    started: list[str] = []
    ended: set[str] = set()

    def live(seed: int, most_lines: int) -> None:
        """One life of the player, killed after so many lines; a line torn by the kill acknowledges nothing."""

        def enough(count: int, said: list[str]) -> bool:
            if count > most_lines:
                time.sleep(rng.random() * 0.01)
            return count > most_lines

        for text in run_child(path, seed, budget, enough):
            word, _, name = text.partition(" ")
            if word == "started" and len(name) == 32:
                started.append(name)
            elif word == "ended" and len(name) == 32:
                ended.add(name)

    for kill in range(kills):
        live(kill, 2 * max(1, round(rng.uniform(0.2, 1.8) * plays / kills)))
    while len(started) < plays:
        live(kills + len(started), 2 * (plays - len(started)) + 2)
    Ledger(path, StationTable(), "main").close()
    rows = {row["play_id"]: row for row in table(path)}
    verdict = sound(path)
    assert len(set(started)) == len(started)
    assert not set(started) - set(rows), "plays that were acknowledged are lost"
    assert len(rows) <= len(started) + kills + 5, "more plays than were made"
    assert all(rows[name]["status"] == "played" for name in ended)
    assert {row["status"] for row in rows.values()} <= {"played", "aborted"}
    aborted = [row for row in rows.values() if row["status"] == "aborted"]
    assert not any(row["billable"] for row in aborted)
    assert len(aborted) <= kills + 5
    assert verdict.links == 2 * len(rows)
    for ad in ("ad0", "ad1", "ad2"):
        spent = sum((row["price"] for row in rows.values() if row["line"] == ad and row["billable"]), Decimal(0))
        assert spent <= Decimal(budget)
        assert spent == Decimal("0.07") * sum(row["line"] == ad and row["billable"] for row in rows.values())
    counts = f"{len(aborted)} aborted, {verdict.billable} billed, a sound chain of {verdict.links} links"
    print(f"\n{len(rows)} plays, {kills} kills: {counts}")


def test_kills_lose_nothing_and_count_nothing_twice(path: Path) -> None:
    chaos(path, plays=300, kills=8, budget="3.00")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_10_000_plays_and_200_kills(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        chaos(path, plays=10_000, kills=200, budget="150.00")


def test_two_players_cannot_write_one_ledger(ledger: Ledger, path: Path) -> None:
    said = run_child(path, 0, "1.00", lambda count, said: count > 3)
    assert said[0] == "open"
    assert any(text.startswith("refused ad") for text in said)
    assert not any(text.startswith("started") for text in said)


# full disks, torn logs


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk ({done.stderr.decode().strip()}): the full disk was NOT tested")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the space there is."""
    with path.open("ab", buffering=0) as stream:
        for block in (1 << 20, 4096):
            try:
                while stream.write(b"x" * block) == block:
                    pass
            except OSError:
                continue


def test_on_a_full_disk_paid_ads_stop_house_ads_go_on_and_billing_resumes(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.05)
    path = small_disk / "ledger-main.sqlite"
    book = Ledger(path, STATION, "main")
    assert book.accepts_paid
    assert play(book)
    fill(small_disk / "fill")
    paid = 0
    while book.accepts_paid:
        paid += play(book) is not None
        assert paid < 1000
    time.sleep(0.1)
    assert play(book) is None
    assert not book.accepts_paid
    for _ in range(20):
        assert play(book, HOUSE), "a house ad is not recorded although the ballast was given back"
    fill(small_disk / "fill-more")
    unrecorded = 0
    for _ in range(200):
        unrecorded += play(book, HOUSE) is None
    assert unrecorded, "the disk was not full"
    assert not book.accepts_paid
    (small_disk / "fill").unlink()
    (small_disk / "fill-more").unlink()
    time.sleep(0.1)
    assert play(book, HOUSE)
    assert book.accepts_paid
    assert play(book)
    book.close()
    statuses = {row["status"] for row in table(path)}
    assert statuses == {"played"}
    assert sound(path).billable == paid + 2


def test_a_play_that_ends_on_a_full_disk_is_ended_when_space_returns(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.05)
    path = small_disk / "ledger-main.sqlite"
    book = Ledger(path, STATION, "main")
    chosen = decision(AD)
    play_id = book.start(chosen, planned_ms=0)
    assert play_id is not None
    (small_disk / "ledger-main.ballast").unlink()
    fill(small_disk / "fill")
    while play(book, HOUSE):
        pass
    exposure = Exposure(chosen)
    exposure.add(present(F20), 0)
    book.end(play_id, Shown(frames_expected=480, frames_presented=480, status="played", exposure=exposure))
    assert not book.accepts_paid
    (small_disk / "fill").unlink()
    time.sleep(0.1)
    assert play(book, HOUSE)
    book.close()
    row = next(row for row in table(path) if row["play_id"] == play_id)
    assert (row["status"], row["billable"]) == ("played", 1)
    sound(path)


def test_a_start_on_a_full_disk_neither_crashes_nor_sells(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.05)
    fill(small_disk / "fill")
    book = Ledger(small_disk / "ledger-main.sqlite", STATION, "main")
    assert not book.accepts_paid
    assert play(book) is None
    (small_disk / "fill").unlink()
    time.sleep(0.1)
    assert play(book, HOUSE)
    assert play(book)
    book.close()


def test_the_ballast_is_16_mb_and_really_taken(ledger: Ledger, path: Path) -> None:
    info = path.with_suffix(".ballast").stat()
    assert info.st_size == BALLAST_BYTES == 16 << 20
    assert info.st_blocks * 512 >= BALLAST_BYTES


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose player was killed: nearly everything is still in the log."""
    path = tmp_path_factory.mktemp("killed") / "ledger-main.sqlite"
    run_child(path, 1, "100.00", lambda count, said: count > 60)
    return path


@pytest.mark.parametrize("harm", ["cut", "flip", "zero"])
def test_a_harmed_log_recovers_to_a_clean_prefix(killed: Path, tmp_path: Path, harm: str) -> None:
    whole = [row["play_id"] for row in table(killed)]
    log = killed.with_name(killed.name + "-wal").read_bytes()
    assert len(log) > 100_000
    rng, kept = Random(3), set()
    for n in range(25):
        folder = tmp_path / str(n)
        folder.mkdir()
        path = folder / killed.name
        shutil.copyfile(killed, path)
        at = rng.randrange(len(log))
        harmed = bytearray(log[:at] if harm == "cut" else log)
        if harm == "flip":
            harmed[at] ^= 1 << rng.randrange(8)
        if harm == "zero":
            harmed[at : at + 4096] = bytes(len(harmed[at : at + 4096]))
        path.with_name(path.name + "-wal").write_bytes(harmed)
        book = Ledger(path, StationTable(), "main")
        assert book.accepts_paid
        assert play(book)
        book.close()
        rows = table(path)
        names = [row["play_id"] for row in rows[:-1]]
        assert names == whole[: len(names)]
        assert sum(row["status"] == "aborted" for row in rows) <= 1
        sound(path)
        kept.add(len(names))
    assert len(kept) > 3


def test_a_file_that_is_no_ledger_sells_nothing_and_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    book = Ledger(path, STATION, "main")
    assert not book.accepts_paid
    assert play(book) is None
    assert play(book, HOUSE) is None
    assert book.totals(0)["total"] == 0
    book.close()
    assert path.read_bytes().startswith(b"not a database")


def test_a_ledger_that_is_taken_away_sells_nothing_until_it_is_put_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.0)
    ledger = Ledger(path, STATION, "main")
    play(ledger)
    path.rename(path.with_name("moved"))
    assert play(ledger) is None and not ledger.accepts_paid
    assert play(ledger, HOUSE)
    path.with_name("moved").rename(path)
    assert ledger.accepts_paid and play(ledger)
    ledger.close()
    assert [row["line"] for row in table(path)] == ["f20", "house", "f20"]
    sound(path)


@pytest.mark.parametrize("column", ["started_utc", "ended_seq"])
def test_a_time_or_a_link_that_is_none_sells_nothing(ledger: Ledger, path: Path, column: str) -> None:
    play(ledger)
    ledger.close()
    alter(path, f"UPDATE plays SET {column} = 'zzz'")
    book = Ledger(path, STATION, "main")
    assert not book.accepts_paid
    assert play(book, HOUSE) is None
    book.close()


def test_a_time_that_is_none_is_a_one_line_error(ledger: Ledger, path: Path) -> None:
    play(ledger)
    ledger.close()
    alter(path, "UPDATE plays SET started_utc = 'zzz'")
    with pytest.raises(UserError, match=r"not a sound ledger .*'zzz'"), chain.reading([path]) as copy:
        queries.plays(copy, ("day",), SEOUL)


def test_a_play_that_stopped_for_a_file_named_in_bytes_is_recorded_and_those_after_it(
    ledger: Ledger, path: Path
) -> None:
    play(ledger, status="failed", stop_reason="no film b\udcff")
    assert play(ledger)
    ledger.close()
    assert [row["stop_reason"] for row in table(path)] == ["no film b\\udcff", ""]
    assert sound(path).billable == 1


def test_a_place_that_cannot_be_written_sells_nothing_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.05)
    (tmp_path / "state").write_text("a file where the folder should be")
    book = Ledger(tmp_path / "state" / "ledger-main.sqlite", STATION, "main")
    assert not book.accepts_paid
    (tmp_path / "state").unlink()
    time.sleep(0.1)
    assert book.accepts_paid
    assert play(book)
    book.close()


# clocks


def test_durations_are_monotonic_when_the_clock_jumps(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = timedelta(0)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    monkeypatch.setattr(ledger_module, "datetime", Clock)
    for hours in (-3, 5, 0):
        chosen = decision(AD)
        play_id = ledger.start(chosen, planned_ms=50)
        assert play_id is not None
        shift = timedelta(hours=hours)
        time.sleep(0.05)
        exposure = Exposure(chosen)
        exposure.add(present(F20), 0)
        ledger.end(play_id, Shown(frames_expected=6, frames_presented=6, status="played", exposure=exposure))
    ledger.close()
    monkeypatch.undo()
    rows = table(path)
    assert all(50 <= row["shown_ms"] < 600_000 for row in rows)
    assert sound(path).billable == 3
    book = Ledger(path, STATION, "main")
    now_ns = time.monotonic_ns()
    assert all(now_ns - 4 * HOUR_NS < start <= now_ns for start in book.history.starts_ns["f20"])
    book.close()


# the chain


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE plays SET price_micro = 990000 WHERE started_seq = 5", "link 5 (started): what it says is not"),
        ("UPDATE plays SET billable = 1 WHERE started_seq = 5", "link 6 (ended): what it says is not"),
        ("UPDATE plays SET watchers = 99 WHERE started_seq = 1", "link 2 (ended): what it says is not"),
        ("UPDATE plays SET started_hash = hash WHERE started_seq = 3", "link 3 (started): what it says is not"),
        ("DELETE FROM plays WHERE started_seq = 3", "link 5 (started): link 3 is missing before it"),
        ("UPDATE plays SET started_prev_hash = 'x' WHERE started_seq = 3", "link 3 (started): it does not follow"),
        ("UPDATE plays SET ended_seq = NULL WHERE started_seq = 7", "it says how it ended without a link"),
        ("UPDATE plays SET screen = X'99A8A7' WHERE started_seq = 5", "link 5 (started): what it says is not"),
        ("UPDATE plays SET watchers_2s = 9e999 WHERE started_seq = 5", "link 6 (ended): what it says is not"),
        ("UPDATE plays SET ended_seq = 'x' WHERE started_seq = 5", "link 7 (started): link 6 is missing before it"),
        ("UPDATE plays SET price_micro = 'abc' WHERE started_seq = 5", "link 5 (started): what it says is not"),
    ],
)
def test_verify_names_the_first_bad_row(ledger: Ledger, path: Path, harm: str, says: str) -> None:
    for who in (F20, F20, M30, F20):
        play(ledger, who=present(who))
    ledger.close()
    assert sound(path).links == 8
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="stay"):
        db.execute(harm)
    db.execute("DROP TRIGGER plays_stay")
    db.execute("DROP TRIGGER ended_stays")
    names = [row[0] for row in db.execute("SELECT play_id FROM plays ORDER BY started_seq")]
    db.execute(harm)
    db.commit()
    db.close()
    problem = chain.verify(path).problem
    assert says in problem
    assert problem.split()[1].rstrip(",:") in names


def test_columns_in_another_order_are_the_same_ledger(path: Path) -> None:
    """A chain does not tell in which order a file keeps its columns; they are read by name."""
    paths = [path, path.with_name("ledger-side.sqlite")]
    for ledger_path_ in paths:
        book = Ledger(ledger_path_, STATION, "main")
        play(book)
        book.close()
    db = sqlite3.connect(paths[1])
    (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'plays'").fetchone()
    names = [row[1] for row in db.execute("PRAGMA table_info(plays)")]
    kinds = made[made.index("(") + 1 : -1].split(", ")
    turned = ", ".join(reversed(names))
    db.executescript(
        f"ALTER TABLE plays RENAME TO before; CREATE TABLE plays ({', '.join(reversed(kinds))});"
        f"INSERT INTO plays ({turned}) SELECT {turned} FROM before; DROP TABLE before"
    )
    db.close()
    sound(paths[1])
    assert table(paths[1])[0]["price"] == Decimal("0.12")
    with chain.reading(paths) as both:
        assert [row["price"] for row in chain.rows(both)] == [Decimal("0.12")] * 2


def test_a_price_that_is_none_is_a_one_line_error(ledger: Ledger, path: Path) -> None:
    play(ledger)
    ledger.close()
    alter(path, "UPDATE plays SET price_micro = 'abc'")
    with pytest.raises(UserError, match="not a sound ledger"):
        table(path)


def test_verify_notices_a_play_that_an_index_does_not_hold(ledger: Ledger, path: Path) -> None:
    """An export reads plays by the index of their times: it would miss one, and its money."""
    for _ in range(3):
        play(ledger)
    ledger.close()
    without = """DROP TRIGGER plays_stay; CREATE TABLE kept AS SELECT * FROM plays WHERE started_seq = 3;
        CREATE TABLE index_of AS SELECT * FROM sqlite_master WHERE name = 'plays_by_time';
        DELETE FROM plays WHERE started_seq = 3; DELETE FROM sqlite_master WHERE name = 'plays_by_time'"""
    with_it = """INSERT INTO plays SELECT * FROM kept; INSERT INTO sqlite_master SELECT * FROM index_of;
        DROP TABLE kept; DROP TABLE index_of"""
    for script in (without, with_it):
        db = sqlite3.connect(path)
        db.executescript(f"PRAGMA writable_schema = ON; {script}")
        db.close()
    verdict = chain.verify(path)
    assert (verdict.plays, len(table(path))) == (3, 2)
    assert "reports would not find them all: row" in verdict.problem


def test_a_ledger_is_read_while_its_player_writes(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path), "1", "100.00"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as child:
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        verdict = sound(path)
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.stdout.read()
    assert verdict.plays >= 9


def test_a_signed_statement_holds_later_and_fails_after_a_change(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    statement = chain.sign(path, tmp_path / "keys" / "key.pem")
    assert (tmp_path / "keys" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert statement["plays"] == statement["billable"] == 1
    more = Ledger(path, STATION, "main")
    play(more)
    more.close()
    chain.check_statement(path, statement)
    assert chain.sign(path, tmp_path / "keys" / "key.pem")["public_key"] == statement["public_key"]
    with pytest.raises(UserError, match="not what its key signed"):
        chain.check_statement(path, {**statement, "billable": 2})
    path.unlink()
    other = Ledger(path, STATION, "main")
    play(other)
    other.close()
    with pytest.raises(UserError, match="not the signed one"):
        chain.check_statement(path, statement)


def test_a_statement_by_another_key_cannot_show_the_operators(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    known = chain.sign(path, tmp_path / "key.pem")["public_key"]
    forged = chain.sign(path, tmp_path / "forger.pem")
    del forged["signature"]
    forged["public_key"] += f"\r\x1b[Kby the key {known}"
    key = chain._key(tmp_path / "forger.pem")
    forged["signature"] = base64.b64encode(key.sign(chain._signed_bytes(forged))).decode()
    with pytest.raises(UserError, match="not what its key signed"):
        chain.check_statement(path, forged)


def test_a_full_disk_leaves_no_half_of_a_key(ledger: Ledger, path: Path, small_disk: Path) -> None:
    play(ledger)
    fill(small_disk / "fill")
    key = small_disk / "key.pem"
    with pytest.raises(UserError, match=r"key\.pem: cannot be written: No space left on device"):
        chain.sign(path, key)
    assert not key.exists()
    (small_disk / "fill").unlink()
    assert chain.sign(path, key)["plays"] == 1


# several ledgers


def test_more_ledgers_than_sqlite_attaches_are_read_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"ledger-{n}.sqlite" for n in range(12)]
    for path in paths:
        book = Ledger(path, STATION, path.stem)
        play(book)
        book.close()
    with chain.reading(paths) as db:
        rows = list(chain.rows(db))
    assert sorted(row["screen"] for row in rows) == sorted(path.stem for path in paths)
    assert all(row["price"] == Decimal("0.12") for row in rows)


def test_a_play_is_not_counted_twice_when_a_ledger_is_named_twice(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    shutil.copyfile(path, tmp_path / "backup.sqlite")
    for again in (path, tmp_path / "backup.sqlite"):
        with pytest.raises(UserError, match="is in two of the ledgers"), chain.reading([path, again]):
            pass


# export


def test_csv_jsonl_and_parquet_say_the_same(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for who in (F20, M30):
        play(ledger, who=present(who))
    play(ledger, HOUSE)
    ledger.close()
    rows = table(path)
    with chain.reading([path]) as db:
        text = io.StringIO()
        assert chain.export(chain.rows(db), "csv", text) == 3
        from_csv = list(csv.DictReader(io.StringIO(text.getvalue())))
        lines = io.StringIO()
        chain.export(chain.rows(db), "jsonl", lines)
        from_json = [json.loads(line) for line in lines.getvalue().splitlines()]
        chain.export(chain.rows(db), "parquet", tmp_path / "plays.parquet")
        one = list(chain.rows(db, campaign="c-house"))
    from_parquet = parquet.read_table(tmp_path / "plays.parquet").to_pylist()
    assert [row["line"] for row in one] == ["house"]
    for n, row in enumerate(rows):
        assert from_parquet[n] == row
        assert {**from_json[n], "price": Decimal(from_json[n]["price"])} == row
        assert from_csv[n]["hash"] == row["hash"]
        assert Decimal(from_csv[n]["price"]) == row["price"]


def test_where_the_ledger_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert ledger_path(STATION, "main", Path("/x")) == tmp_path / "stationcast" / "stop-7" / "ledger-main.sqlite"
    here = msgspec.structs.replace(STATION, state_dir="state")
    assert ledger_path(here, "main", Path("/x")) == Path("/x/state/ledger-main.sqlite")


def test_no_ledger_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such ledger"):
        chain.verify(tmp_path / "none.sqlite")
