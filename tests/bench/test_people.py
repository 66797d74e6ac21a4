"""The benchmark of people, and the plain chain that it compares with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.findings import Plan
from bench.harness import run_benchmark
from bench.rig.scenes import people
from bench.rig.scenes.chains import Plain
from bench.rig.scenes.film import Line
from bench.rig.scenes.scene import Frame, Scene
from bench.rig.scenes.score import recall, score


def test_the_plain_chain_follows_a_near_person_and_asks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_PHOTOS", Path("/nowhere"))
    scene = Scene(seed=1, seconds=10, fps=4, size_px=(960, 540), faces_px=(120,), people=1, kinds=("stop",))
    truth = []

    def noted() -> Iterator[Frame]:
        for frame in scene.frames():
            truth.append(Line(frame.t_s, frame.truth))
            yield frame

    plain = Plain()
    ran = plain(noted())
    plain.close()
    got = score(truth, ran.followed, ran.told, classifier_calls=ran.classifier_calls, detector_calls=ran.detector_calls)
    assert recall(got.people) == 1 and got.false_faces == 0 and got.detector_calls_a_frame == 1
    assert got.classifier_calls == len(ran.followed) > 10 and got.people[0].gender_right is not None


@pytest.mark.slow
def test_every_chain_is_measured_beside_the_goals() -> None:
    found = run_benchmark("people", Plan(size="tiny"), lambda _: None).findings
    chains, alone = found.tables
    assert [row[0] for row in chains.rows].count("street") > 10 and chains.columns[-2:] == ("plain", "stationcast")
    assert any(goal.text.startswith("street: ") for goal in found.goals)
    assert {row[0] for row in alone.rows} >= {"street", "hard"}
