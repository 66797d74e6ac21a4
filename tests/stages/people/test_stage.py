"""The stage of people: what it is told and what it says."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.settings import Classify, Station, StationTable
from stages.people.stage import People
from tests.stages.people.sightings import ANN, BEN, MS, S, answer, answered, camera_of, face


def job(mode: str = "target", model: str = "default", **groups: str) -> Job:
    station = Station(
        station=StationTable(mode=mode),  # type: ignore[arg-type]
        classify=Classify(model=model),
        folder=Path.cwd(),
    )
    return Job(station=station, cameras={name: camera_of(name, group=group) for name, group in groups.items()})


def test_each_frame_gives_who_is_there_by_the_thresholds_of_the_card() -> None:
    stage = People(job(kerb=""))
    sure = answered(10 * S, face(ANN), face(BEN), answers=[answer(0), answer(1, p_male=0.65)])
    first, second = stage.step([sure, answered(10_100 * MS, face(BEN))])
    assert [person.gender for person in first.people] == ["F", "unknown"]
    assert {person.track: person.gender for person in second.people} == {ANN: "F", BEN: "unknown"}
    assert (second.captured_ns, second.seq, second.leads, second.group) == (10_100 * MS, 10_100, True, "")


def test_cameras_of_other_tables_lose_nobody() -> None:
    stage = People(job(kerb=""))
    list(stage.step([answered(10 * S, face(ANN), answers=[answer(0)])]))
    stage.update(job(kerb="stop", shelter="stop"))
    (audience,) = stage.step([answered(10_100 * MS, face(ANN))])
    assert (audience.group, audience.people[0].gender) == ("stop", "F")


def test_frames_of_a_camera_that_has_just_gone_stand_each_for_itself() -> None:
    stage = People(job(kerb="", shelter=""))
    stage.update(job(kerb=""))
    late = answered(10 * S, face(ANN), camera="shelter"), answered(10_100 * MS, face(BEN), camera="shelter")
    assert [[person.track for person in audience.people] for audience in stage.step([*late])] == [[ANN], [BEN]]
    assert stage._presence._views == {}


def test_mode_count_needs_no_model_and_a_model_that_is_not_there_is_named() -> None:
    (audience,) = People(job("count", "no-such-model", kerb="")).step([answered(10 * S, face(ANN))])
    assert (audience.people[0].gender, audience.people[0].p_minor) == ("unknown", None)
    with pytest.raises(UserError, match="no-such-model"):
        People(job("measure", "no-such-model", kerb=""))
