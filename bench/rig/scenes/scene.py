"""A scene: its frames, and the truth about everybody in them."""

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.rig.scenes import people as body
from bench.rig.scenes.heads import Sprite, body_sprite, head_sprite, whole_step
from bench.rig.scenes.people import Person, cast
from bench.rig.scenes.story import Kind, Street, Visit, visits
from models.images import read_frames
from stages.capture import sample

LOOKING_DEG = 20.0
"""Largest angle between a head's direction and the camera, beside which the screen is, at which one looks at it."""
PLAIN_SHARE, PLAIN_DEG = 0.7, 50.0
"""A face is in plain view if at least this share of it is seen and it is turned by at most this angle."""
_ROOM = Path(__file__).parents[4] / "shared" / "clips" / "one-by-one-person-detection.mp4"
_COVERS = ((-0.6, 0.6, -0.75, 0.75), (-1.3, 1.3, 0.8, 10.4))
"""Parts that a person covers, in face widths from the middle of the face: left, right, upper and lower edge."""

Box = tuple[float, float, float, float]
Place = Literal["drawn", "real"]


class Seen(Struct, frozen=True):
    """Truth about one person in one frame. Yaw and pitch are from the line to the camera: right and up in the frame."""

    person: int
    box_px: Box
    """Left, top, width and height of the face as the detector draws it; it may reach outside the frame."""
    visible: float
    """Share of the box that is in the frame and that nobody covers."""
    yaw_deg: float
    pitch_deg: float
    gender: Literal["M", "F"]
    age_years: tuple[float, float]
    """First and last year that the age may be."""

    @property
    def away_deg(self) -> float:
        """Angle between the direction of the head and the camera, degrees."""
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        return math.degrees(math.acos(math.cos(yaw) * math.cos(pitch)))

    @property
    def looking(self) -> bool:
        return self.away_deg <= LOOKING_DEG

    @property
    def plain(self) -> bool:
        """Sight good enough to be found: enough of the face is seen, and it is not turned far."""
        return self.visible >= PLAIN_SHARE and self.away_deg <= PLAIN_DEG


class Frame(Struct, frozen=True):
    """Frame, uint8 BGR [height_px, width_px, 3], its time in s, and everybody in it, also whoever is covered."""

    image: NDArray[np.uint8]
    t_s: float
    truth: tuple[Seen, ...]


class Scene(Struct, frozen=True, kw_only=True, dict=True):
    """Description of a scene. The same description gives the same frames."""

    seed: int = 0
    seconds: float = 60.0
    fps: float = 10.0
    size_px: tuple[int, int] = (1920, 1080)
    people: int = 3
    """Largest number of people who are there at once; 0 is an empty street."""
    faces_px: tuple[float, ...] = (24, 32, 40, 60, 80, 120, 200)
    """Widths of the faces, of which each person or group gets one."""
    kinds: tuple[Kind, ...] = ("pass", "stop", "two pass", "two stop", "cross", "cover")
    place: Place = "drawn"
    light: float = 1.0
    blur_px: float = 0.0
    """Standard deviation of the blur, px."""
    noise: float = 2.0
    """Standard deviation of the noise, grey levels."""
    jpeg: int | None = None
    """Quality of the JPEG that each frame goes through, 1 to 100."""

    @cached_property
    def visits(self) -> list[Visit]:
        """Visit of each person; `Seen.person` is the index."""
        if not self.people:
            return []
        street = Street(*self.size_px, self.faces_px, self.people, self.kinds)
        return visits(street, self.seconds, self.seed)

    @cached_property
    def cast(self) -> list[Person]:
        """People, in the order of the visits. Takes some 50 ms for each."""
        return cast(len(self.visits), self.seed)

    def frames(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        painter = _Painter(self)
        for number in range(round(self.seconds * self.fps)):
            t_s = number / self.fps
            yield Frame(painter.paint(t_s, number), t_s, self.truth(t_s))

    def truth(self, t_s: float) -> tuple[Seen, ...]:
        """Return the truth about a time: everybody in the frame, the farthest first."""
        there = self.there(t_s)
        seen = []
        for i, (number, visit, x, y) in enumerate(there):
            w = visit.width_px
            if -w / 2 < x < self.size_px[0] + w / 2:
                visible = _visible(visit, x, y, there[i + 1 :], self.size_px)
                yaw, pitch = map(whole_step, visit.angles(t_s))
                person = self.cast[number]
                box = (x - w / 2, y - w / 2, w, w)
                seen.append(Seen(number, box, visible, yaw, pitch, person.gender, person.age_years))
        return tuple(seen)

    def there(self, t_s: float) -> list[tuple[int, Visit, float, float]]:
        """Return (number, visit, x and y of the middle of the face, px) of all at a time, the farthest first."""
        now = [(i, visit) for i, visit in enumerate(self.visits) if visit.from_s <= t_s <= visit.to_s]
        return [(i, visit, *visit.place(t_s)) for i, visit in sorted(now, key=lambda each: each[1].width_px)]


def _visible(
    visit: Visit, x: float, y: float, nearer: list[tuple[int, Visit, float, float]], size_px: tuple[int, int]
) -> float:
    at = np.linspace(-0.46, 0.46, 16) * visit.width_px
    across, down = np.meshgrid(x + at, y + at)
    seen = (across >= 0) & (across < size_px[0]) & (down >= 0) & (down < size_px[1])
    for _, other, u, v in nearer:
        for left, right, top, bottom in _COVERS:
            right_of, below = (across - u) / other.width_px, (down - v) / other.width_px
            seen &= ~((right_of > left) & (right_of < right) & (below > top) & (below < bottom))
    return float(seen.mean())


def background(place: Place, size_px: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Return a place without people, uint8 BGR [height, width, 3]: a drawn street, or the real room of a clip."""
    random = np.random.default_rng(seed)
    if place == "real" and _ROOM.is_file():
        picture = next(frame for _, frame in read_frames(_ROOM))
    else:
        picture = sample.background()
    picture = picture[:, ::-1] if random.random() < 0.5 else picture
    zoom = random.uniform(1, 1.3)
    high, wide = (round(side / zoom) for side in picture.shape[:2])
    top, left = (int(random.integers(0, room + 1)) for room in (picture.shape[0] - high, picture.shape[1] - wide))
    part = picture[top : top + high, left : left + wide]
    return np.asarray(cv2.resize(part, size_px, interpolation=cv2.INTER_CUBIC), np.uint8)


class _Painter:
    """Painter of a scene's frames."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        place = background(scene.place, scene.size_px, scene.seed)
        self._background = self._blurred(_lit(place, scene.light))
        noise = np.random.default_rng(scene.seed).normal(0, scene.noise, (scene.size_px[1] + 64, scene.size_px[0], 3))
        self._noise = noise.round().astype(np.int16) if scene.noise else None

    def paint(self, t_s: float, number: int) -> NDArray[np.uint8]:
        """Return the frame of a time, uint8 BGR [height, width, 3]."""
        scene, frame = self._scene, self._background.copy()
        for person, visit, x, y in scene.there(t_s):
            yaw, pitch = map(whole_step, visit.angles(t_s))
            self._put(frame, scene.cast[person], visit.width_px, (x, y), (yaw, pitch))
        if self._noise is not None:
            row = number * 37 % 64
            frame = np.asarray(cv2.add(frame, self._noise[row : row + frame.shape[0]], dtype=cv2.CV_8U), np.uint8)
        if scene.jpeg is not None:
            _, packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg])
            frame = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return frame

    def _put(
        self,
        frame: NDArray[np.uint8],
        person: Person,
        width_px: float,
        middle: tuple[float, float],
        angles: tuple[int, int],
    ) -> None:
        """Paint a person whose face is so wide with the middle of the face there."""
        x, y = middle
        scale = width_px / body.BODY_PX
        halvings = _halvings(scale)
        left, top = x - body.BODY_WIDE / 2 * width_px, y + body.NECK * width_px
        self._blend(frame, body_sprite(person, halvings), scale * 2**halvings, left, top)
        scale = width_px * body.HEAD_BOXES / body.HEAD_PX
        halvings = _halvings(scale)
        half = body.HEAD_BOXES / 2 * width_px
        self._blend(frame, head_sprite(person, *angles, halvings), scale * 2**halvings, x - half, y - half)

    def _blend(self, frame: NDArray[np.uint8], sprite: Sprite, scale: float, left: float, top: float) -> None:
        """Blend a picture that is enlarged by `scale`, its corner at any place, also between pixels."""
        height, width = sprite[0].shape[:2]
        edge = 3 * self._scene.blur_px
        x0, y0 = max(0, math.floor(left - edge)), max(0, math.floor(top - edge))
        x1 = min(frame.shape[1], math.ceil(left + width * scale + edge))
        y1 = min(frame.shape[0], math.ceil(top + height * scale + edge))
        if x0 >= x1 or y0 >= y1:
            return
        to_frame = np.array(
            [[scale, 0, left - x0 + (scale - 1) / 2], [0, scale, top - y0 + (scale - 1) / 2]], np.float64
        )
        size = (x1 - x0, y1 - y0)
        colour, see_through = (
            self._blurred(
                np.asarray(
                    cv2.warpAffine(part, to_frame, size, flags=cv2.INTER_LINEAR, borderValue=(out,) * 3), np.uint8
                )
            )
            for part, out in zip(sprite, (0, 255), strict=True)
        )
        place = frame[y0:y1, x0:x1]
        cv2.multiply(place, see_through, dst=place, scale=1 / 255)
        cv2.add(place, _lit(colour, self._scene.light), dst=place)

    def _blurred(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not self._scene.blur_px:
            return image
        return np.asarray(cv2.GaussianBlur(image, (0, 0), self._scene.blur_px), np.uint8)


def _lit(image: NDArray[np.uint8], light: float) -> NDArray[np.uint8]:
    return image if light == 1 else np.asarray(cv2.convertScaleAbs(image, alpha=light), np.uint8)


def _halvings(scale: float) -> int:
    return max(0, math.floor(math.log2(1 / scale)))
