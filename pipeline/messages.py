"""Every message that crosses a process, in one screenful. A new message is one more subclass of Message here.

A message is a frozen msgspec Struct; on the wire it is MessagePack with its name and version in `type`. A field may be
added with a default; a changed meaning takes a new version in the tag, and a reader that does not know it counts and
skips the message. All times are CLOCK_MONOTONIC of this machine, in ns; all boxes are in pixels of the frame.
"""

import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Ns = Annotated[int, Meta(ge=0, le=2**62)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Px = Annotated[int, Meta(ge=1, le=16384)]
CoordPx = Annotated[float, Meta(ge=-65536, le=65536)]
Probability = Annotated[float, Meta(ge=0, le=1)]
BoxPx = tuple[CoordPx, CoordPx, CoordPx, CoordPx]
PointPx = tuple[CoordPx, CoordPx]
Gender = Literal["M", "F", "unknown"]
TrackId = Annotated[str, Meta(pattern=r"^([0-9a-f]{16})?\Z")]
AngleDeg = Annotated[float, Meta(ge=-180, le=180)]
Years = Annotated[float, Meta(ge=0, le=120)]
Decades = Annotated[tuple[Probability, ...], Meta(max_length=9)]

BRIDGE_NS = 1_500_000_000
"""Time for which somebody who is not found is still there: a missed face drops nobody."""
LOOK_NS = 250_000_000
"""Length from which a look at the screen counts."""
OTS_NS = 1_000_000_000
"""Shortest stay with an opportunity to see (Geopath: a message must be up for 1 s to be able to be seen)."""
WATCHED_NS = 2_000_000_000
"""Length of one look of a watcher of 2 s; no out-of-home rule asks for it."""
MAX_FACES = 64
FaceNumber = Annotated[int, Meta(ge=0, lt=MAX_FACES)]
DECADES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages. `camera` is the key of the keep rule `latest`; `captured_ns` is the time of the frame."""

    camera: Name
    seq: Count
    captured_ns: Ns

    @property
    def counted(self) -> int:
        """Number of faces, answers or people that it tells of."""
        return 0


class Frame(Message, frozen=True, kw_only=True, tag="frame.1"):
    """A frame in the camera's ring: uint8 BGR [height_px, width_px, 3] in `slot`, for as long as that has `version`."""

    slot: Annotated[int, Meta(ge=0, le=255)]
    version: Count
    width_px: Px
    height_px: Px
    dark: bool = False
    """True if there is no light in it: the lens is covered, or it is night. Who is there cannot be told then."""


class Face(Struct, frozen=True, kw_only=True):
    """A face: box (x, y, w, h), detector score, six points (eyes, nose, mouth, ears; the person's right one first)."""

    box_px: BoxPx
    score: Probability
    keypoints_px: Annotated[tuple[PointPx, ...], Meta(max_length=6)] = ()
    track: TrackId = ""
    """Random name of the person while in view of this camera, 16 hexadecimal digits. It dies with the track and is
    written nowhere."""
    since_ns: Ns = 0
    """Time of the first frame in which the track was found; 0 where nobody is followed."""
    yaw_deg: AngleDeg | None = None
    """Turn of the head from the camera, positive to the person's left; None where it cannot be told."""
    pitch_deg: AngleDeg | None = None
    """Tilt of the head from the camera, positive upwards; None where it cannot be told."""
    quality: Probability = 0.0
    """Worth of the face's crop for an answer, by size, score and sharpness; 0 where it was not judged."""


class Faces(Message, frozen=True, kw_only=True, tag="faces.2"):
    """The people found in one frame, who may be none. `crops[i]` is uint8 RGB [crop_px, crop_px, 3] of the face with
    number `asked[i]`: those worth asking the classifier about. On the wire the crops follow the message as parts of
    their own. In mode `count` nobody is classified: there are none."""

    width_px: Px
    height_px: Px
    detected_ns: Ns
    faces: Annotated[tuple[Face, ...], Meta(max_length=MAX_FACES)]
    crop_px: Annotated[int, Meta(ge=0, le=512)] = 0
    asked: Annotated[tuple[FaceNumber, ...], Meta(max_length=MAX_FACES)] = ()
    crops: Annotated[tuple[bytes, ...], Meta(max_length=MAX_FACES)] = ()
    dark: bool = False
    """True if the frame is, as in `Frame.dark`."""

    @property
    def counted(self) -> int:
        """Number of faces."""
        return len(self.faces)

    @classmethod
    def of(
        cls,
        frame: Frame,
        faces: tuple[Face, ...] = (),
        crops: tuple[bytes, ...] = (),
        crop_px: int = 0,
        asked: tuple[int, ...] | None = None,
    ) -> "Faces":
        """Return the faces found in a frame, detected now. Without `asked` the crops are of the first faces."""
        return cls(
            camera=frame.camera,
            seq=frame.seq,
            captured_ns=frame.captured_ns,
            width_px=frame.width_px,
            height_px=frame.height_px,
            detected_ns=time.monotonic_ns(),
            faces=faces,
            crop_px=crop_px,
            asked=tuple(range(len(crops))) if asked is None else asked,
            crops=crops,
            dark=frame.dark,
        )


class FaceAnswer(Struct, frozen=True, kw_only=True):
    """Calibrated answer of the classifier about one crop, before anything becomes `unknown`. `p_decade` follows
    DECADES."""

    face: FaceNumber
    """Number of the face in the message."""
    p_male: Probability
    age_years: Years
    p_decade: Decades
    p_minor: Probability | None = None
    """Probability of being younger than the station's `classify.minor_years`; None where the model was not asked."""


class Answered(Message, frozen=True, kw_only=True, tag="answered.1"):
    """The faces of one frame with the classifier's answers about those it was asked about, who may be none."""

    width_px: Px
    height_px: Px
    detected_ns: Ns
    classified_ns: Ns
    faces: Annotated[tuple[Face, ...], Meta(max_length=MAX_FACES)]
    answers: Annotated[tuple[FaceAnswer, ...], Meta(max_length=MAX_FACES)] = ()
    model_sha256: Annotated[str, Meta(max_length=64)] = ""
    dark: bool = False
    """True if the frame is, as in `Frame.dark`."""

    @property
    def counted(self) -> int:
        """Number of answers."""
        return len(self.answers)

    @classmethod
    def of(cls, faces: Faces, answers: tuple[FaceAnswer, ...] = (), model_sha256: str = "") -> "Answered":
        """Return the answers about a frame's faces, classified now."""
        return cls(
            camera=faces.camera,
            seq=faces.seq,
            captured_ns=faces.captured_ns,
            width_px=faces.width_px,
            height_px=faces.height_px,
            detected_ns=faces.detected_ns,
            classified_ns=time.monotonic_ns(),
            faces=faces.faces,
            answers=answers,
            model_sha256=model_sha256,
            dark=faces.dark,
        )


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who is there. `p_decade` follows DECADES. The gender is `unknown` where the answers are not sure enough
    of it; `age_years` and `decade` are None where they are not sure enough of the age."""

    box_px: BoxPx
    """Box of the face in the last frame in which it was found."""
    score: Probability
    gender: Gender
    p_male: Probability
    age_years: Years | None
    decade: Annotated[int, Meta(ge=0, le=8)] | None
    p_decade: Decades
    track: TrackId = ""
    """Name of the person while in view, as in `Face.track`."""
    since_ns: Ns = 0
    """Time since which the person is there."""
    seen_ns: Ns = 0
    """Time of the last frame in which the face was found."""
    p_minor: Probability | None = None
    """Probability that the person is younger than `classify.minor_years`; None where nothing was answered."""
    answers: Count = 0
    """Number of answers that were fused."""
    looking: bool | None = None
    """True while the head faces the screen, False while it does not; None where that cannot be told."""
    looking_since_ns: Ns | None = None
    """Start of the present look; None where the person does not look."""
    attention_ms: Count = 0
    """Sum of all looks so far."""
    watched: bool = False
    """True once there was a confirmed look."""


class Audience(Message, frozen=True, kw_only=True, tag="audience.2"):
    """Everybody who is in view of one camera at the time of one frame, also who was not found in that very frame."""

    width_px: Px
    height_px: Px
    detected_ns: Ns
    classified_ns: Ns
    people: Annotated[tuple[Person, ...], Meta(max_length=MAX_FACES)]
    group: Annotated[str, Meta(max_length=64)] = ""
    """Name of the cameras that see the same people; empty for a camera of its own."""
    leads: bool = True
    """True if this camera's people count for its group now; the others of the group see the same people."""
    lasts_ms: Count = 2000
    """Time for which this holds where no later one comes. After it the camera is not measured, which is not nobody."""
    model_sha256: Annotated[str, Meta(max_length=64)] = ""

    @property
    def counted(self) -> int:
        """Number of people."""
        return len(self.people)

    @classmethod
    def of(
        cls,
        answered: Answered,
        people: tuple[Person, ...] = (),
        *,
        group: str = "",
        leads: bool = True,
        lasts_ms: int = 2000,
    ) -> "Audience":
        """Return who is there at the time of a frame."""
        return cls(
            camera=answered.camera,
            seq=answered.seq,
            captured_ns=answered.captured_ns,
            width_px=answered.width_px,
            height_px=answered.height_px,
            detected_ns=answered.detected_ns,
            classified_ns=answered.classified_ns,
            people=people,
            group=group,
            leads=leads,
            lasts_ms=lasts_ms,
            model_sha256=answered.model_sha256,
        )


class Credit(Struct, frozen=True, kw_only=True, tag_field="type", tag="credit.1"):
    """Word of a worker of `group` that it is free: it has received `received` batches in this life (`incarnation`) and
    takes another. It says so again while it waits, so that a lost credit or a new broker heals by itself."""

    group: Name
    worker: Name
    incarnation: Annotated[str, Meta(max_length=32)]
    received: Count
    leaving: bool = False


AnyMessage = Message | Credit


def message_types() -> dict[str, type[Message]]:
    """Return every kind of message by its class's name."""
    return {kind.__name__: kind for kind in Message.__subclasses__()}
