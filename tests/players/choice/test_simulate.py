"""Audiences of a simulation: those of a file, and those that are made up."""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from pipeline.errors import UserError
from players.choice.simulate import Crowd, Passer, make_audience, read_audience
from tests.ads import NOON

WOMAN = '{"at_s": 0, "people": [{"gender": "F", "age": 25}]}\n'


def test_an_audience_file_says_who_is_there_from_when_on(tmp_path: Path) -> None:
    file = tmp_path / "audience.jsonl"
    file.write_text(WOMAN + '\n{"at_s": 60, "people": []}\n')
    assert read_audience(file) == [Crowd(0.0, (Passer("F", 25.0),)), Crowd(60.0, ())]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nobody ever comes"),
        (WOMAN, "it ends as it begins"),
        ('{"at_s": 9, "people": []}\n' + WOMAN, "line 2: at_s goes back; sort the lines"),
        (WOMAN + "\nnonsense\n", "line 3: JSON is malformed"),
        (WOMAN + '{"at_s": -1, "people": []}\n', "line 2: Expected `float` >= 0.0"),
        (WOMAN.replace("gender", "sex"), "line 1: Object contains unknown field `sex`"),
        (WOMAN.replace("25", "250"), "line 1: Expected `float` <= 120.0"),
    ],
)
def test_a_mistake_in_an_audience_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "audience.jsonl"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_audience(file)
    assert str(caught.value).startswith(f"{file}: ") and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_made_up_audience_is_the_same_for_the_same_seed_and_busier_in_rush_hours() -> None:
    midnight = NOON.replace(hour=0)
    day = make_audience(24.0, midnight, Random(1))
    assert day == make_audience(24.0, midnight, Random(1)) != make_audience(24.0, midnight, Random(2))
    assert (day[0], day[-1]) == (Crowd(0.0, ()), Crowd(24 * 3600.0, ()))
    assert [crowd.at_s for crowd in day] == sorted(crowd.at_s for crowd in day)
    changes = [midnight + timedelta(seconds=crowd.at_s) for crowd in day]
    assert sum(at.hour == 8 for at in changes) > 3 * sum(at.hour == 3 for at in changes)
