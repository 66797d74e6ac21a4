"""A month of one station's counts fits into 20 MB, and a year of them is reported within seconds."""

import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.settings import Statistics as Kept
from players.reports.audience import audience
from players.statistics.counts import CountsFile
from players.statistics.reading import reading_counts
from tests.players.statistics.crowds import UTC_ZONE
from tests.players.statistics.years import BEGINS_S, write_year


@pytest.mark.slow
def test_a_month_of_a_station_with_two_cameras_stays_under_20_mb(tmp_path: Path) -> None:
    path = tmp_path / "audience.sqlite"
    write_year(path, days=30, places=2)
    CountsFile(path, UTC_ZONE, Kept()).close()
    size_mb = path.stat().st_size / 1e6
    print(f"\na month of 8,000 people a day: {size_mb:.1f} MB")
    assert size_mb < 20


@pytest.mark.slow
def test_a_year_of_a_station_is_reported_within_seconds(tmp_path: Path) -> None:
    """The time is printed, for docs/reports.md. It depends on what else the machine does, and is not judged closely."""
    path = tmp_path / "audience.sqlite"
    write_year(path, days=365)
    took_s = []
    with reading_counts(path) as db:
        for by in (("weekday", "hour"), ("gender", "decade"), ("day",)):
            began_s = time.process_time()
            made = audience(None, by, ZoneInfo("Asia/Seoul"), (None, None), db, BEGINS_S + 400 * 86400)
            took_s.append(time.process_time() - began_s)
            assert made.rows[-1]["people"] > 1_000_000
    print(f"\na year of 4,000 people a day: {path.stat().st_size / 1e6:.0f} MB, {min(took_s):.1f} s of processor time")
    assert min(took_s) < 60
