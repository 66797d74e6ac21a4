"""Forecasts: bounds that hold, groups that sum to all, and what is said where there is too little to tell."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import forecast as weeks
from pipeline.errors import UserError
from players.commands.report import report
from players.reports.audience import audience
from players.reports.expectation import History, expect
from players.reports.forecast import forecast
from players.statistics.reading import reading_counts
from tests.players.reports.counted import MONDAY, basis_of_default, station_file, write_weeks
from tests.players.statistics.crowds import UTC_ZONE

NOW = datetime(2026, 6, 1, 15, tzinfo=UTC)
"""Four weeks after MONDAY, in the afternoon."""


def foretell(path: Path, *by: str, days: int = 7, now: datetime = NOW) -> list[dict]:
    with reading_counts(path) as db:
        return forecast(db, by, UTC_ZONE, days, path.parent, now).rows


def test_bounds_of_90_in_100_hold_in_about_90() -> None:
    held = [each for kind in weeks.WEEKS for each in weeks.held(kind, 6, 100, 2)["day and hour"]]
    assert 0.85 <= np.mean(held) <= 0.95, len(held)


@pytest.mark.slow
def test_bounds_hold_in_87_to_93_of_100_simulated_and_replayed_weeks() -> None:
    for kind in weeks.WEEKS:
        every = [
            each
            for past_weeks in (6, 12)
            for busiest in (40, 400)
            for values in weeks.held(kind, past_weeks, busiest, 12).values()
            for each in values
        ]
        assert 0.87 <= np.mean(every) <= 0.93, (kind, np.mean(every))


@pytest.mark.slow
@pytest.mark.parametrize("kind", weeks.WEEKS)
def test_bounds_hold_for_what_the_report_of_the_audience_tells_a_week_later(tmp_path: Path, kind: str) -> None:
    held = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = write_weeks(folder, weeks.WEEKS[kind](8, 300, seed))
        then = datetime(2026, 6, 21, 12, tzinfo=UTC)  # seven weeks after MONDAY, on the Sunday
        for by in (("day", "hour"), ("day", "gender")):
            with reading_counts(path) as db:
                rows = forecast(db, by, UTC_ZONE, 7, folder / "state", then).rows
                span = ("2026-06-22T00:00:00.000Z", "2026-06-29T00:00:00.000Z")
                told = {tuple(row[name] for name in by): row for row in audience(None, by, UTC_ZONE, span, db).parts}
            for row in rows:
                came = told.get(tuple(row[name] for name in by), {"people": 0})["people"]
                held.append(row["people_low"] <= came <= row["people_high"])
    assert len(held) > 300
    assert 0.87 <= np.mean(held) <= 0.95, np.mean(held)


def test_where_people_come_in_groups_few_at_night_scatter_as_wide_as_many_by_day_allow() -> None:
    """Eight come at once. By the variance of busy hours alone the night's sum would scatter by 6 people, not by 15."""
    rng = np.random.default_rng(4)
    means = np.where((np.arange(24) >= 7) & (np.arange(24) < 20), 300.0, 4.0)
    counts = 8.0 * rng.poisson(means / 8, (56, 24))[:, :, None]
    night = expect(History(MONDAY, counts, np.ones((56, 24))), 7).sum(3)[:, :, 2].sum(1)
    assert night.mean() == pytest.approx(28, abs=6) and 12 < night.std() < 20


def test_an_hour_that_was_not_measured_is_not_an_hour_without_people() -> None:
    counts = np.full((28, 24, 1), 50.0)
    measured = np.ones((28, 24))
    counts[14:21, 9], measured[14:21, 9] = 0, 0
    counts[21:, 9], measured[21:, 9] = 25, 0.5
    draws = expect(History(MONDAY, counts, measured), 7)
    assert draws[:, :, 9].mean() == pytest.approx(50, rel=0.1)


def test_weekdays_and_hours_are_those_of_the_past(tmp_path: Path) -> None:
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 8, 2], counts[:, 17, 12] = 200, 100
    counts[5::7] = counts[6::7] = 0
    path = write_weeks(tmp_path, counts)
    rows = foretell(path, "day", "hour", "gender")
    # From tomorrow on: 2026-06-02 is a Tuesday, the 6th and 7th are the weekend.
    assert {row["day"] for row in rows} == {f"2026-06-0{day}" for day in (2, 3, 4, 5, 8)}
    assert {(row["hour"], row["gender"]) for row in rows if row["people"] > 50} == {(8, "M"), (17, "F")}
    [first] = [row for row in rows if (row["day"], row["hour"]) == ("2026-06-03", 8)]
    assert first["people_low"] <= 200 <= first["people_high"]
    assert first["watchers_low"] <= 100 <= first["watchers_high"]
    assert all(row["watchers"] <= row["ots"] <= row["people"] for row in rows if row["people"] > 50)
    both = foretell(path, "gender")
    assert sum(row["people"] for row in both) == pytest.approx(5 * 300, rel=0.1)


def test_few_people_are_hidden_and_numbers_are_tens(tmp_path: Path) -> None:
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 8, 2], counts[:, 8, 12] = 43, 3
    path = write_weeks(tmp_path, counts)
    rows = foretell(path, "day", "hour", "gender")
    assert {row["gender"] for row in rows} == {"M"}
    assert all(row[name] % 10 == 0 for row in rows for name in ("people", "people_low", "people_high"))


def test_what_was_counted_by_another_model_is_left_out_and_said(tmp_path: Path) -> None:
    old = np.zeros((28, 24, 30), np.int64)
    old[:, 8, 2] = 900
    new = np.zeros((21, 24, 30), np.int64)
    new[:, 8, 2] = 100
    write_weeks(tmp_path, old, basis=basis_of_default(model_sha256="f" * 64))
    path = write_weeks(tmp_path, new, first=MONDAY + timedelta(days=28))
    with reading_counts(path) as db:
        made = forecast(db, ("day",), UTC_ZONE, 7, tmp_path / "state", NOW + timedelta(days=21))
    assert all(row["people_high"] < 200 for row in made.rows)
    assert "another model" in " ".join(made.notes) and "stationcast-open" in " ".join(made.notes)


def test_a_camera_that_is_gone_is_not_one_that_was_not_measured(tmp_path: Path) -> None:
    """A camera got another name after a week. As many people come as before, and not twice as many."""
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 8:20, 12] = 200
    write_weeks(tmp_path, counts[:7], basis=basis_of_default(place="kerb", camera="kerb"))
    path = write_weeks(
        tmp_path, counts[7:], first=MONDAY + timedelta(days=7), basis=basis_of_default(place="door", camera="door")
    )
    (row, *_) = foretell(path, "day")
    assert 2000 <= row["people"] <= 2800


def test_too_little_is_said_in_place_of_rows(tmp_path: Path) -> None:
    with reading_counts(tmp_path / "none.sqlite") as db:
        made = forecast(db, ("day",), UTC_ZONE, 7, tmp_path, NOW)
    assert made.rows == [] and "0 whole days" in made.notes[0]
    path = write_weeks(tmp_path, np.ones((13, 24, 30), np.int64))
    with reading_counts(path) as db:
        made = forecast(db, ("day",), UTC_ZONE, 7, tmp_path, datetime(2026, 5, 17, 12, tzinfo=UTC))
    assert made.rows == [] and "13 whole days" in made.notes[0] and "two weeks are needed" in made.notes[0]
    with reading_counts(path) as db:
        made = forecast(db, ("day",), UTC_ZONE, 7, tmp_path, datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert made.rows == [] and "0 whole days were counted in the last 12 weeks" in made.notes[0]


def test_an_unknown_dimension_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose of day,weekday,hour,gender,decade"):
        foretell(tmp_path / "none.sqlite", "minute")


def test_the_command_foretells_from_tomorrow_on(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 8, 2] = 100
    write_weeks(tmp_path, counts, first=today - timedelta(days=28))
    arguments = ["forecast", "--station", str(station_file(tmp_path)), "--days", "3", "--by", "day", "--format", "json"]
    result = CliRunner().invoke(report, arguments, standalone_mode=False, catch_exceptions=False)
    said = json.loads(result.stdout)
    days = [date.fromisoformat(row["day"]) for row in said["rows"]]
    assert len(days) == 3 and days[0] - today in (timedelta(1), timedelta(2))  # midnight may pass meanwhile
    assert all(row["people_low"] <= 100 <= row["people_high"] for row in said["rows"])


@pytest.mark.parametrize("by", ["day,hour", "gender,decade"])
def test_a_forecast_is_drawn_in_both_languages(tmp_path: Path, by: str) -> None:
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 7:20, 2] = 100
    write_weeks(tmp_path, counts, first=datetime.now(UTC).date() - timedelta(days=28))
    for language, title in (("en", f"Forecast by {by.replace(',', ' and ')}"), ("ko", "예상 방문자")):
        words = ["forecast", "--station", str(station_file(tmp_path)), "--by", by, "--language", language]
        words += ["--plot", str(tmp_path / "plot.svg")]
        CliRunner().invoke(report, words, standalone_mode=False, catch_exceptions=False)
        drawn = (tmp_path / "plot.svg").read_text("utf-8")
        assert re.search(f"<!-- .*{title.split(' and ')[0]}", drawn)
        assert bool(re.search("<!-- [^>]*[가-힣]", drawn)) == (language == "ko")
