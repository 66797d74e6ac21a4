"""Plays as csv, JSON lines or parquet, with every column of every play."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.messages import DECADES
from pipeline.streams import new_file
from players.ads.lines import money
from players.audience.groups import GENDERS
from players.audience.present import Present, unpack
from players.ledger.schema import column_types
from players.ledger.spreadsheet import Csv, write_csv

OF_PEOPLE = (
    *("context", "watchers", "matched_watchers", "person_ms", "ots", "qty_multiplier", "reason", "bill_reason"),
    *("ots_1s", "ots_unknown", "watchers_looked", "watchers_2s", "presence_ms", "dwell_ms", "attention_ms"),
    *("most_people", "p_minor_max", "matched_ots", "matched_looked", "matched_attention_ms"),
)
"""Columns that tell how many people were there for a play, or who."""
_AMOUNTS = {f"{name}_micro": name for name in ("price", "rate", "reserved", "cost")}
"""Columns of money, and their names in exports."""


def exported() -> tuple[str, ...]:
    """Return the names of the exported columns, in order."""
    return tuple(_AMOUNTS.get(name, name) for name in column_types())


def clear_people(play: dict[str, Any]) -> dict[str, Any]:
    """Return a play without how many people were there, and who; also without money by which they were billed."""
    by_people = () if play["price_per"] in (None, "play") else ("reserved", "cost")
    return {**play, **dict.fromkeys((*OF_PEOPLE, *by_people))}


def read_plays(
    db: sqlite3.Connection,
    since: str | None = None,
    until: str | None = None,
    campaign: str | None = None,
    play_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield plays by the names of `exported`, ledger by ledger, in the order in which they started.

    That is the order of the chain: the wall clock may have been set back between two plays.

    Amounts of money are Decimals. `context` is a dict of who was there (see `readable`), `eligible` a list of
    [line id, odds].
    `since` and `until` are UTC times as the ledger writes them; a play that starts at `until` is left out.
    """
    where, values = _where(since, until, campaign, play_id)
    names = ", ".join(column_types())
    order = (
        "started_seq" if since is None and until is None else "+started_seq"
    )  # a span is found by the index of times
    query = f"SELECT {names} FROM plays WHERE ledger = ?{where} ORDER BY {order}"  # noqa: S608
    (last,) = db.execute("SELECT COALESCE(MAX(ledger), 0) FROM plays").fetchone()
    for ledger in range(last + 1):
        for row in db.execute(query, [ledger, *values]):
            play = dict(row)
            for name in _AMOUNTS:
                play[name] = None if play[name] is None else money(play[name])
            if play["context"] is not None:
                play["context"] = readable(unpack(play["context"]))
            if play["eligible"] is not None:
                play["eligible"] = json.loads(play["eligible"])
            yield dict(zip(exported(), play.values(), strict=True))


def write_plays(plays: Iterator[dict[str, Any]], kind: str, target: TextIO, form: Csv = Csv()) -> int:  # noqa: B008
    """Write plays as `csv` (in the form given) or `jsonl` text, and return their number."""
    if kind == "csv":
        return write_csv(target, exported(), ([_flat(value) for value in play.values()] for play in plays), form)
    count = 0
    for count, row in enumerate(plays, 1):  # noqa: B007
        target.write(json.dumps(row, default=lambda amount: format(amount, "f")) + "\n")
    return count


def readable(present: Present) -> dict[str, Any]:
    """Return who was present in words: people by "F 20-29", ages by "F 25"; only numbers other than 0, four digits."""
    decades = (*DECADES, "unknown")

    def named(numbers: NDArray[np.float64], columns: Sequence[Any]) -> dict[str, float]:
        places = zip(*np.nonzero(numbers), strict=True)
        return {f"{GENDERS[g]} {columns[c]}": float(f"{numbers[g, c]:.4g}") for g, c in places}

    return {
        "people": present.people,
        "bins": named(present.bins, decades),
        "expected": named(present.expected, decades),
        "nearness": named(present.nearness, decades),
        "ages": named(present.ages, range(present.ages.shape[1])),
        "looking": named(present.looking, decades),
        "appeal": named(present.appeal, decades),
        "expected_appeal": named(present.expected_appeal, decades),
        "minors": present.minors,
        "p_minor": present.p_minor and float(f"{present.p_minor:.4g}"),
        "measured": present.measured,
    }


def _flat(value: Any) -> Any:
    """Return a value for a table: a dict or a list as JSON text."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def find_play(db: sqlite3.Connection, beginning: str) -> dict[str, Any]:
    """Return the play whose id begins so, as `read_plays` does. UserError: there is none, or more than one."""
    plays = db.execute("SELECT play_id FROM plays WHERE substr(play_id, 1, ?) = ?", (len(beginning), beginning))
    found = [row[0] for row in plays.fetchmany(2)] if beginning else []
    if not found:
        raise UserError(f"PLAY_ID: no play {beginning!r}; `stationcast ledger export` lists their ids")
    if len(found) > 1:
        raise UserError(f"PLAY_ID: more than one play begins with {beginning!r}; give more of its id")
    return next(read_plays(db, play_id=found[0]))


def _where(since: str | None, until: str | None, campaign: str | None, play_id: str | None) -> tuple[str, list[str]]:
    wanted = [
        (since, " AND started_utc >= ?"),
        (until, " AND started_utc < ?"),
        (campaign, " AND campaign = ?"),
        (play_id, " AND play_id = ?"),
    ]
    used = [(value, text) for value, text in wanted if value is not None]
    return "".join(text for _, text in used), [value for value, _ in used]


def write_parquet(plays: Iterator[dict[str, Any]], target: Path) -> int:
    """Write plays as a parquet file and return their number. UserError: it cannot be written, or needs a package."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("parquet needs pyarrow; install it with: .ci/setup parquet") from None
    text = pyarrow.string()
    types = {"TEXT": text, "BLOB": text, "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    kinds = {name: types[kind.split()[0]] for name, kind in column_types().items()}
    kinds |= dict.fromkeys(_AMOUNTS.values(), pyarrow.decimal128(20, 6))
    listed = [{name: _flat(value) for name, value in play.items()} for play in plays]
    # Our own stream: where a write fails, pyarrow removes what it has opened by name, were it a device.
    with new_file(target, binary=True) as stream:
        schema = pyarrow.schema([(name, kinds[name]) for name in exported()])
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed, schema=schema), stream)
    return len(listed)
