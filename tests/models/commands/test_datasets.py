"""`stationcast models index`."""

import time
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from models.cards import ModelError
from models.commands import models
from models.datasets.index import parse_table
from models.datasets.splits import (
    leaks,
)
from tests.models.helpers import portrait


@pytest.mark.slow
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
    assert time.process_time() - started < 60
    assert "50000 photos" in result.output
    assert "left out 1: studio picture (_CAM)" in result.output
    with (tmp_path / "labels.csv").open(encoding="utf-8") as opened:
        rows, left_out = parse_table(opened.read())
    assert not left_out
    assert not leaks(rows)
    assert {r.split for r in rows} == {"train", "val", "test"}


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
    with pytest.raises(ModelError, match=r"^--out .*nowhere/labels\.csv: there is no folder .*nowhere$"):
        nowhere = [*arguments[:-1], str(tmp_path / "nowhere" / "labels.csv")]
        CliRunner().invoke(models, nowhere, standalone_mode=False, catch_exceptions=False)
    with pytest.raises(ModelError, match="none of its 14 photos can be read"):
        CliRunner().invoke(models, arguments, standalone_mode=False, catch_exceptions=False)
    merged = {r.family: (r.person, r.split) for r in rows if r.family in ("F0005", "F0099")}
    assert merged["F0005"] == merged["F0099"]


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
