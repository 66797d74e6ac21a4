"""Reading ledgers: a snapshot beside a running player, the check of the chain, export and signature."""

import base64
import csv
import heapq
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from math import inf, isfinite
from pathlib import Path
from typing import Any, TextIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from pipeline.errors import UserError
from players.ads.lines import money
from players.ledger.schema import COLUMNS, ENDED, FIRST_HASH, STARTED, TABLES, link_hash

EXPORTED = tuple("price" if name == "price_micro" else name for name in COLUMNS)
_COPIES = 20


class Verdict(Struct, frozen=True, kw_only=True):
    """What a chain proves: so many links and plays up to `head`, or the first thing wrong with it."""

    links: int
    plays: int
    billable: int
    head: str
    problem: str = ""


@contextmanager
def reading(paths: list[Path]) -> Iterator[sqlite3.Connection]:
    """The ledgers as they stand, `plays`, `audience_hours` and `audience_groups` of all in one; read-only copies, so
    that the players go on undisturbed. UserError where there is none, one cannot be read, or two hold one play. Not
    for the process that holds a ledger open: reading the file there gives its lock away."""
    if not paths:
        raise UserError("there is no ledger yet; let the station play first, or name a file with --ledger")
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        copies = [_copy(path, Path(folder) / str(number)) for number, path in enumerate(paths)]
        db = sqlite3.connect(copies[0] if len(copies) == 1 else Path(folder) / "all", isolation_level=None)
        try:
            if len(copies) > 1:
                _join(db, copies)
            db.row_factory = sqlite3.Row
            yield db
        except (sqlite3.DatabaseError, ValueError, TypeError, ArithmeticError) as error:  # a time or price that is none
            names = ", ".join(str(path) for path in paths)
            raise UserError(f"{names}: not a sound ledger ({error}); restore it from a backup") from None
        finally:
            db.close()


def verify(path: Path) -> Verdict:
    """Follow the chain of one ledger from its first link; `problem` names the first bad row."""
    with reading([path]) as db:
        count, billable = db.execute("SELECT COUNT(*), COALESCE(SUM(billable), 0) FROM plays").fetchone()
        seq, head = 0, FIRST_HASH
        for number, play_id, kind, before, digest, content in heapq.merge(_started(db), _ended(db), key=_place):
            problem = ""
            if number != seq + 1:
                problem = f"link {seq + 1} is missing before it"
            elif before != head:
                problem = "it does not follow the link before it"
            elif digest != link_hash(before, number, content) or any(map(_hashes_as_another, content)):
                problem = "what it says is not what was hashed"
            if problem:
                text = f"play {play_id}, link {number} ({kind}): {problem}"
                return Verdict(links=seq, plays=count, billable=billable, head=head, problem=text)
            seq, head = number, digest
        loose = " OR ".join(f"{name} IS NOT NULL" for name in ENDED)
        stray = db.execute(f"SELECT play_id FROM plays WHERE ended_seq IS NULL AND ({loose})").fetchone()  # noqa: S608
        (intact,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        problem = f"play {stray[0]}: it says how it ended without a link that proves it" if stray else ""
        if not problem and intact != "ok":
            problem = f"every play is as it was hashed, but reports would not find them all: {intact}"
        return Verdict(links=seq, plays=count, billable=billable, head=head, problem=problem)


def rows(
    db: sqlite3.Connection, since: str | None = None, until: str | None = None, campaign: str | None = None
) -> Iterator[dict[str, Any]]:
    """Plays in the order of their starts, the price as a Decimal; `since` and `until` are UTC, the latter excluded."""
    where, values = _where(since, until, campaign)
    names = ", ".join(COLUMNS)
    for row in db.execute(f"SELECT {names} FROM plays{where} ORDER BY started_utc, started_seq", values):  # noqa: S608
        play = dict(row)
        play["price_micro"] = money(play["price_micro"])
        yield dict(zip(EXPORTED, play.values(), strict=True))


def export(plays: Iterator[dict[str, Any]], kind: str, target: TextIO | Path) -> int:
    """Write plays as csv or jsonl text, or as a parquet file; how many."""
    count = 0
    if kind == "parquet":
        return _parquet(plays, target)
    if isinstance(target, Path):
        try:
            with target.open("w", encoding="utf-8", newline="") as stream:
                return export(plays, kind, stream)
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror}; name another place") from None
    writer = csv.DictWriter(target, EXPORTED) if kind == "csv" else None
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
    """A value for a csv file: text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def sign(path: Path, key_path: Path) -> dict[str, Any]:
    """A statement about a sound ledger, signed with Ed25519; the key is made where there is none yet.

    Whoever holds the statement can show later that nothing up to its head was changed, dropped or added."""
    verdict = verify(path)
    if verdict.problem:
        raise UserError(f"{path}: not signed, the chain is broken: {verdict.problem}")
    with reading([path]) as db:
        first = db.execute(
            "SELECT station, screen, MIN(started_utc), MAX(COALESCE(ended_utc, started_utc)) FROM plays"
        ).fetchone()
    key = _key(key_path)
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    statement: dict[str, Any] = {
        "station": first[0],
        "screen": first[1],
        "first_utc": first[2],
        "last_utc": first[3],
        "links": verdict.links,
        "plays": verdict.plays,
        "billable": verdict.billable,
        "head": verdict.head,
        "signed_utc": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "public_key": base64.b64encode(public).decode(),
    }
    return {**statement, "signature": base64.b64encode(key.sign(_signed_bytes(statement))).decode()}


def check_statement(path: Path, statement: dict[str, Any]) -> None:
    """UserError unless the statement is signed by its key and its head is a link of this ledger."""
    try:
        claimed = {k: v for k, v in statement.items() if k != "signature"}
        # Whole and nothing else: what follows a key's padding would be printed with it, and could hide it.
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(claimed["public_key"], validate=True))
        public.verify(base64.b64decode(statement["signature"]), _signed_bytes(claimed))
    except (KeyError, ValueError, TypeError, InvalidSignature):
        raise UserError("the signed statement is not what its key signed; ask for it again") from None
    with reading([path]) as db:
        found = db.execute(
            "SELECT 1 FROM plays WHERE (started_seq = :links AND started_hash = :head) "
            "OR (ended_seq = :links AND hash = :head)",
            claimed,
        ).fetchone()
    if found is None and claimed["links"]:
        raise UserError(f"{path}: link {claimed['links']} is not the signed one; plays were changed or lost")


def utc_bound(text: str, zone: Any) -> str:
    """A local day (2026-05-01) or time as the ledger writes times: UTC with milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise UserError(f"{text!r} is no day or time; write such as 2026-05-01 or 2026-05-01T08:00") from None


def next_day(text: str) -> str:
    """The day after a day, for an `until` that includes it; other times as they are."""
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return text


def _where(since: str | None, until: str | None, campaign: str | None) -> tuple[str, list[str]]:
    wanted = [(since, "started_utc >= ?"), (until, "started_utc < ?"), (campaign, "campaign = ?")]
    used = [(value, text) for value, text in wanted if value is not None]
    clause = " WHERE " + " AND ".join(text for _, text in used) if used else ""
    return clause, [value for value, _ in used]


def _copy(path: Path, folder: Path) -> Path:
    """A consistent copy of a ledger and its log: taken again until neither changed meanwhile."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such ledger; let the station play first")
    folder.mkdir()
    log = path.with_name(path.name + "-wal")
    for _ in range(_COPIES):
        before = _state(path), _state(log)
        try:
            shutil.copyfile(path, folder / path.name)
            (folder / log.name).unlink(missing_ok=True)
            if before[1] is not None:
                shutil.copyfile(log, folder / log.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: cannot be copied to {folder.parent}: {error.strerror}; mend that") from None
        if before == (_state(path), _state(log)):
            return folder / path.name
    raise UserError(f"{path}: it changes too fast to be read; try again")


def _join(db: sqlite3.Connection, ledgers: list[Path]) -> None:
    """Put the tables of all ledgers into one file; a play in two of them would be billed twice."""
    for number, ledger in enumerate(ledgers):
        db.execute("ATTACH ? AS one", (str(ledger),))
        for table, columns in TABLES.items():
            into = f"INSERT INTO {table}" if number else f"CREATE TABLE {table} AS"
            db.execute(f"{into} SELECT {', '.join(columns)} FROM one.{table}")  # noqa: S608
        db.execute("DETACH one")
    twice = db.execute("SELECT play_id FROM plays GROUP BY play_id HAVING COUNT(*) > 1").fetchone()
    if twice:
        raise UserError(f"play {twice[0]} is in two of the ledgers; name each ledger once")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_size, info.st_mtime_ns


_Link = tuple[int, str, str, str, str, list[Any]]


def _started(db: sqlite3.Connection) -> Iterator[_Link]:
    names = ", ".join(STARTED)
    for row in db.execute(
        f"SELECT started_seq, play_id, started_prev_hash, started_hash, {names} FROM plays ORDER BY 1"  # noqa: S608
    ):
        yield row[0], row[1], "started", row[2], row[3], ["started", *row[4:]]


def _ended(db: sqlite3.Connection) -> Iterator[_Link]:
    names = ", ".join(ENDED)
    for row in db.execute(
        f"SELECT ended_seq, play_id, prev_hash, hash, started_hash, {names} FROM plays "  # noqa: S608
        "WHERE ended_seq IS NOT NULL ORDER BY 1"
    ):
        yield row[0], row[1], "ended", row[2], row[3], ["ended", row[1], row[4], *row[5:]]


def _place(link: _Link) -> float:
    """Where a link stands in the chain; a number that is none comes last, and follows nothing."""
    return link[0] if isinstance(link[0], int) else inf


def _hashes_as_another(value: Any) -> bool:
    """Whether a value that no player writes has the JSON of one that it writes: bytes as text, infinity as NULL."""
    return isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value))


def _signed_bytes(statement: dict[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def _key(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError, OSError):
            raise UserError(f"{path}: not an unencrypted PEM key; name another with --key") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UserError(f"{path}: not an Ed25519 key; name another with --key")
        return key
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.new")  # a full disk leaves no half of a key
        draft.touch(0o600)
        draft.write_bytes(pem)
        draft.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; name another place with --key") from None
    return key


def _parquet(plays: Iterator[dict[str, Any]], target: TextIO | Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("parquet needs pyarrow; install it with: pip install 'stationcast[parquet]'") from None
    if not isinstance(target, Path):
        raise UserError("parquet is not text; name a file with --out")
    types = {"TEXT": pyarrow.string(), "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    kinds = {**STARTED, **ENDED}
    fields = [
        (name, pyarrow.decimal128(20, 6) if name == "price" else types[kinds.get(name, "TEXT").split()[0]])
        for name in EXPORTED
    ]
    fields = [(name, pyarrow.int64() if name.endswith("_seq") else kind) for name, kind in fields]
    listed = list(plays)
    try:
        # Our own stream: where a write fails, pyarrow removes what it has opened by name, were it a device.
        with target.open("wb") as stream:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed, schema=pyarrow.schema(fields)), stream)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {os.strerror(error.errno or 0)}; name another place") from None
    return len(listed)
