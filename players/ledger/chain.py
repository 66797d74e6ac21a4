"""The chain of hashes that proves a ledger: two entries a play, each hash covering the one before it."""

import heapq
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from players.ledger.schema import ENTRIES, SCHEMAS, Schema, column_types
from players.ledger.snapshot import reading

FIRST_HASH = "0" * 64
"""Hash before the first entry."""
_NONE = Schema({}, {}, lambda db: None)
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
    hash: Any
    content: list[Any]
    kept: bool
    """Whether the row holds nothing but what its schema has columns for."""


def entry_hash(before: str, seq: int, content: list[Any]) -> str:
    """Return the hash of an entry: sha256 of the hash before it, its number and its content as JSON, in lines."""
    return sha256(f"{before}\n{seq}\n".encode() + msgspec.json.encode(content)).hexdigest()


def head(db: sqlite3.Connection) -> tuple[int, str]:
    """Return number and hash of the newest entry."""
    started = db.execute("SELECT started_seq, started_hash FROM plays ORDER BY started_seq DESC LIMIT 1").fetchone()
    ended = db.execute(
        "SELECT ended_seq, hash FROM plays WHERE ended_seq > 0 ORDER BY ended_seq DESC LIMIT 1"
    ).fetchone()
    return max(started or (0, FIRST_HASH), ended or (0, FIRST_HASH))


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
                text = f"play {entry.play_id}, entry {entry.seq} ({entry.kind}): {problem}"
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
    if entry.before != head:
        return "it does not follow the entry before it"
    if entry.hash != entry_hash(entry.before, entry.seq, entry.content):
        return "what it says is not what was hashed"
    if not entry.kept or any(map(_hashes_as_another, entry.content)):
        return "what it says is not what was hashed"
    return ""


def _started(db: sqlite3.Connection) -> Iterator[_Entry]:
    for row in db.execute("SELECT * FROM plays ORDER BY started_seq"):
        schema = SCHEMAS.get(row["schema"], _NONE)
        strange = {*column_types()} - {*schema.started, *schema.ended, *ENTRIES}
        content = ["started", *(row[name] for name in schema.started)]
        kept = all(row[name] is None for name in strange)
        before, digest = row["started_prev_hash"], row["started_hash"]
        yield _Entry(row["started_seq"], row["play_id"], "started", before, digest, content, kept)


def _ended(db: sqlite3.Connection) -> Iterator[_Entry]:
    for row in db.execute("SELECT * FROM plays WHERE ended_seq IS NOT NULL ORDER BY ended_seq"):
        columns = SCHEMAS.get(row["schema"], _NONE).ended
        content = ["ended", row["play_id"], row["started_hash"], *(row[name] for name in columns)]
        yield _Entry(row["ended_seq"], row["play_id"], "ended", row["prev_hash"], row["hash"], content, True)


def _place(entry: _Entry) -> float:
    """Return the place of an entry in the chain; a number that is none comes last, and follows nothing."""
    return entry.seq if isinstance(entry.seq, int) else inf


def _hashes_as_another(value: Any) -> bool:
    """Return whether a value has the JSON of one of another type: bytes as text, infinity as NULL."""
    return isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value))
