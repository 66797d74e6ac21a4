"""Fixtures of the ledger's tests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from players.ledger.ledger import Ledger
from tests.players.ledger.plays import STATION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger-main.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    book = Ledger(path, STATION, "main")
    yield book
    book.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk ({done.stderr.decode().strip()}): the full disk was NOT tested")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
