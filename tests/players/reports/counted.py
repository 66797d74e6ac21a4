"""Weeks of counts in a station's file, for the tests of what is made of them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.cards import find_card
from pipeline.settings import Statistics
from pipeline.state import keep_card, state_dir
from players.statistics.counts import Basis, CountsFile, Pending, counts_path
from tests.ads import S
from tests.players.statistics.crowds import KERB, UTC_ZONE, job_of

MONDAY = date(2026, 5, 4)
HOUR_NS = 3600 * S


def default_card() -> tuple[bytes, str]:
    """Return the text of the default's card, and its hash."""
    import hashlib

    text = find_card("default", Path.cwd()).read_bytes()
    return text, hashlib.sha256(text).hexdigest()


def basis_of_default(**changes: str) -> Basis:
    return structs.replace(KERB, **{"model_sha256": default_card()[1], "angles_deg": "0,0,20,16", **changes})


def write_weeks(
    folder: Path, counts: NDArray[np.int64], first: date = MONDAY, basis: Basis | None = None, keep: bool = True
) -> Path:
    """Write people by day, hour and group, [days, 24, 30], into a station's file (UTC); half of them watch.

    The default's card is kept as by a station whose model counted.
    """
    station = job_of(folder).station
    basis = basis or basis_of_default()
    path = counts_path(station.station, folder)
    pending = Pending()
    midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
    for day, hour in np.ndindex(counts.shape[:2]):
        begins_s = int((midnight + timedelta(days=int(day), hours=int(hour))).timestamp())
        pending.add_measured(begins_s, basis, HOUR_NS, 5)
        for group in np.flatnonzero(counts[day, hour]):
            people = int(counts[day, hour, group])
            numbers = [people, people, people // 2, people // 4, 9000 * people, 8000 * (people // 2), 3000 * people]
            pending.add((begins_s, basis, int(group) // 10, int(group) % 10), numbers)
    file = CountsFile(path, UTC_ZONE, Statistics())
    file.write(pending, "boot", 1, int(midnight.timestamp()) + len(counts) * 86400)
    file.close()
    if keep:
        keep_card(state_dir(station.station, folder), default_card()[0])
    return path


def station_file(folder: Path) -> Path:
    """Write the file of the station whose counts are `write_weeks`'."""
    path = folder / "station.toml"
    path.write_text(
        '[station]\nname = "stop-7"\nstate_dir = "state"\n\n[[cameras]]\nname = "kerb"\nsource = "sample"\n'
    )
    return path
