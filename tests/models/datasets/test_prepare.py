"""Labelled photos become a cache of crops whose split keeps people apart."""

import json
import re
import zipfile
from pathlib import Path

import cv2
import msgspec
import pytest
from click.testing import CliRunner

from models.cards import ModelError
from models.commands import models
from models.datasets.index import write_index
from models.datasets.prepare import prepare
from models.datasets.splits import (
    hold_out_copies,
)
from pipeline.errors import UserError
from tests.models.helpers import portrait, row


@pytest.mark.slow
def test_splits_are_known_by_other_words_and_others_are_counted(tmp_path: Path) -> None:
    words = ("Test", "TRAIN", "Val", "training", "validation", "dev", "fold1")
    for i in range(len(words)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), portrait(i))
    lines = "".join(f"{i}.png,M,3,{word}\n" for i, word in enumerate(words))
    (tmp_path / "labels.csv").write_text(f"file,gender,age,split\n{lines}")
    cache, _, left_out = prepare([tmp_path], [], tmp_path / "crops", None, 0, force=False)
    assert [r.split for r in cache.rows] == ["test", "train", "val", "train", "val", "val"]
    assert left_out == {"split 'fold1' is none of train, val and test": 1}
    arguments = ["evaluate", "default", "--data", str(tmp_path), "--detector", "none", "--json", "--split"]
    for word, count in (("Training", 2), ("fold1", 1)):
        assert json.loads(CliRunner().invoke(models, [*arguments, word]).stdout)["n"] == count
    for labels, why in (
        ("file,sex\n0.png,0\n1.png,1\n2.png,1\n", "left out 2: gender '1' is neither M nor F; left out 1"),
        ("file,age,split\n0.png,3,x\n", "left out 1: split 'x' is none of train, val and test"),
    ):
        (tmp_path / "labels.csv").write_text(labels)
        with pytest.raises(ModelError, match=f"^{re.escape(f'{tmp_path}: its labels teach nothing: {why}')}"):
            prepare([tmp_path], [], tmp_path / "others", None, 0, force=False)


def test_crops_of_one_set_are_not_copied_and_take_no_room_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), portrait(0))
    (tmp_path / "labels.csv").write_text("file,gender,age\n0.png,M,3\nlost.png,M,3\n")
    monkeypatch.delattr("models.datasets.prepare.new_crops")
    cache = prepare([tmp_path], [], tmp_path / "crops", None, 0, force=False).cache
    assert len(cache.rows) == 1 and cache.crops[0].any()
    assert {path.name for path in (tmp_path / "crops").iterdir()} == {
        "crops.npy", "corners.npy", "rows.json", "made_of.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["part0/corners.npy", "part0/rows.json", "corners.npy", "rows.json"])
def test_a_disk_that_is_full_is_told_with_the_file_that_has_no_room(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), portrait(0))
    (tmp_path / "labels.csv").write_text("file,gender,age\n0.png,M,3\n")
    full = tmp_path / "crops" / name
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    with pytest.raises(UserError, match=rf"crops/{name}: cannot be written: there is no room left on the disk"):
        prepare([tmp_path], [], tmp_path / "crops", None, 0, force=False)


def test_a_leaking_split_is_refused_unless_forced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = []
    for i in range(4):
        cv2.imwrite(str(data / f"{i}.png"), portrait(i))
        rows.append(row(f"{i}.png", 20 + i, person="same", data="d", split=("train", "val")[i % 2]))
    write_index(rows, data / "labels.csv")
    with pytest.raises(ModelError, match="the split leaks in 1 cases: person d/same is in train and val"):
        prepare([data], [], tmp_path / "crops", None, 0, force=False)
    cache, leaking, _ = prepare([data], [], tmp_path / "crops", None, 0, force=True)
    assert leaking == ["person d/same is in train and val"]
    assert len(cache.rows) == 4
    (tmp_path / "crops" / "made_of.json").write_bytes(b"")  # as a full disk leaves it
    assert prepare([data], [], tmp_path / "crops", None, 0, force=True).cache.sha256 == cache.sha256
    (data / "4.png").write_bytes((data / "3.png").read_bytes())  # of which no label speaks
    assert prepare([data], [], tmp_path / "crops", None, 0, force=True).cache.sha256 == cache.sha256
    (data / "3.png").write_bytes((data / "2.png").read_bytes())
    with pytest.raises(ModelError, match="holds crops of other photos"):
        prepare([data], [], tmp_path / "crops", None, 0, force=True)


def test_a_run_beside_its_photos_can_go_on(tmp_path: Path) -> None:
    rows = [row(f"{i}.png", 20 + i) for i in range(3)]
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), portrait(i))
    write_index(rows, tmp_path / "labels.csv")
    crops = tmp_path / "crops"
    sha256 = prepare([tmp_path], [], crops, None, 0, force=False).cache.sha256
    cv2.imwrite(str(tmp_path / "curves.png"), portrait(9))
    write_index(rows, tmp_path / "notes.csv")
    assert prepare([tmp_path], [], crops, None, 0, force=False).cache.sha256 == sha256


def test_labels_in_a_locked_zip_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", "file,age\n0.png,3\n")
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.rindex(b"labels.csv") - 46 + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=r"set\.zip: labels\.csv: cannot be read: .*encrypted"):
        prepare([path], [], tmp_path / "crops", None, 0, force=False)


def test_copies_of_a_photo_on_both_sides_are_held_out_or_a_leak(tmp_path: Path) -> None:
    rows = []
    for i, split in enumerate(("train", "train", "val", "train", "val")):
        cv2.imwrite(str(tmp_path / f"{i}.png"), portrait(1 if i in (1, 2) else 10 + i))
        rows.append(row(f"{i}.png", 20 + i, data="d", split=split))
    write_index([msgspec.structs.replace(each, person=f"p{each.file}") for each in rows], tmp_path / "labels.csv")
    with pytest.raises(ModelError, match=r"the split leaks in 1 cases: person d/p1\.png is in train and val"):
        prepare([tmp_path], [], tmp_path / "crops", None, 0, force=False)
    write_index(rows, tmp_path / "labels.csv")
    cache, _, left_out = prepare([tmp_path], [], tmp_path / "of-nobody", None, 0, force=False)
    assert [each.split for each in cache.rows] == ["train", "val", "val", "train", "val"]
    assert left_out == {"a copy of a photo that is held out, and now held out with it": 1}
    # Two that `index --check` knew to be copies, and a third that only their crops show to be one.
    known = [row("a", person="same-photo-7", split="train"), row("b", person="same-photo-7", split="train")]
    assert [each.split for each in hold_out_copies([*known, row("c", split="test")], [(1, 2)])] == ["test"] * 3
    arguments = ["index", str(tmp_path), "--format", "csv", "--check", "--out", str(tmp_path / "checked.csv")]
    with pytest.raises(ModelError, match=r"its split leaks in 1 cases: .*; give --force to write it"):
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    assert not (tmp_path / "checked.csv").exists()
    result = CliRunner().invoke(models, [*arguments, "--force"], standalone_mode=False, catch_exceptions=False)
    assert result.output.startswith("LEAKING SPLIT: 1 cases, such as: person d/same-photo-")


def test_photos_of_two_sets_do_not_share_a_name(tmp_path: Path) -> None:
    for i, site in enumerate(("north", "south")):
        folder = tmp_path / site / "photos"
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "0.png"), portrait(i))
        (folder / "labels.csv").write_text("file,gender,age\n0.png,M,25\n")
    sources = [tmp_path / "north" / "photos", tmp_path / "south" / "photos"]
    with pytest.raises(ModelError, match=r"south/photos: another --data has a photos/0\.png, too; rename one"):
        prepare(sources, [], tmp_path / "crops", None, 0, force=False)
    (sources[1] / "labels.csv").write_text("file,gender,age,data\n0.png,M,25,south\n")
    assert len(prepare(sources, [], tmp_path / "crops", None, 0, force=False).cache.rows) == 2


def test_a_split_that_is_given_holds_for_a_person_before_that_of_namesakes(tmp_path: Path) -> None:
    for i, (site, lines) in enumerate((("a", "0.png,M,25,1,train\n1.png,M,25,1,\n"), ("b", "0.png,M,25,1,test\n"))):
        (tmp_path / site).mkdir()
        (tmp_path / site / "labels.csv").write_text(f"file,gender,age,person,split\n{lines}")
        for number in range(2):
            cv2.imwrite(str(tmp_path / site / f"{number}.png"), portrait(2 * i + number))
    cache, leaking, _ = prepare([tmp_path / "a", tmp_path / "b"], [], tmp_path / "crops", None, 0, force=False)
    assert [each.split for each in cache.rows] == ["train", "train", "test"] and not leaking


def test_a_seed_gives_the_split_that_it_gave_when_the_default_was_trained(tmp_path: Path) -> None:
    rows = []
    for i in range(40):
        cv2.imwrite(str(tmp_path / f"{i}.png"), portrait(5 if i == 30 else i))
        rows.append(row(f"{i}.png", 20 + i, data="d"))
    write_index(rows, tmp_path / "labels.csv")
    split = {r.file: r.split for r in prepare([tmp_path], [], tmp_path / "crops", None, 0, force=False).cache.rows}
    assert sorted(int(file[:-4]) for file in split if split[file] != "train") == [2, 3, 12, 14, 21]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), portrait(i))
    (tmp_path / "labels.csv").write_text("file,gender,age\n0.png,M,25\n1.png,F,\n2.png,,\n3.png,M,2\n0.png,X,3\n")
    left_out = prepare([tmp_path], [], tmp_path / "crops", None, 0, force=True).left_out
    assert left_out == {
        "gender 'X' is neither M nor F": 1, "neither gender nor age": 1, "the photo is missing or cannot be read": 1,
    }  # fmt: skip
