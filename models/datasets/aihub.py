"""AI-Hub 528 (family relations by faces): everything that the names of its folders and files say.

IND names hold family, role, age when photographed, angle and shot: `F0001_IND_D_18_45_02.JPG`. In AGE names,
`F0001_AGE_D_18_a1.jpg`, the number is the age when the photos were collected and the letter the age on the photo.
Roles: GF F S S1.. male, GM M D D1.. female (M is the mother, F the father). Names as they really are have stray
spaces, dots and backticks, and lack or lengthen the shot number.
"""

import re
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct

from models.datasets.index import MAX_AGE, Row

LETTERS = {
    "a": (0, 6),
    "b": (7, 12),
    "c": (13, 19),
    "d": (20, 30),
    "e": (31, 45),
    "f": (46, 55),
    "g": (56, 66),
    "h": (67, 80),
}
_NAME = re.compile(r"(F\d+)_(IND|AGE|FAM)_(GF|GM|F|M|S\d*|D\d*)_(\d+)(?:_?(.*))?", re.IGNORECASE)
_NOISE = re.compile(r"[^A-Za-z0-9_-]|_(?=_)")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d)[^A-Za-z0-9_-]+(?=-?\d)")
"""A space or another mark where a `_` should be: `S_8 45_02`."""


class Name(Struct, frozen=True):
    """A parsed name. `kind` tells portraits (IND) from photos of the past (AGE); `studio` the `_CAM` pictures."""

    kind: Literal["IND", "AGE"]
    family: str
    person: str
    gender: Literal["M", "F"]
    age_lo: int
    age_hi: int
    studio: bool


def parse_name(path: str) -> Name | None:
    """Read a path of the data set; None when its file name is not one of a person (family photos, other files).

    The folders `A(친가)` and `B(외가)`, the father's and the mother's side, tell grandparents of one family apart; they
    may be garbled, so only the first letter counts.
    """
    parts = PurePosixPath(path.replace("\\", "/"))
    stem = _NOISE.sub("", _BETWEEN_NUMBERS.sub("_", parts.name.rpartition(".")[0]))
    found = _NAME.fullmatch(stem)
    if found is None or found[2].upper() == "FAM":
        return None
    family, kind, role = found[1].upper(), found[2].upper(), found[3].upper()
    age, rest = int(found[4]), found[5] or ""
    age_lo = age_hi = age
    if kind == "AGE":
        letter = rest.lstrip("-")[:1].lower()
        if letter not in LETTERS:
            return None
        age_lo, age_hi = LETTERS[letter]
    if age_hi > MAX_AGE:
        return None
    side = next((part[0] for part in parts.parts[:-1] if re.match(r"[AB](?![A-Za-z0-9])", part)), "")
    who = f"{side}{role}" if role in ("GF", "GM") else role
    return Name(
        kind="AGE" if kind == "AGE" else "IND",
        family=family,
        person=f"{family}-{who}",
        gender="M" if role in ("GF", "F") or role[0] == "S" else "F",
        age_lo=age_lo,
        age_hi=age_hi,
        studio="CAM" in rest.upper(),
    )


def row_of(path: str, name: Name) -> Row:
    """The row of the index for a parsed name."""
    return Row(
        file=path,
        gender=name.gender,
        age_lo=float(name.age_lo),
        age_hi=float(name.age_hi),
        person=name.person,
        family=name.family,
        data="aihub",
    )
