"""The chain of hashes that proves a ledger: two entries a play, each hash covering the one before it."""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from players.ledger.copies import copied
from players.ledger.entries import entry_hash, hash_of, origin
from players.ledger.schema import ENTRIES, FIRST_HASH, SCHEMAS, Schema, column_types, missing_part
from players.ledger.values import as_text, from_file, read_texts

_NONE = Schema({}, {}, lambda db: None, keeps_previous=False)
"""Schema of a row that names none there is: nothing of it can have been hashed."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Proof of a ledger: its chain is sound for so many entries, up to `head`; `problem` is the first thing wrong."""

    entries: int
    plays: int
    billable: int
    head: str
    problem: str = ""


class _Entry(NamedTuple):
    seq: Any
    play_id: Any
    kind: str
    before: Any
    """Hash before it, as the row repeats it; None where the row's schema leaves it out."""
    hash: Any
    content: list[Any]
    pure: bool
    """True where every column that the row's schema lacks is empty."""


@contextmanager
def proving(path: Path) -> Iterator[tuple[sqlite3.Connection, Verdict]]:
    """Open a copy of a ledger and follow its chain; what is asked of the connection is of that very copy."""
    with copied([path]) as (copy,), closing(sqlite3.connect(copy, isolation_level=None)) as db:
        yield db, follow(db)


def verify(path: Path) -> Verdict:
    """Follow the chain of one ledger from its first entry; `problem` names the first bad row."""
    with proving(path) as (_, verdict):
        return verdict


def follow(db: sqlite3.Connection) -> Verdict:
    """Follow the chain of a ledger's own file, brought to the newest schema, from its first entry to its last."""
    count, billable = db.execute("SELECT COUNT(*), COALESCE(SUM(billable), 0) FROM main.plays").fetchone()
    try:
        first = origin(db)
    except ValueError as error:
        return Verdict(entries=0, plays=count, billable=billable, head=FIRST_HASH, problem=str(error))
    seq, head, problem = _follow(db, 0, first)
    if not problem:
        ended = dict.fromkeys(name for schema in SCHEMAS.values() for name in schema.ended)
        loose = " OR ".join(f"{name} IS NOT NULL" for name in ended)
        query = f"SELECT play_id FROM main.plays WHERE ended_seq IS NULL AND ({loose})"  # noqa: S608
        stray = db.execute(query).fetchone()
        if stray:
            problem = f"play {as_text(stray[0])}: it says how it ended without an entry that proves it"
    if not problem:
        (intact,) = db.execute("PRAGMA main.integrity_check(1)").fetchone()
        if intact != "ok":
            problem = f"every play is as it was hashed, but reports would not find them all: {intact}"
    problem = problem or missing_part(db)
    return Verdict(entries=seq, plays=count, billable=billable, head=head, problem=problem)


def follow_newest(db: sqlite3.Connection, last: int, count: int) -> str:
    """Return what is wrong with the newest `count` entries of a ledger's own file; empty if nothing is."""
    first = max(0, last - count)
    return _follow(db, first, hash_of(db, first))[2]


def _follow(db: sqlite3.Connection, seq: int, head: str) -> tuple[int, str, str]:
    """Follow the entries after entry `seq`; return the last one's number and hash, and what is wrong with the next."""
    for entry in heapq.merge(_started(db, seq), _ended(db, seq), key=_place):
        problem = _problem(entry, seq, head)
        if problem:
            return seq, head, f"play {as_text(entry.play_id)}, entry {entry.seq} ({entry.kind}): {problem}"
        seq, head = entry.seq, entry.hash
    return seq, head, ""


def _problem(entry: _Entry, seq: int, head: str) -> str:
    """Return what is wrong with the entry after entry `seq`, whose hash is `head`; empty if nothing is."""
    if entry.seq != seq + 1:
        return f"entry {seq + 1} is missing before it"
    if entry.before is not None and entry.before != head:
        return "it does not follow the entry before it"
    if entry.hash != entry_hash(head, entry.seq, entry.content):
        return "what it says is not what was hashed"
    if not entry.pure or any(map(_hashes_as_another, entry.content)):
        return "what it says is not what was hashed"
    return ""


def _started(db: sqlite3.Connection, after: int) -> Iterator[_Entry]:
    kept = {n: {*schema.started, *schema.ended, *ENTRIES} for n, schema in SCHEMAS.items()}
    strange = {n: {*column_types()} - names for n, names in kept.items()}
    for row, schema in _rows(db, "started_seq", after, {n: tuple(schema.started) for n, schema in SCHEMAS.items()}):
        content = ["started", *(row[name] for name in schema.started)]
        before = row["started_prev_hash"] if schema.keeps_previous else row["started_prev_hash"] or None
        pure = all(row[name] is None for name in strange.get(row["schema"], ()))
        yield _Entry(row["started_seq"], row["play_id"], "started", before, row["started_hash"], content, pure)


def _ended(db: sqlite3.Connection, after: int) -> Iterator[_Entry]:
    for row, schema in _rows(db, "ended_seq", after, {n: tuple(schema.ended) for n, schema in SCHEMAS.items()}):
        content = ["ended", row["play_id"], row["started_hash"], *(row[name] for name in schema.ended)]
        before = row["prev_hash"] if schema.keeps_previous else row["prev_hash"] or None
        yield _Entry(row["ended_seq"], row["play_id"], "ended", before, row["hash"], content, True)


def _rows(
    db: sqlite3.Connection, seq: str, after: int, columns: dict[int, tuple[str, ...]]
) -> Iterator[tuple[dict[str, Any], Schema]]:
    """Yield the rows of a ledger's own file in the order of `seq`, the columns of their schema as they are hashed.

    Those up to `after` are left out; with 0 none is, whatever its number.
    """
    texts = read_texts(db)
    coded = {}
    for number, schema in SCHEMAS.items():
        in_bytes = {*schema.as_bytes, *schema.as_number, "eligible"}
        coded[number] = [name for name in (*columns[number], "play_id", "started_hash", "hash") if name in in_bytes]
    names = (*column_types(),)
    query = f"SELECT {', '.join(names)} FROM main.plays WHERE {seq} >= ? ORDER BY {seq}"  # noqa: S608
    for values in db.execute(query, (after + 1 if after else -inf,)):
        row = dict(zip(names, values, strict=True))
        schema = SCHEMAS.get(row["schema"], _NONE)
        for name in coded.get(row["schema"], ()):
            with suppress(ValueError):  # bytes that cannot be read stay, and no hash covers them
                row[name] = from_file(schema, name, row[name], texts)
        yield row, schema


def _place(entry: _Entry) -> float:
    """Return the place of an entry in the chain; a number that is none comes last, and follows nothing."""
    return entry.seq if isinstance(entry.seq, int) else inf


def _hashes_as_another(value: Any) -> bool:
    """Return whether a value has the JSON of one of another type: bytes as text, infinity as NULL."""
    return isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value))
