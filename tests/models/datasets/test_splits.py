"""Splits keep people apart, and copies of one photo are found."""

import tracemalloc
from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from models.cards import ModelError
from models.datasets.index import write_index
from models.datasets.prepare import prepare
from models.datasets.splits import (
    assign,
    check_photos,
    components,
    fingerprint,
    leaks,
    name_persons,
    near_duplicates,
)
from tests.models.helpers import portrait, row


def test_near_duplicates_are_one_photo_and_not_merely_alike() -> None:
    originals = [portrait(seed) for seed in range(30)]
    smaller = cv2.resize(originals[3], (60, 60), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", originals[7], [cv2.IMWRITE_JPEG_QUALITY, 40])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    brighter = np.clip(originals[9].astype(int) + 20, 0, 255).astype(np.uint8)
    pairs = near_duplicates(fingerprint([*originals, smaller, again, brighter]))
    assert set(pairs) == {(3, 30), (7, 31), (9, 32)}


@pytest.mark.slow
def test_a_thousand_copies_of_a_photo_take_no_gigabytes() -> None:
    rng = np.random.default_rng(0)
    copies = [np.clip(portrait(1) + rng.integers(-2, 3, (96, 96, 3)), 0, 255).astype(np.uint8) for _ in range(1000)]
    prints = fingerprint(copies)
    tracemalloc.start()
    pairs = near_duplicates(prints)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pairs) == 1000 * 999 // 2
    assert peak_bytes < 300e6


def test_people_in_front_of_one_wall_are_not_one_person(tmp_path: Path) -> None:
    """Photos that agree but for their middle are of two people; a copy in another size and quality is of one."""
    wall = cv2.resize(portrait(1), (300, 300))
    rows, photos = [], []
    for i in range(6):
        photo = wall.copy()
        photo[120:180, 120:180] = cv2.resize(portrait(50 + i), (60, 60))
        photos.append(photo)
        cv2.imwrite(str(tmp_path / f"{i}.png"), photo)
        rows.append(row(f"{i}.png", person=f"p{i}"))
    assert len(near_duplicates(fingerprint(photos))) > 5
    cv2.imwrite(str(tmp_path / "copy.jpg"), cv2.resize(photos[2], (200, 200)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    left_out: Counter[str] = Counter()
    rows += [row("copy.jpg", person="another"), row("broken.jpg")]
    kept, copies = check_photos(tmp_path, rows, left_out, lambda done, total: None)
    assert copies == [(2, 6)]
    assert [r.person for r in kept] == ["p0", "p1", "p2", "p3", "p4", "p5", "p2"]
    assert left_out == {"cannot be read as an image": 1}


def test_splits_follow_persons_families_and_photos() -> None:
    rows = [
        row("0", person="a", family="f1"),
        row("1", person="b", family="f1"),
        row("2", person="c", family="f2"),
        row("3", person="d"),
        row("4"),
    ]
    groups = components(rows, duplicates=[(1, 2)])
    assert len({int(g) for g in groups[:3]}) == 1
    assert len({int(g) for g in groups}) == 3
    many = [row(str(i), person=f"p{i // 10}", data="d") for i in range(2000)]
    split = assign(many, components(many), 0.2, 0.2, seed=1)
    assert not leaks(split)
    shares = [sum(r.split == name for r in split) / 2000 for name in ("train", "val", "test")]
    assert np.allclose(shares, [0.6, 0.2, 0.2], atol=0.08)
    assert leaks([row("a", person="p", data="d", split="train"), row("b", person="p", data="d", split="val")]) == [
        "person d/p is in train and val"
    ]


def test_a_given_split_stays_and_holds_for_the_group() -> None:
    rows = [row("0", person="a", split="test"), row("1", person="a"), *(row(str(i)) for i in range(2, 60))]
    split = assign(rows, components(rows), 0.3, 0.0, seed=0)
    assert [r.split for r in split[:2]] == ["test", "test"]
    assert {r.split for r in split[2:]} == {"train", "val"}
    everything = [row("0", split="val")]
    assert assign(everything, components(everything), 0.0, 0.0, seed=0) == everything


def test_a_person_of_several_sets_is_one_and_namesakes_are_not(tmp_path: Path) -> None:
    for data, split in (("a", "train"), ("b", "test")):
        folder = tmp_path / data
        folder.mkdir()
        rows = []
        for i in range(4):
            picture = portrait(1) if (data, i) in (("a", 0), ("b", 3)) else portrait(10 * ord(data) + i)
            cv2.imwrite(str(folder / f"{i}.png"), picture)
            # (who is 0 in the one set is 3 in the other)
            rows.append(row(f"{i}.png", 20 + i, data=data, person="" if i == 1 else str(i), split=split))
        write_index(rows, folder / "labels.csv")
    sources = [tmp_path / "a", tmp_path / "b"]
    said = "the split leaks in 1 cases: person several-sets/a/0 is in test and train"
    with pytest.raises(ModelError, match=said):
        prepare(sources, [], tmp_path / "crops", None, 0, force=False)
    rows = prepare(sources, [], tmp_path / "crops", None, 0, force=True).cache.rows
    groups = components(rows)
    assert groups[0] == groups[7]
    assert len(set(groups.tolist())) == 7
    unnamed = [msgspec.structs.replace(each, person="", split="") for each in rows]
    again = components(name_persons(unnamed, [(0, 7), (1, 2)]))
    assert again[0] == again[7]
    assert again[1] == again[2]
    assert len(set(again.tolist())) == 6
    assert name_persons(rows, [(0, 7)]) == rows


def test_a_name_in_two_folders_of_photos_is_on_one_side_in_a_split_that_is_made(tmp_path: Path) -> None:
    for number, data in enumerate(("north", "south")):
        folder = tmp_path / data
        folder.mkdir()
        lines = ["file,gender,age,person"]
        for i in range(30):
            cv2.imwrite(str(folder / f"{data}{i}.png"), portrait(100 * number + i))
            lines.append(f"{data}{i}.png,M,{20 + i},p{i}")
        (folder / "labels.csv").write_text("\n".join(lines))
    sources = [tmp_path / "north", tmp_path / "south"]
    rows = prepare(sources, [], tmp_path / "crops", None, 0, force=False).cache.rows
    places = {(r.person, r.split) for r in rows}
    assert len(places) == 30 and {split for _, split in places} > {"train"}


def test_copies_found_now_are_not_taken_for_those_of_an_earlier_index() -> None:
    earlier = name_persons([row("a"), row("b"), row("c"), row("d")], [(0, 1)])
    assert earlier[0].person == earlier[1].person != ""
    moved = [earlier[3], earlier[2], earlier[1], earlier[0]]
    again = name_persons(moved, [(0, 1)])
    assert again[2].person == again[3].person == earlier[0].person
    assert again[0].person == again[1].person != again[2].person
