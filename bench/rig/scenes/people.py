"""People of a scene: heads cut out of labelled photos, on drawn bodies.

Photos are those of FairFace in `shared/` beside the checkout that taught no model here; without them the people of the
sample camera, mirrored and tinted.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.assets import resolve
from models.crop import CropSpec, crop_face
from models.datasets.crops import Located, locate
from models.datasets.index import parse_gender
from models.detector import FaceDetector
from models.images import read_image
from stages.capture import sample

HEAD_PX = 240
HEAD_BOXES = 2.4
"""Side of the picture of a head, in px and in face boxes; the face's box is in its middle."""
BODY_PX = 32
"""Pixels of a body per width of its face."""
BODY_WIDE, BODY_HIGH = 3.4, 10.4
"""Size of the picture of a body, in face widths; the middle of the face is above the middle of its upper edge."""
NECK = 0.3
"""Distance from the middle of the face to the upper edge of the body, in face widths."""

_PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "fairface_train.zip"
_HELD_OUT = Path(__file__).parents[3] / "models" / "weights" / "stationcast-open-held-out.csv"
_SPEC = CropSpec(HEAD_PX, HEAD_BOXES)
_EDGE = 0.50, 0.62, -0.03
"""Half axes of the oval that is head in any photo, to the side and down, and its middle; in face boxes."""
_SKEW, _TILT = 0.09, (0.47, 0.66)
"""Largest distance of the nose from the middle of the eyes, in eye distances, and how far down to the mouth it may be.

Outside these a head in a photo is turned already, and its angles in a scene would be wrong.
"""

Picture = NDArray[np.uint8]


class Person(Struct, frozen=True, eq=False):
    """Somebody with known labels."""

    name: str
    gender: Literal["M", "F"]
    age_years: tuple[float, float]
    """First and last year that the age may be."""
    head: Picture
    """Photo around the head, uint8 BGR [HEAD_PX, HEAD_PX, 3]; see HEAD_BOXES."""
    body: Picture
    """Drawing, uint8 BGRA [BODY_HIGH * BODY_PX, BODY_WIDE * BODY_PX, 4]."""


def cast(count: int, seed: int) -> list[Person]:
    """Return so many people, the same for the same seed. Their photos show them from the front."""
    random = np.random.default_rng(seed)
    heads = _photographed(random) if _PHOTOS.is_file() else _packaged(random)
    return [
        Person(name, gender, age_years, _without_surroundings(head), _body(head, random))
        for name, gender, age_years, head in islice(heads, count)
    ]


Head = tuple[str, Literal["M", "F"], tuple[float, float], Picture]


def _photographed(random: np.random.Generator) -> Iterator[Head]:
    with zipfile.ZipFile(_PHOTOS) as photos, FaceDetector(resolve("mediapipe-full-range", Path())) as detector:
        rows = list(csv.DictReader(_HELD_OUT.read_text(encoding="utf-8").splitlines()))
        while True:
            row = rows[int(random.integers(len(rows)))]
            photo = read_image(io.BytesIO(photos.read(f"images/{row['file']}")))
            face = locate(photo, detector)
            gender = parse_gender(row["gender"])
            if gender and _frontal(face):
                head = crop_face(photo, face.box_px, face.keypoints_px, _SPEC)
                yield row["file"], gender, (float(row["age_lo"]), float(row["age_hi"])), np.asarray(head, np.uint8)


def _packaged(random: np.random.Generator) -> Iterator[Head]:
    ages = {sample.HOPPER: (70.0, 79.0), sample.COLLINS: (30.0, 39.0)}
    number = 0
    while True:
        person = (sample.HOPPER, sample.COLLINS)[number % 2]
        cutout = sample.cutout(person)
        opaque = cutout[..., 3:] > 127
        photo = np.where(opaque, cutout[..., :3], np.uint8(60))
        head = crop_face(photo, person.face, (), _SPEC)[:, :: 1 if number % 4 < 2 else -1]
        tinted = np.clip(head * random.uniform(0.75, 1.2, 3), 0, 255).astype(np.uint8)
        yield f"{person.name}-{number}", "F", ages[person], tinted
        number += 1


def _frontal(face: Located) -> bool:
    """Return whether a face is turned neither to a side nor up or down, as far as its key points tell."""
    if not face.found or len(face.keypoints_px) < 4:
        return False
    right, left, nose, mouth = (np.array(point) for point in face.keypoints_px[:4])
    across = left - right
    down = np.array([-across[1], across[0]])
    squared = float(across @ across) or 1.0
    skew = float((nose - (left + right) / 2) @ across) / squared
    mouth_skew = float((mouth - (left + right) / 2) @ across) / squared
    tilt = float((nose - right) @ down) / (float((mouth - right) @ down) or 1.0)
    return abs(skew) < _SKEW and abs(mouth_skew) < _SKEW and _TILT[0] < tilt < _TILT[1]


def _without_surroundings(head: Picture) -> Picture:
    """Replace what is around a head by the colours of its edge: a turned head shows what is behind its ears."""
    at = ((np.arange(HEAD_PX) + 0.5) / HEAD_PX - 0.5) * HEAD_BOXES
    across, down = np.meshgrid(at, at)
    out = np.maximum(np.hypot(across / _EDGE[0], (down - _EDGE[2]) / _EDGE[1]), 1)
    places = np.stack([across / out, (down - _EDGE[2]) / out + _EDGE[2]], -1) / HEAD_BOXES * HEAD_PX + (HEAD_PX - 1) / 2
    x, y = np.moveaxis(places.astype(np.float32), 2, 0)
    return np.asarray(cv2.remap(head, x, y, cv2.INTER_LINEAR), np.uint8)


def _body(head: Picture, random: np.random.Generator) -> Picture:
    """Draw neck, trunk, arms and legs in the colours of the skin and of random clothes."""
    high, wide = round(BODY_HIGH * BODY_PX), round(BODY_WIDE * BODY_PX)
    body = np.zeros((high, wide, 4), np.uint8)
    cheek = head[int(0.54 * HEAD_PX) : int(0.6 * HEAD_PX), int(0.42 * HEAD_PX) : int(0.58 * HEAD_PX), :3]
    skin = tuple(float(c) * 0.85 for c in np.median(cheek.reshape(-1, 3), axis=0))
    coat, trousers = (tuple(random.uniform(20, 200) + random.uniform(-25, 25, 3)) for _ in range(2))

    def fill(colour: tuple[float, ...], *points: tuple[float, float]) -> None:
        corners = [[(x + BODY_WIDE / 2) * BODY_PX, (y - NECK) * BODY_PX] for x, y in points]
        cv2.fillPoly(body, [np.array(corners).round().astype(np.int32)], (*colour, 255), cv2.LINE_AA)

    for side in (-1, 1):
        fill(trousers, (0, 4.6), (side * 0.95, 4.6), (side * 0.85, 10.3), (side * 0.25, 10.3))
        fill(coat, (side * 0.8, 1.0), (side * 1.35, 1.2), (side * 1.55, 4.9), (side * 1.15, 4.9))
    fill(skin, (-0.32, NECK), (0.32, NECK), (0.36, 1.0), (-0.36, 1.0))
    fill(coat, (-0.36, 0.74), (0.36, 0.74), (1.25, 1.02), (1.0, 4.9), (-1.0, 4.9), (-1.25, 1.02))
    fill(skin, (-0.22, 0.7), (0.22, 0.7), (0, 1.15))
    folds = cv2.GaussianBlur(random.normal(0, 60, (high, wide, 1)), (0, 0), 5)
    body[..., :3] = np.clip(body[..., :3] + folds[..., None] * 1.5, 0, 255)
    return body
