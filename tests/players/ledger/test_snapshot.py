"""Ledgers that are read: beside a player, several together, damaged ones."""

import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import UserError
from players.ledger.chain import verify
from players.ledger.export import read_plays
from players.ledger.ledger import Ledger
from players.ledger.snapshot import reading
from players.reports import queries
from tests.ads import SEOUL
from tests.players.ledger.plays import CHILD, STATION, alter, play, sound, table


def test_a_ledger_is_read_while_its_player_writes(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path), "1", "100.00"]
    root = Path(__file__).parents[3]
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


def test_more_ledgers_than_sqlite_attaches_are_read_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"ledger-{n}.sqlite" for n in range(12)]
    for path in paths:
        book = Ledger(path, STATION, path.stem)
        play(book)
        book.close()
    with reading(paths) as db:
        rows = list(read_plays(db))
    assert sorted(row["screen"] for row in rows) == sorted(path.stem for path in paths)
    assert all(row["price"] == Decimal("0.12") for row in rows)


def test_a_play_is_not_counted_twice_when_a_ledger_is_named_twice(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    shutil.copyfile(path, tmp_path / "backup.sqlite")
    for again in (path, tmp_path / "backup.sqlite"):
        with pytest.raises(UserError, match="is in two of the ledgers"), reading([path, again]):
            pass


def test_no_ledger_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such ledger"):
        verify(tmp_path / "none.sqlite")


def test_a_price_that_is_none_is_a_one_line_error(ledger: Ledger, path: Path) -> None:
    play(ledger)
    ledger.close()
    alter(path, "UPDATE plays SET price_micro = 'abc'")
    with pytest.raises(UserError, match="not a sound ledger"):
        table(path)


def test_a_time_that_is_none_is_a_one_line_error(ledger: Ledger, path: Path) -> None:
    play(ledger)
    ledger.close()
    alter(path, "UPDATE plays SET started_utc = 'zzz'")
    with pytest.raises(UserError, match=r"not a sound ledger: play .* what it says is not what was hashed"):
        table(path)
    with (
        pytest.raises(UserError, match="not a sound ledger: a value in it is none"),
        reading([path], proven=False) as copy,
    ):
        queries.plays(copy, ("day",), SEOUL)
