"""Text files come as editors save them: they are read, or it is said how to save them."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cards import read_card
from models.datasets.index import Photos
from pipeline.clean import clean
from pipeline.errors import UserError
from pipeline.settings import load
from pipeline.text import decode, read_text
from pipeline.toml import parse_toml
from players.choice.simulate import read_audience
from players.ledger.damage import damage
from players.ledger.statements import read_public

STATION = '[station]\nname = "cafe"\nmode = "off"\ntimezone = "Asia/Seoul"\n[[screens]]\nheadless = true\n'
UNICODE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
OLDER = {
    "cp949": ("모카 커피, 오늘의 광고", "Korean CP949 (EUC-KR)"),
    "euc_kr": ("서울역 3번 출구", "Korean CP949 (EUC-KR)"),
    "uhc": ("뷁 3층", "Korean CP949 (EUC-KR)"),
    "cp932": ("コーヒーのこうこく", "Japanese Shift-JIS"),
    "euc_jp": ("コーヒーのこうこく", "Japanese EUC-JP"),
    "gb18030": ("咖啡广告，欢迎光临", "Chinese GB18030"),
    "cp1251": ("Реклама кофе", "Cyrillic CP1251"),
    "cp1252": ("Café Müller", "CP1252 (ANSI, Western)"),
    "latin-1": ("Señor Núñez", "CP1252 (ANSI, Western)"),
    "cp850": ("Café Müller", "older encoding"),
    "utf-32": ("모카", "UTF-32"),
    "utf-32-le": ("모카", "UTF-32"),
    "utf-32-be": ("Café", "UTF-32"),
}


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40),
    st.sampled_from(UNICODE),
    st.sampled_from(("\n", "\r\n", "\r")),
    st.booleans(),
)
def test_any_text_in_any_form_of_unicode_and_line_end_is_read_as_it_was_written(
    value: str, encoding: str, end: str, ends_like_dos: bool
) -> None:
    value = value.removeprefix("\ufeff")
    text = "\n".join(
        ["# a comment in plain letters, as every file has words of its own", f"a = '{value}'", "b = 1", ""]
    )
    assert decode((text.replace("\n", end) + "\x1a" * ends_like_dos).encode(encoding)) == text


@pytest.mark.parametrize("encoding", UNICODE)
def test_a_station_file_is_read_in_every_form_of_unicode(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(f"# 서울\n{STATION}".replace("\n", "\r\n").encode(encoding))
    assert load(path).station.timezone == "Asia/Seoul"


@pytest.mark.parametrize("encoding", OLDER)
def test_an_older_encoding_is_named_with_its_line_and_the_remedy(tmp_path: Path, encoding: str) -> None:
    words, name = OLDER[encoding]
    path = tmp_path / "station.toml"
    path.write_bytes(f'{STATION}[ads]\ncampaigns = "{words}"\n'.encode(encoding))
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and name in message and message.endswith("; save it as UTF-8")
    assert ("line " in message) != (name == "UTF-32")


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_text_or_one_line_that_says_what_to_do(data: bytes) -> None:
    try:
        text = decode(data)
    except UserError as error:
        assert "; " in str(error) and "codec" not in str(error) and "\n" not in str(error)
    else:
        assert "\r" not in text and "\0" not in text and not text.startswith("\ufeff")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"PK\x03\x04\x14\0\x06\0", "a document of an office program"),
        (b"{\\rtf1\\ansi a = 1 \xe9}", "a document in rich text format (RTF)"),
        (b"SQLite format 3\0\x10\0", "a database"),
        (b"a = 1\nb = \0\n", "line 2: it holds a zero byte"),
        (b"a = 1\n\x1bb = 2\n", "line 2: it holds a control sign (U+001B); remove it"),
        (bytes(100), "zero byte"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, what: str) -> None:
    with pytest.raises(UserError) as caught:
        decode(data)
    assert what in str(caught.value)


STRAIGHT = 'write straight quotes: "'
STRANGE = {
    'name = “cafe”': STRAIGHT, 'name = ”cafe”': STRAIGHT, 'name = „cafe“': STRAIGHT, 'name = «cafe»': STRAIGHT,
    "name = ‘cafe’": STRAIGHT, 'name = "cafe”': STRAIGHT, 'name = ”cafe"': STRAIGHT, 'name = ＂cafe＂': STRAIGHT,
    'name\u00a0= "cafe"': "write plain blanks", 'name =\u3000"cafe"': "write plain blanks",
    'name =\u202f"cafe"': "write plain blanks", 'name\u200b = "cafe"': "remove it", '\u2060name = "cafe"': "remove it",
    'na\u00adme = "cafe"': "remove it", 'name ＝ "cafe"': "write = in its place", 'ｎame = 1': "write n in its place",
    'x = 1．5': "write . in its place", 'x = ［1]': "write [ in its place", 'x = [1，2]': "write , in its place",
    'x = −1': "write - in its place", 'name = 모카': "put text in straight quotes", '이름 = "cafe"': "straight quotes",
}  # fmt: skip


@pytest.mark.parametrize("line", STRANGE)
def test_strange_signs_outside_strings_are_named_by_line_with_the_remedy(tmp_path: Path, line: str) -> None:
    path = tmp_path / "station.toml"
    path.write_text(f"# “quotes” in a comment\u00a0are fine\ny = '“these”\u00a0too'\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: line 3: not TOML: it holds ") and STRANGE[line] in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_toml_or_one_line_that_says_what_to_do(text: str) -> None:
    try:
        parse_toml(text)
    except UserError as error:
        message = str(error)
        assert "not TOML: " in message and "expected" not in message and " at line" not in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a = "x', "line 2: not TOML: a: close the text with a straight quote"),
        ("b = 2", "line 2: not TOML: b: the key or table is there twice; remove one"),
        ('a = "C:\\ads"', "line 2: not TOML: a: a backslash in a path is written twice, or the path in single quotes"),
        ("a = hello", 'line 2: not TOML: a: put text in straight quotes: "..."'),
        ("a = True", "line 2: not TOML: a: write true or false, in small letters"),
        ("a = 1,5", "line 2: not TOML: a: write one key = value a line, and 1.5 instead of 1,5; mend the line"),
        ("a = 2026-13-01", "line 2: not TOML: a: a day is written such as 2026-05-01"),
        ("a: 1", 'line 2: not TOML: a line is such as key = "value"; mend it'),
        ("[[a]", "line 2: not TOML: [[a: a table that repeats is headed such as [[lines]]; mend it"),
        ("a = " + "[" * 100_000, "line 2: not TOML: a: it is no line of TOML; mend it"),
    ],
)
def test_mistakes_of_toml_are_told_in_plain_words(line: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_toml(f"b = 1\n{line}\n")
    assert str(caught.value).startswith(words)


def test_a_password_in_a_line_that_is_no_toml_is_not_printed() -> None:
    with pytest.raises(UserError) as caught:
        parse_toml('source = "rtsp://admin:s3cr3t@door/\n')
    assert "s3cr3t" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path, "it is a folder; name a file"),
        (tmp_path / "none", "there is no such file or folder; name one that is there"),
        (tmp_path / "file" / "x", "a part of its path is a file, not a folder; correct the path"),
        (tmp_path / "self", "it is a link that leads to itself; name the file itself"),
        (tmp_path / ("x" * 300), "its name is too long; take a shorter one"),
        (tmp_path / "a\0b", "its name cannot be that of a file; correct it"),
    ):
        with pytest.raises(UserError) as caught:
            read_text(path)
        assert str(caught.value) == f"{clean(str(path))}: {words}"


@pytest.mark.parametrize("what", [os.mkfifo, Path.mkdir, lambda place: place.symlink_to("/dev/zero")])
@pytest.mark.parametrize("reader", [load, read_card, read_public, Photos, read_audience, damage])
def test_what_is_no_regular_file_is_refused_in_one_line_and_not_waited_for(
    tmp_path: Path, what: Callable[[Path], object], reader: Callable[[Path], object]
) -> None:
    """Whatever a command opens that the user names: stations, models, keys, labels, audiences, ledgers."""
    place = tmp_path / "named"
    what(place)
    if what is Path.mkdir and reader is Photos:
        return  # a folder of photos
    with pytest.raises((click.ClickException, OSError)) as said:
        reader(place)
    assert str(place) in str(said.value) and "\n" not in str(said.value)


def test_a_pipe_is_named_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: it is a pipe or a device, not a regular file; name a regular file"):
        load(tmp_path / "pipe")
