"""The detect stage on real frames: who is followed in each camera, which crops go on, and what happens to the rest."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.rig.faces import found, make_scene
from models.assets import resolve
from models.crop import crop_face
from models.images import read_image
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skipped
from pipeline.messages import Faces, Frame
from pipeline.ring import Ring
from pipeline.settings import Camera, Station, StationTable
from pipeline.settings import Detect as DetectTable
from stages.detect.stage import Detect

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
SECOND_NS = 1_000_000_000


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create("c0", 1920 * 1080 * 3)
    yield ring
    ring.close()
    os.close(ring.fd)


def frame_of(ring: Ring, image: NDArray[np.uint8], seq: int = 0, fps: float = 10) -> Frame:
    slot, version = ring.write(image)
    height_px, width_px = image.shape[:2]
    return Frame(
        camera="c0",
        seq=seq,
        captured_ns=5 + int(seq / fps * SECOND_NS),
        slot=slot,
        version=version,
        width_px=width_px,
        height_px=height_px,
    )


def stage_of(
    ring: Ring, mode: str = "target", fps: float = 10, reach: Literal["auto", "near"] = "auto", **detect: object
) -> Detect:
    return Detect(
        Job(
            station=Station(
                station=StationTable(mode=mode),  # type: ignore[arg-type]
                detect=DetectTable(**detect),  # type: ignore[arg-type]
                folder=Path.cwd(),
            ),
            cameras={"c0": Camera(name="c0", source="", fps=fps, reach=reach)},
            rings={"c0": ring.ref},
        )
    )


def sent_by(stage: Detect, ring: Ring, images: list[NDArray[np.uint8]], fps: float = 10) -> list[Faces]:
    """Return what the stage sends of these frames, each read before the next is written."""
    sent = [faces for seq, image in enumerate(images) for faces in stage.step([frame_of(ring, image, seq, fps)])]
    stage.close()
    return sent


def test_the_stage_tells_that_it_is_alive_within_a_sweep_of_one_frame(ring: Ring) -> None:
    stage, beats = stage_of(ring, fps=0.1), []
    stage.alive_by(lambda: beats.append(1))
    list(stage.step([frame_of(ring, make_scene(60, 2, 3).image)]))
    stage.close()
    assert len(beats) > 20


def test_a_person_is_sent_under_one_id_once_he_was_found_twice_with_one_crop_of_the_classifier(ring: Ring) -> None:
    image = read_image(HOPPER)
    sent = sent_by(stage_of(ring), ring, [image] * 8)
    assert [len(message.faces) for message in sent] == [0] + [1] * 7
    assert (sent[1].seq, sent[1].captured_ns) == (1, 5 + SECOND_NS // 10)
    assert (sent[1].width_px, sent[1].height_px) == (512, 600)
    assert {(face.track, face.since_ns) for message in sent for face in message.faces} == {
        (sent[1].faces[0].track, 5)  # he is there since the frame in which he was found first
    }
    assert len(bytes.fromhex(sent[1].faces[0].track)) == 8
    spec = resolve("default", Path.cwd()).card.crop
    assert spec is not None
    [asked] = [message for message in sent if message.asked]
    [face] = asked.faces
    assert 0.3 < face.quality <= 1
    assert (asked.asked, asked.crop_px) == ((0,), spec.size_px)
    assert asked.crops == (crop_face(image, face.box_px, face.keypoints_px, spec)[..., ::-1].tobytes(),)


def test_a_frame_without_faces_travels_on_and_a_person_comes_back_under_the_same_id(ring: Ring) -> None:
    image, empty = read_image(HOPPER), np.zeros((600, 512, 3), np.uint8)
    sent = sent_by(stage_of(ring), ring, [image] * 3 + [empty] * 10 + [image])
    assert [(message.seq, len(message.faces)) for message in sent[3:13]] == [(seq, 0) for seq in range(3, 13)]
    assert sent[13].faces[0].track == sent[2].faces[0].track


def test_the_first_face_counts_where_frames_are_seldom(ring: Ring) -> None:
    image = read_image(HOPPER)
    sent = sent_by(stage_of(ring, fps=0.1), ring, [image] * 3, fps=0.1)
    assert [len(message.faces) for message in sent] == [1, 1, 1]
    assert len({message.faces[0].track for message in sent}) == 1  # nobody else came to the same place
    assert sent[0].asked == (0,)


def test_a_frame_overwritten_meanwhile_is_skipped(ring: Ring) -> None:
    stage, before = stage_of(ring), skipped["torn_frame"]
    frames = [frame_of(ring, read_image(HOPPER), seq) for seq in range(ring.slots + 2)]
    sent = list(stage.step(frames))
    stage.close()
    assert [faces.seq for faces in sent] == list(range(2, ring.slots + 2))
    assert skipped["torn_frame"] == before + 2


def test_in_mode_count_nobody_is_asked_about(ring: Ring) -> None:
    sent = sent_by(stage_of(ring, mode="count"), ring, [read_image(HOPPER)] * 12)
    assert len(sent[-1].faces) == 1
    assert {(message.crop_px, message.asked, message.crops) for message in sent} == {(0, (), ())}


def test_a_classifier_cannot_detect(ring: Ring) -> None:
    with pytest.raises(UserError, match="give one that finds them"):
        stage_of(ring, model="age-and-gender")
    with pytest.raises(UserError, match="model 'yolo' is unknown"):
        stage_of(ring, model="yolo")


@pytest.mark.parametrize("reach", ["auto", "near"])
def test_small_faces_are_found_and_followed_where_the_camera_reaches_far(
    ring: Ring, reach: Literal["auto", "near"]
) -> None:
    scene = make_scene(40, 2, 3)
    sent = sent_by(stage_of(ring, "count", reach=reach), ring, [scene.image] * 10)
    boxes = [face.box_px for face in sent[-1].faces]
    assert [found(face, boxes) for face in scene.faces] == [reach == "auto"] * 2
    assert len({face.track for message in sent for face in message.faces}) == (2 if reach == "auto" else 0)
