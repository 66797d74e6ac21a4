"""The rows of a ledger: their columns, in the order in which they are hashed, and the links that chain them."""

import sqlite3
from hashlib import sha256
from typing import Any

import msgspec

SCHEMA = 1
FIRST_HASH = "0" * 64
OPENOOH_TAXONOMY = 5
"""AdCOM's number of the OpenOOH venue taxonomy 1.1."""

STARTED = {
    "play_id": "TEXT PRIMARY KEY",
    "schema": "INTEGER NOT NULL",
    "station": "TEXT NOT NULL",
    "screen": "TEXT NOT NULL",
    "venue_type": "TEXT NOT NULL",
    "venue_taxonomy": "INTEGER NOT NULL",
    "lat": "REAL",
    "lon": "REAL",
    "advertiser": "TEXT NOT NULL",
    "campaign": "TEXT NOT NULL",
    "line": "TEXT NOT NULL",
    "creative": "TEXT NOT NULL",
    "creative_sha256": "TEXT NOT NULL",
    "decision_id": "TEXT NOT NULL",
    "policy": "TEXT NOT NULL",
    "propensity": "REAL NOT NULL",
    "trigger": "TEXT NOT NULL",
    "target": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "started_utc": "TEXT NOT NULL",
    "started_mono_ns": "INTEGER NOT NULL",
    "clock_synced": "INTEGER NOT NULL",
    "time_zone": "TEXT NOT NULL",
    "planned_ms": "INTEGER NOT NULL",
    "price_micro": "INTEGER NOT NULL",
    "currency": "TEXT NOT NULL",
    "model_sha256": "TEXT NOT NULL",
    "app_version": "TEXT NOT NULL",
}
ENDED = {
    "matched_watchers": "INTEGER",
    "watchers": "INTEGER",
    "watchers_2s": "INTEGER",
    "attention_ms": "INTEGER",
    "person_ms": "INTEGER",
    "ots": "INTEGER",
    "qty_multiplier": "REAL",
    "ended_utc": "TEXT",
    "ended_mono_ns": "INTEGER",
    "shown_ms": "INTEGER",
    "frames_expected": "INTEGER",
    "frames_presented": "INTEGER",
    "status": "TEXT",
    "stop_reason": "TEXT",
    "billable": "INTEGER",
    "bill_reason": "TEXT",
}
LINKS = {
    "started_seq": "INTEGER NOT NULL UNIQUE",
    "started_prev_hash": "TEXT NOT NULL",
    "started_hash": "TEXT NOT NULL",
    "ended_seq": "INTEGER UNIQUE",
    "prev_hash": "TEXT",
    "hash": "TEXT",
}
COLUMNS = (*STARTED, *ENDED, *LINKS)
TABLES = {
    "plays": COLUMNS,
    "audience_groups": ("station", "screen", "hour_utc", "gender", "decade", "person_ms"),
    "audience_hours": ("station", "screen", "hour_utc", "visits", "person_ms", "watched_ms"),
}
"""The columns of each table by name: their order in a file is whoever wrote the file's."""
SCHEMA_SQL = (
    f"CREATE TABLE IF NOT EXISTS plays ({', '.join(f'{k} {v}' for k, v in {**STARTED, **ENDED, **LINKS}.items())})",
    "CREATE INDEX IF NOT EXISTS plays_by_time ON plays (started_utc)",
    "CREATE INDEX IF NOT EXISTS plays_billed ON plays (line, price_micro) WHERE billable = 1",
    "CREATE TRIGGER IF NOT EXISTS plays_stay BEFORE DELETE ON plays BEGIN SELECT RAISE(ABORT, 'plays stay'); END",
    "CREATE TRIGGER IF NOT EXISTS ended_stays BEFORE UPDATE ON plays WHEN old.ended_seq IS NOT NULL "
    "BEGIN SELECT RAISE(ABORT, 'an ended play stays as it is'); END",
    "CREATE TABLE IF NOT EXISTS audience_groups (station TEXT, screen TEXT, hour_utc TEXT, gender TEXT, decade TEXT, "
    "person_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, hour_utc, gender, decade))",
    "CREATE TABLE IF NOT EXISTS audience_hours (station TEXT, screen TEXT, hour_utc TEXT, visits INTEGER NOT NULL, "
    "person_ms INTEGER NOT NULL, watched_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, hour_utc))",
    f"PRAGMA user_version = {SCHEMA}",
)


def as_stored(columns: dict[str, str], row: dict[str, Any]) -> list[Any]:
    """The row's values as SQLite gives them back, so that they hash alike."""
    return [
        float(row[name]) if kind.startswith("REAL") and row[name] is not None else row[name]
        for name, kind in columns.items()
    ]


def link_hash(before: str, seq: int, content: list[Any]) -> str:
    """The hash of a link: sha256 of the hash before it, its number and its content as JSON."""
    return sha256(f"{before}\n{seq}\n".encode() + msgspec.json.encode(content)).hexdigest()


def head(db: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the newest link."""
    started = db.execute("SELECT started_seq, started_hash FROM plays ORDER BY started_seq DESC LIMIT 1").fetchone()
    ended = db.execute(
        "SELECT ended_seq, hash FROM plays WHERE ended_seq > 0 ORDER BY ended_seq DESC LIMIT 1"
    ).fetchone()
    return max(started or (0, FIRST_HASH), ended or (0, FIRST_HASH))
