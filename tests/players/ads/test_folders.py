"""Folders of the original layout: the meaning of their names, and what is left out."""

import os
import subprocess
from pathlib import Path

import pytest

from players.ads.campaigns import load_catalogue
from players.ads.folders import folder_target
from tests.players.campaign_files import UTC, little, read


@pytest.mark.parametrize(
    ("name", "gender", "ages", "house"),
    [
        ("20's, F", "F", ("20-29",), False),
        ("0's, M", "M", ("0-9",), False),
        ("10’s,F", "F", ("10-19",), False),
        ("30s M", "M", ("30-39",), False),
        ("80's, F", "F", ("80+",), False),
        ("90's, M", "M", ("80+",), False),
        ("40's", "any", ("40-49",), False),
        ("60+", "any", ("60+",), False),
        ("100+, F", "F", ("80+",), False),
        ("F", "F", (), False),
        ("Family", "any", (), False),
        ("default", "any", (), True),
    ],
)
def test_what_a_folder_name_means(name: str, gender: str, ages: tuple[str, ...], house: bool) -> None:
    meant = folder_target(name)
    assert meant is not None
    assert (meant[0].gender, meant[0].ages, meant[0].family, meant[1]) == (gender, ages, name == "Family", house)


@pytest.mark.parametrize("name", ["pictures", "25's, F", "20's, X", "20's,\nF", "default\x85", "", "2020", "fonts"])
def test_other_folders_mean_nothing(name: str) -> None:
    assert folder_target(name) is None


def test_the_original_layout_is_read_as_it_is(layout: Path) -> None:
    catalogue = read(layout)
    assert catalogue.problems == ()
    assert {line.id: [ad.id for ad in line.creatives] for line in catalogue.lines} == {
        "0s-m": ["0s-m-robot"],
        "20s-f": ["20s-f-bag-1", "20s-f-shoes"],
    }
    assert [line.target.ages for line in catalogue.lines] == [((0, 9),), ((20, 29),)]
    assert len(catalogue.house) == 1


def test_a_name_that_is_not_utf_8_is_one_line_and_the_rest_plays(layout: Path, tmp_path: Path) -> None:
    korean = os.fsdecode("광고.jpg".encode("cp949"))
    (layout / "20's, F" / "shoes.jpg").rename(layout / "20's, F" / korean)
    catalogue = load_catalogue(layout, UTC, 8.0, tmp_path / "cache")
    assert [line.id for line in catalogue.lines] == ["0s-m", "20s-f"]
    (problem,) = catalogue.problems
    assert "its name is not UTF-8; rename it" in problem and problem.isprintable()
    (layout / os.fsdecode("광고.toml".encode("cp949"))).write_text(little("a"))
    assert "its name is not UTF-8" in load_catalogue(layout, UTC, 8.0, tmp_path / "cache").problems[0]


def test_a_folder_that_cannot_be_read_is_one_line_and_the_rest_plays(layout: Path) -> None:
    lines = len(read(layout).lines)
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    (layout / "70's").symlink_to(f"/proc/{ended.pid}/net")  # of a process that has ended, nobody can read it
    catalogue = read(layout)
    ended.wait()
    assert len(catalogue.lines) == lines
    assert any(problem.startswith("70's: there is no picture or film") for problem in catalogue.problems)
