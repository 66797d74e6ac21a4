"""Signed statements."""

import base64
from pathlib import Path

import pytest

from pipeline.errors import UserError
from players.ledger.ledger import Ledger
from players.ledger.signing import check_statement, load_key, sign
from players.ledger.statements import signed_bytes
from tests.players.ledger.plays import STATION, fill, play


def test_a_signed_statement_holds_later_and_fails_after_a_change(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    statement = sign(path, tmp_path / "keys" / "key.pem")
    assert (tmp_path / "keys" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert statement["plays"] == statement["billable"] == 1
    more = Ledger(path, STATION, "main")
    play(more)
    more.close()
    check_statement(path, statement)
    assert sign(path, tmp_path / "keys" / "key.pem")["public_key"] == statement["public_key"]
    with pytest.raises(UserError, match="not what its key signed"):
        check_statement(path, {**statement, "billable": 2})
    path.rename(path.with_name("aside"))
    path.with_suffix(".mark").unlink()
    other = Ledger(path, STATION, "main")
    play(other)
    other.close()
    with pytest.raises(UserError, match="not the signed one"):
        check_statement(path, statement)


def test_a_statement_by_another_key_cannot_show_the_operators(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    play(ledger)
    ledger.close()
    known = sign(path, tmp_path / "key.pem")["public_key"]
    forged = sign(path, tmp_path / "forger.pem")
    del forged["signature"]
    forged["public_key"] += f"\r\x1b[Kby the key {known}"
    key = load_key(tmp_path / "forger.pem")
    forged["signature"] = base64.b64encode(key.sign(signed_bytes(forged))).decode()
    with pytest.raises(UserError, match="not what its key signed"):
        check_statement(path, forged)


def test_a_full_disk_leaves_no_half_of_a_key(ledger: Ledger, path: Path, small_disk: Path) -> None:
    play(ledger)
    fill(small_disk / "fill")
    key = small_disk / "key.pem"
    with pytest.raises(UserError, match=r"key\.pem: cannot be written: No space left on device"):
        sign(path, key)
    assert not key.exists()
    (small_disk / "fill").unlink()
    assert sign(path, key)["plays"] == 1
