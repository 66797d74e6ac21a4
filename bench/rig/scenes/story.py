"""Story of a scene: who comes when, walks where and looks whither. Pure functions of a seed."""

import math
from typing import Literal

import numpy as np
from msgspec import Struct

Kind = Literal["pass", "stop", "two pass", "two stop", "cross", "cover"]
_PEOPLE: dict[Kind, int] = {"pass": 1, "stop": 1, "two pass": 2, "two stop": 2, "cross": 2, "cover": 2}
_TURN_S = 0.35
"""Time in which a head turns."""
_HIDDEN_DEG, _HIDDEN_S = 45.0, 1.2
"""Angle from which a face may not be found, and time after which such a head turns back: a chain bridges 1.5 s."""
_TRIES = 20
"""Number of times that something is thought of which would end too late, until the story is taken to be full."""
_SIDE = 1.7
"""Distance in face widths outside the frame at which people come and go."""

Moment = tuple[float, float, float]


class Visit(Struct, frozen=True):
    """Visit of one person: where the face is, and how the head is turned, from moment to moment."""

    kind: Kind
    width_px: float
    """Width of the face, px, while the person stands or passes."""
    places: tuple[Moment, ...]
    """(time, s; middle of the face: x, y, px); straight ways between them."""
    turns: tuple[Moment, ...]
    """(time at which the head begins to turn, s; yaw and pitch that it turns to, degrees)."""

    @property
    def from_s(self) -> float:
        return self.places[0][0]

    @property
    def to_s(self) -> float:
        return self.places[-1][0]

    def place(self, t_s: float) -> tuple[float, float]:
        """Return where the middle of the face is, px."""
        times = [at for at, _, _ in self.places]
        x, y = (float(np.interp(t_s, times, [place[i] for place in self.places])) for i in (1, 2))
        i = int(np.searchsorted(times, t_s))
        walks = 0 < i < len(times) and abs(self.places[i][1] - self.places[i - 1][1]) > self.width_px
        return x, y + (0.06 * self.width_px * abs(math.sin(6 * t_s)) if walks else 0)

    def angles(self, t_s: float) -> tuple[float, float]:
        """Return yaw and pitch, degrees: right and up in the picture."""
        i = max((i for i, (at, _, _) in enumerate(self.turns) if at <= t_s), default=0)
        at, yaw, pitch = self.turns[i]
        _, yaw_before, pitch_before = self.turns[max(i - 1, 0)]
        done = min(1.0, max(0.0, (t_s - at) / _TURN_S))
        done = done * done * (3 - 2 * done)
        return yaw_before + (yaw - yaw_before) * done, pitch_before + (pitch - pitch_before) * done


class Street(Struct, frozen=True):
    """Frame of a camera, px, the widths that faces have, px, and how many people are there at most at once."""

    width_px: int
    height_px: int
    faces_px: tuple[float, ...]
    people: int
    kinds: tuple[Kind, ...]


def visits(street: Street, seconds: float, seed: int) -> list[Visit]:
    """Return the visits of a time, all of them over by its end."""
    random = np.random.default_rng(seed)
    free_s = np.full(street.people, 0.5)
    kinds = [kind for kind in street.kinds if _PEOPLE[kind] <= street.people]
    found: list[Visit] = []
    failed = 0
    while failed < _TRIES:
        kind = kinds[int(random.integers(len(kinds)))]
        slots = np.argsort(free_s, kind="stable")[: _PEOPLE[kind]]
        start_s = float(free_s[slots].max() + random.uniform(0.2, 1.5))
        act = _Act(street, random, start_s, [visit for visit in found if visit.to_s > start_s])
        new = act.of(kind)
        if max(visit.to_s for visit in new) > seconds:
            failed += 1
            continue
        for slot, visit in zip(slots, new, strict=True):
            free_s[slot] = visit.to_s
        found += new
    return found


class _Act:
    """One thing that happens on a street, from a time on."""

    def __init__(self, street: Street, random: np.random.Generator, start_s: float, there: list[Visit]) -> None:
        self._street, self._random, self._start_s, self._there = street, random, start_s, there
        self._face_px = self._any_width()

    def of(self, kind: Kind) -> list[Visit]:
        """Return the visits of those who take part."""
        return {
            "pass": self._pass,
            "stop": self._stop,
            "two pass": self._two_pass,
            "two stop": self._two_stop,
            "cross": self._cross,
            "cover": self._cover,
        }[kind]()

    def _pass(self) -> list[Visit]:
        """Let somebody walk across; half of them look at the screen for a while."""
        return [self._across(self._face_px, self._sign(), self._start_s, self._speed())]

    def _stop(self) -> list[Visit]:
        """Let somebody come, stand and look about, and leave."""
        return [self._standing(self._face_px, self._room(self._face_px), self._start_s, self._sign())]

    def _two_pass(self) -> list[Visit]:
        """Let two walk across side by side."""
        sign, speed, gap_s = self._sign(), self._speed(), self._random.uniform(1.7, 2.4)
        return [self._across(self._face_px, sign, self._start_s + i * gap_s / speed, speed) for i in range(2)]

    def _two_stop(self) -> list[Visit]:
        """Let two come and stand side by side."""
        face_px, sign = self._face_px, self._sign()
        x = self._room(face_px)
        other = x + 2.2 * face_px * (1 if x < self._street.width_px / 2 else -1)
        return [
            self._standing(face_px, x, self._start_s, sign),
            self._standing(face_px * 0.95, other, self._start_s + 0.6, sign),
        ]

    def _cross(self) -> list[Visit]:
        """Let two pass each other, one as near as the other."""
        sign = self._sign()
        return [
            self._across(self._face_px * size, sign * way, self._start_s, self._speed())
            for size, way in ((1, 1), (1.12, -1))
        ]

    def _cover(self) -> list[Visit]:
        """Let somebody nearer pass before one who stands, and stay before him for up to a second."""
        behind = self._standing(self._face_px, self._room(self._face_px), self._start_s, self._sign())
        face_px, sign, speed = self._face_px * 1.35, self._sign(), self._speed()
        since_s, x, y = behind.places[2]
        left, right = -_SIDE * face_px, self._street.width_px + _SIDE * face_px
        start, end = (left, right) if sign > 0 else (right, left)
        there_s = since_s + self._random.uniform(0, 1)
        waits_s = self._random.uniform(0.3, 1)
        places = (
            (there_s - abs(x - start) / face_px / speed, start, y),
            (there_s, x, y),
            (there_s + waits_s, x, y),
            (there_s + waits_s + abs(end - x) / face_px / speed, end, y),
        )
        yaw = sign * self._random.uniform(20, 50)
        return [behind, Visit("cover", face_px, places, ((places[0][0] - 1, yaw, 0.0),))]

    def _any_width(self) -> float:
        return float(self._random.choice(self._street.faces_px) * self._random.uniform(0.94, 1.06))

    def _sign(self) -> int:
        return int(self._random.choice((-1, 1)))

    def _speed(self) -> float:
        """Return how fast somebody walks, in face widths a second: 1.3 m/s are 8."""
        return float(self._random.uniform(5, 8.5))

    def _height(self, face_px: float) -> float:
        """Return how high in the frame such faces are: a camera above the heads has the nearer ones lower."""
        share = min(1.0, face_px / (0.18 * self._street.height_px))
        return self._street.height_px * (0.22 + 0.2 * share + self._random.uniform(-0.04, 0.04))

    def _room(self, face_px: float) -> float:
        """Return a place to stand where nobody who stands there now is covered."""
        taken = [visit.places[len(visit.places) // 2][1] for visit in self._there if len(visit.places) > 2]
        tries = self._random.uniform(2.5 * face_px, self._street.width_px - 2.5 * face_px, 30)
        return float(max(tries, key=lambda x: min((3 * face_px, *(abs(x - other) for other in taken)))))

    def _across(self, face_px: float, sign: int, start_s: float, speed: float) -> Visit:
        y = self._height(face_px)
        left, right = -_SIDE * face_px, self._street.width_px + _SIDE * face_px
        end_s = start_s + (right - left) / face_px / speed
        start, end = (left, right) if sign > 0 else (right, left)
        ahead = sign * self._random.uniform(20, 50), self._random.uniform(-8, 5)
        turns = [(start_s - 1, *ahead)]
        if self._random.random() < 0.5:
            looks_s = start_s + (end_s - start_s) * self._random.uniform(0.1, 0.4)
            turns += [(looks_s, *self._towards()), (looks_s + self._random.uniform(0.8, 2.5), *ahead)]
        return Visit("pass", face_px, ((start_s, start, y), (end_s, end, y)), tuple(turns))

    def _standing(self, face_px: float, x: float, start_s: float, sign: int) -> Visit:
        """Let somebody come from one side and leave to either."""
        y, speed = self._height(face_px), self._speed()
        left, right = -_SIDE * face_px, self._street.width_px + _SIDE * face_px
        start, end = (left if sign > 0 else right), (left if self._sign() > 0 else right)
        there_s = start_s + abs(x - start) / face_px / speed
        leaves_s = there_s + self._random.uniform(3, 9)
        sway = self._random.uniform(-0.3, 0.3, 2) * face_px
        places = (
            (start_s, start, y),
            (there_s, x, y),
            (there_s + 0.4 * (leaves_s - there_s), x + sway[0], y),
            (leaves_s, x + sway[1], y),
            (leaves_s + abs(end - x) / face_px / speed, end, y),
        )
        way_out = 1 if end > x else -1
        turns = [(start_s - 1, sign * self._random.uniform(20, 50), 0.0)]
        at_s, looks = there_s, self._random.random() < 0.7
        while at_s < leaves_s - 0.5:
            yaw, pitch = self._towards() if looks else self._away()
            turns.append((at_s, yaw, pitch))
            hidden = math.hypot(yaw, pitch) > _HIDDEN_DEG
            at_s, looks = at_s + (_HIDDEN_S if hidden else self._random.uniform(1, 3.5)), not looks
        turns.append((leaves_s - 0.3, way_out * self._random.uniform(20, 50), 0.0))
        return Visit("stop", face_px, places, tuple(turns))

    def _towards(self) -> tuple[float, float]:
        return float(self._random.uniform(-10, 10)), float(self._random.uniform(-8, 8))

    def _away(self) -> tuple[float, float]:
        if self._random.random() < 0.2:
            return float(self._random.uniform(-15, 15)), float(-self._random.uniform(30, 40))
        return self._sign() * float(self._random.uniform(35, 70)), float(self._random.uniform(-12, 8))
