"""A damaged ledger is no new one: it is kept aside, and paid ads wait until the loss is accepted."""

import os
from pathlib import Path

import pytest

from pipeline.errors import UserError
from players.ledger import acceptance
from players.ledger.damage import accept, damage, lost
from players.ledger.ledger import Ledger
from tests.ads import HOUSE
from tests.players.ledger.plays import STATION, alter, play, sound, table


@pytest.fixture
def spent(path: Path) -> Path:
    """A ledger with plays, closed."""
    book = Ledger(path, STATION, "main")
    for _ in range(40):
        assert play(book)
    book.close()
    assert damage(path) == ""
    return path


@pytest.mark.parametrize("size_bytes", [0, 1, 99, 100, 4096, 4097, -1])
def test_a_ledger_that_is_cut_off_is_kept_aside_and_sells_nothing_until_the_loss_is_accepted(
    spent: Path, size_bytes: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = spent.read_bytes()[:size_bytes]
    os.truncate(spent, len(data))
    for _ in range(2):  # a restart forgets nothing
        book = Ledger(spent, STATION, "main", retry_s=0.0)
        assert not book.accepts_paid and play(book) is None
        assert "stationcast ledger accept-loss" in book.problem
        assert play(book, HOUSE)
        book.close()
    (kept,) = lost(spent.parent)
    assert kept.read_bytes() == data and "ledger_damaged" in capfd.readouterr().err
    book = Ledger(spent, STATION, "main", retry_s=0.0)
    (accepted,) = accept(spent.parent)
    assert accepted.read_bytes() == data and lost(spent.parent) == []
    assert book.accepts_paid and play(book)
    book.close()
    assert [row["line"] for row in table(spent)] == ["house", "house", "f20"]
    sound(spent)


def test_no_loss_is_accepted_while_the_ledger_of_another_screen_is_unsound(spent: Path) -> None:
    os.truncate(spent, 100)
    Ledger(spent, STATION, "main").close()
    other = spent.with_name("ledger-other.sqlite")
    book = Ledger(other, STATION, "other")
    play(book)
    book.close()
    alter(other, "UPDATE plays SET cost_micro = 1")
    (kept,) = lost(spent.parent)
    with pytest.raises(UserError, match=r"ledger-other\.sqlite: the chain is broken"):
        acceptance.accept(spent.parent, STATION.name)
    assert lost(spent.parent) == [kept]


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_log_without_its_ledger_is_kept_aside_with_it(spent: Path, is_empty: bool) -> None:
    log = spent.with_name(spent.name + "-wal")
    log.write_bytes(b"what was not yet copied" * 100)
    spent.unlink()
    if is_empty:
        spent.touch()
    book = Ledger(spent, STATION, "main")
    assert not book.accepts_paid and play(book, HOUSE)
    book.close()
    assert any(b"what was not yet copied" in file.read_bytes() for file in spent.parent.glob("*.damaged-*"))


def test_a_new_ledger_is_begun_whole_whatever_a_kill_left(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    path.with_name(path.name + ".new").write_bytes(b"half made")
    book = Ledger(path, STATION, "main")
    assert book.accepts_paid and play(book)
    book.close()
    assert "ledger_begun" in capfd.readouterr().err and not path.with_name(path.name + ".new").exists()
