"""Audiences of a simulation: those of a file, and those that are made up."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.errors import UserError
from players.ads.lines import Target
from players.choice.choose import Rules
from players.choice.simulate import PLACE, Crowd, Passer, Simulation, Street, make_audience, read_audience, simulate
from tests.ads import NOON, catalogue, line

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
        (WOMAN + "\nnonsense\n", "line 3: it is no JSON object of its own; a line is such as"),
        (WOMAN + '{"at_s": -1, "people": []}\n', "line 2: at_s: expected a number of at least 0"),
        (
            WOMAN.replace("gender", "sex"),
            "people[0].sex: unknown key; known here: gender, age, nearness, looks",
        ),
        (WOMAN.replace("25", "250"), "line 1: people[0].age: expected a number of at most 120"),
    ],
)
def test_a_mistake_in_an_audience_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "audience.jsonl"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_audience(file)
    assert str(caught.value).startswith(f"{file}: ") and says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_an_audience_file_is_read_as_editors_save_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "audience.jsonl"
    file.write_bytes((WOMAN + '{"at_s": 60, "people": []}\n').replace("\n", "\r\n").encode(encoding))
    assert len(read_audience(file)) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (WOMAN.replace('"', "”").encode(), "line 1: it holds the quotation mark ” (U+201D); write straight quotes"),
        (WOMAN.replace(": ", ":\u00a0").encode(), "line 1: it holds a blank of another kind"),
        ((WOMAN + "# 모카\n").encode("cp949"), "line 2: it is not UTF-8 but looks like Korean CP949"),
    ],
)
def test_an_audience_file_that_an_editor_has_changed_is_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "audience.jsonl"
    file.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_audience(file)
    assert str(caught.value).startswith(f"{file}: {says}")


def test_the_audience_file_with_a_mark_of_the_cases_is_read(shared_dir: Path) -> None:
    assert len(read_audience(shared_dir / "cases" / "audience_bom.jsonl")) == 2


def test_a_made_up_audience_is_the_same_for_the_same_seed_and_busier_in_rush_hours() -> None:
    midnight = NOON.replace(hour=0)
    day = make_audience(24.0, midnight, Random(1))
    assert day == make_audience(24.0, midnight, Random(1)) != make_audience(24.0, midnight, Random(2))
    assert (day[0], day[-1]) == (Crowd(0.0, ()), Crowd(24 * 3600.0, ()))
    assert [crowd.at_s for crowd in day] == sorted(crowd.at_s for crowd in day)
    changes = [midnight + timedelta(seconds=crowd.at_s) for crowd in day]
    assert sum(at.hour == 8 for at in changes) > 3 * sum(at.hour == 3 for at in changes)


def simulated(crowds: list[Crowd], **price: Any) -> Simulation:
    ad = line("women", Target(gender="F"), currency="EUR", **price)
    return simulate(catalogue(ad), crowds, NOON, Rules())


def spent(simulation: Simulation) -> Decimal:
    return sum((play.decision.price for play in simulation.plays), Decimal(0))


def test_a_line_that_is_priced_by_watchers_earns_what_those_who_look_come_to() -> None:
    her = [Passer("F", 25.0, looks=looks) for looks in (False, True)]
    crowds = [Crowd(0.0, (her[0],)), Crowd(10.0, (her[1],)), Crowd(14.0, (her[0],)), Crowd(24.0, ())]
    price = {"price": Decimal("500"), "bill_on": "watched"}
    by_watcher = simulated(crowds, per="1000 watchers", **price)
    assert [play.billable for play in by_watcher.plays] == [False, True, False], "she looks in the second play only"
    assert spent(by_watcher) == Decimal("0.5")
    by_second = simulated(crowds, per="1000 attentive seconds", **price)
    assert spent(by_second) == pytest.approx(Decimal(2), abs=Decimal("0.5")), "she looked for 4 s"
    assert spent(simulated(crowds, per="1000 ots", price=Decimal(500))) == Decimal("1.5")


def test_the_people_of_a_simulation_stay_themselves_while_they_stand_in_the_next_line() -> None:
    her, him = Passer("F", 25.0, looks=False), Passer("M", 35.0, looks=False)
    street = Street([Crowd(0.0, (her, him)), Crowd(5.0, (him, her, her)), Crowd(9.0, (her,))], seed=0)
    first, second, third = ({one.track: one.gender for one in street.at(at_s).people} for at_s in (1.0, 6.0, 9.0))
    assert first.items() <= second.items() and len(second) == 3
    assert len(third) == 1 and third.items() <= first.items()
    assert street.at(10.0).camera == PLACE[1]


def test_made_up_people_look_now_and_then() -> None:
    day = make_audience(1.0, NOON.replace(hour=8), Random(1))
    sold = simulated(day, per="1000 watchers", price=Decimal(500), bill_on="watched")
    billed = sum(play.billable for play in sold.plays)
    aimed = sum(not play.decision.line.house for play in sold.plays)
    assert 0.1 * aimed < billed < 0.95 * aimed
    again = simulated(day, per="1000 watchers", price=Decimal(500), bill_on="watched")
    assert [play.billable for play in sold.plays] == [play.billable for play in again.plays]
