"""Statements about ledgers, signed with Ed25519, by which plays that were changed or lost later are found."""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pipeline.errors import UserError
from pipeline.private import NotPrivateError, make_folders, read_file, replacing
from pipeline.system import plain
from players.ledger import clock
from players.ledger.chain import has_entry, verify
from players.ledger.snapshot import reading


def sign(path: Path, key_path: Path) -> dict[str, Any]:
    """Return a signed statement about a sound ledger; the key is made where there is none yet.

    Whoever holds the statement can show later that nothing up to its head was changed, dropped or added. Raises
    UserError where the chain is broken, or the key cannot be read or written.
    """
    verdict = verify(path)
    if verdict.problem:
        raise UserError(f"{path}: not signed, the chain is broken: {verdict.problem}")
    with reading([path]) as db:
        first = db.execute(
            "SELECT station, screen, MIN(started_utc), MAX(COALESCE(ended_utc, started_utc)) FROM plays"
        ).fetchone()
    key = load_key(key_path)
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    statement: dict[str, Any] = {
        "station": first[0],
        "screen": first[1],
        "first_utc": first[2],
        "last_utc": first[3],
        "entries": verdict.entries,
        "plays": verdict.plays,
        "billable": verdict.billable,
        "head": verdict.head,
        "signed_utc": clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "public_key": base64.b64encode(public).decode(),
    }
    return {**statement, "signature": base64.b64encode(key.sign(signed_bytes(statement))).decode()}


def check_statement(path: Path, statement: dict[str, Any]) -> None:
    """Check that a statement is signed by its key, and that its head is an entry of this ledger; else UserError.

    Statements of version 0.1.0 call the number of entries `links`.
    """
    try:
        claimed = {k: v for k, v in statement.items() if k != "signature"}
        # Whole and nothing else: what follows a key's padding would be printed with it, and could hide it.
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(claimed["public_key"], validate=True))
        public.verify(base64.b64decode(statement["signature"]), signed_bytes(claimed))
        number, head = claimed["entries" if "entries" in claimed else "links"], claimed["head"]
    except (KeyError, ValueError, TypeError, InvalidSignature):
        raise UserError("the signed statement is not what its key signed; ask for it again") from None
    with reading([path]) as db:
        found = has_entry(db, number, head)
    if number and not found:
        raise UserError(f"{path}: entry {number} is not the signed one; plays were changed or lost")


def signed_bytes(statement: dict[str, Any]) -> bytes:
    """Return the bytes of a statement that are signed: JSON with sorted keys and without spaces."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read the key from a PEM file of this account, or make it there (mode 0600). UserError where neither works."""
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    except NotPrivateError as error:
        raise UserError(f"{path}: {error.strerror}, so its key may be known; name another with --key") from None
    except OSError as error:
        raise UserError(f"{path}: {plain(error)}, or name another with --key") from None
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        make_folders(path.parent)
        with replacing(path) as draft:
            draft.write(pem)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; name another place with --key") from None
    return key


def _read_key(path: Path) -> Ed25519PrivateKey:
    """Read the key. NotPrivateError, OSError: it cannot be trusted, or read. UserError: it is no key of ours."""
    pem = read_file(path)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise UserError(f"{path}: not an unencrypted PEM key; name another with --key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: not an Ed25519 key; name another with --key")
    return key
