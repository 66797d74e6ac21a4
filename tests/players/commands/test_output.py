"""Output of the commands in any locale, to files, to readers that go away and to disks that are full."""

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from tests.ads import F20, present
from tests.conftest import HANG_S
from tests.players.recording import MOKA, Record, at

KOREAN = msgspec.structs.replace(MOKA, advertiser="모카 커피")
LOCALES = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp949": {"PYTHONIOENCODING": "cp949"},
    "cp1252 strict": {"PYTHONIOENCODING": "cp1252:strict"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
STATION = '[station]\nname = "cafe"\nmode = "off"\nstate_dir = "."\n[ads]\ncampaigns = "campaigns"\n'
CAMPAIGN = (
    'advertiser = "모카 커피"\ncampaign = "c"\n[[lines]]\nid = "l"\nhouse = true\n'
    '[[lines.creatives]]\nid = "a"\nfile = "광고.png"\n'
)
COMMANDS = (
    "ledger export", "ledger export --format jsonl", "ledger verify", "ledger sign", "report billing",
    "report billing --format csv", "report billing --format json", "report plays --by advertiser", "check station.toml",
    "campaigns check campaigns", "campaigns simulate --hours 1", "models list", "models list --json",
    "models show stationcast-open", "status", "status 모카", "check 모카.toml", "detect 모카.jpg",
    "graph --out 모카.bmp", "doctor --json", "--help",
)  # fmt: skip


@pytest.fixture
def station(record: Record, tmp_path: Path) -> Path:
    """A folder with a station, campaigns and a ledger of a Korean advertiser."""
    record([(at(4, 9, n), KOREAN, present(F20), 1.0) for n in range(3)])
    (tmp_path / "station.toml").write_text(STATION, encoding="utf-8")
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "c.toml").write_text(CAMPAIGN, encoding="utf-8")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "campaigns" / "광고.png")
    return tmp_path


def command(folder: Path, words: str) -> list[str]:
    group = words.split()[0] in ("ledger", "report") or "simulate" in words
    more = ["--station", str(folder / "station.toml")] if group else []
    return [sys.executable, "-P", "-m", "pipeline.cli", *words.split(), *more]


def run(folder: Path, words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | more.pop("env", {})  # type: ignore[arg-type]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.run(command(folder, words), cwd=folder, env=environment, timeout=HANG_S, check=False, **streams)


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["latin-1", "C"])
def test_every_command_speaks_in_every_locale(station: Path, locale: str) -> None:
    for words in COMMANDS:
        done = run(station, words, env=LOCALES[locale])
        for stream in (done.stdout, done.stderr):
            assert b"Traceback" not in stream and b"codec" not in stream and b"not a sound" not in stream, words
        assert done.returncode in (0, 2) and (done.returncode == 0 or done.stderr), (words, done)
        if words.startswith(("ledger", "report", "models")):
            assert done.returncode == 0, (words, done.stderr)


@pytest.mark.parametrize(
    "locale", [name if name in ("C", "cp949") else pytest.param(name, marks=pytest.mark.slow) for name in LOCALES]
)
def test_csv_and_json_are_utf_8_in_every_locale(station: Path, locale: str) -> None:
    exported = run(station, "ledger export", env=LOCALES[locale]).stdout.decode("utf-8")
    assert [row["advertiser"] for row in csv.DictReader(exported.splitlines())] == ["모카 커피"] * 3
    billed = json.loads(run(station, "report billing --format json", env=LOCALES[locale]).stdout.decode("utf-8"))
    assert billed["rows"][0]["advertiser"] == "모카 커피"


def test_a_table_has_escapes_for_letters_that_the_locale_lacks(station: Path) -> None:
    done = run(station, "report plays --by advertiser", env={"PYTHONIOENCODING": "latin-1"})
    assert b"\\ubaa8\\uce74" in done.stdout
    assert "모카".encode("cp949") in run(station, "report plays --by advertiser", env=LOCALES["cp949"]).stdout


@pytest.mark.parametrize(
    "words", ["ledger export", "report billing", "report billing --format csv", "models list", "--help"]
)
def test_a_reader_that_goes_away_ends_a_command_quietly(station: Path, words: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = run(station, words, stdout=write_end)
    os.close(write_end)
    assert done.returncode in (0, 141) and done.stderr == b""


@pytest.mark.parametrize(
    "words", ["ledger export", "report billing", "report billing --format json", "models list", "--help"]
)
def test_an_output_that_is_full_is_one_line(station: Path, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(station, words, stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"stationcast: error: the output: there is no room left on the disk; make room\n"


@pytest.mark.parametrize("words", ["ledger export", "report billing"])
def test_an_output_that_is_closed_is_no_trouble(station: Path, words: str) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command(station, words)]
    done = subprocess.run(closed, cwd=station, stderr=subprocess.PIPE, timeout=HANG_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


FILES = ("ledger export --out x.csv", "report billing --format csv --out x.csv", "ledger sign --out x.csv")


@pytest.mark.parametrize("words", FILES)
def test_a_file_that_may_not_grow_is_one_line_and_never_half_there(station: Path, words: str) -> None:
    (station / "x.csv").write_text("what was there before")
    run(station, "ledger sign --out first.json")  # makes the key

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))

    if "ledger sign" in words:
        words += f" --ledger {next(station.glob('ledger-*.sqlite'))}"
    done = run(station, f"{words}", preexec_fn=limit)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr
    assert (station / "x.csv").read_text() == "what was there before" and not list(station.glob(".x.csv*"))


def test_csv_in_a_file_opens_in_a_korean_and_in_a_german_excel(station: Path) -> None:
    for words in ("ledger export", "report billing --format csv"):
        assert run(station, f"{words} --out korean.csv").returncode == 0
        data = (station / "korean.csv").read_bytes()
        assert data.startswith(b"\xef\xbb\xbf") and data.endswith(b"\r\n")
        rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
        assert {row["advertiser"] for row in rows} >= {"모카 커피"}
        assert run(station, f"{words} --out german.csv --separator ; --decimal ,").returncode == 0
        text = (station / "german.csv").read_bytes().decode("utf-8-sig")
        german = list(csv.DictReader(text.splitlines(), delimiter=";"))
        name = "price" if "export" in words else "spend"
        assert [row[name].replace(",", ".") for row in german] == [row[name] for row in rows]
        assert "," in german[0][name] and "." not in german[0][name]


def test_csv_has_a_mark_where_it_goes_to_a_new_file_and_none_where_programs_read_it(station: Path) -> None:
    with (station / "sent.csv").open("wb") as file:
        run(station, "report billing --format csv", stdout=file)
    assert (station / "sent.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (station / "sent.csv").open("ab") as file:
        run(station, "report billing --format csv", stdout=file)
    assert (station / "sent.csv").read_bytes().count(b"\xef\xbb\xbf") == 1
    assert run(station, "report billing --format csv").stdout.startswith(b"advertiser,")
    assert run(station, "report billing --format csv --mark").stdout.startswith(b"\xef\xbb\xbf")
    run(station, "ledger export --no-mark --out plain.csv")
    assert (station / "plain.csv").read_bytes().startswith(b"play_id,")


def test_options_of_csv_are_refused_for_other_forms(station: Path) -> None:
    done = run(station, "report billing --separator ;")
    assert (done.returncode, done.stderr) == (2, b"stationcast: error: --separator: it is of csv; add --format csv\n")
