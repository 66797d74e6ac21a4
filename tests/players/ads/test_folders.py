"""Folders of the original layout: the meaning of their names, and what is left out."""

import os
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("20대 여성", "F", ("20-29",), False),
        ("20대여", "F", ("20-29",), False),
        ("여성 20대", "F", ("20-29",), False),
        ("20대_여자", "F", ("20-29",), False),
        ("30대 남자", "M", ("30-39",), False),
        ("20-30대 여성", "F", ("20-39",), False),
        ("60대 이상 남성", "M", ("60+",), False),
        ("10대", "any", ("10-19",), False),
        ("남", "M", (), False),
        ("기본", "any", (), True),
        ("20s F", "F", ("20-29",), False),
        ("F 20s", "F", ("20-29",), False),
        ("20s-f", "F", ("20-29",), False),
        ("20F", "F", ("20-29",), False),
        ("２０대 여성", "F", ("20-29",), False),
        ("women 20-29", "F", ("20-29",), False),
        ("Men 18 - 34", "M", ("18-34",), False),
        ("20대, 40대 여성", "F", ("20-29", "40-49"), False),
        ("65+", "any", ("65+",), False),
    ],
)
def test_what_a_folder_name_means(name: str, gender: str, ages: tuple[str, ...], house: bool) -> None:
    meant = folder_target(name)
    assert meant is not None
    assert (meant[0].gender, meant[0].ages, meant[0].family, meant[1]) == (gender, ages, name == "Family", house)


@pytest.mark.parametrize(
    "name",
    ["pictures", "25's, F", "20's, X", "20's,\nF", "default\x85", "", "2020", "fonts", "M F", "신상품", "men only"],
)
def test_other_folders_mean_nothing(name: str) -> None:
    assert folder_target(name) is None


WORDS = {"M": ("M", "men", "남", "남성", "남자", "male"), "F": ("F", "women", "여", "여성", "여자", "female")}


@given(
    st.sampled_from([(gender, word) for gender, words in WORDS.items() for word in words]),
    st.integers(0, 7),
    st.sampled_from(["{}대", "{}s", "{}'s", "{}’s", "{}代", "{}"]),
    st.sampled_from(["{age} {gender}", "{gender} {age}", "{age}, {gender}", "{gender}_{age}", " {age}-{gender}"]),
    st.sampled_from(["NFC", "NFD"]),
)
def test_a_group_is_understood_in_any_order_and_spelling(
    gender: tuple[str, str], decade: int, age: str, order: str, form: str
) -> None:
    name = order.format(age=age.format(10 * decade), gender=gender[1])
    meant = folder_target(unicodedata.normalize(form, name))  # type: ignore[arg-type]
    assert meant is not None, name
    assert (meant[0].gender, meant[0].ages) == (gender[0], (f"{10 * decade}-{10 * decade + 9}",))


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
