"""People: whether those of a scene are found, followed, counted once, known and seen to look, beside the goals."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
from msgspec import Struct
from msgspec.structs import replace

from bench.findings import Findings, Plan, Say, Table
from bench.rig.scenes.chains import Alone, Chain, Plain, Station, frames_alone, photos_alone
from bench.rig.scenes.film import Line
from bench.rig.scenes.scene import PLAIN_DEG, Frame, Scene
from bench.rig.scenes.score import Score, gender_right, joined, looking_right, recall, score
from models.assets import resolve
from models.session import Classifier

KINDS = {
    "street": Scene(seconds=90, faces_px=(32, 40, 60, 80, 120), people=3),
    "empty": Scene(seconds=50, people=0, noise=4.0),
    "hard": Scene(seconds=60, faces_px=(24, 32, 40, 60), people=3, light=0.55, blur_px=0.8, noise=5.0, jpeg=70),
    "looking": Scene(seconds=60, faces_px=(50, 80), people=2, kinds=("stop", "two stop", "pass")),
}
"""Scenes by what they are to show; each is drawn with several seeds, half of them over a real place."""
_TURNS_DEG = ((0, 20), (20, 40), (40, PLAIN_DEG))
"""Angles by which heads are turned, degrees; nobody who is turned farther is asked for."""
_EVERY = 5
"""One in so many frames is asked about alone."""


def run(plan: Plan, say: Say) -> Findings:
    """Run the chains on scenes and compare with the truth."""
    cv2.setNumThreads(1)
    findings = Findings()
    plain = Plain()
    try:
        chains: dict[str, Chain] = {"plain": plain, "stationcast": Station(KINDS["street"].fps, "far")}
        found = {kind: _compare(kind, chains, plan, say) for kind in KINDS}
    finally:
        plain.close()
    _report(found, list(chains), findings)
    return findings


class Compared(Struct):
    """Scores of each chain on one kind of scene, and answers about single photos and frames."""

    scores: dict[str, Score]
    photos: Alone
    frames: Alone


def scenes(kind: str, plan: Plan) -> list[Scene]:
    """Return the scenes of a kind in the size of a plan."""
    base = KINDS[kind]
    if plan.size == "tiny":
        return [replace(base, seconds=10, fps=4, size_px=(960, 540), faces_px=(60,))]
    count = plan.pick(1, 2, {"street": 8, "empty": 2, "hard": 6, "looking": 4}[kind])
    seconds = base.seconds * plan.pick(1, 0.5, 1)
    return [
        replace(base, seed=100 * len(kind) + i, seconds=seconds, place=("drawn", "real")[i % 2]) for i in range(count)
    ]


def _compare(kind: str, chains: dict[str, Chain], plan: Plan, say: Say) -> Compared:
    classifier = Classifier(resolve("default", Path()), "cpu")
    scores: dict[str, list[Score]] = {name: [] for name in chains}
    compared = Compared({}, Alone(), Alone())
    for number, scene in enumerate(todo := scenes(kind, plan)):
        photos_alone(classifier, scene, compared.photos)
        for name, chain in chains.items():
            say(f"{kind}: scene {number + 1} of {len(todo)}, {name}")
            truth: list[Line] = []
            frames = _noted(scene.frames(), truth)
            if kind == "hard" and name == next(iter(chains)):
                frames = frames_alone(classifier, frames, _EVERY, compared.frames)
            ran = chain(frames)
            calls = ran.classifier_calls, ran.detector_calls
            scores[name].append(
                score(truth, ran.followed, ran.told, classifier_calls=calls[0], detector_calls=calls[1])
            )
    compared.scores = {name: joined(each) for name, each in scores.items()}
    return compared


def _noted(frames: Iterator[Frame], truth: list[Line]) -> Iterator[Frame]:
    for frame in frames:
        truth.append(Line(frame.t_s, frame.truth))
        yield frame


class Row(Struct, frozen=True):
    """Measure of a table: its scenes, its text, its goal (at least or at most), and how it is read from a score."""

    kind: str
    text: str
    of: Callable[[Score], float]
    at_least: float | None = None
    at_most: float | None = None


def _width(px: int, of: Callable[[Sequence], float]) -> Callable[[Score], float]:
    return lambda score: of(score.of_width(px))


def _turned(low: float, high: float) -> Callable[[Score], float]:
    return lambda score: recall([person for person in score.people if low <= person.away_deg <= high])


ROWS = (
    *(
        Row("street", f"found within 1 s, {px} px", _width(px, recall), at_least=goal)
        for px, goal in ((32, 0.8), (40, 0.9), (60, 0.95), (80, 0.95), (120, 0.95))
    ),
    *(
        Row("street", f"found within 1 s, head turned by {low:g} to {high:g} degrees", _turned(low, high))
        for low, high in _TURNS_DEG
    ),
    Row("street", "ids over people, at least", lambda s: s.ids_a_person, at_least=0.95),
    Row("street", "ids over people, at most", lambda s: s.ids_a_person, at_most=1.05),
    Row("street", "id switches of 20 people", lambda s: s.switches_of_20, at_most=1),
    Row("street", "dwell within .3 s", lambda s: s.dwell_right, at_least=0.95),
    Row("street", "time in plain view followed", lambda s: _mean([p.covered for p in s.people])),
    Row("street", "false faces in 1,000 frames", lambda s: s.false_of_1000),
    Row("street", "detector calls a frame", lambda s: s.detector_calls_a_frame, at_most=3),
    Row("street", "classifier calls a person", lambda s: s.calls_a_person),
    Row("street", "gender right, all", lambda s: gender_right(s.people)),
    Row("street", "gender right, 60 px", _width(60, gender_right)),
    Row("empty", "false faces in 1,000 frames", lambda s: s.false_of_1000, at_most=1),
    Row("hard", "found within 1 s", lambda s: recall(s.people)),
    Row("hard", "gender right", lambda s: gender_right(s.people)),
    Row("hard", "age outside its range by, years", lambda s: _mean([p.age_error_years for p in s.people])),
    Row("looking", "looking right, 80 px", _width(80, looking_right), at_least=0.9),
    Row("looking", "looking right, 50 px", _width(50, looking_right), at_least=0.8),
    Row("looking", "attention wrong by, s", lambda s: _mean([_size(p.attention_error_s) for p in s.people])),
)


def _report(found: dict[str, Compared], chains: list[str], findings: Findings) -> None:
    rows = []
    for row in ROWS:
        values = {name: row.of(found[row.kind].scores[name]) for name in chains}
        goal = f"at least {row.at_least:g}" if row.at_least else f"at most {row.at_most:g}" if row.at_most else ""
        rows.append((row.kind, row.text, goal, *(_text(value) for value in values.values())))
        for name, value in values.items():
            if not math.isnan(value):
                findings.measure(f"{name}, {row.kind}: {row.text}", "", [value], listed=False)
        ours = values.get("stationcast", math.nan)
        if goal and not math.isnan(ours):
            findings.goal(f"{row.kind}: {row.text}", ours, at_least=row.at_least, at_most=row.at_most)
    findings.tables.append(
        Table(title="chains on scenes with truth", columns=("scenes", "measure", "goal", *chains), rows=rows)
    )
    rows = []
    for kind, compared in found.items():
        for text, alone in (
            ("its photo alone", compared.photos),
            ("one frame alone, cut out in its true place", compared.frames),
        ):
            if alone.asked:
                right = f"{alone.right / alone.asked:.3f}"
                rows.append((kind, text, str(alone.asked), right, _text(_mean(alone.age_errors_years))))
    columns = ("scenes", "asked about", "answers", "gender right", "age outside its range by, years")
    findings.tables.append(Table(title="the same classifier without following", columns=columns, rows=rows))
    people = {kind: len(next(iter(each.scores.values())).people) for kind, each in found.items()}
    findings.notes.append(
        "People in plain view for a second or more: " + ", ".join(f"{k} {n}" for k, n in people.items())
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else math.nan


def _size(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"
