"""Chains that follow people through a scene, to be scored: a plain one to compare with, and answers without any."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.rig.scenes.people import HEAD_BOXES, HEAD_PX
from bench.rig.scenes.scene import Box, Frame, Scene, Seen
from bench.rig.scenes.score import Followed, Told, distance
from models.assets import resolve
from models.crop import crop_face
from models.detector import FaceDetector
from models.session import Classifier
from pipeline import settings
from pipeline.settings import Camera
from stages.commands.chain import Chain as StationChain
from stages.people.view import Visit

_GAP_S = 1.5
_REACH = 1.5
"""Largest distance from the last place at which the plain chain knows somebody again, in face widths."""


class Ran(Struct):
    """Everything that a chain made of a scene."""

    followed: list[Followed]
    told: list[Told]
    classifier_calls: int
    detector_calls: float
    """Calls of the detector, in whole frames."""


Chain = Callable[[Iterator[Frame]], Ran]


class Plain:
    """Chain without reach or fusion: each frame whole, the nearest box, every face asked, the last answer kept."""

    def __init__(self) -> None:
        self._detector = FaceDetector(resolve("mediapipe-full-range", Path()))
        self._classifier = Classifier(resolve("default", Path()), "cpu")

    def __call__(self, frames: Iterator[Frame]) -> Ran:
        """Follow everybody through a scene."""
        ran = Ran([], [], 0, 0)
        told: dict[str, Told] = {}
        last: dict[str, tuple[float, Box]] = {}
        for frame in frames:
            ran.detector_calls += 1
            for face in self._detector.detect(frame.image):
                name = self._known(last, frame.t_s, face.box_px) or str(len(told))
                last[name] = frame.t_s, face.box_px
                crop = _crop(self._classifier, frame.image, face.box_px, face.keypoints_px)
                [answer] = self._classifier.classify(crop[None])
                ran.classifier_calls += 1
                before = told.get(name)
                told[name] = Told(
                    id=name,
                    first_s=before.first_s if before else frame.t_s,
                    last_s=frame.t_s,
                    face_px=face.box_px[2],
                    gender=answer.gender,
                    p_male=answer.p_male,
                    age_years=answer.age_years,
                    calls=before.calls + 1 if before else 1,
                )
                ran.followed.append(Followed(frame.t_s, name, face.box_px))
        ran.told = list(told.values())
        return ran

    def close(self) -> None:
        """Free the models."""
        self._detector.close()

    @staticmethod
    def _known(last: dict[str, tuple[float, Box]], t_s: float, box: Box) -> str | None:
        near = [
            (distance(before, box), name) for name, (at_s, before) in last.items() if 0 < t_s - at_s <= _GAP_S + 1e-6
        ]
        away, name = min(near, default=(_REACH, ""))
        return name if away < _REACH else None


class Station:
    """Chain of a station, as `stationcast people` runs it, with the defaults of a camera of this rate and reach."""

    def __init__(self, fps: float, reach: Literal["near", "far"]) -> None:
        camera = Camera(name="scene", source="sample", fps=fps, reach=reach)
        self._station = settings.Station(cameras=(camera,), folder=Path.cwd())

    def __call__(self, frames: Iterator[Frame]) -> Ran:
        """Follow everybody through a scene."""
        chain = StationChain(self._station)
        ran = Ran([], [], 0, 0)
        try:
            for frame in frames:
                audience = chain.look(frame.image, frame.t_s)
                ran.followed += [
                    Followed(frame.t_s, person.track, person.box_px, person.looking)
                    for person in audience.people
                    if person.seen_ns == audience.captured_ns
                ]
                ran.told += map(_told, chain.left())
            ran.told += map(_told, chain.end())
            ran.classifier_calls, ran.detector_calls = chain.calls.classifier, chain.calls.detector
        finally:
            chain.close()
        return ran

    def close(self) -> None:
        """Release nothing: each scene has its own models."""


def _told(visit: Visit) -> Told:
    person = visit.person
    return Told(
        id=person.track,
        first_s=person.since_ns / 1e9,
        last_s=person.seen_ns / 1e9,
        face_px=visit.face_px,
        gender=person.gender,
        p_male=person.p_male if person.answers else None,
        age_years=person.age_years,
        attention_s=person.attention_ms / 1000,
        calls=person.answers,
    )


class Alone(Struct):
    """Answers about single pictures: how many, how many genders were right, and errors of ages in years."""

    asked: int = 0
    right: int = 0
    age_errors_years: list[float] = []

    def add(self, classifier: Classifier, crops: NDArray[np.uint8], truth: list[Seen]) -> None:
        """Ask about crops, uint8 RGB [n, size, size, 3], and compare with the truth."""
        outputs = classifier.run(crops)
        for p_male, age_years, seen in zip(outputs.p_male, outputs.age_years, truth, strict=True):
            self.asked += 1
            self.right += (p_male >= 0.5) == (seen.gender == "M")
            first, last = seen.age_years
            self.age_errors_years.append(max(0.0, first - float(age_years), float(age_years) - last - 1))


def frames_alone(classifier: Classifier, frames: Iterable[Frame], every: int, alone: Alone) -> Iterator[Frame]:
    """Pass frames on; of every `every`-th one ask about each face in plain view, cut out where it truly is."""
    for number, frame in enumerate(frames):
        seen = [each for each in frame.truth if each.plain] if number % every == 0 else []
        if seen:
            crops = [_crop(classifier, frame.image, each.box_px, ()) for each in seen]
            alone.add(classifier, np.stack(crops), seen)
        yield frame


def photos_alone(classifier: Classifier, scene: Scene, alone: Alone) -> None:
    """Ask about the photos of a scene's people, at their best."""
    if not scene.cast:
        return
    width = HEAD_PX / HEAD_BOXES
    box = ((HEAD_PX - width) / 2, (HEAD_PX - width) / 2, width, width)
    crops = [_crop(classifier, person.head, box, ()) for person in scene.cast]
    seen = [Seen(i, box, 1, 0, 0, person.gender, person.age_years) for i, person in enumerate(scene.cast)]
    alone.add(classifier, np.stack(crops), seen)


def _crop(
    classifier: Classifier, image: NDArray[np.uint8], box_px: Box, keypoints_px: tuple[tuple[float, float], ...]
) -> NDArray[np.uint8]:
    assert classifier.card.crop
    return np.asarray(crop_face(image, box_px, keypoints_px, classifier.card.crop)[..., ::-1], np.uint8)
