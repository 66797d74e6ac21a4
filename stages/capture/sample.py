"""The sample camera: a bus stop at dusk where people, cut out of photographs, come, wait and go.

A frame depends only on the camera's name and the monotonic time. `who_is_there` returns the true faces of any frame.
"""

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 1280, 720
CYCLE_S = 30.0
TURNS_DEG = (0, 22, 44)
"""Angles by which heads can be turned aside."""
_FOLLOWS = 0.5
"""Distance in widths that a face moves aside on its shoulders while the head turns by 90 degrees."""
_TURN_S = 0.3
_WALKS = 4.5
"""Speed of people who come and go, in face widths a second."""
_PEOPLE = Path(__file__).with_name("sample_people")
_NEAR_AND_FAR = 7
"""Number of sizes of people who are near, as they sway to and fro while they stand."""
_SWAYS_PX = 100.0
"""Least width of a face whose person sways."""

Box = tuple[float, float, float, float]
Sprite = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Person:
    """Cut-out of a person: file name, face (x, y, w, h) in px of the file, side to which the head turns (1: right)."""

    name: str
    face: Box
    turns: int


@dataclass(frozen=True)
class Visit:
    """Visit of one person: come from a side, stand around `x_px` (middle of the face), leave to a side."""

    person: Person
    face_px: float
    from_s: float
    to_s: float
    x_px: float
    enters_left: bool
    leaves_left: bool
    away_s: tuple[float, float] = (0.0, 0.0)
    """Time from which and time until which the head is turned aside, s."""


@dataclass(frozen=True)
class Sight:
    """Person in a frame: name, face box (x, y, w, h) in px, angle by which the head is turned, degrees to the right."""

    name: str
    box: Box
    yaw_deg: int


HOPPER = Person("hopper", (132.6, 95.2, 169.2, 169.2), 1)
COLLINS = Person("collins", (149.0, 59.0, 103.0, 103.0), -1)
VISITS = (
    Visit(HOPPER, 38.0, 12.5, 29.0, 620.0, False, True),
    Visit(HOPPER, 54.0, 0.8, 6.65, 640.0, True, False),
    Visit(COLLINS, 52.0, 1.3, 7.52, 640.0, True, False),
    Visit(COLLINS, 70.0, 12.5, 24.0, 250.0, True, True, (16.5, 20.0)),
    Visit(COLLINS, 152.0, 0.5, 11.0, 420.0, True, True),
    Visit(HOPPER, 168.0, 6.0, 18.0, 860.0, False, False, (11.5, 14.0)),
    Visit(COLLINS, 152.0, 19.5, 28.5, 700.0, False, True),
)
"""Visits of each cycle, the farthest first: two pass side by side, somebody stands far away, somebody turns aside."""


def phase_s(camera: str) -> float:
    """Return where in its cycle a camera of that name starts, in s."""
    return zlib.crc32(camera.encode()) / 2**32 * CYCLE_S


def who_is_there(camera: str, t_s: float) -> list[Sight]:
    """Return everybody whose face is wholly in the frame taken at monotonic `t_s`, the farthest first."""
    sights = []
    for visit, size, turn, left, top in _present(camera, t_s):
        box = _face_box(visit, size, turn, left, top)
        if box[0] >= 0 and box[0] + box[2] <= WIDTH_PX:
            sights.append(Sight(visit.person.name, box, TURNS_DEG[turn] * visit.person.turns))
    return sights


def prepare() -> None:
    """Draw the background and cut out the people now (0.5 s), so that no frame has to wait for it."""
    background()
    for visit in VISITS:
        for size in range(_sizes(visit)):
            _sprite(visit.person, visit.face_px, size, 0)
        if visit.away_s[1]:
            for turn in range(1, len(TURNS_DEG)):
                _sprite(visit.person, visit.face_px, _sizes(visit) // 2, turn)


def render(camera: str, t_s: float) -> NDArray[np.uint8]:
    """Return the frame taken at monotonic `t_s`: uint8 BGR [720, 1280, 3]."""
    frame = background().copy()
    for visit, size, turn, left, top in _present(camera, t_s):
        colour, see_through = _sprite(visit.person, visit.face_px, size, turn)
        height, width = colour.shape[:2]
        x0, x1 = max(left, 0), min(left + width, WIDTH_PX)
        y1 = min(top + height, HEIGHT_PX)
        if x0 >= x1:
            continue
        part = (slice(0, y1 - top), slice(x0 - left, x1 - left))
        place = frame[top:y1, x0:x1]
        cv2.multiply(place, see_through[part], dst=place, scale=1 / 255)
        cv2.add(place, colour[part], dst=place)
    return frame


def _sizes(visit: Visit) -> int:
    return _NEAR_AND_FAR if visit.face_px >= _SWAYS_PX else 1


def _scale(person: Person, face_px: float, size: int) -> float:
    nearness = 0.95 + 0.1 * size / (_NEAR_AND_FAR - 1) if face_px >= _SWAYS_PX else 1.0
    return nearness * face_px / person.face[2]


def _face_box(visit: Visit, size: int, turn: int, left: int, top: int) -> Box:
    scale = _scale(visit.person, visit.face_px, size)
    x, y, w, h = visit.person.face
    aside = visit.person.turns * _FOLLOWS * math.sin(math.radians(TURNS_DEG[turn])) * w
    return (left + (x + aside) * scale, top + y * scale, w * scale, h * scale)


def _present(camera: str, t_s: float) -> list[tuple[Visit, int, int, int, int]]:
    """Return (visit, index of size, index of turn, left in px, top in px) of each cut-out in the scene."""
    t = (t_s + phase_s(camera)) % CYCLE_S
    return [(visit, *_place(visit, t)) for visit in VISITS if visit.from_s <= t < visit.to_s]


def _place(visit: Visit, t: float) -> tuple[int, int, int, int]:
    since, left_s = t - visit.from_s, visit.to_s - t
    away_s = min(t - visit.away_s[0], visit.away_s[1] - t)
    turn = min(len(TURNS_DEG) - 1, int(away_s / _TURN_S) + 1) if away_s > 0 else 0
    sways = _sizes(visit)
    size = sways // 2 if turn else round((0.5 + 0.5 * math.sin(0.9 * since)) * (sways - 1))
    person, scale = visit.person, _scale(visit.person, visit.face_px, size)
    width, height = _cutout_size(person, scale)
    face_middle = (person.face[0] + person.face[2] / 2) * scale
    outside_left, outside_right = -width + face_middle, WIDTH_PX + face_middle
    x = visit.x_px + 0.07 * visit.face_px * math.sin(0.7 * since)
    walking = 0.0
    enters, leaves = (outside_left if side else outside_right for side in (visit.enters_left, visit.leaves_left))
    enter_s, leave_s = (max(2.0, abs(visit.x_px - side) / visit.face_px / _WALKS) for side in (enters, leaves))
    if since < enter_s:
        walking = 1 - since / enter_s
        x += (enters - x) * walking
    elif left_s < leave_s:
        walking = 1 - left_s / leave_s
        x += (leaves - x) * walking
    bob = 0.03 * abs(math.sin(6 * t)) * min(1.0, 4 * walking) + 0.02 * math.sin(0.5 * since)
    top = _top_px(visit.face_px) if sways == 1 else HEIGHT_PX - height + 9
    return size, turn, round(x - face_middle), round(top + bob * visit.face_px)


def _top_px(face_px: float) -> float:
    """Return where somebody far away begins: the nearer, the lower on the street the feet."""
    return 240.0 + 1.2 * face_px


def _cutout_size(person: Person, scale: float) -> tuple[int, int]:
    height, width = cutout(person).shape[:2]
    return round(width * scale), round(height * scale)


@lru_cache
def cutout(person: Person, turn: int = 0) -> NDArray[np.uint8]:
    """Return the cut-out at one of TURNS_DEG, uint8 BGRA [height, width, 4]; raise OSError if its file is broken."""
    path = _PEOPLE / (f"{person.name}_{TURNS_DEG[turn]}.webp" if turn else f"{person.name}.webp")
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape[2] != 4:
        raise OSError(f"{path} is not a picture with alpha; reinstall stationcast")
    return np.asarray(image, np.uint8)


@lru_cache(maxsize=128)
def _sprite(person: Person, face_px: float, size: int, turn: int) -> Sprite:
    """Return (colour times alpha, 255 minus alpha), both uint8 [height, width, 3]. Whoever is far wears a coat."""
    scale = _scale(person, face_px, size)
    image = cutout(person, turn).astype(np.float32)
    alpha = image[..., 3:] / 255
    premultiplied = np.dstack([image[..., :3] * alpha, alpha * 255])
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(premultiplied, _cutout_size(person, scale), interpolation=shrink)
    bgra: NDArray[np.uint8] = np.clip(resized, 0, 255).round().astype(np.uint8)
    if face_px < _SWAYS_PX:
        bgra = _in_a_coat(bgra, face_px)
    return bgra[..., :3].copy(), np.repeat(~bgra[..., 3:], 3, axis=2)


def _in_a_coat(bgra: NDArray[np.uint8], face_px: float) -> NDArray[np.uint8]:
    """Add a long coat, in the colour of the shoulders, to a cut-out that ends at the chest."""
    length, width = round(2.4 * face_px), bgra.shape[1]
    shoulders = bgra[-1][bgra[-1, :, 3] > 250]
    colour = [float(value) for value in 0.8 * np.median(shoulders, axis=0)]
    coat = np.zeros((length, width, 4), np.uint8)
    corners = np.array([[0.08, 0], [0.92, 0], [0.8, 1], [0.2, 1]]) * (width, length)
    cv2.fillPoly(coat, [corners.round().astype(np.int32)], (*colour[:3], 255.0), cv2.LINE_AA)
    return np.vstack([bgra, coat])


@lru_cache
def background() -> NDArray[np.uint8]:
    """Return the bus stop, uint8 BGR [720, 1280, 3]: sky, lit houses, street and shelter, a little out of focus."""
    random = np.random.default_rng(9)
    ramp = np.linspace(0, 1, HEIGHT_PX, dtype=np.float32)[:, None]
    stops, colours = [0, 0.35, 0.62, 1], np.array([[92, 52, 38], [150, 96, 84], [140, 170, 236], [120, 190, 250]])
    sky = np.stack([np.interp(ramp, stops, colours[:, channel]) for channel in range(3)], axis=-1)
    scene = np.ascontiguousarray(np.broadcast_to(sky, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8))
    _draw_houses(scene, random)
    _draw_street(scene)
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), 2.2), np.uint8)
    _draw_shelter(scene)
    noise = random.normal(0, 2.0, scene.shape)
    return np.clip(cv2.GaussianBlur(scene, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)


def _draw_houses(scene: NDArray[np.uint8], random: np.random.Generator) -> None:
    x = -30
    while x < WIDTH_PX:
        width, top = int(random.integers(110, 210)), int(random.integers(120, 300))
        shade = random.uniform(0.75, 1.2)
        cv2.rectangle(scene, (x, top), (x + width, 520), [int(c * shade) for c in (74, 58, 54)], -1)
        cv2.rectangle(scene, (x, top), (x + width, top + 6), [int(c * shade) for c in (92, 76, 70)], -1)
        for wx in range(x + 16, x + width - 26, 34):
            for wy in range(top + 22, 440, 44):
                lit = random.random() < 0.4
                warm = random.uniform(0.8, 1.0)
                colour = [int(c * warm) for c in (120, 200, 250)] if lit else [int(c * shade) for c in (60, 46, 42)]
                cv2.rectangle(scene, (wx, wy), (wx + 16, wy + 24), colour, -1)
        x += width + int(random.integers(-4, 10))


def _draw_street(scene: NDArray[np.uint8]) -> None:
    cv2.rectangle(scene, (0, 500), (WIDTH_PX, 530), (104, 100, 102), -1)
    cv2.rectangle(scene, (0, 530), (WIDTH_PX, 620), (66, 60, 60), -1)
    for x in range(20, WIDTH_PX, 130):
        cv2.rectangle(scene, (x, 572), (x + 70, 577), (170, 180, 184), -1)
    cv2.rectangle(scene, (0, 620), (WIDTH_PX, HEIGHT_PX), (112, 108, 112), -1)
    cv2.line(scene, (0, 620), (WIDTH_PX, 620), (150, 148, 150), 4)
    for x in range(-200, WIDTH_PX + 400, 120):
        cv2.line(scene, (x, 622), (x - 90, HEIGHT_PX), (98, 94, 98), 2, cv2.LINE_AA)
    for x in (150, 1130):
        cv2.line(scene, (x, 150), (x, 500), (48, 42, 42), 7, cv2.LINE_AA)
        cv2.circle(scene, (x, 146), 13, (190, 235, 255), -1, cv2.LINE_AA)


def _draw_shelter(scene: NDArray[np.uint8]) -> None:
    glass = scene.copy()
    cv2.rectangle(glass, (300, 170), (985, 600), (196, 184, 168), -1)
    cv2.addWeighted(glass, 0.22, scene, 0.78, 0, dst=scene)
    for x in (300, 528, 757, 985):
        cv2.line(scene, (x, 170), (x, 640), (58, 50, 46), 9, cv2.LINE_AA)
    cv2.rectangle(scene, (262, 140), (1023, 172), (70, 60, 54), -1)
    cv2.rectangle(scene, (262, 140), (1023, 147), (112, 98, 88), -1)
    cv2.rectangle(scene, (345, 540), (940, 556), (66, 98, 134), -1)
    for x in (390, 640, 890):
        cv2.line(scene, (x, 556), (x, 636), (50, 46, 46), 7, cv2.LINE_AA)
    cv2.line(scene, (1076, 180), (1076, 650), (70, 62, 58), 8, cv2.LINE_AA)
    cv2.rectangle(scene, (1046, 186), (1106, 246), (60, 150, 66), -1)
    cv2.putText(scene, "BUS", (1051, 224), cv2.FONT_HERSHEY_DUPLEX, 0.75, (245, 245, 245), 2, cv2.LINE_AA)
