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
"""Before the name of a photo, for the person on it of whom nothing is known but copies of it."""
_SEVERAL = "several-sets/"
"""Before the name of a person who is in several data sets, in all of which it is the same one."""


class Looks(msgspec.Struct, frozen=True):
    """How photos look: a 64 bit difference hash each, uint64 [n], and a small grey picture of unit length [n, 576]."""

    hashes: NDArray[np.uint64]
    pictures: NDArray[np.float32]


def look(images: Iterable[NDArray[np.uint8]]) -> Looks:
    """Looks of photos, uint8 BGR or RGB [H, W, 3] each."""
    hashes, pictures = [], []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
        hashes.append(np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)[0])
        picture = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
        picture -= picture.mean()
        pictures.append(picture / (float(np.linalg.norm(picture)) + 1e-6))
    return Looks(np.array(hashes, np.uint64), np.array(pictures, np.float32).reshape(-1, _SIDE_PX**2))


def near_duplicates(looks: Looks) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of photos that are one photo: hashes within 6 bits and grey pictures that correlate by .95.

    Faces of different people that are merely alike pass the hash (tens of thousands of pairs among 30,000 photos), not
    the picture.
    """
    pairs = []
    for start in range(0, len(looks.hashes), 512):
        block = looks.hashes[start : start + 512]
        bits = np.bitwise_count(block[:, None] ^ looks.hashes[None, start:])
        near = np.stack(np.nonzero(bits <= _NEAR_BITS), 1)
        near = near[near[:, 0] < near[:, 1]] + start
        for part in np.array_split(near, len(near) // 8192 + 1):  # where many are alike, their pictures are gigabytes
            left, right = part.T
            alike = np.einsum("ij,ij->i", looks.pictures[left], looks.pictures[right]) > _NEAR_CORRELATION
            pairs += [(int(i), int(j)) for i, j in part[alike]]
    return pairs


def components(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]] = ()) -> NDArray[np.int64]:
    """Number of the group of each row: rows of one person, of one family or of one photo are in one group, and so are
    rows joined over several such steps."""
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
    _, groups = np.unique([root(i) for i in range(len(rows))], return_inverse=True)
    return groups.astype(np.int64)


def assign(rows: Sequence[Row], groups: NDArray[np.int64], val: float, test: float, seed: int) -> list[Row]:
    """Rows with `split` set by group, shares `val` and `test` of the groups. A given split stays, for its group too."""
    draw = np.random.default_rng(seed).random(int(groups.max(initial=-1)) + 1)
    names = dict(enumerate(np.where(draw < val, "val", np.where(draw < val + test, "test", "train")).tolist()))
    names |= {int(group): row.split for row, group in zip(rows, groups, strict=True) if row.split}
    return [
        msgspec.structs.replace(row, split=row.split or names[int(group)])
        for row, group in zip(rows, groups, strict=True)
    ]


def hold_out_copies(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]]) -> list[Row]:
    """Rows of nobody known whose photo is held out under another name are held out with it: near-duplicates are a
    little different ones by each way of looking at photos, so that a given split cannot have known of all."""
    strict = {"val": 1, "test": 2}
    is_named = [bool(row.family) or (row.person != "" and _SAME not in row.person) for row in rows]
    photos = [
        msgspec.structs.replace(row, person="" if named else row.person, family="")
        for row, named in zip(rows, is_named, strict=True)
    ]
    groups = components(photos, duplicates).tolist()
    strictest: dict[int, str] = {}
    for row, group in zip(rows, groups, strict=True):
        strictest[group] = max(strictest.get(group, ""), row.split, key=lambda split: strict.get(split, 0))
    return [
        msgspec.structs.replace(row, split=strictest[group])
        if row.split and strictest[group] in strict and not named
        else row
        for row, group, named in zip(rows, groups, is_named, strict=True)
    ]


def name_persons(rows: Sequence[Row], duplicates: Iterable[tuple[int, int]]) -> list[Row]:
    """Rows whose photos are the same get one person, as the same people recur under other names and in other sets."""
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
    """Open all photos of a data set: the rows whose photo can be read, copies of one photo under one person, and the
    pairs of copies among them. Adds to `left_out`. Raises ModelError when none can be read."""
    readable: list[Row] = []
    looks: list[tuple[Looks, Looks]] = []
    with Photos(folder) as photos:
        for done, row in enumerate(rows):
            progress(done, len(rows))
            image = photos.read(row.file)
            if image is None:
                left_out["cannot be read as an image"] += 1
                continue
            readable.append(row)
            looks.append((look([image]), look([_middle(image)])))
        if not readable:
            why = photos.why_not(rows[0].file)
            raise ModelError(f"{folder}: none of its {len(rows)} photos can be read: {why}")
    whole, middle = (
        Looks(np.concatenate([each.hashes for each in part]), np.concatenate([each.pictures for each in part]))
        for part in zip(*looks, strict=True)
    )
    # In front of one wall, people are alike as far as most of the photo goes.
    duplicates = sorted(set(near_duplicates(whole)) & set(near_duplicates(middle)))
    return name_persons(readable, duplicates), duplicates


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    return image[height // 5 : height - height // 5, width // 5 : width - width // 5]


def leaks(rows: Sequence[Row]) -> list[str]:
    """What is in more than one split: `person utkface/7 is in train and val`; empty when people are kept apart."""
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
