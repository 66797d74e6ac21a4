"""The file of counts, read while the station writes on: a copy with one view of all counts."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.errors import UserError
from pipeline.messages import DECADES
from players.audience.groups import GENDERS
from players.ledger.copies import copy_of
from players.ledger.damage import in_words
from players.statistics.counts import make_tables


@contextmanager
def reading_counts(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of a station's file of counts, with sqlite3.Row for rows; an empty one where there is no file.

    Two views hold all of it, with the columns of `bases`. `audience_counts` has a row for each period, basis, gender
    and decade: `length_s` and `begins_s` (UTC epoch), `gender` and `decade` in words, and MEASURES. What has no row
    is 0 where it was measured. `audience_measured` has `measured_ms` and `most_at_once` of each period and basis:
    a period without a row was not measured. Each count is in one period of one length. UserError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        copy = copy_of(path, Path(folder) / "counts") if path.exists() else Path(":memory:")
        try:
            with closing(sqlite3.connect(copy, isolation_level=None)) as db:
                make_tables(db)
                make_views(db)
                db.row_factory = sqlite3.Row
                yield db
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path}: cannot be read: {in_words(error)}") from None


def make_views(db: sqlite3.Connection) -> None:
    """Make the views of `reading_counts`, for this connection alone."""
    genders = " ".join(f"WHEN {i} THEN '{name}'" for i, name in enumerate(GENDERS))
    decades = " ".join(f"WHEN {i} THEN '{name}'" for i, name in enumerate(DECADES))
    words = f"CASE gender {genders} END AS gender, CASE decade {decades} ELSE 'unknown' END AS decade"
    bases = ", ".join(f"bases.{row[1]}" for row in db.execute("PRAGMA table_info(bases)") if row[1] != "id")
    numbers = ", ".join(row[1] for row in db.execute("PRAGMA table_info(counts)") if row[1] not in _KEYS)
    db.execute(
        f"CREATE TEMP VIEW audience_counts AS SELECT length_s, begins_s, basis, {bases}, {words}, {numbers} "  # noqa: S608
        "FROM counts JOIN bases ON bases.id = basis"
    )
    db.execute(
        f"CREATE TEMP VIEW audience_measured AS SELECT length_s, begins_s, basis, {bases}, measured_ms, most_at_once "  # noqa: S608
        "FROM measured JOIN bases ON bases.id = basis"
    )


_KEYS = ("length_s", "begins_s", "basis", "gender", "decade")
