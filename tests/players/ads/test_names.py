"""Names in campaign files are what they seem: what is not seen is refused, and what looks alike is told."""

import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.clean import first_unseen
from pipeline.errors import UserError
from players.ads.campaign_file import parse
from players.ads.names import alike, foreign_letter, look
from players.commands.campaigns import campaigns
from tests.pipeline.test_clean import SEEN, UNSEEN, is_clean

TEXT = """advertiser = "{advertiser}"
campaign = "{campaign}"
[[lines]]
id = "{campaign}-line"
separation = "{separation}"
[[lines.creatives]]
id = "{campaign}-pic"
file = "{file}"
title = "{title}"
"""
KEYS = ("advertiser", "separation", "file", "title")


def text_of(campaign: str = "moka", **names: str) -> str:
    return TEXT.format(
        campaign=campaign, **({"advertiser": "Moka", "separation": "", "file": "a.png", "title": ""} | names)
    )


def refusal(path: Path, text: str) -> str:
    """Return what is said of a campaign file; empty where it is taken."""
    path.write_text(text, encoding="utf-8")
    try:
        parse(str(path), path.parent)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["escape-key", "bidi"])
def test_the_files_of_the_attack_are_refused_in_one_clean_line(name: str, shared_dir: Path, tmp_path: Path) -> None:
    text = (shared_dir / "hostile" / "inputs" / f"{name}.toml").read_text(encoding="utf-8")
    said = refusal(tmp_path / f"{name}.toml", text)
    assert said.startswith(f"{name}.toml: line 1: advertiser: it holds a sign that is not seen") and is_clean(said)
    assert said.endswith("; remove it")


def test_a_key_with_an_escape_sequence_is_named_without_it(tmp_path: Path) -> None:
    said = refusal(tmp_path / "a.toml", text_of() + '"\\u001b]0;owned\\u0007" = 1\n')
    assert said.startswith("a.toml: line 10: lines[0].creatives[0]: a key of it: it holds a sign that is not seen (")
    assert said.endswith(", U+001B); remove it")


@pytest.mark.parametrize(
    "letter", [x for x in UNSEEN if x != "\0" and not "\ud800" <= x <= "\udfff"], ids=lambda x: f"U+{ord(x):04X}"
)
def test_a_sign_that_is_not_seen_is_refused_in_every_name_with_its_line(letter: str, tmp_path: Path) -> None:
    for number, key in zip((1, 5, 8, 9), KEYS, strict=True):
        for written in (f"\\U{ord(letter):08X}", f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else letter):
            said = refusal(tmp_path / "a.toml", text_of(**{key: f"Mo{written}ka"}))
            place = {"file": "lines[0].creatives[0].", "title": "lines[0].creatives[0].", "separation": "lines[0]."}
            assert said.startswith(f"a.toml: line {number}: {place.get(key, '')}{key}: "), said
            assert f"U+{ord(letter):04X}" in said or "expected text of one line, without control characters" in said
            assert "; " in said and "\n" not in said and is_clean(said)


@pytest.mark.parametrize("name", SEEN)
def test_names_of_all_languages_are_taken(name: str, tmp_path: Path) -> None:
    for key in KEYS:
        assert refusal(tmp_path / "a.toml", text_of(**{key: name})) == ""


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters='"\\'), min_size=1, max_size=20))
def test_a_name_is_taken_as_a_whole_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    said = refusal(tmp_path_factory.getbasetemp() / "a.toml", text_of(title=name))
    assert bool(said) == bool(first_unseen(name) or foreign_letter(name)), ascii(name)
    assert is_clean(said) and "\n" not in said


OTHERS = ("Мока", "ΜΟΚΑ", "ᴍᴏᴋᴀ", "Ｍｏｋａ", "𝐌𝐨𝐤𝐚", "Möka", "m0ka", "MOKA ", "Mo-ka", "Ⅿọkа", "Ꮇoka", "Mоkа")


@pytest.mark.parametrize("name", OTHERS)
def test_what_people_read_as_one_name_has_one_look(name: str) -> None:
    assert look(name) == look("Moka") and alike(["Other", "Moka", name, "Moka"]) == [(name, "Moka")]


@pytest.mark.parametrize("name", ["Mola", "모카", "Mokka", "Мурманск", "Moka Seoul"])
def test_other_names_are_others(name: str) -> None:
    assert not alike(["Moka", name])


@pytest.mark.parametrize("name", ["Mоka", "Moкa", "Αlpha", "Сoffee", "Ꮇoka", "соffee", "Acme Mоka", "Мoscow", "Aрple"])
def test_a_letter_of_another_script_within_a_latin_word_is_refused(name: str, tmp_path: Path) -> None:
    for key in ("advertiser", "separation", "title"):
        said = refusal(tmp_path / "a.toml", text_of(**{key: name}))
        assert f"{key}: its " in said and f"(U+{ord(foreign_letter(name)):04X}) within a Latin word; write" in said


@pytest.mark.parametrize(
    "name",
    [
        "LG전자",
        "Tシャツ",
        "Яндекс Taxi",
        "5µm",
        "Σigma",
        "Lancôme",
        "Škoda",
        "Æther",
        "Straße",
        "커피 α",
        "Nescafé 네스카페",
    ],
)
def test_names_of_two_scripts_that_deceive_nobody_are_taken(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.toml", text_of(advertiser=name)) == ""


def test_check_tells_of_names_that_look_like_those_of_another_advertiser(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.toml").write_text(text_of("moka-1", separation="сор"), encoding="utf-8")
    (tmp_path / "b.toml").write_text(text_of("moka-l", advertiser="Мока", separation="cop"), encoding="utf-8")
    said = CliRunner().invoke(campaigns, ["check", str(tmp_path)]).output
    assert "Look-alike: advertiser 'Мока' (U+041C, U+043E, U+043A, U+0430) is not 'Moka'" in said
    assert "Look-alike: separation 'cop' is not 'сор' (U+0441, U+043E, U+0440)" in said
    assert "Look-alike: campaign 'moka-l' is of 'Мока', 'moka-1' is of 'Moka'." in said


def test_a_report_tells_of_advertisers_whose_names_look_alike() -> None:
    from players.reports.report import Report, cleaned

    rows = [{"advertiser": name} for name in ("Moka", "Мока", "Acme\u202e")]
    shown = cleaned(Report(title="x", columns=("advertiser",), rows=rows))
    assert shown.notes == ("advertiser 'Мока' (U+041C, U+043E, U+043A, U+0430) looks like 'Moka', another",)
    assert shown.rows[2]["advertiser"] == "Acme\\u202e"


def test_every_letter_has_a_look() -> None:
    for number in range(0, sys.maxunicode + 1, 7):
        letter = chr(number)
        assert unicodedata.category(letter)[0] not in "L" or isinstance(look(letter), str)
