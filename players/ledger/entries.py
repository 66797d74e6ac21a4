"""Writing of rows: each start and each end of a play appends an entry to the chain of hashes."""

import sqlite3
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from players.ledger.schema import FIRST_HASH, SCHEMAS, Schema, newest
from players.ledger.values import as_text, pack_eligible, plain_row, to_file


def entry_hash(before: str, seq: int, content: list[Any]) -> str:
    """Return the hash of an entry: sha256 of the hash before it, its number and its content as JSON, in lines."""
    return sha256(f"{before}\n{seq}\n".encode() + msgspec.json.encode(content)).hexdigest()


class Identity(Struct, frozen=True):
    """First entry of a chain, whose number is 0: which ledger it is. Ledgers begun before schema 4 have none."""

    ledger: str
    """Random name of the ledger."""
    station: str
    screen: str
    begun_utc: str

    @property
    def hash(self) -> str:
        """Hash of the entry, which the first play follows."""
        return entry_hash(FIRST_HASH, 0, ["begun", self.ledger, self.station, self.screen, self.begun_utc])

    @staticmethod
    def of(db: sqlite3.Connection) -> "Identity | None":
        """Return the identity that a ledger's own file states, if any. ValueError: it has two, or a false hash."""
        rows = db.execute("SELECT ledger, station, screen, begun_utc, hash FROM main.identity").fetchall()
        if not rows:
            return None
        identity = Identity(*rows[0][:4])
        if len(rows) > 1 or not all(isinstance(value, str) for value in rows[0]) or identity.hash != rows[0][4]:
            raise ValueError("its identity is not what was hashed")
        return identity

    def write(self, db: sqlite3.Connection) -> None:
        """Write the identity into a ledger that has no plays yet."""
        values = (self.ledger, self.station, self.screen, self.begun_utc, self.hash)
        db.execute("INSERT INTO identity VALUES (?, ?, ?, ?, ?)", values)


def origin(db: sqlite3.Connection) -> str:
    """Return the hash that the first play of a ledger follows: that of its identity, or 64 zeros."""
    identity = Identity.of(db)
    return identity.hash if identity else FIRST_HASH


class Started(Struct, frozen=True):
    """Start of a play in the chain, which its end refers to."""

    seq: int
    hash: str
    play_id: str
    schema: int


class ChainEnd(Struct, frozen=True):
    """Newest entry of a ledger. To append one returns the next chain end, which counts once it is committed."""

    seq: int = 0
    hash: str = FIRST_HASH

    @staticmethod
    def of(db: sqlite3.Connection) -> "ChainEnd":
        """Find the newest entry in a ledger's own file."""
        entries = [(0, origin(db))]
        for seq, digest in (("started_seq", "started_hash"), ("ended_seq", "hash")):
            query = f"SELECT {seq}, {digest} FROM plays WHERE {seq} > 0 ORDER BY {seq} DESC LIMIT 1"  # noqa: S608
            entries += [(number, as_text(value)) for number, value in db.execute(query)]
        return ChainEnd(*max(entries))

    def start(self, db: sqlite3.Connection, row: dict[str, Any]) -> "ChainEnd":
        """Write the row of a play that starts, under the newest schema."""
        schema = SCHEMAS[newest()]
        rounded, packed = pack_eligible(db, row["eligible"])
        content = plain_row(schema.started, {**row, "eligible": rounded})
        end = self._next(["started", *content])
        kept = dict(zip(schema.started, content, strict=True)) | {"eligible": packed}
        kept |= {"started_seq": end.seq, "started_hash": end.hash}
        kept["started_prev_hash"] = self.hash if schema.keeps_previous else ""
        values = [to_file(db, schema, name, value) for name, value in kept.items()]
        db.execute(f"INSERT INTO plays ({', '.join(kept)}) VALUES ({', '.join('?' * len(kept))})", values)  # noqa: S608
        return end

    def end(self, db: sqlite3.Connection, started: Started, row: dict[str, Any]) -> "ChainEnd":
        """Write how a play ended, under the schema of its start."""
        schema: Schema = SCHEMAS[started.schema]
        content = plain_row(schema.ended, row)
        end = self._next(["ended", started.play_id, started.hash, *content])
        kept = dict(zip(schema.ended, content, strict=True)) | {"ended_seq": end.seq, "hash": end.hash}
        kept["prev_hash"] = self.hash if schema.keeps_previous else None
        values = [to_file(db, schema, name, value) for name, value in kept.items()]
        names = ", ".join(f"{name} = ?" for name in kept)
        db.execute(f"UPDATE plays SET {names} WHERE started_seq = ?", [*values, started.seq])  # noqa: S608
        return end

    def _next(self, content: list[Any]) -> "ChainEnd":
        return ChainEnd(self.seq + 1, entry_hash(self.hash, self.seq + 1, content))


def hash_of(db: sqlite3.Connection, seq: int) -> str:
    """Return the hash of an entry of a ledger's own file, 0 being its identity; empty where there is none."""
    if seq == 0:
        return origin(db)
    started = "SELECT started_hash FROM main.plays WHERE started_seq = ?"
    ended = "SELECT hash FROM main.plays WHERE ended_seq = ?"
    found = db.execute(f"{started} UNION ALL {ended}", (seq, seq)).fetchone()
    return str(as_text(found[0])) if found else ""


def is_open(db: sqlite3.Connection, started: Started) -> bool:
    """Return whether a play's end is not written yet: a commit that failed in its last moment may have got through."""
    query = "SELECT 1 FROM plays WHERE started_seq = ? AND ended_seq IS NULL"
    return db.execute(query, (started.seq,)).fetchone() is not None


def open_starts(db: sqlite3.Connection) -> list[Started]:
    """Return the starts of all plays that have not ended."""
    query = "SELECT started_seq, started_hash, play_id, schema FROM plays WHERE ended_seq IS NULL ORDER BY 1"
    return [Started(seq, as_text(digest), as_text(play), schema) for seq, digest, play, schema in db.execute(query)]
