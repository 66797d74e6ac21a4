"""Tables of a ledger by the number of their schema, and the migrations from one schema to the next.

A row says under which schema its play started, and keeps to it. Its hashes cover the columns of that schema, in their
order; columns that later schemas add are not part of them. A new schema is an entry of SCHEMAS. Its migration adds
tables and columns that may be NULL, and changes no row.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

FIRST_HASH = "0" * 64
"""Hash before the first entry of a chain."""
OPENOOH_TAXONOMY = 5
"""AdCOM's number of the OpenOOH venue taxonomy 1.1."""


MEASURED_SINCE = 5
"""Number of the schema since which people are followed through a play and measured."""


class Schema(NamedTuple):
    """One schema: columns of `plays` with their SQL types, in the order of hashing, and how a file keeps them.

    `started`: columns written before a play is shown. `ended`: columns written after it.
    `migrate`: brings the tables from the schema before to this one, inside the caller's transaction.
    `as_bytes`: columns whose hexadecimal text is kept as bytes.
    `as_number`: columns whose text stands in the table `texts`; a row keeps its number.
    `keeps_previous`: True where a row repeats the hashes of the entries before its own.
    """

    started: dict[str, str]
    ended: dict[str, str]
    migrate: Callable[[sqlite3.Connection], None]
    as_bytes: frozenset[str] = frozenset()
    as_number: frozenset[str] = frozenset()
    keeps_previous: bool = True


ENTRIES = {
    "started_seq": "INTEGER NOT NULL UNIQUE",
    "started_prev_hash": "TEXT NOT NULL",
    "started_hash": "TEXT NOT NULL",
    "ended_seq": "INTEGER UNIQUE",
    "prev_hash": "TEXT",
    "hash": "TEXT",
}
"""Columns of the two entries that a play has in the chain: number, hash before it and own hash. They never change."""
AUDIENCE = {
    "audience_groups": ("station", "screen", "hour_utc", "gender", "decade", "person_ms"),
    "audience_hours": ("station", "screen", "hour_utc", "visits", "person_ms", "watched_ms"),
    "audience_quarter_groups": ("station", "screen", "begins_utc", "gender", "decade", "person_ms"),
    "audience_quarters": ("station", "screen", "begins_utc", "visits", "person_ms", "watched_ms"),
}
"""Columns of the tables in which players counted until schema 4: by hour, and since schema 3 by quarter of an hour."""
_STARTED_1 = {
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
_ENDED_1 = {
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


_STARTED_5 = {"price_per": "TEXT", "rate_micro": "INTEGER", "reserved_micro": "INTEGER", "bill_on": "TEXT"}
_MEASURES_5 = {
    "measured_share": "REAL",
    "ots_1s": "INTEGER",
    "ots_unknown": "INTEGER",
    "watchers_looked": "INTEGER",
    "watchers_2s": "INTEGER",
    "presence_ms": "INTEGER",
    "dwell_ms": "INTEGER",
    "attention_ms": "INTEGER",
    "most_people": "INTEGER",
    "p_minor_max": "REAL",
    "matched_ots": "INTEGER",
    "matched_looked": "INTEGER",
    "matched_attention_ms": "INTEGER",
    "exposure_zone": "TEXT",
    "calibration": "TEXT",
    "measure_level": "TEXT",
}
_COUNTS_1 = ("matched_watchers", "watchers", "watchers_2s", "attention_ms", "person_ms", "ots", "qty_multiplier")
"""Columns of people until schema 4, which schema 5 replaces by measures; two of them were always empty."""


def _to_1(db: sqlite3.Connection) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in {**_STARTED_1, **_ENDED_1, **ENTRIES}.items())
    for statement in (
        f"CREATE TABLE plays ({columns})",
        "CREATE INDEX plays_by_time ON plays (started_utc)",
        "CREATE INDEX plays_billed ON plays (line, price_micro) WHERE billable = 1",
        "CREATE TRIGGER plays_stay BEFORE DELETE ON plays BEGIN SELECT RAISE(ABORT, 'plays stay'); END",
        "CREATE TRIGGER ended_stays BEFORE UPDATE ON plays WHEN old.ended_seq IS NOT NULL "
        "BEGIN SELECT RAISE(ABORT, 'an ended play stays as it is'); END",
        "CREATE TABLE audience_groups (station TEXT, screen TEXT, hour_utc TEXT, gender TEXT, decade TEXT, "
        "person_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, hour_utc, gender, decade))",
        "CREATE TABLE audience_hours (station TEXT, screen TEXT, hour_utc TEXT, visits INTEGER NOT NULL, "
        "person_ms INTEGER NOT NULL, watched_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, hour_utc))",
    ):
        db.execute(statement)


def _to_2(db: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE plays ADD COLUMN context BLOB",
        "ALTER TABLE plays ADD COLUMN eligible BLOB",
        "ALTER TABLE plays ADD COLUMN bill_code TEXT",
        "CREATE TABLE texts (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE TRIGGER texts_stay BEFORE DELETE ON texts BEGIN SELECT RAISE(ABORT, 'texts stay'); END",
        "CREATE TRIGGER texts_stay_so BEFORE UPDATE ON texts BEGIN SELECT RAISE(ABORT, 'texts stay'); END",
    ):
        db.execute(statement)


def _to_3(db: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE audience_quarter_groups (station TEXT, screen TEXT, begins_utc TEXT, gender TEXT, decade TEXT, "
        "person_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, begins_utc, gender, decade)) WITHOUT ROWID",
        "CREATE TABLE audience_quarters (station TEXT, screen TEXT, begins_utc TEXT, visits INTEGER NOT NULL, "
        "person_ms INTEGER NOT NULL, watched_ms INTEGER NOT NULL, PRIMARY KEY (station, screen, begins_utc)) "
        "WITHOUT ROWID",
        "CREATE TABLE runs (run TEXT PRIMARY KEY, first_seq INTEGER NOT NULL)",
    ):
        db.execute(statement)


def _to_4(db: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE identity (ledger TEXT NOT NULL, station TEXT NOT NULL, screen TEXT NOT NULL, "
        "begun_utc TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TRIGGER identity_is_first BEFORE INSERT ON identity WHEN EXISTS (SELECT 1 FROM identity) "
        "OR EXISTS (SELECT 1 FROM plays) BEGIN SELECT RAISE(ABORT, 'an identity comes first'); END",
        "CREATE TRIGGER identity_stays BEFORE DELETE ON identity BEGIN SELECT RAISE(ABORT, 'an identity stays'); END",
        "CREATE TRIGGER identity_stays_so BEFORE UPDATE ON identity "
        "BEGIN SELECT RAISE(ABORT, 'an identity stays'); END",
    ):
        db.execute(statement)


def _to_5(db: sqlite3.Connection) -> None:
    known = {row[1] for row in db.execute("PRAGMA main.table_info(plays)")}
    for name, kind in {**_STARTED_5, **_MEASURES_5, "cost_micro": "INTEGER"}.items():
        if name not in known:
            db.execute(f"ALTER TABLE plays ADD COLUMN {name} {kind}")


_SCHEMA_2 = Schema(
    {**_STARTED_1, "context": "BLOB", "eligible": "BLOB"},
    {**_ENDED_1, "bill_code": "TEXT"},
    _to_2,
    as_bytes=frozenset({"play_id", "decision_id", "context", "started_hash", "hash"}),
    as_number=frozenset(
        {"station", "screen", "venue_type", "campaign", "creative_sha256", "policy", "target", "time_zone"}
        | {"model_sha256", "app_version"}
    ),
    keeps_previous=False,
)
SCHEMAS: dict[int, Schema] = {
    1: Schema(_STARTED_1, _ENDED_1, _to_1),
    2: _SCHEMA_2,
    3: _SCHEMA_2._replace(migrate=_to_3),
    4: _SCHEMA_2._replace(migrate=_to_4),
    5: _SCHEMA_2._replace(
        started=_SCHEMA_2.started | _STARTED_5,
        ended={name: kind for name, kind in _SCHEMA_2.ended.items() if name not in _COUNTS_1}
        | _MEASURES_5
        | {"cost_micro": "INTEGER"},
        migrate=_to_5,
        as_number=_SCHEMA_2.as_number | {"price_per", "bill_on", "exposure_zone", "calibration", "measure_level"},
    ),
}
"""Every schema there was, by its number."""


def newest() -> int:
    """Return the number of the schema under which plays start now."""
    return max(SCHEMAS)


def column_types() -> dict[str, str]:
    """Return all columns of `plays` with their SQL types: those of schema 1, then what each later schema added."""
    types = {**_STARTED_1, **_ENDED_1, **ENTRIES}
    for schema in SCHEMAS.values():
        types |= schema.started | schema.ended
    return types


def check_schema(db: sqlite3.Connection) -> int:
    """Return the number of a ledger's schema. Raises sqlite3.DatabaseError where the file has parts of its own.

    A view in place of a table, or a strange trigger, could answer each question in another way.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > newest():
        raise sqlite3.DatabaseError(f"it was written by a newer version (schema {version}); install that version")
    strange = sorted(_parts(db) - _parts_of(version), key=str)
    if strange:
        part = f"its {strange[0][0]} {strange[0][1]}"
        raise sqlite3.DatabaseError(f"{part} is not that of a ledger: it was tampered with; put back a backup")
    return int(version)


def missing_part(db: sqlite3.Connection) -> str:
    """Return which part a ledger of the newest schema lacks, such as a trigger; empty if none."""
    missing = sorted(_parts_of(newest()) - _parts(db), key=str)
    return f"its {missing[0][0]} {missing[0][1]} is missing: it was tampered with" if missing else ""


def _parts(db: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Return type, name, table and SQL of all tables, views, indexes and triggers of a file."""
    return set(db.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master").fetchall())


def _parts_of(version: int) -> set[tuple[Any, ...]]:
    """Return the parts of an untouched ledger of a schema."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for number in range(1, version + 1):
            SCHEMAS[number].migrate(db)
        return _parts(db)
    finally:
        db.close()


def migrate(db: sqlite3.Connection) -> None:
    """Bring a ledger to the newest schema, each step in a transaction of its own.

    Raises sqlite3.DatabaseError for a ledger that a newer version of the program wrote, or of strange parts.
    """
    version = check_schema(db)
    for number in range(version + 1, newest() + 1):
        db.execute("BEGIN EXCLUSIVE")
        SCHEMAS[number].migrate(db)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
