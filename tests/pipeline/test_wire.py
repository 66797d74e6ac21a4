"""Messages on the wire: any MessagePack reader understands them, and nothing hostile gets in."""

import contextlib
import itertools
from pathlib import Path

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import wire
from pipeline.control import Answer, Scale
from pipeline.errors import UserError
from pipeline.messages import Answered, Audience, Credit, Face, FaceAnswer, Faces, Frame, Person, message_types

FRAME = Frame(camera="c", seq=1, captured_ns=2, slot=3, version=4, width_px=640, height_px=480)
FACE = Face(box_px=(1.0, 2.0, 3.0, 4.0), score=0.5, keypoints_px=((1.0, 2.0),) * 6)
FACES = Faces(
    camera="c",
    seq=1,
    captured_ns=2,
    width_px=640,
    height_px=480,
    detected_ns=3,
    faces=(FACE, FACE),
    crop_px=4,
    asked=(0, 1),
    crops=(b"a" * 48, b"b" * 48),
)
PERSON = Person(
    box_px=(1.0, 2.0, 3.0, 4.0), score=1.0, gender="F", p_male=0.1, age_years=33.0, decade=3, p_decade=(0.0,) * 9
)
ANSWER = FaceAnswer(face=1, p_male=0.1, age_years=33.0, p_decade=(0.0,) * 9)
ANSWERED = Answered.of(FACES, (ANSWER,))
AUDIENCE = Audience(
    camera="c", seq=1, captured_ns=2, width_px=640, height_px=480, detected_ns=3, classified_ns=4, people=(PERSON,)
)
CREDIT = Credit(group="detect", worker="detect.0", incarnation="x", received=0)


@pytest.mark.parametrize("message", [FRAME, FACES, ANSWERED, AUDIENCE, CREDIT], ids=lambda m: type(m).__name__)
def test_round_trip_alone_and_in_a_batch(message: object) -> None:
    assert wire.decode(wire.encode(message)) == message
    parts = wire.split(wire.join([wire.encode(m) for m in (FACES, message, FRAME)]))
    assert [wire.decode(p) for p in parts] == [FACES, message, FRAME]


def test_any_messagepack_reader_understands_the_wire() -> None:
    read = msgpack.unpackb(wire.encode(FACES)[0])
    assert read["type"] == "faces.2" and read["faces"][0]["box_px"] == [1.0, 2.0, 3.0, 4.0]
    assert wire.decode([msgpack.packb(msgpack.unpackb(wire.encode(FRAME)[0]))]) == FRAME


def test_a_newer_message_with_one_more_field_is_read_and_a_newer_version_is_not() -> None:
    plain = msgpack.unpackb(wire.encode(FRAME)[0])
    assert wire.decode([msgpack.packb(plain | {"added_later": 1})]) == FRAME
    with pytest.raises(wire.WireError):
        wire.decode([msgpack.packb(plain | {"type": "frame.2"})])


_PLAIN = msgpack.unpackb(wire.encode(FRAME)[0])
HOSTILE = {
    "empty": [b""],
    "no parts": [],
    "not messagepack": [b"\xc1\xc1"],
    "a list": [msgpack.packb([1, 2])],
    "no type": [msgpack.packb({"seq": 1})],
    "unknown type": [msgpack.packb(_PLAIN | {"type": "shell.1"})],
    "negative": [msgpack.packb(_PLAIN | {"seq": -1})],
    "huge": [msgpack.packb(_PLAIN | {"seq": 2**63})],
    "huge picture": [msgpack.packb(_PLAIN | {"width_px": 10**6})],
    "slot": [msgpack.packb(_PLAIN | {"slot": 256})],
    "text for a number": [msgpack.packb(_PLAIN | {"slot": "1"})],
    "path as a name": [msgpack.packb(_PLAIN | {"camera": "../../etc/passwd"})],
    "long name": [msgpack.packb(_PLAIN | {"camera": "a" * 65})],
    "not a number": [msgspec.msgpack.encode(msgspec.structs.replace(FACE, score=float("nan")))],
    "too many faces": [
        msgspec.msgpack.encode(msgspec.structs.replace(FACES, faces=(FACE,) * 65, asked=(), crops=(), crop_px=0))
    ],
    "a face asked that is none": wire.encode(msgspec.structs.replace(FACES, asked=(0, 2))),
    "a face asked twice": wire.encode(msgspec.structs.replace(FACES, asked=(1, 1))),
    "an answer about no face": wire.encode(msgspec.structs.replace(ANSWERED, answers=(ANSWER, ANSWER))),
    "a crop too few": wire.encode(FACES)[:-1],
    "a crop too many": [*wire.encode(FACES), b"c" * 48],
    "a crop of another size": [*wire.encode(FACES)[:-1], b"b" * 47],
    "crops within": [msgspec.msgpack.encode(FACES), *FACES.crops],
    "parts after a frame": [*wire.encode(FRAME), b"x"],
    "deep": [b"\x91" * 100_000],
    "trailing bytes": [wire.encode(FRAME)[0] + b"\x00"],
}


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_parts_are_refused(parts: list[bytes]) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(parts)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode([data])


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_changed_byte_raises_anything_else(position: int, value: int) -> None:
    data = bytearray(wire.encode(FACES)[0])
    data[position % len(data)] = value
    with contextlib.suppress(wire.WireError):
        wire.decode([bytes(data), *FACES.crops])


def test_a_socket_path_that_is_too_long_is_said(tmp_path) -> None:
    with pytest.raises(UserError, match="socket path"):
        wire.endpoint(tmp_path / ("x" * 120), "broker")


def test_a_socket_path_is_measured_in_bytes() -> None:
    with pytest.raises(UserError, match="socket path"):
        wire.endpoint(Path("/run") / ("가" * 40), "broker")
    assert wire.endpoint(Path("/run") / ("가" * 30), "broker").endswith("/broker")


def test_numbers_of_parts_agree() -> None:
    for n, m in itertools.product(range(1, 4), repeat=2):
        assert len(wire.split(wire.join([wire.encode(FACES)] * n + [wire.encode(FRAME)] * m))) == n + m


@pytest.mark.parametrize("kind", [*message_types().values(), Credit, Scale, Answer])
def test_every_text_of_a_message_is_bounded(kind: type) -> None:
    texts = [x.type for x in msgspec.inspect.type_info(kind).fields if isinstance(x.type, msgspec.inspect.StrType)]
    assert all(text.max_length or text.pattern for text in texts)
