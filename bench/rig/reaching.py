"""Time until people are found in scenes by the search of far-reaching cameras and by a detector of whole frames."""

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.rig.faces import Box, found
from bench.rig.scenes.scene import Place, Scene
from bench.rig.scenes.story import Kind
from models.detector import FaceDetector
from models.reach.searcher import Searcher
from stages.detect.follower import Follower

FPS, BUDGET, SOON_S = 10.0, 3.0, 1.0
"""Frames a second, budget in calls a frame, and the time after which somebody ought to be found."""
_KINDS: tuple[Kind, ...] = ("pass", "stop", "two pass", "two stop", "cross")

Boxes = Callable[[NDArray[np.uint8]], list[Box]]


class Reached(Struct, frozen=True):
    """Outcome for the people of some scenes."""

    people: int
    soon: int
    """People found within a second of being in plain view."""
    peer_soon: int | None
    """The same of a detector that is shown the whole of every frame of that second."""
    calls: float
    """Calls of the model a frame."""


def street(seed: int, face_px: float | None, seconds: float) -> Scene:
    """Return a street or a room with up to three people whose faces are so wide, or without anybody."""
    wide, people = ((face_px,), 3) if face_px else ((), 0)
    place: Place = "real" if seed % 2 else "drawn"
    return Scene(seed=seed, seconds=seconds, fps=FPS, faces_px=wide, people=people, kinds=_KINDS, place=place)


def reach(detector: FaceDetector, peer: Boxes | None, scenes: list[Scene]) -> Reached:
    """Search the frames of scenes as the stage does. Count how many of the people are found soon."""
    plain_s: dict[tuple[int, int], float] = {}
    found_s: dict[tuple[int, int], float] = {}
    peer_found: set[tuple[int, int]] = set()
    frames, before = 0, detector.runs
    for scene in scenes:
        follower = _follower(detector)
        for frame in scene.frames():
            frames += 1
            boxes = [face.box_px for face in follower.look(frame.image, 1 + round(frame.t_s * 1e9)).found]
            new = []
            for seen in frame.truth:
                who = scene.seed, seen.person
                if seen.plain and frame.t_s <= plain_s.setdefault(who, frame.t_s) + SOON_S:
                    new.append((who, seen.box_px))
            found_s |= {who: frame.t_s for who, box in new if found(box, boxes)}
            if peer and any(who not in peer_found for who, _ in new):
                whole = peer(frame.image)
                peer_found |= {who for who, box in new if found(box, whole)}
    calls = (detector.runs - before) / max(1, frames)
    return Reached(len(plain_s), len(found_s), len(peer_found) if peer else None, calls)


def made_up(detector: FaceDetector, peer: Boxes | None, scenes: list[Scene], peer_every: int) -> tuple[float, ...]:
    """Return the false faces in 1,000 frames of empty scenes: of the search, of people it follows, and of the peer."""
    faces, people, peer_faces, frames, peer_frames = 0, 0, 0, 0, 0
    for scene in scenes:
        follower = _follower(detector)
        for frame in scene.frames():
            seen = follower.look(frame.image, 1 + round(frame.t_s * 1e9))
            faces, people = faces + len(seen.found), people + len(seen.faces)
            if peer and frames % peer_every == 0:
                peer_faces, peer_frames = peer_faces + len(peer(frame.image)), peer_frames + 1
            frames += 1
    rates = [1000 * faces / frames, 1000 * people / frames]
    return (*rates, 1000 * peer_faces / peer_frames) if peer else tuple(rates)


def _follower(detector: FaceDetector) -> Follower:
    searcher = Searcher(detector, "far", BUDGET, FPS)
    return Follower(lambda *frame: searcher.search(*frame).faces, None, fps=FPS)
