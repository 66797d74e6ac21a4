"""Values of a row as they are hashed and exported, and as a file keeps them in less space.

From schema 2 on, a file keeps hexadecimal text as bytes. It keeps a text that repeats once, in its table `texts`; rows
have the number of the text, as bytes. The eligible lines are pairs of a line's id and its odds; rows have the numbers
of the ids. The odds are rounded to half precision (IEEE 754, 16 bits). Their relative error is at most 1/2048 from 6e-5
on; smaller ones are off by at most 3e-8. The hashes cover the whole texts and the rounded odds.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from players.ledger.schema import Schema

Eligible = list[tuple[str, float]]


def plain_row(columns: Mapping[str, str], row: Mapping[str, Any]) -> list[Any]:
    """Return a row's values in the order of its columns, None for those it lacks.

    Numbers are as SQLite gives them back, so that they hash alike.
    """
    values = [(row.get(name), kind) for name, kind in columns.items()]
    return [float(value) if kind.startswith("REAL") and value is not None else value for value, kind in values]


def to_file(db: sqlite3.Connection, schema: Schema, name: str, value: Any) -> Any:
    """Return a value as a file keeps it, in the caller's transaction; eligible lines are packed already."""
    if isinstance(value, str) and name in schema.as_number:
        number = _number_of(db, value)
        return number.to_bytes((number.bit_length() + 7) // 8, "big")
    if isinstance(value, str) and name in schema.as_bytes:
        return _bytes_of(value)
    return value


def from_file(schema: Schema, name: str, value: Any, texts: Mapping[int, str]) -> Any:
    """Return a value of a file as it is hashed and exported; ValueError where it is not what `to_file` returned."""
    if not isinstance(value, bytes):
        return value
    if name == "eligible":
        return unpack_eligible(value, texts)
    if name in schema.as_number:
        return text_of(value, texts)
    return value.hex() if name in schema.as_bytes else value


def text_of(value: Any, texts: Mapping[int, str]) -> Any:
    """Return the text of a number as bytes; anything else as it is. ValueError where there is no such text."""
    try:
        return texts[int.from_bytes(value, "big")] if isinstance(value, bytes) else value
    except LookupError:
        raise ValueError(f"there is no text {int.from_bytes(value, 'big')}") from None


def as_text(value: Any) -> Any:
    """Return bytes as hexadecimal text, anything else as it is."""
    return value.hex() if isinstance(value, bytes) else value


def read_texts(db: sqlite3.Connection, of: str = "main") -> dict[int, str]:
    """Return the texts of one of a connection's databases by their numbers."""
    return dict(db.execute(f"SELECT number, text FROM {of}.texts").fetchall())  # noqa: S608


def pack_eligible(db: sqlite3.Connection, eligible: Iterable[tuple[str, float]]) -> tuple[Eligible, bytes]:
    """Return eligible lines as they are hashed and as a file keeps them: MessagePack of [gaps, odds].

    `gaps`: differences of the ids' numbers in rising order, the first one to 0. `odds`: their half-precision floats
    in that order, little-endian; a single one where all are equal.
    """
    numbered = sorted((_number_of(db, name), name, odds) for name, odds in eligible)
    halves = np.array([odds for _, _, odds in numbered], "<f2")
    rounded = [(name, odds) for (_, name, _), odds in zip(numbered, halves.tolist(), strict=True)]
    if halves.size and (halves == halves[0]).all():
        halves = halves[:1]
    gaps = np.diff([number for number, _, _ in numbered], prepend=0).tolist()
    return rounded, msgspec.msgpack.encode((gaps, halves.tobytes()))


def unpack_eligible(data: bytes, texts: Mapping[int, str]) -> Eligible:
    """Return eligible lines as pairs of id and odds; ValueError where the data or the numbers are unsound."""
    try:
        gaps, halves = msgspec.msgpack.decode(data, type=tuple[list[int], bytes])
        odds = np.frombuffer(halves, "<f2").tolist()
        names = [texts[number] for number in np.cumsum(gaps).tolist()]
    except (msgspec.MsgspecError, LookupError) as error:
        raise ValueError(f"eligible lines cannot be read: {error}") from None
    if len(odds) == 1:
        odds *= len(names)
    return list(zip(names, odds, strict=True))


def _number_of(db: sqlite3.Connection, text: str) -> int:
    """Return the number of a text; a new text gets the next one."""
    found = db.execute("SELECT number FROM texts WHERE text = ?", (text,)).fetchone()
    if found is None:
        found = db.execute("INSERT INTO texts (text) VALUES (?) RETURNING number", (text,)).fetchone()
    return int(found[0])


def _bytes_of(text: str) -> bytes | str:
    """Return the bytes of hexadecimal text, any other text as it is."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return text
    return data if text and data.hex() == text else text
