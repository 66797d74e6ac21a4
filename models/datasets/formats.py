"""Readers of public data sets on disk. They take names and tables only, and open no image."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from models.cards import ModelError
from models.datasets import aihub
from models.datasets.index import (
    MAX_AGE,
    SUFFIXES,
    Gender,
    Photos,
    Row,
    data_name,
    decode,
    is_index,
    name_in,
    parse_table,
    walk,
)
from pipeline.medium import content_of

Format = Literal["aihub", "utkface", "aaf", "fairface", "csv"]
FORMATS: tuple[Format, ...] = ("aihub", "utkface", "aaf", "fairface", "csv")

_RACES = ("White", "Black", "Asian", "Indian", "Other")
_UTKFACE = re.compile(r"(\d{1,3})_([01])_(?:([0-4])_)?\d*\D*", re.ASCII)
_AAF = re.compile(r"(\d{5})A(\d{2,3})")
_AAF_FIRST_MALE = 7381
"""First number of men and boys in All-Age-Faces; women and girls have the lower ones."""


def index_folder(
    folder: Path, data_format: Format, studio: bool = False, out: Path | None = None
) -> tuple[list[Row], Counter[str]]:
    """Return the rows of every photo under `folder`, and counts of reasons why other files were left out.

    `studio` keeps AI-Hub's `_CAM` pictures, which the original project dropped. A table at `out` is an earlier index
    and is not read. Raises ModelError if no photo is found, if tables contradict each other, or if a name may mean
    several photos.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: is no folder; give the one that holds the data set")
    left_out: Counter[str] = Counter()
    if data_format in ("fairface", "csv"):
        told = _tables(folder, data_format, left_out, out)
        with Photos(folder) as photos:
            rows = photos.once(told)
            left_out += Counter({"named twice": len(told) - len(rows)})
            for row in rows:
                if len(photos.candidates(row.file)) > 1:
                    raise ModelError(f"{folder}: {photos.why_not(row.file)}")
    else:
        rows = []
        for path in _images(folder):
            found = _READERS[data_format](path)
            if isinstance(found, str):
                left_out[found] += 1
            elif data_format == "aihub" and not studio and _is_studio(path):
                left_out["studio picture (_CAM)"] += 1
            else:
                rows.append(found)
    if not rows:
        why = "; ".join(f"{reason}: {count}" for reason, count in left_out.most_common(3))
        raise ModelError(
            f"{folder}: no photo of the format `{data_format}` found{f' ({why})' if why else ''}; name another"
        )
    return rows, left_out


def _images(folder: Path) -> Iterator[str]:
    for path in walk(folder):
        # AI-Hub has names with a stray mark before the dot, such as `x_02`.JPG`; the suffix itself is sound.
        if path.suffix.lower().strip() in SUFFIXES:
            yield name_in(folder, path)


def _is_studio(path: str) -> bool:
    name = aihub.parse_name(path)
    return name is not None and name.studio


def _aihub(path: str) -> Row | str:
    name = aihub.parse_name(path)
    return "not the photo of one person" if name is None else aihub.row_of(path, name)


def _utkface(path: str) -> Row | str:
    found = _UTKFACE.match(PurePosixPath(path).name)
    if found is None or int(found[1]) > MAX_AGE:
        return "name is not age_gender_race_time"
    age = float(found[1])
    gender: Gender = "M" if found[2] == "0" else "F"
    race = _RACES[int(found[3])] if found[3] else ""
    return Row(file=path, gender=gender, age_lo=age, age_hi=age, race=race, data="utkface")


def _aaf(path: str) -> Row | str:
    found = _AAF.match(PurePosixPath(path).name)
    if found is None:
        return "name is not numberAage"
    gender: Gender = "M" if int(found[1]) >= _AAF_FIRST_MALE else "F"
    return Row(file=path, gender=gender, age_lo=float(found[2]), age_hi=float(found[2]), data="aaf")


_READERS = {"aihub": _aihub, "utkface": _utkface, "aaf": _aaf}


def _tables(folder: Path, data_format: Format, left_out: Counter[str], out: Path | None) -> list[tuple[Path, Row]]:
    """Return (table, row) of all rows in FairFace's label tables, or in every CSV file of the folder.

    FairFace's validation photos become the split `test`.
    """
    told: list[tuple[Path, Row]] = []
    data = "fairface" if data_format == "fairface" else data_name(folder)
    for path in sorted(walk(folder)):
        name = path.name.lower()
        if path.suffix.lower() != ".csv" or (data_format == "fairface" and "label" not in name):
            continue
        if out and path.resolve() == out.resolve():
            left_out[f"table {path.name}: is the --out of an earlier time"] += 1
            continue
        base = PurePosixPath(name_in(folder, path)).parent
        if base.name == "index" and is_index(path):
            left_out[f"table {path.name}: is in the index/ of a run"] += 1
            continue
        try:
            found, bad = parse_table(decode(content_of(path)), data)
        except (ModelError, csv.Error) as error:
            left_out[f"table {path.name}: {error}"] += 1
            continue
        left_out.update(bad)
        for row in found:
            row = msgspec.structs.replace(row, file=str(base / row.file))
            held_out = path.stem.lower().endswith("val") or PurePosixPath(row.file).parent.name == "val"
            if data_format == "fairface" and held_out:
                row = msgspec.structs.replace(row, split="test")
            told.append((path, row))
    return told
