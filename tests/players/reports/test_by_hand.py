"""Counts by hand: forms, mistakes in them, the factor with its interval, and reports that name it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pipeline.cli import cli
from pipeline.settings import Statistics
from players.reports.by_hand import Factor, form, ratio, student_t
from players.statistics.counts import CountsFile, Pending, counts_path
from tests.ads import S
from tests.players.reports.counted import basis_of_default, station_file, write_weeks
from tests.players.statistics.crowds import UTC_ZONE, job_of

EIGHT = datetime(2026, 5, 30, 8, tzinfo=UTC)
STATION = (9, 14, 11, 20, 16, 8, 12, 15, 18, 10, 13, 17)
"""People whom the station counted in each five minutes from EIGHT on; half of them watched."""


def stationcast(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def complaint(done: Result) -> str:
    """Return the one line with which a command ended."""
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    return line


def counted(folder: Path, measured_s: int = 300, **changes: str) -> Path:
    """Let a station count an hour by minutes, and return its file."""
    station, pending, basis = job_of(folder).station, Pending(), basis_of_default(**changes)
    for number, people in enumerate(STATION):
        begins_s = int(EIGHT.timestamp()) + 300 * number
        for minute in range(5):
            pending.add_measured(begins_s + 60 * minute, basis, measured_s * S // 5, 3)
        pending.add((begins_s + 60, basis, 1, 2), [people, people, people // 2, 0, 9000, 0, 0])
    file = CountsFile(counts_path(station.station, folder), UTC_ZONE, Statistics())
    file.write(pending, "boot", 1, int(EIGHT.timestamp()) + 7200)
    file.close()
    return station_file(folder)


def filled_in(path: Path, *changes: tuple[int, str], separator: str = ",") -> Path:
    """Fill in a form: a fifth more people pass than the station counted. `changes` put a text in place of a line."""
    lines = form(EIGHT.replace(tzinfo=None)).splitlines()
    for number, people in enumerate(STATION):
        lines[number + 1] = f"{lines[number + 1].rstrip(',')},{round(1.2 * people)},{people // 2}"
    for number, text in changes:
        lines[number - 1] = text
    path.write_text("\r\n".join(lines).replace(",", separator), "utf-8-sig")
    return path


def test_a_form_has_an_hour_in_rows_of_five_minutes(tmp_path: Path) -> None:
    lines = stationcast("calibrate", "count", "--form", "--begins", "2026-12-01T08:00").stdout.splitlines()
    assert lines[0] == "begins,passers,lookers" and len(lines) == 13
    assert lines[1] == "2026-12-01 08:00,," and lines[12] == "2026-12-01 08:55,,"
    assert stationcast("calibrate", "count", "--form", "--out", tmp_path / "form.csv").exit_code == 0
    assert len((tmp_path / "form.csv").read_text("utf-8-sig").splitlines()) == 13


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_factor_is_told_kept_and_named_by_reports(tmp_path: Path, separator: str) -> None:
    station = counted(tmp_path)
    path = filled_in(tmp_path / "form.csv", separator=separator)
    done = stationcast("calibrate", "count", path, "--station", station)
    assert done.exit_code == 0, done.output
    assert "counted by hand on 2026-05-30 (12 times 5 min): people x 1.2" in done.stdout
    assert "watchers x 1.00 (1.00 to 1.00)" in done.stdout
    people = np.zeros((31, 24, 30), np.int64)
    people[:, 9, 12] = 100
    write_weeks(tmp_path, people, first=datetime(2026, 5, 1, tzinfo=UTC).date())
    shown = stationcast("report", "corrected", "--station", station, "--by", "gender", "--format", "json")
    said = json.loads(shown.stdout)
    assert "counted by hand on 2026-05-30 (12 times 5 min): people x 1.2" in " ".join(said["notes"])
    total = said["rows"][-1]
    assert total["people"] == pytest.approx(3260, abs=20)
    assert total["low"] <= total["corrected"] <= total["high"]
    assert total["corrected"] == pytest.approx(1.2 * total["people"], rel=0.02)


def test_a_count_by_hand_holds_no_longer_where_the_zone_changed(tmp_path: Path) -> None:
    station = counted(tmp_path)
    assert stationcast("calibrate", "count", filled_in(tmp_path / "form.csv"), "--station", station).exit_code == 0
    people = np.zeros((28, 24, 30), np.int64)
    people[:, 9, 12] = 100
    basis = basis_of_default(zone_sha256="1" * 16)
    write_weeks(tmp_path, people, first=(EIGHT + timedelta(days=2)).date(), basis=basis)
    shown = stationcast("report", "corrected", "--station", station, "--since", "2026-06-01", "--format", "json")
    said = json.loads(shown.stdout)
    assert "counted by hand only before model, screen's place or zone changed: count again" in " ".join(said["notes"])
    assert said["rows"][-1].get("corrected") is None


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (1, "begins,people", "line 1: the columns must be begins, passers, lookers"),
        (4, "2026-05-30 08:10,many,1", "line 4: passers 'many' is no whole number from 0 to 100000"),
        (4, "2026-05-30 08:10,-3,1", "line 4: passers '-3'"),
        (5, "2026-05-30 08:15,1.5,1", "line 5: passers '1.5'"),
        (5, "2026-05-30 08:15,,1", "line 5: passers ''"),
        (6, "2026-05-30 08:21,3,1", "line 6: begins '2026-05-30 08:21' is not on five minutes"),
        (6, "yesterday,3,1", "line 6: begins 'yesterday' is no time; write such as"),
        (6, "2026-05-30 08:15,3,1", "line 6: 2026-05-30 08:15 is there twice"),
        (6, "x" * 200_000, "line 6: it is no row of a form (field larger than field limit (131072))"),
    ],
)
def test_a_bad_row_is_named_in_one_line(tmp_path: Path, line: int, text: str, says: str) -> None:
    path = filled_in(tmp_path / "form.csv", (line, text))
    done = stationcast("calibrate", "count", path, "--station", counted(tmp_path))
    assert f"{path}, {says}" in complaint(done)
    assert not (tmp_path / "state" / "counts-by-hand.json").exists()


def test_an_hour_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    path = filled_in(tmp_path / "form.csv")
    for measured_s, place, says in (
        (60, None, "kerb was measured in 0 of 12 rows"),
        (300, "door", "--place: name the one where you counted: kerb"),
    ):
        folder = tmp_path / str(measured_s)
        folder.mkdir()
        options = ["--place", place] if place else []
        done = stationcast("calibrate", "count", path, "--station", counted(folder, measured_s), *options)
        assert says in complaint(done)
    (tmp_path / "none").mkdir()
    done = stationcast("calibrate", "count", path, "--station", station_file(tmp_path / "none"))
    assert "has no counts by the minute of 2026-05-30 08:00" in complaint(done)
    blank = tmp_path / "blank.csv"
    blank.write_text(form(EIGHT))
    done = stationcast("calibrate", "count", blank, "--station", station_file(tmp_path))
    assert f"{blank}: 0 rows are filled in" in complaint(done)
    assert "give --form, or the file" in complaint(stationcast("calibrate", "count"))


def test_the_interval_of_a_factor_holds_in_about_95_of_100_hours() -> None:
    held = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        true = rng.poisson(rng.gamma(8, 3, 12))
        counted = rng.binomial(true, 0.8)
        factor = ratio(true.tolist(), counted.tolist())
        assert isinstance(factor, Factor)
        held += factor.low <= 1 / 0.8 <= factor.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(("degrees", "quantile"), [(5, 2.5706), (11, 2.2010), (30, 2.0423)])
def test_students_t_is_that_of_tables(degrees: int, quantile: float) -> None:
    assert student_t(degrees) == pytest.approx(quantile, abs=0.003)


def test_without_people_or_with_too_uneven_ones_there_is_no_factor() -> None:
    assert ratio([5] * 12, [0] * 12) is None
    assert ratio([1] * 12, [0] * 11 + [9]) is None
    assert ratio([1] * 5, [1] * 5) is None
