"""No command lets a library speak to the user: it says one line that names what it was given."""

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.pipeline.called import called

LIBRARY = re.compile(
    r"Errno|Traceback|Error\b|Exception|msgspec|tomllib|rtoml|TOML parse|RFC3339|[Ee]xpected `|codec|PIL|Unidentified|"
    r"decompression bomb|sqlite3|database disk image|file is not a database|unable to open database|no such table|"
    r"JSON is malformed|json\.|Invalid data found|av\.|NoneType|object has no|literal for int|invalid literal|"
    r"truncated file|broken data stream|cannot identify|strptime|isoformat|ZoneInfo|BadZip|\bNone\b|0x[0-9a-f]{6}"
)
"""Words of Python and of its libraries, which say nothing to who runs a screen."""


def _missing(path: Path) -> None:
    pass


def _folder(path: Path) -> None:
    path.mkdir()


def _empty(path: Path) -> None:
    path.touch()


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def _picture(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path, "PNG")


def _half_picture(path: Path) -> None:
    Image.effect_noise((640, 480), 90).save(path, "PNG")
    os.truncate(path, path.stat().st_size // 2)


def _other_database(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE plays (x)")
    db.close()


def _nonsense(path: Path) -> None:
    path.write_text('{"a": [1, 2\n')


def _utf_32(path: Path) -> None:
    path.write_text("[station]\nname = 'x'\n", encoding="utf-32")


def _zip(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"\x14\0\x06\0" * 200)


def _itself(path: Path) -> None:
    path.symlink_to(path)


INPUTS: tuple[Callable[[Path], None], ...] = (
    _missing, _folder, _empty, _binary, _half_picture, _other_database, _nonsense, _utf_32, _zip, _itself,
)  # fmt: skip
COMMANDS = (
    "run {}", "check {}", "graph {}", "ledger verify --ledger {}", "ledger export --ledger {}",
    "ledger sign --ledger {}",
    "ledger verify --ledger {} --signed {}", "ledger verify --station {}", "report billing --ledger {}",
    "report billing --station {}", "report openrtb --ledger {}", "campaigns simulate --audience {}",
    "campaigns check --station {}", "detect {}", "models show {}", "models evaluate default --data {}",
    "models index {} --format csv", "detect picture.png --detector {}",
)  # fmt: skip
EMPTY_IS_FINE = ("models index {} --format csv",)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _picture(tmp_path / "picture.png")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_none_of_those_meant_is_one_line_in_plain_words(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for number, make in enumerate(INPUTS):
        name = f"bad{number}.toml" if "detector" in command else f"bad{number}"
        make(place / name)
        code, _, err = called(command.format(name, name).split(), monkeypatch, capfd)
        if (
            (code, err.count("\n")) != (2, 1)
            or name not in err
            or LIBRARY.search(err)
            or not re.search("; |not TOML: ", err)
        ):
            wrong.append((make.__name__, code, err[-400:]))
    assert not wrong, "\n".join(map(str, wrong))


VALUES = (
    "--since 2026-13-45", "--since soon", "--until 99999-01-01", "--since 2026-03-29T25:61", "--since ''",
    "--by nothing",
    "--plot none/x.png", "--plot x.bmp", "--out none/x.csv --format csv", "--out . --format csv",
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_is_nonsense_is_one_line_in_plain_words(
    value: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from players.ledger.damage import begin

    begin(place / "one.sqlite")
    code, _, err = called(f"report plays --ledger one.sqlite {value}".split(), monkeypatch, capfd)
    assert (code, err.count("\n")) == (2, 1) and not LIBRARY.search(err), err


STATIONS = (
    '[station]\ntimezone = "Mars/Olympus"', '[station]\ntimezone = "../../etc/passwd"', '[station]\ntimezone = 9',
    '[station]\nlat = 1e400', '[station]\nlat = "north"', '[[cameras]]\nname = 5\nsource = "sample"',
    '[[cameras]]\nname = "a"\nsource = "lost.mp4"', '[[cameras]]\nname = "a"\nsource = "rtsp://[::1"',
    '[[cameras]]\nname = "a"\nsource = "http://h:99999999/"', '[workers]\ndetect = 9999999999999999999999',
    "cameras = 1",
    '[[screens]]\nwidth_px = -1', '[ads]\ncampaigns = 2026-05-01', '[ads]\ncampaigns = "\\u0000"', "station = []",
    '[station]\nmode = "off"\nstate_dir = "\\u0000"', '[[screens]]\nscreenshot = "a\\u0000.png"',
)  # fmt: skip


@pytest.mark.parametrize("text", STATIONS)
def test_a_station_of_nonsense_is_one_line_in_plain_words(
    text: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "s.toml").write_text(text + "\n")
    code, _, err = called(["check", "s.toml"], monkeypatch, capfd)
    assert (
        (code, err.count("\n")) == (2, 1)
        and "s.toml" in err
        and not LIBRARY.search(err)
        and re.search("; |not TOML: ", err)
    ), err
