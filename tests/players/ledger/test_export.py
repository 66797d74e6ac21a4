"""Exports."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from players.commands.ledger import ledger as ledger_command
from players.ledger.export import OF_PEOPLE, clear_people, read_plays, write_parquet, write_plays
from players.ledger.ledger import Ledger
from players.ledger.snapshot import reading
from tests.ads import F20, HOUSE, M30, present
from tests.players.ledger.plays import AD, play, table

AMOUNTS = ("price", "rate", "reserved", "cost")


def test_csv_jsonl_and_parquet_say_the_same(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for who in (F20, M30):
        play(ledger, who=present(who))
    play(ledger, HOUSE)
    ledger.close()
    rows = table(path)
    with reading([path]) as db:
        text = io.StringIO()
        assert write_plays(read_plays(db), "csv", text) == 3
        from_csv = list(csv.DictReader(io.StringIO(text.getvalue())))
        lines = io.StringIO()
        write_plays(read_plays(db), "jsonl", lines)
        from_json = [json.loads(line) for line in lines.getvalue().splitlines()]
        write_parquet(read_plays(db), tmp_path / "plays.parquet")
        one = list(read_plays(db, campaign="c-house"))
    from_parquet = parquet.read_table(tmp_path / "plays.parquet").to_pylist()
    assert [row["line"] for row in one] == ["house"]
    for n, row in enumerate(rows):
        flat = {**row, "context": json.dumps(row["context"]), "eligible": json.dumps(row["eligible"])}
        assert from_parquet[n] == flat
        assert {name: from_csv[n][name] for name in ("context", "eligible")} == {
            name: flat[name] for name in ("context", "eligible")
        }
        amounts = {name: Decimal(from_json[n][name]) for name in AMOUNTS if row[name] is not None}
        assert {**from_json[n], **amounts} == row
        assert from_csv[n]["hash"] == row["hash"]
        assert {name: Decimal(from_csv[n][name]) for name in amounts} == amounts


def test_an_export_without_people_tells_how_many_were_there_in_no_column(ledger: Ledger, path: Path) -> None:
    crowd = present(*[F20] * 7)
    for _ in range(2):
        play(ledger, who=crowd)
    ledger.close()
    words = ["export", "--ledger", str(path), "--format", "jsonl"]
    whole, without = (CliRunner().invoke(ledger_command, [*words, *more]) for more in ([], ["--without-people"]))
    assert json.loads(whole.stdout.splitlines()[0])["ots_1s"] == 7
    for text in without.stdout.splitlines():
        row = json.loads(text)
        assert [name for name, value in row.items() if value is None and name in OF_PEOPLE] == [
            name for name in row if name in OF_PEOPLE
        ]
        assert 7 not in row.values() and row["billable"] == 1 and row["cost"] == "0.12"


def test_an_export_without_people_leaves_out_what_people_cost(ledger: Ledger, path: Path) -> None:
    play(ledger, msgspec.structs.replace(AD, price=Decimal("9.50"), per="1000 ots"), present(*[F20] * 7))
    ledger.close()
    (row,) = table(path)
    assert (row["price"], row["rate"], row["cost"]) == (0, Decimal("9.50"), Decimal("0.0665"))
    bare = clear_people(row)
    assert (bare["rate"], bare["cost"], bare["reserved"], bare["bill_reason"]) == (Decimal("9.50"), None, None, None)
