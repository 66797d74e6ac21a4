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

MAX_FACES = 64
DECADES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages. `camera` is the key of the keep rule `latest`; `captured_ns` is the time of the frame."""

    camera: Name
    seq: Count
    captured_ns: Ns


class Frame(Message, frozen=True, kw_only=True, tag="frame.1"):
    """A frame in the camera's ring: uint8 BGR [height_px, width_px, 3] in `slot`, for as long as that has `version`."""

    slot: Annotated[int, Meta(ge=0, le=255)]
    version: Count
    width_px: Px
    height_px: Px


class Face(Struct, frozen=True, kw_only=True):
    """A face: box (x, y, w, h), detector score, six points (eyes, nose, mouth, ears; the person's right one first)."""

    box_px: BoxPx
    score: Probability
    keypoints_px: Annotated[tuple[PointPx, ...], Meta(max_length=6)] = ()


class Faces(Message, frozen=True, kw_only=True, tag="faces.1"):
    """The faces of one frame, which may be none. `crops[i]` is uint8 RGB [crop_px, crop_px, 3] of `faces[i]`; on the
    wire the crops follow the message as parts of their own. In mode `count` nobody is classified: there are none."""

    width_px: Px
    height_px: Px
    detected_ns: Ns
    faces: Annotated[tuple[Face, ...], Meta(max_length=MAX_FACES)]
    crop_px: Annotated[int, Meta(ge=0, le=512)] = 0
    crops: Annotated[tuple[bytes, ...], Meta(max_length=MAX_FACES)] = ()

    @classmethod
    def of(cls, frame: Frame, faces: tuple[Face, ...] = (), crops: tuple[bytes, ...] = (), crop_px: int = 0) -> "Faces":
        """Return the faces found in a frame, detected now."""
        return cls(
            camera=frame.camera,
            seq=frame.seq,
            captured_ns=frame.captured_ns,
            width_px=frame.width_px,
            height_px=frame.height_px,
            detected_ns=time.monotonic_ns(),
            faces=faces,
            crop_px=crop_px,
            crops=crops,
        )


class Person(Struct, frozen=True, kw_only=True):
    """A classified face. `p_decade` follows DECADES. The gender is `unknown` where the model is not sure enough of it;
    `age_years` and `decade` are None where it is not sure enough of the age."""

    box_px: BoxPx
    score: Probability
    gender: Gender
    p_male: Probability
    age_years: Annotated[float, Meta(ge=0, le=120)] | None
    decade: Annotated[int, Meta(ge=0, le=8)] | None
    p_decade: Annotated[tuple[Probability, ...], Meta(max_length=len(DECADES))]


class Audience(Message, frozen=True, kw_only=True, tag="audience.1"):
    """People in one frame of one camera."""

    width_px: Px
    height_px: Px
    detected_ns: Ns
    classified_ns: Ns
    faces: Annotated[tuple[Person, ...], Meta(max_length=MAX_FACES)]
    model_sha256: Annotated[str, Meta(max_length=64)] = ""

    @classmethod
    def of(cls, faces: Faces, people: tuple[Person, ...] = (), model_sha256: str = "") -> "Audience":
        """Return the people of a frame whose faces were found, classified now."""
        return cls(
            camera=faces.camera,
            seq=faces.seq,
            captured_ns=faces.captured_ns,
            width_px=faces.width_px,
            height_px=faces.height_px,
            detected_ns=faces.detected_ns,
            classified_ns=time.monotonic_ns(),
            faces=people,
            model_sha256=model_sha256,
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
