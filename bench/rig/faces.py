"""Street scenes of 1920x1080 px with faces of a chosen width at known places."""

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stages.capture import sample

WIDTH_PX, HEIGHT_PX = 1920, 1080

Box = tuple[float, float, float, float]


class Scene(Struct, frozen=True):
    """Frame, uint8 BGR [1080, 1920, 3], and the boxes (x, y, w, h) of its faces in px."""

    image: NDArray[np.uint8]
    faces: list[Box]


def make_scene(face_width_px: float, faces: int, seed: int) -> Scene:
    """Return a street with so many people whose faces are so wide; the same for the same seed.

    The people are those of the sample camera, some mirrored, lighter or darker. No one covers another's face.
    """
    random = np.random.default_rng(seed)
    street = cv2.resize(sample.background(), (WIDTH_PX, HEIGHT_PX))
    street = np.roll(street, int(random.integers(0, WIDTH_PX)), axis=1)
    image = np.clip(street * random.uniform(0.6, 1.3), 0, 255).astype(np.uint8)
    boxes: list[Box] = []
    for i in range(faces):
        person = (sample.HOPPER, sample.COLLINS)[int(random.integers(2))]
        room = (WIDTH_PX * i / faces, WIDTH_PX * (i + 1) / faces)
        boxes.append(_place(image, person, face_width_px, room, random))
    return Scene(image, boxes)


def _place(
    image: NDArray[np.uint8],
    person: sample.Person,
    face_width_px: float,
    room: tuple[float, float],
    random: np.random.Generator,
) -> Box:
    cutout = sample.cutout(person)
    x, y, w, h = person.face
    if random.random() < 0.5:
        cutout, x = cutout[:, ::-1], cutout.shape[1] - x - w
    scale = face_width_px / w
    size = (max(1, round(cutout.shape[1] * scale)), max(1, round(cutout.shape[0] * scale)))
    small = cv2.resize(cutout, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y, w, h = (value * scale for value in (x, y, w, h))
    left = int(random.uniform(room[0] - x, max(room[0] - x + 1, room[1] - x - w)))
    top = int(random.uniform(0.15 * HEIGHT_PX - y, 0.8 * HEIGHT_PX - y - h))
    light = random.uniform(0.7, 1.15)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size[0], WIDTH_PX), min(top + size[1], HEIGHT_PX)
    part = small[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
    alpha = part[..., 3:] / 255
    place = image[y0:y1, x0:x1]
    place[:] = np.clip(part[..., :3] * light * alpha + place * (1 - alpha), 0, 255)
    return (left + x, top + y, w, h)


def found(truth: Box, boxes: list[Box]) -> bool:
    """Return whether a box is this face: its middle within a third of the width, half to twice as wide."""
    x, y, w, h = truth
    return any(
        abs(bx + bw / 2 - x - w / 2) < w / 3 and abs(by + bh / 2 - y - h / 2) < h / 3 and w / 2 < bw < 2 * w
        for bx, by, bw, bh in boxes
    )
