"""Corrected counts: no one is lost, intervals hold the truth, and nothing hidden is told."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import corrections
from models.cards import find_card, read_card
from pipeline.errors import UserError
from players.commands.report import report
from players.reports.audience import audience
from players.reports.correction import SAID_GROUPS, TRUE_GROUPS, correct, matrix_of
from players.statistics.reading import reading_counts
from tests.players.reports.counted import basis_of_default, default_card, station_file, write_weeks
from tests.players.statistics.crowds import UTC_ZONE


def perfect(faces: int) -> np.ndarray:
    return matrix_of({group: {group.replace("70+", "80+"): faces} for group in TRUE_GROUPS})


def said_of(**people: int) -> np.ndarray:
    wanted = {name.replace("_", " ").replace("to", "-"): number for name, number in people.items()}
    return np.array([wanted.get(group, 0) for group in SAID_GROUPS])


def shown(folder: Path, *options: str) -> dict:
    arguments = ["corrected", "--station", str(station_file(folder)), "--format", "json", *options]
    result = CliRunner().invoke(report, arguments, standalone_mode=False, catch_exceptions=False)
    said: dict = json.loads(result.stdout)
    return said


def test_a_model_that_never_errs_corrects_little_and_a_draw_has_as_many_people_as_were_said() -> None:
    said = said_of(M_20to29=300, F_30to39=100)
    draws = correct(said, perfect(500))
    assert np.all(draws.sum(1) == 400) and draws.min() >= 0
    men = draws[:, TRUE_GROUPS.index("M 20-29")]
    assert np.quantile(men, 0.025) <= 300 <= np.quantile(men, 0.975) and np.ptp(men) < 20


def test_half_of_the_women_taken_for_men_are_given_back() -> None:
    table = {group: {group.replace("70+", "80+"): 400} for group in TRUE_GROUPS}
    table["F 20-29"] = {"F 20-29": 200, "M 20-29": 200}
    draws = correct(said_of(M_20to29=300, F_20to29=100), matrix_of(table))
    women = draws[:, TRUE_GROUPS.index("F 20-29")]
    assert abs(women.mean() - 200) < 15
    assert np.quantile(women, 0.025) < 200 < np.quantile(women, 0.975)


def test_a_matrix_of_few_faces_makes_wider_intervals() -> None:
    few, many = (
        matrix_of(
            {group: {"M 20-29": n, "F 20-29": n} if group == "F 20-29" else {group: 4 * n} for group in TRUE_GROUPS}
        )
        for n in (5, 500)
    )
    said = said_of(M_20to29=300, F_20to29=100)
    widths = [np.ptp(np.quantile(correct(said, table)[:, 10], [0.025, 0.975])) for table in (few, many)]
    assert widths[0] > 2 * widths[1]


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_93_to_97_of_100_replayed_crowds() -> None:
    for size, mix, crowds in corrections.run(200):
        if mix == "all":
            assert 0.93 <= np.nanmean(crowds.held) <= 0.97, (size, mix)
            assert np.mean(crowds.corrected) < np.mean(crowds.raw), "what is corrected is nearer to the truth"


def test_raw_and_corrected_counts_stand_beside_each_other_and_say_what_they_rest_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _, said, _ = corrections.crowd(corrections.default_faces(), 1500, 1.0, (3,))
    counts = np.zeros((28, 24, 30), np.int64)
    counts[:, 9] = rng.multinomial(600, said / said.sum(), 28)
    write_weeks(tmp_path, counts)
    for by in ("gender", "decade", "gender,decade"):
        said = shown(tmp_path, "--by", by)
        rows = [row for row in said["rows"] if row["corrected"] not in (None, "hidden")]
        assert all(row["low"] <= row["corrected"] <= row["high"] for row in rows)
        total = said["rows"][-1]["people"]
        assert total == pytest.approx(28 * 600, abs=200)
        assert sum(row["corrected"] for row in rows) == pytest.approx(total, abs=10 * 16 + 10), "nobody is lost"
    notes = " ".join(said["notes"])
    card, _ = read_card(find_card("default", Path.cwd()))
    assert card.confusion
    for text in (
        f"corrected by {card.confusion.faces} faces of {card.confusion.data}",
        "kerb, 2026-05-04 to 2026-05-31: measured 100 % of the time",
        f"model stationcast-open, {default_card()[1][:12]} (gender from 20 0.9",
        "gender by group: Black 0.",
        "screen at yaw 0 +- 20, pitch 0 +- 16 degrees; no zone",
        "Measure level: opportunities to see (1 s in the zone) and watchers",
    ):
        assert text in notes, text


def test_two_models_have_rows_of_their_own_and_a_note(tmp_path: Path) -> None:
    counts = np.zeros((7, 24, 30), np.int64)
    counts[:, 9, 2] = 200
    write_weeks(tmp_path, counts)
    write_weeks(tmp_path, 2 * counts, date(2026, 5, 11), basis_of_default(model_sha256="f" * 64))
    said = shown(tmp_path, "--by", "gender")
    totals = {row["model"]: row["people"] for row in said["rows"] if row["gender"] == "total"}
    assert totals == {"stationcast-open": 1400, "f" * 12: 2800}
    notes = " ".join(said["notes"])
    assert f"{'f' * 12}: not corrected" in notes and "kerb: model, screen's place or zone changed" in notes
    assert all(row["corrected"] is None for row in said["rows"] if row["model"] == "f" * 12)


def test_a_model_that_nobody_was_shown_yet_is_no_other_model(tmp_path: Path) -> None:
    counts = np.zeros((7, 24, 30), np.int64)
    write_weeks(tmp_path, counts, basis=basis_of_default(model_sha256=""))
    counts[:, 9, 2] = 200
    write_weeks(tmp_path, counts)
    said = shown(tmp_path, "--by", "gender")
    assert said["rows"][-1]["people"] == 1400
    assert "changed" not in " ".join(said["notes"])


def test_the_numbers_that_are_corrected_are_those_that_the_report_of_the_audience_tells(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).poisson(0.6, (31, 24, 30))
    path = write_weeks(tmp_path, counts, first=date(2026, 5, 1))
    with reading_counts(path) as db:
        told = audience(None, ("gender",), UTC_ZONE, counts=db)
    wanted = {row["gender"]: row["people"] for row in told.parts}
    said = shown(tmp_path, "--by", "gender")
    assert {row["gender"]: row["people"] for row in said["rows"][:-1]} == wanted
    assert said["rows"][-1]["people"] == sum(wanted.values())


def test_an_unknown_dimension_is_refused(tmp_path: Path) -> None:
    write_weeks(tmp_path, np.zeros((1, 24, 30), np.int64))
    with pytest.raises(UserError, match="choose of gender,decade"):
        shown(tmp_path, "--by", "hour")
