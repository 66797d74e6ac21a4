"""Cache of the crops of all photos of an index, cut once with the detector and the one crop routine."""

import hashlib
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.cards import ModelError
from models.crop import CropSpec, crop_face, eye_direction
from models.datasets.augment import CACHE_SPEC
from models.datasets.index import Photos, Row
from models.detector import FaceDetector
from models.face import DetectedFace
from pipeline.streams import new_file

PADS = (0.3, 0.6, -0.2)
"""Shares of a photo added on every side as repeated border, or cut away, before detection.

Many data sets cut photos too tightly for the detector. Shares are tried in turn until a face lies over the middle.
"""
_SUBJECT = 8
"""Factor on the area of a face over the middle of a photo: data sets put the person whom they label there."""
_CENTRED = 20
"""Least number of faces over the middle, and least ratio to faces elsewhere, for a set that centres its people."""
Progress = Callable[[int, int], None]


class Located(Struct, frozen=True):
    """Face of a photo: box (x, y, w, h) and key points in px, and whether a detector found it."""

    box_px: tuple[float, float, float, float]
    keypoints_px: tuple[tuple[float, float], ...]
    found: bool


def locate(image: NDArray[np.uint8], detector: FaceDetector | None) -> Located:
    """Find the face that a portrait, uint8 BGR [H, W, 3], shows: the one over its middle, else the most prominent.

    Without a detector, or if it finds none, the square around the whole photo is the face's box.
    """
    height, width = image.shape[:2]
    if detector is not None:
        faces: list[DetectedFace] = []
        for pad in PADS:
            faces += _faces(image, detector, pad)
            if any(_over_middle(face.box_px, width, height) for face in faces):
                break
        if faces:
            face = max(faces, key=lambda face: _prominence(face, width, height))
            return Located(face.box_px, face.keypoints_px, True)
    side = float(max(width, height))
    return Located(((width - side) / 2, (height - side) / 2, side, side), (), False)


def portraits(
    photos: Photos,
    rows: Sequence[Row],
    detector: FaceDetector | None,
    counts: Counter[str],
    progress: Progress | None = None,
) -> Iterator[tuple[Row, NDArray[np.uint8], Located]]:
    """Yield row, photo (uint8 BGR [H, W, 3]) and face of all rows whose photo can be read.

    Adds to the counts `found`, `not found` and `unreadable`. Photos without a face over their middle come last. If
    their data set centres its people, the median place of the faces found in that set is taken, not a bystander's.
    """
    places: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    missed: dict[str, list[tuple[Row, Located]]] = defaultdict(list)
    for done, row in enumerate(rows):
        if progress:
            progress(done, len(rows))
        image = photos.read(row.file)
        if image is None:
            counts["unreadable"] += 1
            continue
        face = locate(image, detector)
        height, width = image.shape[:2]
        if detector and not (face.found and _over_middle(face.box_px, width, height)):
            missed[row.data].append((row, face))
            continue
        counts["found" if face.found else "not found"] += 1
        x, y, w, h = face.box_px
        places[row.data].append(((x + w / 2) / width, (y + h / 2) / height, max(w, h) / max(height, width)))
        yield row, image, face
    for data, left in missed.items():
        elsewhere = sum(face.found for _, face in left)
        centred = len(places[data]) >= _CENTRED * max(1, elsewhere)
        for row, face in left:
            image = photos.read(row.file)
            if image is None:  # it was there a moment ago
                counts["unreadable"] += 1
                continue
            chosen = _at_median(places[data], image) if centred else face
            counts["found" if chosen.found else "not found"] += 1
            yield row, image, chosen


def corners_in_crop(image_shape: tuple[int, ...], face: Located, spec: CropSpec) -> NDArray[np.float32]:
    """Return the corners of the photo in pixels of its crop, float32 [4, 2]."""
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
    """Cut the crops of all rows into `folder` for CropCache, without photos that cannot be read.

    Return counts of `found`, `not found` and `unreadable`. Raises ModelError if no photo can be read, and that or
    UserError if the disk has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "crops.part.npy"
    side = CACHE_SPEC.size_px
    crops = new_crops(part, len(rows), side)
    corners: list[NDArray[np.float32]] = []
    kept: list[Row] = []
    counts: Counter[str] = Counter()
    for row, image, face in portraits(photos, rows, detector, counts, progress):
        crops[len(kept)] = crop_face(image, face.box_px, face.keypoints_px, CACHE_SPEC)[..., ::-1]
        corners.append(corners_in_crop(image.shape, face, CACHE_SPEC))
        kept.append(row)
    if not kept:
        raise ModelError(f"{photos.where}: none of its {len(rows)} photos can be read: {photos.why_not(rows[0].file)}")
    crops.flush()
    complete(folder, part, kept, np.stack(corners))
    return counts


def new_crops(path: Path, count: int, side_px: int) -> "np.memmap[Any, np.dtype[np.uint8]]":
    """Make a file of crops, uint8 [count, side_px, side_px, 3], mapped into memory to be written.

    Raises ModelError if the disk has no room for all of it. Writing to a hole in a mapped file would kill the process.
    """
    shape = (count, side_px, side_px, 3)
    try:
        crops = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        with path.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, crops.offset + crops.nbytes)
    except OSError as error:
        path.unlink(missing_ok=True)
        needed = f"{math.prod(shape) / 1e6:.0f} MB for {count} crops: {error.strerror}"
        raise ModelError(f"{path.parent}: no room for {needed}; make room or give another --out") from error
    return crops


def complete(folder: Path, crops: Path, rows: Sequence[Row], corners: NDArray[np.float32]) -> None:
    """Make a cache of a file of crops, which moves into `folder`, and of what belongs to them. Raises UserError."""
    with new_file(folder / "corners.npy", binary=True) as stream:
        np.save(stream, corners)
    with new_file(folder / "rows.json", binary=True) as stream:
        stream.write(msgspec.json.encode(rows))
    crops.replace(folder / "crops.npy")


class CropCache:
    """Cache of n crops: `crops` uint8 RGB [n or more, 240, 240, 3] (a memory map), `corners` and `rows`.

    `corners` float32 [n, 4, 2] are those of each photo in its crop. Raises ModelError if files are missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / "rows.json").read_bytes()
            self.rows = msgspec.json.decode(text, type=list[Row])
            self.crops: NDArray[np.uint8] = np.load(folder / "crops.npy", mmap_mode="r")
            self.corners: NDArray[np.float32] = np.load(folder / "corners.npy")
            if len(self.corners) != len(self.rows) or len(self.crops) < len(self.rows):
                raise ValueError(
                    f"{len(self.rows)} rows, {len(self.crops)} crops, corners of {len(self.corners)} photos"
                )
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
            raise ModelError(f"{folder}: is no cache of crops: {error}; remove it and run again") from error
        self.sha256 = hashlib.sha256(text).hexdigest()

    def __reduce__(self) -> tuple[type["CropCache"], tuple[Path]]:
        """Open the same files in another process."""
        return CropCache, (self.folder,)


def _faces(image: NDArray[np.uint8], detector: FaceDetector, pad: float) -> list[DetectedFace]:
    """Detect faces in the image with a border of the share `pad` added, or cut away if negative, in px of the image."""
    height, width = image.shape[:2]
    x, y = int(width * pad), int(height * pad)
    if pad < 0:
        seen = np.ascontiguousarray(image[-y : height + y, -x : width + x])
    else:
        seen = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    return [face.mapped(1, 1, -x, -y) for face in detector.detect(seen)]


def _at_median(places: Sequence[tuple[float, float, float]], image: NDArray[np.uint8]) -> Located:
    """Return the face at the median of `places`: middles and sides of other faces as shares of their photos."""
    height, width = image.shape[:2]
    x, y, size = (float(value) for value in np.median(places, axis=0))
    side = size * max(height, width)
    return Located((x * width - side / 2, y * height - side / 2, side, side), (), False)


def _over_middle(box_px: tuple[float, float, float, float], width: int, height: int) -> bool:
    x, y, w, h = box_px
    return x < width / 2 < x + w and y < height / 2 < y + h


def _prominence(face: DetectedFace, width: int, height: int) -> float:
    x, y, w, h = face.box_px
    off_centre = np.hypot((x + w / 2) / width - 0.5, (y + h / 2) / height - 0.5)
    nearness = _SUBJECT if _over_middle(face.box_px, width, height) else 1.0
    return float(w * h * max(0.0, 1 - off_centre) * nearness * face.score)
