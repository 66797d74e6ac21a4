"""Index of a data set, `labels.csv` with one row for each photo, and the photos beside it in a folder or a zip.

It is one file: the rows, and the encodings, names and archives of strangers that they are read from.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import lzma
import os
import re
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import asdict, replace

from models.cards import ModelError
from models.images import ImageError, read_image
from pipeline.errors import UserError
from pipeline.medium import MediumError, content_of, opened
from pipeline.streams import new_file
from pipeline.text import decode as unicode_text

Gender = Literal["M", "F"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
MAX_AGE = 120
FILE_MAX_BYTES = 1 << 30
"""Largest photo or table that is read, unpacked."""
COLUMNS = ("file", "gender", "age_lo", "age_hi", "person", "family", "race", "data", "split")

_GENDERS: dict[str, Gender] = {
    **dict.fromkeys(("m", "male", "man", "men", "boy", "남", "남자", "남성"), "M"),
    **dict.fromkeys(("f", "female", "woman", "women", "girl", "여", "여자", "여성"), "F"),
}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_UNKNOWN = ("", "unknown", "none", "nan", "n/a", "na", "null", "inf", "-1", "-", "?")


class Row(Struct, frozen=True, kw_only=True):
    """Labels of a photo."""

    file: str
    """Path inside the folder or zip."""
    gender: Gender | None
    age_lo: float | None
    """First year that the age may be; None if unknown."""
    age_hi: float | None
    """Last year that the age may be; equal to `age_lo` for an exact age."""
    person: str = ""
    """Name of the person within the data set; empty if unknown, as are family, race and split."""
    family: str = ""
    race: str = ""
    """Ethnic group as the data set names it."""
    data: str = ""
    """Name of the data set."""
    split: str = ""


def parse_gender(text: str) -> Gender | None:
    """Parse `M`, `Female` and the like; None for empty or unknown. Raises ValueError."""
    word = text.strip().lower()
    if word in _UNKNOWN:
        return None
    if word not in _GENDERS:
        raise ValueError(f"gender {text!r} is neither M nor F")
    return _GENDERS[word]


_N = r"(\d+(?:\.\d+)?)"
_AGES: tuple[tuple[str, Callable[..., tuple[float, float]]], ...] = (
    (_N, lambda age: (age, age)),
    (rf"[(\[]?{_N} ?(?:-|–|~|to) ?{_N}[)\]]?", lambda first, last: (first, min(last, MAX_AGE))),
    (rf"[(\[]{_N} ?, ?{_N}[)\]]", lambda first, last: (first, min(last, MAX_AGE))),
    (rf"(?:more than|over|older than|at least|from|>=?|≥) ?{_N}", lambda first: (first, MAX_AGE)),
    (rf"{_N} ?(?:\+|(?:and|or) (?:more|over|older|above)|이상)", lambda first: (first, MAX_AGE)),
    (rf"(?:less than|under|younger than|below|<) ?{_N}", lambda after: (0, max(0, after - 1))),
    (r"(\d*0)(?:'?s|대)", lambda first: (first, first + 9)),
)


def parse_age(text: str) -> tuple[float, float] | None:
    """Parse an age to its first and last year, at most MAX_AGE; None for empty or unknown. Raises ValueError.

    It may be `34`, `34 years`, `6 months`, `20-29`, `(25, 32)`, `under 3`, `more than 70`, `60+`, `20s` or `20대`.
    """
    word = re.sub(r"\s+", " ", text.strip().lower())
    if word in _UNKNOWN:
        return None
    in_months = re.search(r"[\d ]mo(nth)?s?\.?( old)?$", word)
    word = re.sub(r" ?(mo(nth)?s?\.?|years?|yrs?\.?|y|세|살)( old)?$", "", word)
    for pattern, bounds in _AGES:
        if found := re.fullmatch(pattern, word):
            lo, hi = bounds(*map(float, found.groups()))
            break
    else:
        raise ValueError(f"age {text!r} is neither a number nor a range")
    if in_months:
        lo, hi = lo / 12, hi / 12
    if lo > MAX_AGE or hi > MAX_AGE:
        raise ValueError(f"age {text!r} is not within 0 to {MAX_AGE}")
    if lo > hi:
        raise ValueError(f"age {text!r} is a range whose end comes before its beginning")
    return lo, hi


def parse_split(text: str) -> str:
    """Turn words such as `Training` and `validation` into `train`, `val` and `test`; other words stay."""
    return _SPLITS.get(text.lower(), text)


def parse_table(text: str, data: str = "") -> tuple[list[Row], Counter[str]]:
    """Parse a CSV with a heading. Return its rows, and counts of reasons why other lines were left out.

    Columns may have any order and case, and others are ignored. `file` (or image, filename, path) must be there. The
    others are gender (sex), age, or age_lo and age_hi (open if one is empty), person (identity, person_id), family,
    race (ethnicity, group), data and split. Raises ModelError without a column of files.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"^[ \n]*(sep=.[ \n]+)?", "", text, flags=re.IGNORECASE)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t|", key=heading.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    heads = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    names = dict(zip(heads, reader.fieldnames or (), strict=True))

    def column(*aliases: str) -> str | None:
        found = next((alias for alias in aliases if alias in names), None)
        if found and heads.count(found) > 1:
            raise ModelError(f"labels: has the column `{found}` {heads.count(found)} times; leave one there")
        return names[found] if found else None

    file = column("file", "filename", "file_name", "filepath", "file_path", "image", "img", "img_path", "path")
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
        values = {key: _known(line[name]) for key, name in rest.items() if name}
        try:
            name = (line[file] or "").strip().replace("\\", "/")
            if not name:
                raise ValueError("no file name")
            bounds = parse_age((line[age] or "") if age else "")
            first, last = (_known(line[bound]) if bound else "" for bound in (lo, hi))
            if first or last:
                bounds = parse_age(f"{first or 0}-{last or MAX_AGE}")
            who = parse_gender((line[gender] or "") if gender else "")
        except ValueError as error:
            left_out[str(error)] += 1
            continue
        age_lo, age_hi = bounds or (None, None)
        values["data"] = values.get("data") or data
        values["split"] = parse_split(values.get("split", ""))
        rows.append(Row(file=name, gender=who, age_lo=age_lo, age_hi=age_hi, **values))
    return rows, left_out


def _known(text: str | None) -> str:
    word = (text or "").strip()
    return "" if word.lower() in _UNKNOWN else word


def write_index(rows: Iterable[Row], path: Path) -> None:
    """Write the rows to `path` as `labels.csv`, whole or not at all. Raises UserError.

    Whole years have no decimal point.
    """
    with new_file(path) as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for row in rows:
            values = asdict(row)
            for key in ("age_lo", "age_hi"):
                values[key] = "" if values[key] is None else f"{values[key]:g}"
            writer.writerow(values | {"gender": row.gender or ""})


def write_indexes(rows: Sequence[Row], folder: Path) -> None:
    """Write the rows of each data set as one CSV file into `folder`; file names that would be equal are numbered."""
    folder.mkdir(exist_ok=True)
    files: set[str] = set()
    for name in sorted({row.data for row in rows}):
        plain = re.sub(r"[^\w.-]+", "-", name) or "photos"
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        file = next(each for each in itertools.chain([plain], numbered) if each not in files)
        files.add(file)
        write_index((row for row in rows if row.data == name), folder / f"{file}.csv")


def is_index(path: Path) -> bool:
    """Tell by its first line whether `write_index` wrote this table. Raises OSError."""
    return content_of(path, 1000).partition(b"\n")[0].strip() == ",".join(COLUMNS).encode()


class Photos:
    """Data set on disk: a folder or a zip with `labels.csv` and photos. Raises ModelError, which names the remedy."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._paths: dict[str, Path] = {}
        try:
            if where.is_dir():
                self._paths = dict(sorted((name_in(where, path), path) for path in walk(where)))
            else:
                opened(where).close()  # a pipe would be waited for
                self._zip = zipfile.ZipFile(where)
                self._members = {_name_of(member): member for member in self._zip.infolist() if not member.is_dir()}
            self._names = list(self._members or self._paths)
        except (OSError, MediumError, ValueError, *_DAMAGED) as error:  # ValueError: names that are no text
            raise ModelError(f"{where}: neither a folder nor a zip that can be read; name one of the two") from error
        self._known = set(self._names)
        tables = [name for name in self._names if PurePosixPath(name).name.lower() == "labels.csv"]
        least = min((name.count("/") for name in tables), default=0)
        self._tables = [name for name in tables if name.count("/") == least]
        self._table = self._tables[0] if len(self._tables) == 1 else None
        self._by_name: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in self._names:
            # A name in a zip may have been taken for Korean by mistake, so it is known by its raw form, too.
            read = (name, self._members[name].filename.replace("\\", "/") if self._zip else name)
            for last in {_parts(each)[-1:] for each in read}:
                self._by_name[last].append(name)

    def labels(self, path: Path | None = None) -> tuple[list[Row], Counter[str]]:
        """Read labels.csv (or the file `path`). Return rows, and counts of reasons why lines were left out.

        Raises ModelError if it is missing, damaged, one of several, or says two things of one photo.
        """
        if path is None and len(self._tables) > 1:
            raise ModelError(
                f"{self.where}: has several labels.csv ({', '.join(self._tables[:3])}): "
                "name one by --labels, or join them by `stationcast models index --format csv`"
            )
        if path is None and self._table is None:
            raise ModelError(f"{self.where}: has no labels.csv; make one with `stationcast models index`")
        try:
            text = decode(content_of(path) if path else self._bytes(self._table or ""))
            rows, left_out = parse_table(text, data_name(self.where))
        except (OSError, csv.Error, *_DAMAGED) as error:
            why = getattr(error, "strerror", None) or error
            raise ModelError(f"{path or f'{self.where}: {self._table}'}: cannot be read: {why}") from error
        except ModelError as error:
            raise ModelError(f"{path or self.where}: {error}") from error
        once = self.once((path or self.where, row) for row in rows)
        return once, left_out + Counter({"named twice": len(rows) - len(once)})

    def once(self, told: Iterable[tuple[Path, Row]]) -> list[Row]:
        """Merge (table, row) pairs to one row for each photo. Raises ModelError if two rows contradict each other."""
        first: dict[str, tuple[Path, Row]] = {}
        for table, row in told:
            names = self.candidates(row.file)
            photo = names[0] if len(names) == 1 else row.file
            before, known = first.setdefault(photo, (table, row))
            told_before = {key: value for key, value in asdict(known).items() if value not in (None, "")}
            joined = replace(row, **told_before)
            if any(
                value not in (None, "", getattr(joined, key)) for key, value in asdict(row).items() if key != "file"
            ):
                other = "another line" if before == table else before
                raise ModelError(f"{table}: says otherwise of {row.file} than {other}; leave one of the two there")
            first[photo] = before, joined
        return [row for _, row in first.values()]

    def sha256(self, labels: Path | None = None) -> str:
        """Hash the labels (of labels.csv, or of the file given) and the names and sizes of their photos."""
        rows, _ = self.labels(labels)
        digest = hashlib.sha256(msgspec.json.encode(rows))
        for name in sorted({name for row in rows for name in self.candidates(row.file)}):
            digest.update(f"{name}:{self._size(name)}\n".encode())
        return digest.hexdigest()

    def read(self, file: str) -> np.ndarray | None:
        """Read a photo by its name in the index, uint8 BGR [H, W, 3]; None if `why_not` has a reason."""
        try:
            names = self.candidates(file)
            return read_image(io.BytesIO(self._bytes(names[0]))) if len(names) == 1 else None
        except (OSError, ImageError, *_DAMAGED):
            return None

    def why_not(self, file: str) -> str:
        """Say why `read` gives no photo: it is missing, no image, or one of several."""
        names = self.candidates(file)
        if len(names) > 1:
            return f"{file} may be {' or '.join(sorted(names)[:2])}: leave one of them there, or name it in full"
        return f"{file} is no image that can be read" if names else f"{file} is missing"

    def close(self) -> None:
        """Close the zip."""
        if self._zip:
            self._zip.close()

    def __enter__(self) -> "Photos":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def candidates(self, file: str) -> list[str]:
        """Return the files that a name in the index may mean: one, or several, or none if it is missing.

        The name is looked for as given, under images/ and beside labels.csv. Else the paths whose last folders agree
        most with it are taken; several may agree equally.
        """
        base = PurePosixPath(self._table or "").parent
        for folder in dict.fromkeys((PurePosixPath(), base)):
            for name in (str(folder / file), str(folder / "images" / file)):
                if name in self._known:
                    return [name]
        wanted = _parts(file)
        alike: dict[int, list[str]] = defaultdict(list)
        for name in self._by_name.get(wanted[-1:], ()):
            pairs = zip(reversed(wanted), reversed(_parts(name)), strict=False)
            alike[sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))].append(name)
        return alike[max(alike)] if alike else []

    def _bytes(self, name: str) -> bytes:
        if (size := self._size(name)) > FILE_MAX_BYTES:
            raise ImageError(f"{name}: of {size / 1e9:.1f} GB is no photo and no table; take it out")
        return self._zip.read(self._members[name]) if self._zip else content_of(self._paths[name])

    def _size(self, name: str) -> int:
        return self._members[name].file_size if self._zip else self._paths[name].stat().st_size


_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""Exceptions that Python's zipfile raises for a damaged, cut or encrypted member."""


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return the name of a member with slashes between folders.

    Python reads a name without the mark of UTF-8 as CP 437. It may be UTF-8 all the same, or Korean.
    """
    name = member.filename
    if not member.flag_bits & 0x800:
        for encoding in ("utf-8", "cp949"):
            try:
                name = member.filename.encode("cp437").decode(encoding)
                break
            except UnicodeError:
                continue
    return name.replace("\\", "/")


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files under a folder. Links to folders are followed, each folder once; dangling links are skipped."""
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        here = Path(parent).resolve()
        if here in seen:
            folders.clear()
        else:
            seen.add(here)
            yield from (path for path in (Path(parent) / name for name in sorted(names)) if path.is_file())


def name_in(folder: Path, path: Path) -> str:
    """Return the path of a file relative to a folder."""
    return text_of(path.relative_to(folder).as_posix())


def data_name(where: Path) -> str:
    """Return the name of a data set if its labels give none: that of its folder, or of its zip without the suffix."""
    whole = where.absolute()  # `.` alone has no name
    return text_of(whole.name if where.is_dir() else whole.stem)


def text_of(name: str) -> str:
    """Return a name on disk as text. Names that are no UTF-8 are mostly Korean."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return decode(os.fsencode(name))
    return name


def _parts(name: str) -> tuple[str, ...]:
    """Split a path into folders and name, the same for every way to write case and accents."""
    return PurePosixPath(unicodedata.normalize("NFC", name).casefold()).parts


def decode(data: bytes) -> str:
    """Decode the bytes of a table: UTF-8 or UTF-16, with a mark or without, Korean (CP 949), or else Latin-1."""
    with contextlib.suppress(UserError):
        return unicode_text(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")
