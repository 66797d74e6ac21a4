"""The index of a data set: `labels.csv`, one row a photo, and the photos beside it in a folder or a zip."""

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import asdict

from models.cards import ModelError

Gender = Literal["M", "F"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
MAX_AGE = 120
COLUMNS = ("file", "gender", "age_lo", "age_hi", "person", "family", "race", "data", "split")

_GENDERS: dict[str, Gender] = {
    **dict.fromkeys(("m", "male", "man", "boy", "남", "남자", "남성"), "M"),
    **dict.fromkeys(("f", "female", "woman", "girl", "여", "여자", "여성"), "F"),
}


class Row(Struct, frozen=True, kw_only=True):
    """A photo: `file` inside its folder or zip, gender if known, first and last year that the age may be (twice the
    same for an exact age; None where unknown), and who is on it as far as that is known."""

    file: str
    gender: Gender | None
    age_lo: float | None
    age_hi: float | None
    person: str = ""
    family: str = ""
    race: str = ""
    data: str = ""
    split: str = ""


def parse_gender(text: str) -> Gender | None:
    """`M`, `Female`, ... ; None for an empty text. Raises ValueError."""
    word = text.strip().lower()
    if not word or word in ("unknown", "none", "nan", "?"):
        return None
    if word not in _GENDERS:
        raise ValueError(f"gender {text!r} is neither M nor F")
    return _GENDERS[word]


def parse_age(text: str) -> tuple[float, float] | None:
    """`34`, `20-29`, `more than 70`, `60+`, `20s` -> first and last year; None for an empty text. Raises ValueError."""
    word = text.strip().lower()
    if not word or word in ("unknown", "none", "nan", "?"):
        return None
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", word)]
    if len(numbers) == 1 and re.fullmatch(r"[\d.]+", word):
        lo = hi = numbers[0]
    elif len(numbers) == 1 and ("more" in word or word.endswith("+")):
        lo, hi = numbers[0], float(MAX_AGE)
    elif len(numbers) == 1 and word.endswith("s"):
        lo, hi = numbers[0], numbers[0] + 9
    elif len(numbers) == 2:
        lo, hi = numbers
    else:
        raise ValueError(f"age {text!r} is neither a number nor a range")
    if not 0 <= lo <= hi <= MAX_AGE:
        raise ValueError(f"age {text!r} is not within 0 to {MAX_AGE}")
    return lo, hi


def parse_table(text: str, data: str = "") -> tuple[list[Row], Counter[str]]:
    """Rows of a CSV that names its columns in any order, case and company; and why other lines were left out.

    Needs `file` (or image, filename, path); reads gender (sex), age or age_lo and age_hi, person (identity, id),
    family, race (ethnicity, group), data, split. Raises ModelError without a column of files.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("﻿")))
    names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}

    def column(*aliases: str) -> str | None:
        return next((names[alias] for alias in aliases if alias in names), None)

    file = column("file", "filename", "file_name", "image", "img", "path")
    if file is None:
        raise ModelError(f"labels: no column `file` among {', '.join(names) or 'none'}; name one `file`")
    gender, age = column("gender", "sex"), column("age", "age_range", "age_group", "decade")
    lo, hi = column("age_lo", "age_min"), column("age_hi", "age_max")
    rest = {
        "person": column("person", "identity", "person_id"),
        "family": column("family", "family_id"),
        "race": column("race", "ethnicity", "group"),
        "data": column("data", "dataset"),
        "split": column("split"),
    }
    rows: list[Row] = []
    left_out: Counter[str] = Counter()
    for line in reader:
        cells = {key: (line[name] or "").strip() for key, name in rest.items() if name}
        try:
            name = (line[file] or "").strip().replace("\\", "/")
            if not name:
                raise ValueError("no file name")
            bounds = parse_age((line[age] or "") if age else "")
            if lo and hi and (line[lo] or "").strip() and (line[hi] or "").strip():
                bounds = parse_age(f"{line[lo].strip()}-{line[hi].strip()}")
            who = parse_gender((line[gender] or "") if gender else "")
        except ValueError as error:
            left_out[str(error)] += 1
            continue
        age_lo, age_hi = bounds or (None, None)
        cells["data"] = cells.get("data") or data
        rows.append(Row(file=name, gender=who, age_lo=age_lo, age_hi=age_hi, **cells))
    return rows, left_out


def write_index(rows: Iterable[Row], path: Path) -> None:
    """Write `labels.csv`; whole years without a decimal point."""
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, COLUMNS)
        writer.writeheader()
        for row in rows:
            cells = asdict(row)
            for key in ("age_lo", "age_hi"):
                cells[key] = "" if cells[key] is None else f"{cells[key]:g}"
            writer.writerow(cells | {"gender": row.gender or ""})


class Photos:
    """A data set on disk: a folder or a zip with `labels.csv` and photos. Raises ModelError, one line with a remedy."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._zip: zipfile.ZipFile | None = None
        try:
            if where.is_dir():
                self._names = [
                    str(PurePosixPath(p.relative_to(where))) for p in sorted(where.rglob("*")) if p.is_file()
                ]
            else:
                self._zip = zipfile.ZipFile(where)
                self._names = [name for name in self._zip.namelist() if not name.endswith("/")]
        except (OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"{where}: neither a folder nor a zip that can be read: {error}") from error
        self._known = set(self._names)
        self._by_tail: dict[str, str] = {}
        for name in self._names:
            self._by_tail.setdefault(PurePosixPath(name).name.lower(), name)

    def labels(self, path: Path | None = None) -> tuple[list[Row], Counter[str]]:
        """The rows of labels.csv (or of the file `path`), and why other lines were left out."""
        if path is not None:
            try:
                return parse_table(_decode(path.read_bytes()), self.where.stem)
            except OSError as error:
                raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        tables = sorted((n for n in self._names if PurePosixPath(n).name.lower() == "labels.csv"), key=len)
        if not tables:
            raise ModelError(f"{self.where}: has no labels.csv; make one with `stationcast models index`")
        return parse_table(_decode(self._bytes(tables[0])), self.where.stem)

    def read(self, file: str) -> np.ndarray | None:
        """A photo, uint8 BGR [H, W, 3], by its name in the index; None when it is missing or no image."""
        name = self._find(file)
        if name is None:
            return None
        try:
            data = np.frombuffer(self._bytes(name), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        except (OSError, zipfile.BadZipFile, cv2.error):
            return None
        return image

    def close(self) -> None:
        """Close the zip."""
        if self._zip:
            self._zip.close()

    def __enter__(self) -> "Photos":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find(self, file: str) -> str | None:
        for name in (file, f"images/{file}", file.removeprefix("./")):
            if name in self._known:
                return name
        return self._by_tail.get(PurePosixPath(file).name.lower())

    def _bytes(self, name: str) -> bytes:
        return self._zip.read(name) if self._zip else (self.where / name).read_bytes()


def _decode(data: bytes) -> str:
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
