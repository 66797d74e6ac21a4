"""The chain of hashes that proves a ledger: two entries a play, each hash covering the one before it."""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from players.ledger.entries import entry_hash
from players.ledger.schema import ENTRIES, FIRST_HASH, SCHEMAS, Schema, column_types
from players.ledger.snapshot import reading
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


def has_entry(db: sqlite3.Connection, seq: int, digest: str) -> bool:
    """Return whether the entry of this number has this hash."""
    started = "SELECT 1 FROM plays WHERE started_seq = ? AND started_hash = ?"
    ended = "SELECT 1 FROM plays WHERE ended_seq = ? AND hash = ?"
    return db.execute(f"{started} UNION {ended}", (seq, digest, seq, digest)).fetchone() is not None


def verify(path: Path) -> Verdict:
    """Follow the chain of one ledger from its first entry; `problem` names the first bad row."""
    with reading([path]) as db:
        count, billable = db.execute("SELECT COUNT(*), COALESCE(SUM(billable), 0) FROM plays").fetchone()
        seq, head = 0, FIRST_HASH
        for entry in heapq.merge(_started(db), _ended(db), key=_place):
            problem = _problem(entry, seq, head)
            if problem:
                text = f"play {as_text(entry.play_id)}, entry {entry.seq} ({entry.kind}): {problem}"
                return Verdict(entries=seq, plays=count, billable=billable, head=head, problem=text)
            seq, head = entry.seq, entry.hash
        ended = dict.fromkeys(name for schema in SCHEMAS.values() for name in schema.ended)
        loose = " OR ".join(f"{name} IS NOT NULL" for name in ended)
        stray = db.execute(f"SELECT play_id FROM plays WHERE ended_seq IS NULL AND ({loose})").fetchone()  # noqa: S608
        (intact,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        problem = f"play {stray[0]}: it says how it ended without an entry that proves it" if stray else ""
        if not problem and intact != "ok":
            problem = f"every play is as it was hashed, but reports would not find them all: {intact}"
        return Verdict(entries=seq, plays=count, billable=billable, head=head, problem=problem)


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


def _started(db: sqlite3.Connection) -> Iterator[_Entry]:
    kept = {n: {*schema.started, *schema.ended, *ENTRIES} for n, schema in SCHEMAS.items()}
    strange = {n: {*column_types()} - names for n, names in kept.items()}
    for row, schema in _rows(db, "started_seq", {n: tuple(schema.started) for n, schema in SCHEMAS.items()}):
        content = ["started", *(row[name] for name in schema.started)]
        before = row["started_prev_hash"] if schema.keeps_previous else row["started_prev_hash"] or None
        pure = all(row[name] is None for name in strange.get(row["schema"], ()))
        yield _Entry(row["started_seq"], row["play_id"], "started", before, row["started_hash"], content, pure)


def _ended(db: sqlite3.Connection) -> Iterator[_Entry]:
    for row, schema in _rows(db, "ended_seq", {n: tuple(schema.ended) for n, schema in SCHEMAS.items()}):
        content = ["ended", row["play_id"], row["started_hash"], *(row[name] for name in schema.ended)]
        before = row["prev_hash"] if schema.keeps_previous else row["prev_hash"] or None
        yield _Entry(row["ended_seq"], row["play_id"], "ended", before, row["hash"], content, True)


def _rows(
    db: sqlite3.Connection, seq: str, columns: dict[int, tuple[str, ...]]
) -> Iterator[tuple[dict[str, Any], Schema]]:
    """Yield the rows of a ledger's own file in the order of `seq`, the columns of their schema as they are hashed."""
    texts = read_texts(db)
    coded = {}
    for number, schema in SCHEMAS.items():
        in_bytes = {*schema.as_bytes, *schema.as_number, "eligible"}
        coded[number] = [name for name in (*columns[number], "play_id", "started_hash", "hash") if name in in_bytes]
    names = (*column_types(),)
    query = f"SELECT {', '.join(names)} FROM main.plays WHERE {seq} IS NOT NULL ORDER BY {seq}"  # noqa: S608
    for values in db.execute(query):
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
