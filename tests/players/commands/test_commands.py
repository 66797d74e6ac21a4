"""Commands from ledger to invoice, and what they say of mistakes."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.state import keep_card
from tests.ads import F20, present
from tests.players.recording import MOKA, SOJU, Record, at, crowd, some_plays


def stationcast(*words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    program = "from pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_an_order_without_a_playable_medium_stays_on_the_invoice(record: Record, tmp_path: Path) -> None:
    record([(at(4, 9), MOKA, present(F20), 1.0)])
    campaigns = tmp_path / "campaigns"
    campaigns.mkdir()
    (campaigns / "tea.toml").write_text(
        'advertiser = "Tea"\ncampaign = "tea"\ncurrency = "EUR"\n[[lines]]\nid = "tea-line"\nprice = "0.50"\n'
        'budget = "75"\n[[lines.creatives]]\nid = "tea-ad"\nfile = "lost.png"\n'
    )
    (tmp_path / "station.toml").write_text(
        '[station]\nstate_dir = "."\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    done = stationcast("report", "billing", "--station", str(tmp_path / "station.toml"), "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["line"]: row for row in json.loads(done.stdout)["rows"]}
    assert [rows["tea-line"][name] for name in ("contracted", "plays", "left")] == ["75.00", 0, "75.00"]
    assert "problem: tea.toml: creative tea-ad: file: there is no file 'lost.png'" in done.stderr


def test_the_commands_from_ledger_to_invoice(record: Record, tmp_path: Path) -> None:
    path, other = record(some_plays(), crowd()), record(some_plays(), screen="other")
    named = ("--ledger", str(path))
    verified = stationcast("ledger", "verify", *named)
    assert verified.returncode == 0, verified.stderr
    assert "sound: 13 plays, 9 billable, 26 entries" in verified.stdout
    exported = stationcast("ledger", "export", *named, "--campaign", "c-moka", "--until", "2026-05-04")
    assert len(exported.stdout.splitlines()) == 7
    billed = json.loads(stationcast("report", "billing", *named, "--format", "json").stdout)
    assert next(row["spend"] for row in billed["rows"] if row["line"] == "moka") == "0.38"
    table = stationcast("report", "audience", *named, "--by", "gender").stdout
    assert "66.7" in table
    signed = stationcast("ledger", "sign", *named, "--out", str(tmp_path / "statement.json"))
    assert signed.returncode == 0, signed.stderr
    public = json.loads((tmp_path / "statement.json").read_text("utf-8"))["public_key"]
    made = f"made the key {tmp_path / 'signing-key.pem'}: back it up; its public half is {public}\n"
    assert (signed.stderr, stationcast("ledger", "sign", *named).stderr) == (made, "")
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    for words, says in (
        (("ledger", "export", *named, "--format", "parquet", "--out", "/none/x"), "/none/x: cannot be written"),
        (
            ("ledger", "export", *named, "--format", "parquet", "--out", str(full)),
            "full: cannot be written: there is no room",
        ),
        (("ledger", "export", *named, "--since", ""), "'' is no day or time"),
        (("ledger", "sign", *named, "--key", "/proc/none/key.pem"), "cannot be written"),
        (("ledger", "sign", *named, "--key", str(tmp_path)), "name another with --key"),
        (("ledger", "verify", *named, "--signed", str(tmp_path)), "not a signed statement"),
        (("report", "billing", *named, *named), "is in two of the ledgers"),
        (
            ("ledger", "verify", *named, "--ledger", str(other), "--signed", str(tmp_path / "statement.json")),
            "there are 2 ledgers; name one with --ledger",
        ),
    ):
        done = stationcast(*words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert says in done.stderr
    assert full.is_symlink()
    held = stationcast("ledger", "verify", *named, "--signed", str(tmp_path / "statement.json"))
    assert "holds what was signed" in held.stdout


def test_a_report_names_the_ledgers_that_are_not_in_it(record: Record, tmp_path: Path) -> None:
    record(some_plays())
    (tmp_path / "ledger-right.sqlite.damaged-20260501T080000Z").touch()
    (tmp_path / "ledger-left.mark").touch()
    station = tmp_path / "station.toml"
    station.write_text('[station]\nname = "stop-7"\nmode = "off"\nstate_dir = "."\n')
    done = stationcast("report", "billing", "--station", str(station), "--format", "json")
    notes = [note for note in json.loads(done.stdout)["notes"] if note.startswith("ledger-")]
    assert notes == [
        "ledger-right.sqlite.damaged-20260501T080000Z: a damaged ledger; what it held is in no report and no budget",
        "ledger-left.sqlite: it is gone; put it back, or say `stationcast ledger accept-loss`",
    ]


def test_a_ledger_that_is_gone_is_not_one_that_never_was(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_text('[station]\nname = "x"\nmode = "off"\nstate_dir = "state"\n')
    state = tmp_path / "state"
    state.mkdir()
    (state / "ledger-main.mark").touch()
    for name in ("report", "plays"), ("ledger", "verify"):
        done = stationcast(*name, "--station", str(station))
        assert done.returncode == 2 and "ledger-main.sqlite: it is gone; put it back" in done.stderr
    (state / "ledger-main.sqlite").mkdir()
    assert "it is no plain file" in stationcast("ledger", "verify", "--station", str(station)).stderr
    (state / "ledger-main.sqlite").rmdir()
    (state / "ledger-main.sqlite").symlink_to("/none")
    assert "a link that leads nowhere" in stationcast("ledger", "verify", "--station", str(station)).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ledger", "verify", "--ledger", "/none.sqlite"), "/none.sqlite: there is no such ledger"),
        (("ledger", "verify", "--ledger", "/"), "/: it is no plain file, and so no ledger"),
        (("campaigns", "simulate", "--begin", "9999-12-31"), "--begin: 9999-12-31 is out of reach"),
        (("report", "billing"), "there is no ledger yet; let the station play first"),
        (("report", "plays", "--ledger", "/none", "--since", "soon"), "'soon' is no day or time"),
        (("ledger", "export", "--since", "2026-05-02", "--until", "2026-05-01"), "--until: 2026-05-01 is not after"),
        (("campaigns", "simulate", "--hours", "nan"), "--hours: nan is no number of hours"),
        (("campaigns", "check", "/none"), "no folder /none"),
        (("campaigns", "import", "/none"), "/none: no such folder"),
        (("campaigns", "simulate", "--hours", "0.1", "--plot", "/none/x.png"), "--plot: /none/x.png"),
    ],
)
def test_a_mistake_at_the_command_line_is_one_line_and_exit_2(words: tuple[str, ...], says: str) -> None:
    done = stationcast(*words)
    assert done.returncode == 2
    assert done.stdout == "" or "--plot" in words
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("stationcast: error: ")
    assert says in done.stderr


def test_an_invoice_names_plays_that_were_aimed_by_a_model_for_research(record: Record) -> None:
    weights = Path(__file__).parents[3] / "models" / "weights"
    plays = []
    for minute, (name, ad) in enumerate((("research", MOKA), ("research", SOJU), ("open", MOKA))):
        sha256 = hashlib.sha256((weights / f"stationcast-{name}.toml").read_bytes()).hexdigest()
        plays.append((at(4, 9, minute), ad, dataclasses.replace(present(F20), model_sha256=sha256), 1.0))
    done = stationcast("report", "billing", "--ledger", str(record(plays)), "--format", "json")
    notes = json.loads(done.stdout)["notes"]
    aimed = "2 of the billed plays were aimed by stationcast-research, which is for research only: do not bill them"
    assert [note for note in notes if "aimed by" in note] == [aimed]


def test_an_invoice_names_plays_that_were_aimed_by_a_model_of_ones_own_for_research(
    record: Record, tmp_path: Path
) -> None:
    card = b'name = "ours"\nresearch_only = true\n'
    keep_card(tmp_path, card)
    aimed = dataclasses.replace(present(F20), model_sha256=hashlib.sha256(card).hexdigest())
    record([(at(4, 9), MOKA, aimed, 1.0)])
    (tmp_path / "station.toml").write_text('[station]\nstate_dir = "."\n[[cameras]]\nname = "c"\nsource = "sample"\n')
    done = stationcast("report", "billing", "--station", str(tmp_path / "station.toml"), "--format", "json")
    assert done.returncode == 0, done.stderr
    note = "1 of the billed plays were aimed by ours, which is for research only: do not bill them"
    assert note in json.loads(done.stdout)["notes"]
