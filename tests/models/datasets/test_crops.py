"""The cache of crops, and whose face a photo is of."""

import random
import resource
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.assets import resolve
from models.cards import ModelError
from models.datasets.augment import CACHE_SPEC
from models.datasets.crops import CropCache, build_cache, locate, new_crops, portraits
from models.datasets.index import Photos, Row
from models.detector import FaceDetector
from models.face import DetectedFace
from tests.models.helpers import portrait, row


def test_a_cache_that_finds_no_room_says_so(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(ModelError, match="no room for 17 MB for 100 crops: File too large; make room or give"):
            new_crops(tmp_path / "crops.npy", 100, 240)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_the_cache_holds_wide_crops_and_where_the_photo_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    cv2.imwrite(str(data / "a.png"), portrait(1, 100))
    counts = build_cache(Photos(data), [row("missing.png"), row("a.png")], None, tmp_path / "cache")
    assert counts == {"unreadable": 1, "not found": 1}
    cache = CropCache(tmp_path / "cache")
    assert [r.file for r in cache.rows] == ["a.png"]
    assert cache.crops[0].shape == (CACHE_SPEC.size_px, CACHE_SPEC.size_px, 3)
    half = CACHE_SPEC.size_px / CACHE_SPEC.scale / 2
    middle = CACHE_SPEC.size_px / 2
    assert np.allclose(cache.corners[0, 0], middle - half, atol=1e-3)
    assert np.allclose(cache.corners[0, 2], middle + half, atol=1e-3)
    with pytest.raises(ModelError, match="is no cache of crops"):
        CropCache(tmp_path)
    for name, damaged in (("crops.npy", b""), ("corners.npy", b""), ("rows.json", b"[]")):
        whole = (tmp_path / "cache" / name).read_bytes()
        (tmp_path / "cache" / name).write_bytes(damaged)
        with pytest.raises(ModelError, match=r"is no cache of crops: .*; remove it and run again"):
            CropCache(tmp_path / "cache")
        (tmp_path / "cache" / name).write_bytes(whole)


def test_the_person_in_the_middle_is_chosen_among_larger_bystanders(shared_dir: Path) -> None:
    with (
        Photos(shared_dir / "data" / "all_age_faces_train.zip") as photos,
        FaceDetector(resolve("mediapipe-full-range", Path.cwd()), min_score=0.3) as detector,
    ):
        rows, _ = photos.labels()
        found = [photos.read(r.file) for r in random.Random(1).sample(rows, 30)]
        people = [cv2.resize(image, (150, 176)) for image in found if image is not None]
        chosen = 0
        for left, middle, right in zip(people[::3], people[1::3], people[2::3], strict=True):
            left, right = (cv2.resize(image, (210, 246)) for image in (left, right))
            middle = cv2.copyMakeBorder(middle, 35, 35, 0, 0, cv2.BORDER_REPLICATE)
            face = locate(np.hstack([left, middle, right]), detector)
            chosen += face.found and 210 < face.box_px[0] + face.box_px[2] / 2 < 360
    assert chosen >= 9


class Finds:
    """A detector of blue squares: the faces are where a picture is bluest."""

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        blue = (image[..., 0] > 200) & (image[..., 2] < 50)
        _, _, places, _ = cv2.connectedComponentsWithStats(blue.astype(np.uint8))
        return [DetectedFace((float(x), float(y), float(w), float(h)), 0.9, ()) for x, y, w, h, _ in places[1:]]


def test_a_face_that_is_not_found_is_where_the_others_of_its_set_are(tmp_path: Path) -> None:
    def photo(name: str, *boxes: tuple[int, int, int]) -> Row:
        picture = np.full((100, 100, 3), 128, np.uint8)
        for x, y, side in boxes:
            picture[y : y + side, x : x + side] = (255, 0, 0)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        return row(f"{name}.png", data=name[0])

    rows = [photo("a-missed"), photo("a-bystander", (2, 2, 20)), *(photo(f"a{i}", (40, 45, 30)) for i in range(20))]
    rows += [photo("b-missed"), photo("b-aside", (2, 2, 20)), photo("b0", (40, 45, 30)), row("none.png")]
    counts: Counter[str] = Counter()
    with Photos(tmp_path) as photos:
        faces = {r.file: face for r, _, face in portraits(photos, rows, Finds(), counts)}  # type: ignore[arg-type]
    assert counts == {"found": 22, "not found": 3, "unreadable": 1}
    for name in ("a-missed", "a-bystander"):
        assert np.allclose(faces[f"{name}.png"].box_px, (40, 45, 30, 30), atol=1)
    assert faces["b-missed.png"].box_px == (0, 0, 100, 100)
    with Photos(tmp_path) as photos:
        told = portraits(photos, rows, Finds(), counts := Counter())  # type: ignore[arg-type]
        next(told)
        (tmp_path / "a-missed.png").unlink()  # those without a face are read once more at the end
        assert "a-missed.png" not in {r.file for r, _, _ in told}
    assert counts == {"found": 22, "not found": 2, "unreadable": 2}
    assert np.allclose(faces["b-aside.png"].box_px, (2, 2, 20, 20), atol=1)
