"""Players that are killed, and logs that are torn."""

import shutil
import time
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from pipeline.settings import StationTable
from players.ledger.ledger import Ledger
from tests.players.ledger.plays import play, run_child, sound, table


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
    assert verdict.entries == 2 * len(rows)
    for ad in ("ad0", "ad1", "ad2"):
        spent = sum((row["price"] for row in rows.values() if row["line"] == ad and row["billable"]), Decimal(0))
        assert spent <= Decimal(budget)
        assert spent == Decimal("0.07") * sum(row["line"] == ad and row["billable"] for row in rows.values())
    counts = f"{len(aborted)} aborted, {verdict.billable} billed, a sound chain of {verdict.entries} entries"
    print(f"\n{len(rows)} plays, {kills} kills: {counts}")


def test_kills_lose_nothing_and_count_nothing_twice(path: Path) -> None:
    chaos(path, plays=200, kills=6, budget="2.00")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_10_000_plays_and_200_kills(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        chaos(path, plays=10_000, kills=200, budget="150.00")


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
