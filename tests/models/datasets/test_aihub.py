"""Names of AI-Hub's photos tell person, gender and age."""

import csv
from pathlib import Path

import pytest

from models.datasets.aihub import parse_name


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
