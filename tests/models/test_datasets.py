"""Indexes of data sets from names and labels, splits that keep people apart, near-duplicates, the cache of crops."""

import csv
import json
import os
import random
import re
import resource
import time
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.assets import resolve
from models.cards import ModelError
from models.commands import models
from models.datasets.aihub import parse_name
from models.datasets.augment import CACHE_SPEC, augment, view
from models.datasets.crops import CropCache, build_cache, locate, new_crops, portraits
from models.datasets.formats import index_folder
from models.datasets.index import Photos, Row, parse_age, parse_table, write_index
from models.datasets.splits import (
    assign,
    check_photos,
    components,
    hold_out_copies,
    leaks,
    look,
    name_persons,
    near_duplicates,
)
from models.detector import DetectedFace, FaceDetector
from models.images import read_image
from models.training.prepare import parse_groups, prepare
from tests.ads import BROKEN_EXIF


def portrait(seed: int, size_px: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 BGR."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (size_px, size_px))
    return np.asarray(picture, np.uint8)


def row(file: str = "a.jpg", age: float | None = 30, **more: str) -> Row:
    return Row(file=file, gender="M", age_lo=age, age_hi=age, **more)


def test_aihub_names_agree_with_every_true_label(shared_dir: Path) -> None:
    with (shared_dir / "data" / "aihub_family_names_sample.csv").open(encoding="utf-8-sig") as opened:
        labelled = list(csv.DictReader(opened))
    assert len(labelled) == 3020
    for line in labelled:
        name = parse_name(line["file"])
        assert name is not None, line
        decade = "60+" if name.age_lo >= 60 else f"{name.age_lo // 10 * 10}s"
        assert (name.gender, decade) == (line["gender"], line["decade"]), line


@pytest.mark.parametrize(
    ("path", "person", "gender", "ages"),
    [
        ("TS0001/TS0001-0100/A(친가)/2.Individuals/F0001_IND_GF_71_0_01.JPG", "F0001-AGF", "M", (71, 71)),
        ("VS0900/B(\u00bf\u00dc\u00b0\u00a1)/2.lndividuals/F0001_IND_GF_75_0_01.JPG", "F0001-BGF", "M", (75, 75)),
        ("A(x)/F0001_IND_M_44_-45_02`.JPG", "F0001-M", "F", (44, 44)),
        ("F0083_IND_F_45_ 0_04.JPG", "F0083-F", "M", (45, 45)),
        ("F0618_IND_D2_19_-45.JPG", "F0618-D2", "F", (19, 19)),
        ("F0009_IND_S3_8_90_0012345.jpg", "F0009-S3", "M", (8, 8)),
        ("F0001_IND_S_8 45_02.JPG", "F0001-S", "M", (8, 8)),
        ("F0001_IND_S_8 -45_02.JPG", "F0001-S", "M", (8, 8)),
        ("F0001_IND_S1__8._45_02.JPG ", "F0001-S1", "M", (8, 8)),
        ("F0001_AGE_D_18_a1.jpg", "F0001-D", "F", (0, 6)),
        ("F0001_AGE_D_18-a1.jpg", "F0001-D", "F", (0, 6)),
        ("F0001_AGE_D_18__b 1.jpg", "F0001-D", "F", (7, 12)),
        ("F0001_AGE_GM_77_h2.jpg", "F0001-GM", "F", (67, 80)),
        ("F0001_AGE_D_25_d1.jpg", "F0001-D", "F", (20, 30)),
        ("B외가/F0001_IND_GM_70_0_01.JPG", "F0001-BGM", "F", (70, 70)),
        ("AGE/F0001_IND_GM_70_0_01.JPG", "F0001-GM", "F", (70, 70)),
    ],
)
def test_aihub_names(path: str, person: str, gender: str, ages: tuple[int, int]) -> None:
    name = parse_name(path)
    assert name is not None
    assert (name.person, name.gender, (name.age_lo, name.age_hi)) == (person, gender, ages)


@pytest.mark.parametrize("path", ["F0001_FAM_1.jpg", "readme.jpg", "F0001_AGE_D_18_z1.jpg", "F0001_IND_X_18_0_1.jpg"])
def test_other_names_are_no_person(path: str) -> None:
    assert parse_name(path) is None


def test_index_of_fifty_thousand_aihub_names_takes_seconds(tmp_path: Path) -> None:
    roles = ("GF", "GM", "F", "M", "S", "S2", "D", "D2")
    for family in range(1000):
        folder = tmp_path / "data" / f"TS{family:04d}" / "A(친가)" / "2.Individuals"
        folder.mkdir(parents=True)
        for shot in range(50):
            (folder / f"F{family:04d}_IND_{roles[shot % 8]}_{shot + 10}_0_{shot:02d}.JPG").touch()
    (tmp_path / "data" / "TS0000" / "F0000_IND_D_18_0_01_CAM.JPG").touch()
    # This process' own processor time: what else runs on the machine does not count.
    started = time.process_time()
    result = CliRunner().invoke(
        models, ["index", str(tmp_path / "data"), "--format", "aihub", "--out", str(tmp_path / "labels.csv")]
    )
    assert result.exit_code == 0, result.output
    assert time.process_time() - started < 20
    assert "50000 photos" in result.output
    assert "left out 1: studio picture (_CAM)" in result.output
    with (tmp_path / "labels.csv").open(encoding="utf-8") as opened:
        rows, left_out = parse_table(opened.read())
    assert not left_out
    assert not leaks(rows)
    assert {r.split for r in rows} == {"train", "val", "test"}


def test_public_formats(tmp_path: Path) -> None:
    names = {
        "utkface": ["26_1_2_20170116174525125.jpg.chip.jpg", "61_1_20170109142408075.jpg", "label_map.jpg"],
        "aaf": ["00000A02.jpg", "07381A33.jpg"],
    }
    for data_format, files in names.items():
        (tmp_path / data_format).mkdir()
        for name in files:
            (tmp_path / data_format / name).touch()
    rows, left_out = index_folder(tmp_path / "utkface", "utkface")
    assert [(r.gender, r.age_lo, r.race) for r in rows] == [("F", 26, "Asian"), ("F", 61, "")]
    assert sum(left_out.values()) == 1
    rows, _ = index_folder(tmp_path / "aaf", "aaf")
    assert [(r.gender, r.age_lo) for r in rows] == [("F", 2), ("M", 33)]
    (tmp_path / "fairface").mkdir()
    (tmp_path / "fairface" / "fairface_label_val.csv").write_text(
        "file,age,gender,race,service_test\nval/1.jpg,3-9,Male,East Asian,True\nval/2.jpg,more than 70,Female,Black,0\n"
    )
    rows, _ = index_folder(tmp_path / "fairface", "fairface")
    assert [(r.file, r.gender, r.age_lo, r.age_hi, r.race) for r in rows] == [
        ("val/1.jpg", "M", 3, 9, "East Asian"),
        ("val/2.jpg", "F", 70, 120, "Black"),
    ]
    arguments = ["index", str(tmp_path / "fairface"), "--format", "fairface", "--out"]
    for _ in range(2):  # its own labels.csv, beside the tables, is no third table
        result = CliRunner().invoke(models, [*arguments, str(tmp_path / "fairface" / "labels.csv")])
        assert "labels.csv: 2 photos" in result.output
    (tmp_path / "fairface" / "notes.csv").write_text("who,when\nI,today\n")
    rows, left_out = index_folder(tmp_path / "fairface", "csv")
    assert len(rows) == 2
    assert left_out["table notes.csv: labels: no column `file` among who, when; name one `file`"] == 1
    with pytest.raises(ModelError, match="no photo of the format `aihub` found"):
        index_folder(tmp_path / "aaf", "aihub")


def test_public_formats_agree_with_the_labels_of_the_shared_data(shared_dir: Path, tmp_path: Path) -> None:
    for name, data_format in (("utkface", "utkface"), ("all_age_faces_train", "aaf")):
        rows, _ = Photos(shared_dir / "data" / f"{name}.zip").labels()
        chosen = random.Random(1).sample(rows, 400)
        folder = tmp_path / name
        folder.mkdir()
        for r in chosen:
            (folder / r.file).touch()
        found, left_out = index_folder(folder, data_format)  # type: ignore[arg-type]
        assert not left_out
        labels = {r.file: (r.gender, r.age_lo, r.race) for r in chosen}
        assert {r.file: (r.gender, r.age_lo, r.race) for r in found} == labels


def test_tables_of_all_kinds_are_read() -> None:
    text = (
        "\ufeffIgnored, Image ,SEX,Age,ethnicity\n1,a.png,male,20-29,x\n2,b.png,여,60+,\n3,c.png,,35.0,\n"
        "4,d.png,X,5,\n5,e.png,F,old,\n6,,F,3,\n7,g.png,F,200,\n"
    )
    rows, left_out = parse_table(text)
    assert [(r.file, r.gender, r.age_lo, r.age_hi) for r in rows] == [
        ("a.png", "M", 20, 29),
        ("b.png", "F", 60, 120),
        ("c.png", None, 35, 35),
    ]
    assert sum(left_out.values()) == 4
    for text, bounds in (
        ("40s", (40, 49)), ("20대", (20, 29)), ("25 years", (25, 25)), ("25 yrs old", (25, 25)), ("31세", (31, 31)),
        ("6 months", (0.5, 0.5)), ("3-9 months", (0.25, 0.75)), ("(25, 32)", (25, 32)), ("3-9", (3, 9)), ("<3", (0, 2)),
        ("less than 10", (0, 9)), ("70 and above", (70, 120)), ("more than 70", (70, 120)), ("60+", (60, 120)),
    ):  # fmt: skip
        assert parse_age(text) == bounds, text
    for text in ("25,0", "0,5", "45s", "old", "3 weeks", "1e3", "130"):
        with pytest.raises(ValueError, match="age"):
            parse_age(text)
    with pytest.raises(ValueError, match="'40-20' is a range whose end comes before its beginning"):
        parse_age("40-20")
    rows, _ = parse_table("file,gender,age_lo,age_hi\na.jpg,F,0,2\n")
    assert (rows[0].age_lo, rows[0].age_hi) == (0, 2)
    rows, left_out = parse_table("file;age_lo;age_hi;sex\na;70;;F\nb;;2;F\nc;70;999;F\nd;-1;-1;M\ne;9;3;M\n")
    assert [(r.age_lo, r.age_hi) for r in rows] == [(70, 120), (0, 2), (70, 120), (None, None)]
    assert left_out.total() == 1
    for numbered in ("\tfile\tage\n0\ta.jpg\t7\n", "\n sep=\t\n\tfile\tage\n0\ta.jpg\t7\n", ",file,age\n0,a.jpg,7\n"):
        rows, _ = parse_table(numbered)  # the column without a name that pandas writes first
        assert [(r.file, r.age_lo) for r in rows] == [("a.jpg", 7)]
    with pytest.raises(ModelError, match="no column `file`"):
        parse_table("a,b\n1,2\n")


def test_words_for_unknown_are_no_person_family_group_or_split() -> None:
    words = ("unknown", "NaN", "-1", "None", " ? ", "n/a")
    rows, _ = parse_table("file,person,family,race,split\n" + "".join(f"{w[1]}.jpg,{w},{w},{w},{w}\n" for w in words))
    assert [(r.person, r.family, r.race, r.split) for r in rows] == [("", "", "", "")] * len(words)


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


def test_an_index_survives_writing_and_reading(tmp_path: Path) -> None:
    rows = [row("x/ä.jpg", 4, person="p", family="f", race="r", data="d", split="val"), row("b.jpg", None)]
    write_index(rows, tmp_path / "labels.csv")
    again, left_out = parse_table((tmp_path / "labels.csv").read_text(encoding="utf-8"))
    assert again == rows
    assert not left_out


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_names_in_a_zip_may_be_korean_without_saying_so(encoding: str, tmp_path: Path) -> None:
    done, data = cv2.imencode(".png", portrait(1))
    assert done
    name = "A(친가)/가족.png".encode(encoding)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("K" * len(name), data.tobytes())
        archive.writestr("labels.csv", "file,gender,age\nA(친가)/가족.png,M,3\n")
        archive.writestr("of\\windows\\1.png", data.tobytes())
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"K" * len(name), name))
    with Photos(tmp_path / "a.zip") as photos:
        assert photos.read("A(친가)/가족.png") is not None
        assert photos.read("windows/1.png") is not None
        assert len(photos.fingerprint()) == 64


def test_names_in_a_zip_may_be_western_without_saying_so(tmp_path: Path) -> None:
    data = cv2.imencode(".png", portrait(1))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photos/MKller.png", data)
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"MKller", "Müller".encode("cp850")))
    with Photos(tmp_path / "a.zip") as photos:
        assert photos.read("photos/Müller.png") is not None


def test_names_on_disk_may_be_korean_of_another_computer(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path / "set"), "A(친가)".encode("cp949"))  # noqa: PTH118 (a Path is text)
    os.makedirs(folder)  # noqa: PTH103
    picture = cv2.imencode(".png", portrait(1))[1].tobytes()
    (Path(os.fsdecode(folder)) / "F0001_IND_GF_70_0_01.png").write_bytes(picture)
    (tmp_path / "set" / "F0001_IND_S_20_0_01.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "F0002_IND_D_9_0_01.png").write_bytes(picture)
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "other.csv").mkdir()
    labels = tmp_path / "labels.csv"
    arguments = ["index", str(tmp_path / "set"), "--format", "aihub", "--out", str(labels)]
    result = CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    assert result.output.startswith(f"{labels}: 2 photos")
    with Photos(tmp_path / "set") as photos:
        rows, _ = photos.labels(labels)
        assert [each.file for each in rows] == ["A(친가)/F0001_IND_GF_70_0_01.png", "more/F0002_IND_D_9_0_01.png"]
        assert all(photos.read(each.file) is not None for each in rows)
        assert photos.read("F0001_IND_S_20_0_01.png") is None
        assert len(photos.fingerprint(labels)) == 64
    (tmp_path / "set" / "photos.csv").write_text("file,age\nmore/F0002_IND_D_9_0_01.png,9\n")
    assert len(index_folder(tmp_path / "set", "csv")[0]) == 1


def test_photos_are_found_wherever_they_lie(tmp_path: Path) -> None:
    done, data = cv2.imencode(".png", portrait(1))
    assert done
    for name, inside in (("flat", "a.png"), ("deep", "images/a.png"), ("deeper", "set/images/a.png")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(inside, data.tobytes())
            archive.writestr("broken.jpg", b"no image")
            archive.writestr("labels.csv", "file,gender,age\na.png,M,3\n")
        photos = Photos(tmp_path / f"{name}.zip")
        assert [r.file for r in photos.labels()[0]] == ["a.png"]
        found = photos.read("a.png")
        assert found is not None
        assert (found == portrait(1)).all()
        assert photos.read("broken.jpg") is None
        assert photos.read("missing.jpg") is None
        photos.close()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="neither a folder nor a zip"):
        Photos(tmp_path / "nothing.zip")
    with pytest.raises(ModelError, match=r"has no labels\.csv"):
        Photos(tmp_path / "empty").labels()


def test_of_several_labels_none_is_picked_silently(tmp_path: Path) -> None:
    for place in ("train", "test", "train/runs/1"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "labels.csv").write_text(f"file,age\n{len(place)}.png,3\n")
    with Photos(tmp_path) as photos:
        with pytest.raises(
            ModelError, match=r"has several labels\.csv \(test/labels\.csv, train/labels\.csv\): name one"
        ):
            photos.labels()
        assert [r.file for r in photos.labels(tmp_path / "test" / "labels.csv")[0]] == ["4.png"]
    with Photos(tmp_path / "train") as photos:
        assert [r.file for r in photos.labels()[0]] == ["5.png"]


def test_a_photo_is_not_taken_for_another_of_its_name(tmp_path: Path) -> None:
    done, data = cv2.imencode(".png", portrait(1))
    assert done
    (tmp_path / "elsewhere").mkdir()
    for place in ("elsewhere/LINKED.PNG", "set/fairface/train/1.png", "set/fairface/val/1.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(data.tobytes())
    cv2.imwrite(str(tmp_path / "set/fairface/val/1.png"), portrait(2))
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "linked" / "loop").symlink_to(tmp_path / "set")
    with Photos(tmp_path / "set") as photos:
        for file, seed in (("train/1.png", 1), ("val/1.png", 2), ("Val/1.PNG", 2), ("linked.png", 1)):
            found = photos.read(file)
            assert found is not None, file
            assert (found == portrait(seed)).all(), file
        for file in ("1.png", ".", "/", "x" * 300):
            assert photos.read(file) is None


def test_damaged_and_locked_members_of_a_zip_are_unreadable_photos(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("damaged.png", "locked.png"):
            archive.writestr(name, cv2.imencode(".png", portrait(1))[1].tobytes())
        starts = {name: archive.getinfo(name).header_offset for name in archive.namelist()}
    raw = bytearray(path.read_bytes())
    raw[starts["damaged.png"] + 60 : starts["damaged.png"] + 120] = b"\xff" * 60
    # The central directory comes last, and says it, too, in its entry of the file.
    raw[raw.rindex(b"locked.png") - 46 + 8] |= 1
    raw[starts["locked.png"] + 6] |= 1
    path.write_bytes(raw)
    with Photos(path) as photos:
        assert photos.read("damaged.png") is None
        assert photos.read("locked.png") is None


def test_photos_are_read_as_a_picture_that_is_classified_is(tmp_path: Path) -> None:
    clear = np.dstack([portrait(1), np.zeros((96, 96), np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), clear)
    with Photos(tmp_path) as photos:
        found = photos.read("a.png")
    assert found is not None
    assert (found == 255).all()
    assert (found == read_image(tmp_path / "a.png")).all()


def test_a_photo_whose_exif_is_broken_is_unreadable(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 10, 10)).save(tmp_path / "a.jpg", exif=BROKEN_EXIF)
    with Photos(tmp_path) as photos:
        assert photos.read("a.jpg") is None


def test_near_duplicates_are_one_photo_and_not_merely_alike() -> None:
    originals = [portrait(seed) for seed in range(30)]
    smaller = cv2.resize(originals[3], (60, 60), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", originals[7], [cv2.IMWRITE_JPEG_QUALITY, 40])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    brighter = np.clip(originals[9].astype(int) + 20, 0, 255).astype(np.uint8)
    pairs = near_duplicates(look([*originals, smaller, again, brighter]))
    assert set(pairs) == {(3, 30), (7, 31), (9, 32)}


def test_a_thousand_copies_of_a_photo_take_no_gigabytes() -> None:
    rng = np.random.default_rng(0)
    copies = [np.clip(portrait(1) + rng.integers(-2, 3, (96, 96, 3)), 0, 255).astype(np.uint8) for _ in range(1000)]
    looks = look(copies)
    tracemalloc.start()
    pairs = near_duplicates(looks)
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
    assert len(near_duplicates(look(photos))) > 5
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


def test_a_share_that_is_no_number_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(models, ["index", str(tmp_path), "--format", "aihub", "--val", "nan"])
    assert result.exit_code == 2 and "Invalid value for '--val': nan is no number." in result.output


def test_index_check_merges_people_who_recur_under_other_families(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for family in range(12):
        cv2.imwrite(str(folder / f"F{family:04d}_IND_M_40_0_01.JPG"), portrait(family))
    cv2.imwrite(str(folder / "F0099_IND_M_40_0_01.JPG"), portrait(5))
    (folder / "F0098_IND_M_40_0_01.JPG").write_bytes(b"broken")
    arguments = ["index", str(folder), "--format", "aihub", "--check", "--out", str(tmp_path / "labels.csv")]
    result = CliRunner().invoke(models, arguments)
    assert result.exit_code == 0, result.output
    assert "13 photos" in result.output
    assert "1 pairs of one photo" in result.output
    assert "left out 1: cannot be read as an image" in result.output
    rows, _ = parse_table((tmp_path / "labels.csv").read_text(encoding="utf-8"))
    for path in folder.glob("*.JPG"):
        path.write_bytes(b"broken")
    with pytest.raises(ModelError, match="none of its 14 photos can be read"):
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    merged = {r.family: (r.person, r.split) for r in rows if r.family in ("F0005", "F0099")}
    assert merged["F0005"] == merged["F0099"]


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


def test_copies_found_now_are_not_taken_for_those_of_an_earlier_index() -> None:
    earlier = name_persons([row("a"), row("b"), row("c"), row("d")], [(0, 1)])
    assert earlier[0].person == earlier[1].person != ""
    moved = [earlier[3], earlier[2], earlier[1], earlier[0]]
    again = name_persons(moved, [(0, 1)])
    assert again[2].person == again[3].person == earlier[0].person
    assert again[0].person == again[1].person != again[2].person


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


def test_an_old_index_is_not_read_as_labels_and_tables_must_agree(tmp_path: Path) -> None:
    table, out = tmp_path / "photos.csv", tmp_path / "labels.csv"
    arguments = ["index", str(tmp_path), "--format", "csv", "--out", str(out)]
    for text in ("M,25", "F,62"):
        table.write_text(f"file,gender,age\na.jpg,{text}\n")
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
        assert f"a.jpg,{text[0]},{text[2:]}" in out.read_text()
    (tmp_path / "backup.csv").write_text("file,gender,age\na.jpg,M,25\n")
    with pytest.raises(ModelError, match=r"photos\.csv: says otherwise of a\.jpg than .*backup\.csv; leave one"):
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)


def test_a_table_of_the_user_is_not_overwritten(tmp_path: Path) -> None:
    table, out = tmp_path / "labels.csv", tmp_path / "index.csv"
    table.write_text("file,gender,age,note\na.jpg,M,25,mine\n")
    arguments = ["index", str(tmp_path), "--format", "csv", "--out"]
    with pytest.raises(ModelError, match=r"^--out .*labels\.csv: is a table of yours.*give another --out$"):
        CliRunner().invoke(models, [*arguments, str(table)], standalone_mode=False, catch_exceptions=False)
    assert table.read_text().endswith("a.jpg,M,25,mine\n")
    for _ in range(2):
        assert (
            "1 photos"
            in CliRunner().invoke(models, [*arguments, str(out)], standalone_mode=False, catch_exceptions=False).output
        )
    table.unlink()
    with pytest.raises(ModelError, match=r"no photo .* found \(table index\.csv: is the --out of an earlier time: 1\)"):
        CliRunner().invoke(models, [*arguments, str(out)], standalone_mode=False, catch_exceptions=False)


def test_a_photo_that_tables_name_by_other_paths_is_there_once(tmp_path: Path) -> None:
    for place in ("images", "meta", "run/index"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "all.csv").write_text("file,gender,age,person,split\na.jpg,M,25,p,val\n")
    (tmp_path / "meta" / "all.csv").write_text("file,gender,age,person,split\na.jpg,M,25,p,val\n")
    (tmp_path / "meta" / "families.csv").write_text("file,family_id\nimages/a.jpg,f\n")
    write_index([row("images/a.jpg", 25, person="same-photo-1", split="train")], tmp_path / "run/index/old.csv")
    rows, left_out = index_folder(tmp_path, "csv")
    assert [(r.file, r.age_lo, r.family, r.split) for r in rows] == [("a.jpg", 25, "f", "val")]
    assert left_out == {"named twice": 2, "table old.csv: is in the index/ of a run": 1}
    for text in ("a.jpg,M,25,q,val", "a.jpg,M,25,p,train"):
        (tmp_path / "meta" / "all.csv").write_text(f"file,gender,age,person,split\n{text}\n")
        with pytest.raises(
            ModelError, match=r"meta/all\.csv: says otherwise of meta/a\.jpg than .*all\.csv; leave one"
        ):
            index_folder(tmp_path, "csv")
    write_index([row("images/a.jpg", 25)], tmp_path / "run" / "index" / "old.csv")
    assert len(index_folder(tmp_path / "run" / "index", "csv")[0]) == 1


def test_a_photo_that_a_table_names_twice_counts_once(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with Photos(tmp_path) as photos:
        table.write_text("file,gender,age\na.jpg,M,25\nb.jpg,F,3\na.jpg,male,25\nimages/a.jpg,M,25\n")
        rows, left_out = photos.labels(table)
        assert [r.file for r in rows] == ["a.jpg", "b.jpg"]
        assert left_out == {"named twice": 2}
        table.write_text("file,gender,age\na.jpg,M,25\na.jpg,F,25\n")
        with pytest.raises(ModelError, match=r"labels\.csv: says otherwise of a\.jpg than another line; leave one of"):
            photos.labels(table)


def test_fairface_keeps_its_validation_photos_and_is_there_once(tmp_path: Path) -> None:
    for name in ("train", "val"):
        lines = "".join(f"{name}/{i}.jpg,3-9,Male,Black,True\n" for i in range(1, 40))
        (tmp_path / f"fairface_label_{name}.CSV").write_text(f"file,age,gender,race,service_test\n{lines}")
    out = tmp_path / "labels.csv"
    arguments = ["index", str(tmp_path), "--format", "fairface", "--val", "0.3", "--out", str(out)]
    CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    lines = "".join(f"train/interval/{i}.jpg,3-9,Male,Black,True\n" for i in range(1, 40))
    (tmp_path / "fairface_label_valley.csv").write_text(f"file,age,gender,race,service_test\n{lines}")
    CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    splits = {(r.file[:3], r.split) for r in parse_table(out.read_text())[0]}
    assert splits == {("tra", "train"), ("tra", "val"), ("val", "test")}
    for margin in ("025", "125"):
        (tmp_path / f"margin{margin}" / "train").mkdir(parents=True)
        (tmp_path / f"margin{margin}" / "train" / "1.jpg").touch()
    with pytest.raises(ModelError, match=r"train/1\.jpg may be margin025/train/1\.jpg or margin125.*leave one"):
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)


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
    assert np.allclose(faces["b-aside.png"].box_px, (2, 2, 20, 20), atol=1)


def test_augmented_views_are_reproducible_and_keep_their_shape() -> None:
    crop, other = portrait(1, CACHE_SPEC.size_px), portrait(2, CACHE_SPEC.size_px)
    corners = np.array([[60, 60], [180, 60], [180, 180], [60, 180]], np.float32)
    for seed in range(80):
        image = augment(crop, corners, 1.3, 64, other, np.random.default_rng(seed))
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert (image == augment(crop, corners, 1.3, 64, other, np.random.default_rng(seed))).all()
        assert augment(crop, corners, 1.3, 511, other, np.random.default_rng(seed)).shape == (511, 511, 3)
    assert view(crop, 1.3, 161).shape == (161, 161, 3)


def test_age_groups() -> None:
    assert parse_groups("0-9, 10-29,50+") == ((0, 9), (10, 29), (50, 120))
    for wrong in ("0-9,5-20", "x", "9-0"):
        with pytest.raises(ModelError, match="--age-groups"):
            parse_groups(wrong)
