"""Signing of ledgers with Ed25519, so that plays that are changed or lost later are found."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.errors import UserError
from pipeline.private import NotPrivateError, make_folders, replacing
from pipeline.system import plain
from players.ledger import clock, outside, statements
from players.ledger.chain import proving
from players.ledger.entries import Identity
from players.ledger.statements import Statement, read_key


def sign(path: Path, key_path: Path, *, station: str = "", screen: str = "", anew: bool = False) -> Statement:
    """Sign what a sound ledger holds, as the next statement beside the key; the key is made where there is none yet.

    Whoever holds the statement can show later that nothing up to its head was changed, dropped or added. The ledger
    must go on from the last statement about its screen and from the mark beside it. Without a mark it must be that of
    `station` and `screen`, if given. One that is not may begin `anew`, which the statement says. Raises UserError where
    it may not be signed, its chain is broken, or a file cannot be read or written.
    """
    with _alone(key_path.parent):
        return _sign(path, key_path, station, screen, anew)


def _sign(path: Path, key_path: Path, station: str, screen: str, anew: bool) -> Statement:
    with proving(path) as (db, verdict):
        if verdict.problem:
            raise UserError(f"{path}: not signed, the chain is broken: {verdict.problem}")
        identity, whose = Identity.of(db), outside.owner(db)
        first, last = db.execute(
            "SELECT MIN(started_utc), MAX(COALESCE(ended_utc, started_utc)) FROM main.plays"
        ).fetchone()
        key = load_key(key_path)
        file = statements.file_of(key_path)
        before = statements.read_statements(file, statements.public_text(key))
        why = outside.problem(db, station, screen) or statements.problem(db, before)
        if why and not anew:
            raise UserError(
                f"{path}: not signed: {why}; put back the ledger that was signed, or add --anew to begin with this one"
            )
    said: Statement = {
        "ledger": identity.ledger if identity else "-",
        "station": whose[0] if whose else None,
        "screen": whose[1] if whose else None,
        "first_utc": first,
        "last_utc": last,
        "entries": verdict.entries,
        "plays": verdict.plays,
        "billable": verdict.billable,
        "head": verdict.head,
        "signed_utc": clock.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "begins_anew": bool(why),
    }
    try:
        return statements.append(file, key, before, said)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {plain(error)}") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from signing with a key of this folder meanwhile: two statements would get one number.

    UserError: the folder cannot be made or opened.
    """
    try:
        make_folders(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {plain(error)}; name another place with --key") from None
    try:
        with suppress(OSError):  # a share without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_statement(path: Path, statement: Statement, public: str = "") -> None:
    """Check that a statement is signed by its key, and that its head is an entry of this ledger; else UserError.

    `public` is the key that must have signed it, if it is known.
    """
    statements.check_signature(statement, public)
    with proving(path) as (db, _):
        why = statements.holds(db, statement)
    if why:
        raise UserError(f"{path}: {why}")


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read the key from a PEM file of this account, or make it there (mode 0600). UserError where neither works."""
    try:
        return read_key(path)
    except FileNotFoundError:
        pass
    except NotPrivateError as error:
        if not path.is_file():
            raise UserError(f"{path}: not an unencrypted PEM key; name another with --key") from None
        raise UserError(f"{path}: {error.strerror}, so its key may be known; name another with --key") from None
    except OSError as error:
        raise UserError(f"{path}: {plain(error)}, or name another with --key") from None
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with replacing(path) as draft:
            draft.write(pem)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; name another place with --key") from None
    return key
