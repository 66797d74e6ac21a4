"""Simulated people who walk, pause, turn back and cover each other, as a detector would find them: with its truth."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
from msgspec import Struct

from models.detector import DetectedFace
from stages.detect.tracks import Track

WIDTH_PX, HEIGHT_PX = 1920, 1080
_FACE_M = 0.16
_CAMERA_M = 2.2
_HORIZON_PX = 350.0


class Walker(Struct):
    """Somebody on a straight way through the picture, at one distance from the camera, who may pause once."""

    number: int
    width_px: float
    y_px: float
    velocity_px_s: float
    from_s: float
    pause_at_px: float | None
    pause_s: float
    returns: bool
    phase: float

    def box_at(self, t_s: float) -> tuple[float, float, float, float] | None:
        """Return the face's box at a time; None once the person has left."""
        t_s -= self.from_s
        w, speed = self.width_px, abs(self.velocity_px_s)
        way_px = speed * t_s
        if self.pause_at_px is not None and way_px > self.pause_at_px:
            reach_s = self.pause_at_px / speed
            after_s = t_s - reach_s - self.pause_s
            on_px = max(0.0, speed * after_s)
            way_px = self.pause_at_px - on_px if self.returns else self.pause_at_px + on_px
        if way_px > WIDTH_PX + w or way_px < 0:
            return None
        middle = way_px - w / 2 if self.velocity_px_s > 0 else WIDTH_PX + w / 2 - way_px
        y = self.y_px + 0.08 * w * math.sin(12 * t_s + self.phase)
        return middle - w / 2, y - w / 2, w, w


def _walker(rng: np.random.Generator, number: int, now_s: float, widths_px: tuple[float, float]) -> Walker:
    w = rng.uniform(*widths_px)
    face_m = rng.normal(1.58, 0.09)
    pauses = rng.random() < 0.3
    return Walker(
        number=number,
        width_px=w,
        y_px=_HORIZON_PX + (_CAMERA_M - face_m) * w / _FACE_M,
        velocity_px_s=float(rng.choice([-1, 1]) * rng.uniform(0.9, 1.6) * w / _FACE_M),
        from_s=now_s,
        pause_at_px=rng.uniform(0.2, 0.8) * WIDTH_PX if pauses else None,
        pause_s=rng.uniform(1, 6),
        returns=bool(pauses and rng.random() < 0.3),
        phase=rng.uniform(0, 6),
    )


class Seen(Struct):
    """One frame: who is in view, and what is found. `whose[i]` is the person whose face `found[i]` is, or -1."""

    t_s: float
    truth: dict[int, tuple[float, float, float, float]]
    found: list[DetectedFace]
    whose: list[int]


def frames(
    *,
    seconds: float,
    people: int = 10,
    fps: float = 10,
    missed: float = 0.12,
    widths_px: tuple[float, float] = (30, 80),
    false_a_frame: float = 0.01,
    seed: int = 0,
) -> Iterator[Seen]:
    """Yield frames with so many people in view at all times; who leaves is replaced."""
    rng = np.random.default_rng(seed)
    crowd: list[Walker] = []
    number = 0
    for i in range(int(seconds * fps)):
        t_s = i / fps
        crowd = [walker for walker in crowd if walker.box_at(t_s)]
        while len(crowd) < people:
            walker = _walker(rng, number, t_s, widths_px)
            if i == 0:  # the first people are anywhere on their way
                walker.from_s -= rng.uniform(0, 1) * WIDTH_PX / abs(walker.velocity_px_s)
            number += 1
            if walker.box_at(t_s):
                crowd.append(walker)
        truth = {walker.number: box for walker in crowd if (box := walker.box_at(t_s)) and _inside(box)}
        found, whose = [], []
        for name, box in truth.items():
            covered = any(_covers(other, box) for who, other in truth.items() if who != name and other[2] > box[2])
            if covered or rng.random() < missed:
                continue
            found.append(_found(rng, box))
            whose.append(name)
        if rng.random() < false_a_frame:
            w = rng.uniform(*widths_px)
            false = (rng.uniform(0, WIDTH_PX - w), rng.uniform(0, HEIGHT_PX - w), w, w)
            found.append(_found(rng, false, 0.5, 0.7))
            whose.append(-1)
        order = sorted(range(len(found)), key=lambda j: -found[j].score)
        yield Seen(t_s=t_s, truth=truth, found=[found[j] for j in order], whose=[whose[j] for j in order])


def _inside(box: tuple[float, float, float, float]) -> bool:
    x, _, w, _ = box
    return 0 <= x + w / 2 < WIDTH_PX


def _covers(near: tuple[float, float, float, float], far: tuple[float, float, float, float]) -> bool:
    """Tell whether a nearer head (wider than its face) hides more than 0.4 of the other face."""
    x, y, w, h = near
    x, w, y, h = x - 0.15 * w, 1.3 * w, y - 0.3 * h, 1.6 * h
    u, v, s, t = far
    wide, high = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
    return wide > 0 and high > 0 and wide * high > 0.4 * s * t


def _found(
    rng: np.random.Generator, box: tuple[float, float, float, float], low: float = 0.55, high: float = 0.95
) -> DetectedFace:
    x, y, w, h = box
    w, h = w * rng.normal(1, 0.05), h * rng.normal(1, 0.05)
    x, y = x + box[2] / 2 + rng.normal(0, 0.05) * w - w / 2, y + box[3] / 2 + rng.normal(0, 0.05) * w - h / 2
    points = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.5, 0.8), (0.1, 0.5), (0.9, 0.5))
    return DetectedFace((x, y, w, h), rng.uniform(low, high), tuple((x + a * w, y + b * h) for a, b in points))


class Score(Struct):
    """Comparison of tracks with the truth."""

    people: int
    """People with at least three found faces."""
    tracked: int
    """Number of those of them who were followed."""
    ids: int
    """Different ids, of anybody's face or nobody's."""
    switches: int
    """Changes of a person's id from one frame to the next in which he was found."""
    dwell_right: float
    """Share of the people followed to their end whose time there is right within 0.3 s."""


def score(follow: Callable[[Seen, int], list[Track | None]], seen_frames: Iterable[Seen]) -> Score:
    """Compare with the truth whom `follow(frame, t_ns)` takes each face for."""
    ids: dict[int, list[Track]] = {}
    found: Counter[int] = Counter()
    there_s: dict[int, tuple[float, float]] = {}
    last_s: dict[int, float] = {}
    everybody, now_s = set(), 0.0
    for frame in seen_frames:
        now_s = frame.t_s
        for person in frame.truth:
            there_s[person] = (there_s.get(person, (now_s,))[0], now_s)
        for person, track in zip(frame.whose, follow(frame, 1 + int(now_s * 1e9)), strict=True):
            found[person] += 1
            if track and track.believed:
                everybody.add(track.id)
                ids.setdefault(person, []).append(track)
                last_s[person] = now_s
    people = [person for person, times in found.items() if person >= 0 and times >= 3]
    ended = [person for person in people if person in ids and there_s[person][1] < now_s - 0.5]
    off_s = [last_s[p] - ids[p][0].since_ns / 1e9 - (there_s[p][1] - there_s[p][0]) for p in ended]
    return Score(
        people=len(people),
        tracked=sum(person in ids for person in people),
        ids=len(everybody),
        switches=sum(a.id != b.id for person in people for a, b in pairwise(ids.get(person, ()))),
        dwell_right=sum(abs(off) <= 0.301 for off in off_s) / max(1, len(off_s)),
    )
