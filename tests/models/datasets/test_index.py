"""Tables of labels in all spellings, and the photos that they name."""

import os
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.cards import ModelError
from models.commands import models
from models.datasets.formats import index_folder
from models.datasets.index import Photos, decode, parse_age, parse_table, write_index, write_indexes
from models.images import read_image
from tests.ads import BROKEN_EXIF
from tests.models.helpers import portrait, row


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
    rows, _ = parse_table("file,age\ra.jpg,7\r")
    assert [(r.file, r.age_lo) for r in rows] == [("a.jpg", 7)]
    with pytest.raises(ModelError, match="no column `file`"):
        parse_table("a,b\n1,2\n")
    with pytest.raises(ModelError, match=r"^labels: has the column `age` 2 times; leave one there$"):
        parse_table("file,Age,age\na.jpg,7,70\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp949"])
def test_a_table_is_read_in_the_encodings_in_which_programs_save_it(encoding: str) -> None:
    text = "file,gender,age,person\r\na.jpg,여,7,안나\r\nb.jpg,남,8,벤\r\n"
    rows, left_out = parse_table(decode(text.encode(encoding)))
    assert [(r.file, r.gender, r.age_lo, r.person) for r in rows] == [
        ("a.jpg", "F", 7, "안나"),
        ("b.jpg", "M", 8, "벤"),
    ]
    assert not left_out


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_photo_of_a_zip_is_left_out_however_it_is_packed(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for i in range(2):
            archive.writestr(f"{i}.png", cv2.imencode(".png", portrait(i))[1].tobytes())
    raw = bytearray(path.read_bytes())
    raw[200:300] = bytes(100)
    path.write_bytes(raw)
    with Photos(path) as photos:
        assert [photos.read(f"{i}.png") is None for i in range(2)] == [True, False]


def test_a_zip_whose_list_of_files_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    for name, place, value in (("a.png", 6, 99), ("\u00e4.png", 46, 0xFF)):  # its version, and a name that is no text
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        raw = bytearray(path.read_bytes())
        raw[raw.rindex(b"PK\x01\x02") + place] = value
        path.write_bytes(raw)
        with pytest.raises(ModelError, match=r"set\.zip: neither a folder nor a zip that can be read"):
            Photos(path)


def test_a_file_of_gigabytes_is_no_photo_and_no_table_and_is_not_read(tmp_path: Path) -> None:
    for name in ("labels.csv", "a.png"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 1200 << 20)
    tracemalloc.start()
    with Photos(tmp_path) as photos:
        assert photos.read("a.png") is None
        with pytest.raises(ModelError, match=r"labels\.csv: of 1\.3 GB is no photo and no table; take it out"):
            photos.labels()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100e6


def test_words_for_unknown_are_no_person_family_group_or_split() -> None:
    words = ("unknown", "NaN", "-1", "None", " ? ", "n/a")
    rows, _ = parse_table("file,person,family,race,split\n" + "".join(f"{w[1]}.jpg,{w},{w},{w},{w}\n" for w in words))
    assert [(r.person, r.family, r.race, r.split) for r in rows] == [("", "", "", "")] * len(words)


def test_an_index_survives_writing_and_reading(tmp_path: Path) -> None:
    rows = [row("x/ä.jpg", 4, person="p", family="f", race="r", data="d", split="val"), row("b.jpg", None)]
    write_index(rows, tmp_path / "labels.csv")
    again, left_out = parse_table((tmp_path / "labels.csv").read_text(encoding="utf-8"))
    assert again == rows
    assert not left_out


def test_an_index_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    write_index([row("old.jpg")], table)
    before = table.read_text()
    with pytest.raises(UnicodeEncodeError):
        write_index([row(), row("\udcff.jpg")], table)
    assert table.read_text() == before and list(tmp_path.iterdir()) == [table]


def test_every_data_set_of_a_run_has_its_own_index(tmp_path: Path) -> None:
    names = {"site a", "site-a", "site-a-2", "site+a", ""}
    write_indexes([row(data=name) for name in names], tmp_path / "index")
    tables = [parse_table(path.read_text(), "")[0] for path in (tmp_path / "index").iterdir()]
    assert len(tables) == 5 and {each.data for table in tables for each in table} == names


def test_a_data_set_is_named_after_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    korean = os.fsdecode("친가".encode("cp949"))
    for name, read in (("site.north", "site.north"), (korean, "친가")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "labels.csv").write_text("file,age\na.jpg,9\n")
        out = tmp_path / "index.csv"
        arguments = ["index", str(tmp_path / name), "--format", "csv", "--out", str(out)]
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
        assert parse_table(out.read_text())[0][0].data == read
        monkeypatch.chdir(tmp_path / name)
        for where in (tmp_path / name, Path()):
            with Photos(where) as photos:
                assert photos.labels()[0][0].data == read
    with zipfile.ZipFile(tmp_path / "site.south.zip", "w") as archive:
        archive.writestr("labels.csv", "file,age\na.jpg,9\n")
    with Photos(tmp_path / "site.south.zip") as photos:
        assert photos.labels()[0][0].data == "site.south"


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
        assert len(photos.sha256()) == 64


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
        assert len(photos.sha256(labels)) == 64
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


def test_a_photo_of_which_only_a_later_exif_entry_is_broken_is_turned(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 10, 10)).save(tmp_path / "a.jpg", exif=BROKEN_EXIF)
    with Photos(tmp_path) as photos:
        found = photos.read("a.jpg")
    assert found is not None
    assert found.shape == (64, 48, 3)


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
