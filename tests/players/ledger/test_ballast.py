"""Full disks."""

import time
from pathlib import Path

from players.ledger.ballast import BALLAST_BYTES
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, HOUSE, decision, present, tally_of
from tests.players.ledger.plays import AD, STATION, fill, play, sound, table


def test_on_a_full_disk_paid_ads_stop_house_ads_go_on_and_billing_resumes(small_disk: Path) -> None:
    path = small_disk / "ledger-main.sqlite"
    book = Ledger(path, STATION, "main", retry_s=0.05)
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


def test_a_play_that_ends_on_a_full_disk_is_ended_when_space_returns(small_disk: Path) -> None:
    path = small_disk / "ledger-main.sqlite"
    book = Ledger(path, STATION, "main", retry_s=0.05)
    chosen = decision(AD)
    play_id = book.start(chosen, planned_ms=0)
    assert play_id is not None
    (small_disk / "ledger-main.ballast").unlink()
    fill(small_disk / "fill")
    while play(book, HOUSE):
        pass
    tally = tally_of(present(F20))
    book.end(play_id, Shown(frames_expected=480, frames_presented=480, status="played", tally=tally))
    assert not book.accepts_paid
    (small_disk / "fill").unlink()
    time.sleep(0.1)
    assert play(book, HOUSE)
    book.close()
    row = next(row for row in table(path) if row["play_id"] == play_id)
    assert (row["status"], row["billable"]) == ("played", 1)
    sound(path)


def test_a_start_on_a_full_disk_neither_crashes_nor_sells(small_disk: Path) -> None:
    fill(small_disk / "fill")
    book = Ledger(small_disk / "ledger-main.sqlite", STATION, "main", retry_s=0.05)
    assert not book.accepts_paid
    assert play(book) is None
    (small_disk / "fill").unlink()
    time.sleep(0.1)
    assert play(book, HOUSE)
    assert play(book)
    book.close()


def test_a_ballast_that_can_neither_be_taken_nor_removed_stops_paid_ads_only(path: Path) -> None:
    path.with_suffix(".ballast").mkdir(parents=True)
    book = Ledger(path, STATION, "main", retry_s=0.0)
    assert not book.accepts_paid and "ledger-main.ballast" in book.problem
    assert play(book, HOUSE)
    path.with_suffix(".ballast").rmdir()
    assert book.accepts_paid
    book.close()


def test_the_ballast_is_16_mb_and_really_taken(ledger: Ledger, path: Path) -> None:
    info = path.with_suffix(".ballast").stat()
    assert info.st_size == BALLAST_BYTES == 16 << 20
    assert info.st_blocks * 512 >= BALLAST_BYTES
