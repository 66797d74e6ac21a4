"""Crops for training, cut from labelled photos, with a split that keeps people apart."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from models.assets import resolve
from models.cards import ModelError
from models.datasets.crops import CropCache, Progress, build_cache, complete, new_crops
from models.datasets.index import Photos, Row, text_of
from models.datasets.splits import (
    assign,
    components,
    fingerprint,
    hold_out_copies,
    leaks,
    name_persons,
    near_duplicates,
    spread,
)
from models.detector import FaceDetector
from pipeline.streams import new_file

VAL_SHARE = TEST_SHARE = 0.06


class Prepared(NamedTuple):
    """Crops and labels to train on, the leaks of their split, and why photos were left out if they were cut now."""

    cache: CropCache
    leaking: list[str]
    left_out: Counter[str]


def prepare(
    sources: Sequence[Path],
    label_files: Sequence[Path],
    folder: Path,
    detector: str | None,
    seed: int,
    force: bool,
    progress: Progress | None = None,
) -> Prepared:
    """Return the cache of crops in `folder`. It is cut from `sources` if it is not there yet.

    Labels without splits get splits by person, family and near-duplicate photo. Raises ModelError for a leaking split,
    unless `force`, and if the cache was made of other photos or labels.
    """
    if label_files and len(label_files) != len(sources):
        raise ModelError(f"{len(label_files)} --labels for {len(sources)} --data: give one for each, or none")
    made_of = [detector, seed, *_hashes(sources, label_files)]
    note = folder / "made_of.json"
    left_out: Counter[str] = Counter()
    try:
        known = msgspec.json.decode(note.read_bytes())
    except (OSError, msgspec.DecodeError):  # none yet, or the disk was full
        left_out = _cut(sources, label_files, folder, detector, seed, progress)
        with new_file(note, binary=True) as stream:
            stream.write(msgspec.json.encode(made_of))
    else:
        if known != made_of:
            raise ModelError(
                f"{folder}: holds crops of other photos, labels, --detector or --seed; "
                f"give another --out or remove {folder.parent}"
            )
    cache = CropCache(folder)
    leaking = leaks(cache.rows)
    if leaking and not force:
        raise ModelError(f"the split leaks in {len(leaking)} cases: {leaking[0]}; index again or give --force")
    return Prepared(cache, leaking, left_out)


def _hashes(sources: Sequence[Path], label_files: Sequence[Path]) -> list[str]:
    """Return a text for each source that changes with its labels, and with names and sizes of its photos."""
    hashes = []
    for number, source in enumerate(sources):
        with Photos(source) as photos:
            hashes.append(f"{text_of(source.name)} {photos.sha256(label_files[number] if label_files else None)}")
    return hashes


def _cut(
    sources: Sequence[Path],
    label_files: Sequence[Path],
    folder: Path,
    detector: str | None,
    seed: int,
    progress: Progress | None,
) -> Counter[str]:
    left_out: Counter[str] = Counter()
    parts = []
    sets: list[tuple[Photos, list[Row]]] = []
    named: set[tuple[str, str]] = set()
    with contextlib.ExitStack() as stack:
        finder = FaceDetector(resolve(detector, Path.cwd()), min_score=0.3) if detector else None
        if finder:
            stack.enter_context(finder)
        for number, source in enumerate(sources):
            photos = stack.enter_context(Photos(source))
            rows, why = photos.labels(label_files[number] if label_files else None)
            labelled = []
            for row in rows:
                if row.gender is None and row.age_lo is None:
                    why["neither gender nor age"] += 1
                elif row.split not in ("", "train", "val", "test"):
                    why[f"split {row.split!r} is none of train, val and test"] += 1
                else:
                    labelled.append(row)
            if not labelled:
                said = "; ".join(f"left out {count}: {reason}" for reason, count in why.most_common(3))
                raise ModelError(f"{source}: its labels teach nothing{f': {said}' if said else ''}")
            left_out += why
            names = {(row.data, row.file) for row in labelled}
            if twice := sorted(named & names):
                name = "/".join(twice[0])
                raise ModelError(f"{source}: another --data has a {name}, too; rename one, or change its column `data`")
            named |= names
            sets.append((photos, labelled))
        for number, (photos, labelled) in enumerate(sets):
            part = folder / f"part{number}"
            counts = build_cache(photos, labelled, finder, part, progress)
            left_out["the photo is missing or cannot be read"] += counts["unreadable"]
            parts.append(part)
    left_out["a copy of a photo that is held out, and now held out with it"] += _join(parts, folder, seed)
    return +left_out


def _join(parts: Sequence[Path], folder: Path, seed: int) -> int:
    """Join several caches, assign missing splits, and return how many given splits were changed."""
    caches = [CropCache(part) for part in parts]
    rows: list[Row] = [row for cache in caches for row in cache.rows]
    near = near_duplicates(fingerprint(crop for cache in caches for crop in cache.crops[: len(cache.rows)]))
    # A name in two sets may mean one person, so both get one split. Numbered before persons are named: else a seed
    # would give another split.
    groups = components([msgspec.structs.replace(row, data="") for row in rows], near)
    given, rows = rows, hold_out_copies(rows, near)
    moved = sum(now.split != then.split for now, then in zip(rows, given, strict=True))
    rows = name_persons(rows, near)  # so that the search for leaks knows them as one person
    rows = spread(rows, components(rows))  # a person's own set comes before his namesakes in others
    rows = assign(rows, groups, VAL_SHARE, TEST_SHARE, seed)
    whole = parts[0] / "crops.npy"
    if len(parts) > 1:
        whole = folder / "crops.part.npy"
        joined = new_crops(whole, len(rows), caches[0].crops.shape[1])
        start = 0
        for cache in caches:
            joined[start : start + len(cache.rows)] = cache.crops[: len(cache.rows)]
            start += len(cache.rows)
        joined.flush()
    complete(folder, whole, rows, np.concatenate([cache.corners for cache in caches]))
    for part in parts:
        shutil.rmtree(part)
    return moved
