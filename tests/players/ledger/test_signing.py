"""Signed statements."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.errors import UserError
from players.commands.ledger import sign_command
from players.ledger.ledger import Ledger
from players.ledger.paths import screen_of
from players.ledger.signing import check_statement, load_key, sign
from players.ledger.statements import file_of, read_statements, signed_bytes
from tests.conftest import HANG_S
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


def test_screens_that_are_signed_at_one_time_take_turns(tmp_path: Path) -> None:
    ledgers = [tmp_path / f"ledger-{number}.sqlite" for number in range(4)]
    for path in ledgers:
        book = Ledger(path, STATION, screen_of(path))
        play(book)
        book.close()
    together = threading.Barrier(len(ledgers))

    def sign_often(path: Path) -> None:
        together.wait(HANG_S)
        for _ in range(5):
            sign(path, tmp_path / "key.pem")

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(sign_often, path) for path in ledgers]:
            done.result()
    assert len(read_statements(file_of(tmp_path / "key.pem"))) == 20


@pytest.mark.parametrize("tail", [b'{"begins_anew":false,"bil', b"\0" * 300, None])
def test_a_statement_that_a_crash_cut_off_does_not_stand_in_the_way(
    ledger: Ledger, path: Path, tmp_path: Path, tail: bytes | None
) -> None:
    play(ledger)
    ledger.close()
    key = tmp_path / "key.pem"
    first = sign(path, key)
    whole = file_of(key).read_bytes()
    file_of(key).write_bytes(whole.rstrip() if tail is None else whole + tail)
    assert read_statements(file_of(key)) == [first]
    second = sign(path, key)
    assert read_statements(file_of(key)) == [first, second]


def test_a_key_that_was_made_is_told_of_though_nothing_was_signed(ledger: Ledger, path: Path) -> None:
    play(ledger)
    ledger.close()
    path.with_suffix(".mark").write_bytes(b"")
    other = path.with_name("ledger-other.sqlite")
    path.rename(other)
    station = path.with_name("station.toml")
    station.write_text('[station]\nname = "stop-7"\nmode = "off"\nstate_dir = "."\n[[screens]]\nname = "other"\n')
    told = CliRunner().invoke(sign_command, ["--station", str(station)])
    assert told.exit_code == 2 and "not signed" in told.stderr
    assert "made the key" in told.stderr and "its public half is" in told.stderr
