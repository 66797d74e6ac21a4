"""Frames of a camera for the tests of the people stage."""

from collections.abc import Iterable
from typing import Any

from models.cards import Unknown
from pipeline.messages import Answered, Face, FaceAnswer, Person
from pipeline.settings import Camera
from stages.people.presence import Presence

S, MS = 1_000_000_000, 1_000_000
UNKNOWN = Unknown(gender=0.7, decade=0.3)
ANN, BEN, CEM = "a" * 16, "b" * 16, "c" * 16
TWENTIES = (0.01, 0.04, 0.8, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01)


def face(track: str = ANN, x: float = 0.5, since_ns: int = 0, width_px: float = 80, **more: Any) -> Face:
    """Return a face whose middle is at a share `x` of the frame's width, half-way down."""
    box_px = (1000 * x - width_px / 2, 460.0, width_px, 80.0)
    return Face(box_px=box_px, score=0.9, track=track, since_ns=since_ns, **more)


def answer(
    number: int = 0, p_male: float = 0.1, p_decade: tuple[float, ...] = TWENTIES, years: float = 25
) -> FaceAnswer:
    """Return an answer about the face of that number: by default a woman of about 25."""
    return FaceAnswer(face=number, p_male=p_male, age_years=years, p_decade=p_decade)


def answered(at_ns: int, *faces: Face, answers: Iterable[FaceAnswer] = (), camera: str = "kerb") -> Answered:
    """Return the faces of one frame of 1000 x 1000 px."""
    return Answered(
        camera=camera,
        seq=at_ns // MS,
        captured_ns=at_ns,
        width_px=1000,
        height_px=1000,
        detected_ns=at_ns,
        classified_ns=at_ns,
        faces=faces,
        answers=tuple(answers),
    )


def presence(*cameras: Camera) -> Presence:
    """Return a presence of these cameras; of one named `kerb` without any."""
    return Presence({camera.name: camera for camera in cameras or (camera_of(),)}, UNKNOWN)


def camera_of(name: str = "kerb", **more: object) -> Camera:
    """Return the table of a camera."""
    return Camera(name=name, source="", **more)  # type: ignore[arg-type]


def told(who: Presence, at_ns: int, *faces: Face, **more: object) -> list[Person]:
    """Take in a frame and return who is there."""
    audience = who.take(answered(at_ns, *faces, **more))  # type: ignore[arg-type]
    assert audience is not None
    return list(audience.people)
