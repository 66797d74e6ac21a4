"""Plays as csv, JSON lines or parquet, with every column of every play."""

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from pipeline.errors import UserError
from players.ads.lines import money
from players.ledger.schema import column_types


def exported() -> tuple[str, ...]:
    """Return the names of the exported columns, in order."""
    return tuple("price" if name == "price_micro" else name for name in column_types())


def read_plays(
    db: sqlite3.Connection, since: str | None = None, until: str | None = None, campaign: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield plays in the order of their starts, by the names of `exported`; the price is a Decimal.

    `since` and `until` are UTC times as the ledger writes them; a play that starts at `until` is left out.
    """
    where, values = _where(since, until, campaign)
    names = ", ".join(column_types())
    for row in db.execute(f"SELECT {names} FROM plays{where} ORDER BY started_utc, started_seq", values):  # noqa: S608
        play = dict(row)
        play["price_micro"] = money(play["price_micro"])
        yield dict(zip(exported(), play.values(), strict=True))


def write_plays(plays: Iterator[dict[str, Any]], kind: str, target: TextIO | Path) -> int:
    """Write plays as `csv` or `jsonl` text, or as a `parquet` file, and return their number.

    Raises UserError where the target cannot be written, or parquet is not installed.
    """
    count = 0
    if kind == "parquet":
        return _parquet(plays, target)
    if isinstance(target, Path):
        try:
            with target.open("w", encoding="utf-8", newline="") as stream:
                return write_plays(plays, kind, stream)
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror}; name another place") from None
    writer = csv.DictWriter(target, exported()) if kind == "csv" else None
    if writer is not None:
        writer.writeheader()
    for row in plays:
        count += 1
        if writer is not None:
            writer.writerow({k: format(v, "f") if k == "price" else no_formula(v) for k, v in row.items()})
        else:
            target.write(json.dumps(row, default=lambda amount: format(amount, "f")) + "\n")
    return count


def no_formula(value: Any) -> Any:
    """Return a value for a csv file: text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _where(since: str | None, until: str | None, campaign: str | None) -> tuple[str, list[str]]:
    wanted = [(since, "started_utc >= ?"), (until, "started_utc < ?"), (campaign, "campaign = ?")]
    used = [(value, text) for value, text in wanted if value is not None]
    clause = " WHERE " + " AND ".join(text for _, text in used) if used else ""
    return clause, [value for value, _ in used]


def _parquet(plays: Iterator[dict[str, Any]], target: TextIO | Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("parquet needs pyarrow; install it with: pip install 'stationcast[parquet]'") from None
    if not isinstance(target, Path):
        raise UserError("parquet is not text; name a file with --out")
    types = {"TEXT": pyarrow.string(), "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    kinds = {name: types[kind.split()[0]] for name, kind in column_types().items()}
    kinds["price"] = pyarrow.decimal128(20, 6)
    listed = list(plays)
    try:
        # Our own stream: where a write fails, pyarrow removes what it has opened by name, were it a device.
        with target.open("wb") as stream:
            schema = pyarrow.schema([(name, kinds[name]) for name in exported()])
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed, schema=schema), stream)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {os.strerror(error.errno or 0)}; name another place") from None
    return len(listed)
