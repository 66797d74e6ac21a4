"""A ledger and what lies beside it are the station's alone, whatever another account made there beforehand."""

import os
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.settings import StationTable
from players.ledger.ballast import BALLAST_BYTES, Ballast
from players.ledger.ledger import Ledger
from players.ledger.signing import load_key
from tests.pipeline.test_private import SOMEBODY, as_root, mode_of


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: mode_of(path) for path in (folder, *folder.iterdir())}


def test_files_are_private_in_a_folder_that_was_open_to_all(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0)
    try:
        ledger = Ledger(folder / "ledger-main.sqlite", StationTable(), "main")
        assert ledger.problem == ""
        load_key(folder / "key.pem")
        modes = _modes(folder)
    finally:
        os.umask(before)
        ledger.close()
    assert modes.pop("state") == 0o700 and set(modes.values()) == {0o600} and len(modes) >= 4


def test_files_of_before_become_private(tmp_path: Path) -> None:
    path = tmp_path / "ledger-main.sqlite"
    Ledger(path, StationTable(), "main").close()
    load_key(tmp_path / "key.pem")
    for file in tmp_path.iterdir():
        file.chmod(0o666)
    ledger = Ledger(path, StationTable(), "main")
    load_key(tmp_path / "key.pem")
    assert ledger.problem == "" and {mode for name, mode in _modes(tmp_path).items() if "." in name} == {0o600}
    ledger.close()


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("how", ["link", "second name", pytest.param("another account", marks=as_root)])
def test_a_planted_ledger_or_log_is_not_used(how: str, ending: str, tmp_path: Path) -> None:
    path, other = tmp_path / "state" / f"ledger-main.sqlite{ending}", tmp_path / "other"
    path.parent.mkdir()
    other.write_bytes(b"precious")
    if how == "link":
        path.symlink_to(other)
    elif how == "second name":
        path.hardlink_to(other)
    else:
        path.write_bytes(b"")
        os.chown(path, SOMEBODY, -1)
    ledger = Ledger(path.with_name("ledger-main.sqlite"), StationTable(), "main")
    assert not ledger.accepts_paid and "move it away, or set station.state_dir" in ledger.problem
    ledger.close()
    assert other.read_bytes() == b"precious"


def test_a_planted_ballast_takes_no_space_elsewhere(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / "ledger.ballast").symlink_to(other)
    ballast = Ballast(tmp_path / "ledger.sqlite")
    assert "it is a link; remove it" in ballast.take()
    assert other.read_bytes() == b"precious"
    (tmp_path / "ledger.ballast").unlink()
    assert ballast.take() == ""
    assert (tmp_path / "ledger.ballast").stat().st_size == BALLAST_BYTES
    assert mode_of(tmp_path / "ledger.ballast") == 0o600


@pytest.mark.parametrize("how", ["draft", "link", pytest.param("another account", marks=as_root)])
def test_a_key_is_neither_planted_nor_read_by_a_planted_draft(how: str, tmp_path: Path) -> None:
    key, other = tmp_path / "key.pem", tmp_path / "other"
    other.write_bytes(b"precious")
    if how == "draft":
        (tmp_path / "key.pem.new").symlink_to(other)
        load_key(key)
        assert mode_of(key) == 0o600 and not key.is_symlink()
    else:
        load_key(other.with_name("theirs.pem"))
        if how == "link":
            key.symlink_to(other.with_name("theirs.pem"))
        else:
            other.with_name("theirs.pem").rename(key)
            os.chown(key, SOMEBODY, -1)
        with pytest.raises(UserError, match="so its key may be known; name another with --key"):
            load_key(key)
    assert other.read_bytes() == b"precious"
