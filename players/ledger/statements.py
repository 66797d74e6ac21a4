"""Signed statements about ledgers, kept one after the other beside the key: each names the one before it.

The file is only appended to. A statement that is changed, removed between others or put elsewhere breaks the row.
"""

import base64
import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pipeline.errors import UserError
from pipeline.medium import content_of
from pipeline.private import open_file, read_file
from pipeline.system import plain
from players.ledger.entries import hash_of
from players.ledger.outside import owner, read_plain

Statement = dict[str, Any]
_FIRST = "0" * 64
"""Hash before the first statement."""
_BEGINS = b'{"begins_anew":'
"""Beginning of every statement, as its keys are sorted."""
_KEY_BYTES_MAX = 1 << 16


def file_of(key: Path) -> Path:
    """Return the place of the statements that a key has signed."""
    return key.with_suffix(".statements.jsonl")


def key_beside(ledger: Path) -> Path:
    """Return the place of the key that `ledger sign` uses where none is named."""
    return ledger.with_name("signing-key.pem")


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public half of a key as statements name it, in base64."""
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(public).decode()


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read the key. NotPrivateError, OSError: it cannot be trusted, or read. UserError: it is no key of ours."""
    pem = read_file(path)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise UserError(f"{path}: not an unencrypted PEM key; name another with --key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: not an Ed25519 key; name another with --key")
    return key


def public_beside(ledger: Path) -> str:
    """Return the public half of the key beside a ledger; empty where there is none that can be read."""
    try:
        return public_text(read_key(key_beside(ledger)))
    except (OSError, UserError):
        return ""


def read_public(path: Path) -> str:
    """Return the public key of a file: its base64 as `ledger sign` prints it, or PEM. UserError: it is none."""
    try:
        data = content_of(path, _KEY_BYTES_MAX).strip()
        if data.startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(data)
            data = base64.b64encode(
                key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
                if isinstance(key, Ed25519PublicKey)
                else b""
            )
        Ed25519PublicKey.from_public_bytes(base64.b64decode(data, validate=True))
    except (ValueError, OSError):
        raise UserError(f"{path}: not a public key; write what `stationcast ledger sign` printed into a file") from None
    return data.decode("ascii")


def signed_bytes(statement: Statement) -> bytes:
    """Return the bytes of a statement that are signed: JSON with sorted keys and without spaces."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def check_signature(statement: Statement, public: str = "") -> None:
    """Check that a statement is signed by the key that it names, and that this is `public` if given; else UserError."""
    try:
        claimed = {k: v for k, v in statement.items() if k != "signature"}
        # Whole and nothing else: what follows a key's padding would be printed with it, and could hide it.
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(claimed["public_key"], validate=True))
        key.verify(base64.b64decode(statement["signature"]), signed_bytes(claimed))
        _entry(statement)
    except (KeyError, ValueError, TypeError, InvalidSignature):
        raise UserError("the signed statement is not what its key signed; ask for it again") from None
    if public and claimed["public_key"] != public:
        raise UserError(f"the statement is signed by another key, {claimed['public_key']}, and not by {public}")


def holds(db: sqlite3.Connection, statement: Statement) -> str:
    """Return why a ledger's own file is not the one of a signed statement; empty if it goes on from it."""
    number, head = _entry(statement)
    if hash_of(db, number) != head:
        return f"entry {number} is not the signed one; plays were changed or lost"
    return ""


def read_statements(file: Path, public: str = "") -> list[Statement]:
    """Return the statements of a file, empty where there is none. UserError: it is not what was signed, in that order.

    All must be signed by one key: `public` if given, else that of the first.
    """
    try:
        lines = _whole(read_plain(file)).decode("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: {plain(error) if isinstance(error, OSError) else 'not signed statements'}") from None
    found: list[Statement] = []
    for number, line in enumerate(lines, 1):
        try:
            statement = dict(json.loads(line))
            check_signature(statement, public)
        except (ValueError, TypeError, RecursionError):
            raise UserError(f"{file}: statement {number} cannot be read; it was changed") from None
        except UserError as error:
            raise UserError(f"{file}: statement {number}: {error}") from None
        if statement.get("number") != number or statement.get("previous") != _digest(found):
            raise UserError(f"{file}: statement {number} does not follow the one before: one was removed or moved")
        public = statement["public_key"]
        found.append(statement)
    return found


def append(file: Path, key: Ed25519PrivateKey, before: list[Statement], said: Statement) -> Statement:
    """Sign what is said as the next statement, append it to the file, and return it. Raises OSError."""
    statement = {**said, "number": len(before) + 1, "previous": _digest(before), "public_key": public_text(key)}
    statement["signature"] = base64.b64encode(key.sign(signed_bytes(statement))).decode()
    descriptor = open_file(file, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        kept = _whole(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
        size = len(kept)
        os.ftruncate(descriptor, size)
        line = (b"" if kept.endswith(b"\n") or not kept else b"\n") + signed_bytes(statement) + b"\n"
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)  # half a statement would stand in the way of the next
            raise
    finally:
        os.close(descriptor)
    return statement


def _whole(data: bytes) -> bytes:
    """Return the statements of a file without a last one of which a crash left only a part: nobody was given it."""
    last = data.rpartition(b"\n")[2]
    if not (last.startswith(_BEGINS) or _BEGINS.startswith(last) or not last.strip(b"\0")):
        return data
    try:
        json.loads(last)
    except (ValueError, RecursionError):
        return data[: len(data) - len(last)]
    return data


def of_screen(statements: list[Statement], db: sqlite3.Connection) -> list[Statement]:
    """Return the statements about a ledger's station and screen, from the last one that began anew on."""
    mine = [s for s in statements if (s.get("station"), s.get("screen")) == owner(db)]
    begins = [number for number, statement in enumerate(mine) if statement.get("begins_anew")]
    return mine[begins[-1] if begins else 0 :]


def kept(ledger: Path, file: Path | None = None, public: str = "") -> list[Statement] | UserError:
    """Return the statements of `file`, or those beside a ledger; the error where they are not all sound.

    Without `public` they must be signed by the key that lies beside the ledger, if one does. Read them before the
    ledger is copied: one that is signed meanwhile would be ahead of the copy. Where there is no ledger there are none.
    """
    if not ledger.is_file():
        return []
    try:
        return read_statements(file or file_of(key_beside(ledger)), public or public_beside(ledger))
    except UserError as error:
        return error


def problem(db: sqlite3.Connection, statements: list[Statement] | UserError) -> str:
    """Return how a ledger contradicts the statements that are `kept`; empty if it goes on from all."""
    if isinstance(statements, UserError):
        return str(statements)
    for statement in of_screen(statements, db):
        why = holds(db, statement)
        if why:
            return f"statement {statement['number']} of {statement['signed_utc']}: {why}"
    return ""


def _entry(statement: Statement) -> tuple[int, str]:
    """Return number and hash of the entry that a statement is about; version 0.1.0 calls the number `links`."""
    number, head = statement["entries" if "entries" in statement else "links"], statement["head"]
    if not isinstance(number, int) or not isinstance(head, str):
        raise TypeError
    return number, head


def _digest(before: list[Statement]) -> str:
    return hashlib.sha256(signed_bytes(before[-1])).hexdigest() if before else _FIRST
