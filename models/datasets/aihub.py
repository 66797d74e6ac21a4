"""Labels in the names of folders and files of AI-Hub 528 (family relations by faces).

IND names hold family, role, age when photographed, angle and shot: `F0001_IND_D_18_45_02.JPG`. In AGE names such as
`F0001_AGE_D_18_a1.jpg`, the number is the age when the photos were collected. The letter is the age on the photo.
Male roles are GF, F, S, S1 and so on; female ones are GM, M, D, D1 and so on. F is the father, M the mother. Real
names have stray spaces, dots and backticks, and some lack the shot number or have a longer one.
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
"""Pattern of a space or another mark where a `_` should be, as in `S_8 45_02`."""


class Name(Struct, frozen=True):
    """Parsed name. `kind` is IND for portraits and AGE for photos of the past; `studio` marks `_CAM` pictures."""

    kind: Literal["IND", "AGE"]
    family: str
    person: str
    gender: Literal["M", "F"]
    age_lo: int
    age_hi: int
    studio: bool


def parse_name(path: str) -> Name | None:
    """Parse a path of the data set; None if its file name is not that of one person (family photos, other files).

    The folders `A(친가)`, the father's side, and `B(외가)`, the mother's side, tell grandparents of one family apart.
    Their names may be garbled, so only the first letter counts.
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
    """Make the row of the index for a parsed name."""
    return Row(
        file=path,
        gender=name.gender,
        age_lo=float(name.age_lo),
        age_hi=float(name.age_hi),
        person=name.person,
        family=name.family,
        data="aihub",
    )
