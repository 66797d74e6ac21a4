"""Crops of all photos of an index, cut once by the detector and the one crop routine, kept outside the repository."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.cards import ModelError
from models.crop import CropSpec, crop_face, eye_direction
from models.datasets.augment import CACHE_SPEC
from models.datasets.index import Photos, Row
from models.detector import DetectedFace, FaceDetector

TIGHT_PAD = 0.3
"""A tight photo is given this much of its repeated border on every side before the detector looks at it."""
Progress = Callable[[int, int], None]


class Located(Struct, frozen=True):
    """Where the face of a photo is, in its pixels; `found` tells whether a detector says so."""

    box_px: tuple[float, float, float, float]
    keypoints_px: tuple[tuple[float, float], ...]
    found: bool


def locate(image: NDArray[np.uint8], detector: FaceDetector | None) -> Located:
    """The face that a portrait, uint8 BGR [H, W, 3], is of: the largest and most central one.

    The detector looks at the photo with its border repeated outwards, as photos of data sets are often cut too tightly
    for it. Without a detector, or when it finds none, the whole photo counts as the face's box.
    """
    height, width = image.shape[:2]
    if detector is not None:
        pad_x, pad_y = int(width * TIGHT_PAD), int(height * TIGHT_PAD)
        padded = cv2.copyMakeBorder(image, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
        faces = detector.detect(padded.astype(np.uint8, copy=False))
        if faces:
            face = max(faces, key=lambda face: _prominence(face, padded.shape[1], padded.shape[0]))
            x, y, w, h = face.box_px
            points = tuple((px - pad_x, py - pad_y) for px, py in face.keypoints_px)
            return Located((x - pad_x, y - pad_y, w, h), points, True)
    side = float(max(width, height))
    return Located(((width - side) / 2, (height - side) / 2, side, side), (), False)


def corners_in_crop(image_shape: tuple[int, ...], face: Located, spec: CropSpec) -> NDArray[np.float32]:
    """Corners of the photo in pixels of its crop, float32 [4, 2]."""
    height, width = image_shape[:2]
    side = max(face.box_px[2:]) * spec.scale
    centre = np.array([face.box_px[0] + face.box_px[2] / 2, face.box_px[1] + face.box_px[3] / 2])
    cos, sin = eye_direction(face.box_px, face.keypoints_px) if spec.level_eyes else (1.0, 0.0)
    relative = np.array([[0, 0], [width, 0], [width, height], [0, height]], float) - centre
    turned = relative @ np.array([[cos, -sin], [sin, cos]])
    return (turned * spec.size_px / side + spec.size_px / 2).astype(np.float32)


def build_cache(
    photos: Photos, rows: Sequence[Row], detector: FaceDetector | None, folder: Path, progress: Progress | None = None
) -> Counter[str]:
    """Cut the crops of all rows into `folder` for CropCache; photos that cannot be read are left out. Returns counts of
    `found`, `not found` and `unreadable`."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "crops.part.npy"
    side = CACHE_SPEC.size_px
    crops = np.lib.format.open_memmap(part, "w+", np.uint8, (len(rows), side, side, 3))
    corners: list[NDArray[np.float32]] = []
    kept: list[Row] = []
    counts: Counter[str] = Counter()
    for done, row in enumerate(rows):
        if progress:
            progress(done, len(rows))
        image = photos.read(row.file)
        if image is None:
            counts["unreadable"] += 1
            continue
        face = locate(image, detector)
        counts["found" if face.found else "not found"] += 1
        crops[len(kept)] = crop_face(image, face.box_px, face.keypoints_px, CACHE_SPEC)[..., ::-1]
        corners.append(corners_in_crop(image.shape, face, CACHE_SPEC))
        kept.append(row)
    if not kept:
        raise ModelError(f"{photos.where}: none of its {len(rows)} photos can be read")
    crops.flush()
    np.save(folder / "corners.npy", np.stack(corners))
    (folder / "rows.json").write_bytes(msgspec.json.encode(kept))
    part.replace(folder / "crops.npy")
    return counts


class CropCache:
    """`crops` uint8 RGB [n or more, 240, 240, 3] (a memory map), `corners` float32 [n, 4, 2] of the photo in its crop,
    `rows` [n]."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / "rows.json").read_bytes()
            self.rows = msgspec.json.decode(text, type=list[Row])
            self.crops: NDArray[np.uint8] = np.load(folder / "crops.npy", mmap_mode="r")
            self.corners: NDArray[np.float32] = np.load(folder / "corners.npy")
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise ModelError(f"{folder}: is no cache of crops: {error}; remove it and run again") from error
        self.sha256 = hashlib.sha256(text).hexdigest()


def _prominence(face: DetectedFace, width: int, height: int) -> float:
    x, y, w, h = face.box_px
    off_centre = np.hypot((x + w / 2) / width - 0.5, (y + h / 2) / height - 0.5)
    return float(w * h * max(0.0, 1 - off_centre) * face.score)
