"""Public data sets as they lie on disk become rows of an index."""

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.cards import ModelError
from models.commands import models
from models.datasets.formats import index_folder
from models.datasets.index import Photos, write_index
from tests.models.helpers import row


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
