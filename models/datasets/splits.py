"""Splits that keep people apart: no person, family or near-duplicate photo on both sides."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from models.cards import ModelError
from models.datasets.index import Photos, Row

_NEAR_BITS = 6
_NEAR_CORRELATION = 0.95
_SIDE_PX = 24
_SAME = "same-photo-"
"""Prefix of the name given to an unknown person whose photo has copies; the name of the photo follows."""
_SEVERAL = "several-sets/"
"""Prefix of the name of a person who is in several data sets. Such a name means one person in all of them."""


class Fingerprints(msgspec.Struct, frozen=True):
    """Fingerprints of n photos: 64-bit difference hashes, uint64 [n], and grey 24 x 24 px pictures, float32 [n, 576].

    Pictures have mean 0 and unit length, so that their product is their correlation.
    """

    hashes: NDArray[np.uint64]
    pictures: NDArray[np.float32]


def fingerprint(images: Iterable[NDArray[np.uint8]]) -> Fingerprints:
    """Take the fingerprints of photos, uint8 BGR or RGB [H, W, 3] each."""
    hashes, pictures = [], []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
        hashes.append(np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)[0])
        picture = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        picture -= picture.mean()
        pictures.append(picture / (float(np.linalg.norm(picture)) + 1e-6))
    return Fingerprints(np.array(hashes, np.uint64), np.array(pictures, np.float32).reshape(-1, _SIDE_PX**2))


def near_duplicates(prints: Fingerprints) -> list[tuple[int, int]]:
    """Return pairs (i, j), i < j, of copies of one photo: hashes within 6 bits, and pictures that correlate by .95.

    Faces of different people may pass the hash (tens of thousands of pairs among 30,000 photos), not the picture.
    """
    pairs = []
    for start in range(0, len(prints.hashes), 512):
        block = prints.hashes[start : start + 512]
        bits = np.bitwise_count(block[:, None] ^ prints.hashes[None, start:])
        near = np.stack(np.nonzero(bits <= _NEAR_BITS), 1)
        near = near[near[:, 0] < near[:, 1]] + start
        for part in np.array_split(near, len(near) // 8192 + 1):  # many alike photos at once would take gigabytes
            left, right = part.T
            alike = np.einsum("ij,ij->i", prints.pictures[left], prints.pictures[right]) > _NEAR_CORRELATION
            pairs += [(int(i), int(j)) for i, j in part[alike]]
    return pairs


def components(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]] = ()) -> NDArray[np.int64]:
    """Return the number of each row's component: rows of one person, family or photo are in one component.

    Rows that are joined over several such steps are in one component, too.
    """
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str, str], int] = {}
    for i, row in enumerate(rows):
        for key in _identities(row):
            parent[root(i)] = root(first.setdefault(key, i))
    for i, j in duplicates:
        parent[root(i)] = root(j)
    _, numbers = np.unique([root(i) for i in range(len(rows))], return_inverse=True)
    return numbers.astype(np.int64)


def assign(rows: Sequence[Row], numbers: NDArray[np.int64], val: float, test: float, seed: int) -> list[Row]:
    """Return the rows with `split` set at random: shares `val` and `test` of the components, the rest is `train`.

    A given split stays, and the whole component of the row gets it.
    """
    draw = np.random.default_rng(seed).random(int(numbers.max(initial=-1)) + 1)
    names = dict(enumerate(np.where(draw < val, "val", np.where(draw < val + test, "test", "train")).tolist()))
    return [
        msgspec.structs.replace(row, split=row.split or names[int(number)])
        for row, number in zip(spread(rows, numbers), numbers, strict=True)
    ]


def spread(rows: Sequence[Row], numbers: NDArray[np.int64]) -> list[Row]:
    """Return the rows, where those without a split have the one that is given to a row of their component, if any."""
    given = {int(number): row.split for row, number in zip(rows, numbers, strict=True) if row.split}
    return [
        msgspec.structs.replace(row, split=row.split or given.get(int(number), ""))
        for row, number in zip(rows, numbers, strict=True)
    ]


def hold_out_copies(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]]) -> list[Row]:
    """Return the rows with unknown copies of held-out photos held out, too: in `val`, or in `test` if one is there.

    A given split may have been made without knowing these copies. Rows of known persons or families stay.
    """
    strict = {"val": 1, "test": 2}
    is_named = [bool(row.family) or (row.person != "" and _SAME not in row.person) for row in rows]
    photos = [
        msgspec.structs.replace(row, person="" if named else row.person, family="")
        for row, named in zip(rows, is_named, strict=True)
    ]
    numbers = components(photos, duplicates).tolist()
    strictest: dict[int, str] = {}
    for row, number in zip(rows, numbers, strict=True):
        strictest[number] = max(strictest.get(number, ""), row.split, key=lambda split: strict.get(split, 0))
    return [
        msgspec.structs.replace(row, split=strictest[number])
        if row.split and strictest[number] in strict and not named
        else row
        for row, number, named in zip(rows, numbers, is_named, strict=True)
    ]


def name_persons(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]]) -> list[Row]:
    """Return the rows with one person for all copies of a photo: people recur under other names, in other sets."""
    known = components([msgspec.structs.replace(row, family="") for row in rows], duplicates).tolist()
    first: dict[int, Row] = {}
    sets: dict[int, set[str]] = defaultdict(set)
    counts = np.bincount(known)
    for row, group in zip(rows, known, strict=True):
        sets[group].add(row.data)
        if group not in first or (row.person and not first[group].person):
            first[group] = row
    named = []
    for row, group in zip(rows, known, strict=True):
        person = first[group].person or (f"{_SAME}{first[group].file}" if counts[group] > 1 else "")
        if len(sets[group]) > 1 and not person.startswith(_SEVERAL):
            person = f"{_SEVERAL}{first[group].data}/{person}"
        named.append(msgspec.structs.replace(row, person=person))
    return named


def check_photos(
    folder: Path, rows: Sequence[Row], left_out: Counter[str], progress: Callable[[int, int], None]
) -> tuple[list[Row], list[tuple[int, int]]]:
    """Open all photos of a data set. Return the rows whose photo can be read, and the pairs of copies among them.

    Copies of one photo get one person. Counts of unreadable photos are added to `left_out`. Raises ModelError if none
    can be read.
    """
    readable: list[Row] = []
    prints: list[tuple[Fingerprints, Fingerprints]] = []
    with Photos(folder) as photos:
        for done, row in enumerate(rows):
            progress(done, len(rows))
            image = photos.read(row.file)
            if image is None:
                left_out["cannot be read as an image"] += 1
                continue
            readable.append(row)
            prints.append((fingerprint([image]), fingerprint([_middle(image)])))
        if not readable:
            why = photos.why_not(rows[0].file)
            raise ModelError(f"{folder}: none of its {len(rows)} photos can be read: {why}")
    whole, middle = (
        Fingerprints(np.concatenate([each.hashes for each in part]), np.concatenate([each.pictures for each in part]))
        for part in zip(*prints, strict=True)
    )
    # Photos of different people in front of one wall are alike but for their middle.
    duplicates = sorted(set(near_duplicates(whole)) & set(near_duplicates(middle)))
    return name_persons(readable, duplicates), duplicates


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    return image[height // 5 : height - height // 5, width // 5 : width - width // 5]


def leaks(rows: Sequence[Row]) -> list[str]:
    """Return one text for each person or family in several splits, such as `person utkface/7 is in train and val`."""
    places: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        for key in _identities(row):
            places[key].add(row.split)
    return [
        f"{kind} {f'{data}/{name}'.removeprefix('/')} is in {' and '.join(sorted(splits))}"
        for (kind, data, name), splits in places.items()
        if len(splits) > 1
    ]


def _identities(row: Row) -> list[tuple[str, str, str]]:
    keys = (("person", row.person), ("family", row.family))
    return [(kind, "" if name.startswith(_SEVERAL) else row.data, name) for kind, name in keys if name]
