"""Lines of the log: one an event, with a severity where journald reads them."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline import log
from pipeline.log import is_journal, stream_name
from tests.players.campaign_files import one_ad

ADS_ONLY = """[station]
name = "logged"
mode = "off"
state_dir = "."
[ads]
campaigns = "ads"
[[screens]]
width_px = 320
height_px = 180
screenshot = "logged.toml/no-folder.png"
"""


def lines_of(station_file: Path, journal: bool) -> list[str]:
    """Return what a short run writes to standard error, which is a pipe. `journal`: systemd has it lead to journald."""
    read_end, write_end = os.pipe()
    environment = os.environ | {"JOURNAL_STREAM": stream_name(write_end) if journal else "1:1"}
    command = [sys.executable, "-P", "-m", "pipeline.cli", "run", str(station_file), "--headless", "--duration", "1"]
    with (
        os.fdopen(read_end) as lines,
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=write_end),
    ):
        os.close(write_end)
        return lines.read().splitlines()


def test_what_the_system_refuses_is_said_in_plain_words(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "skipped", Counter())
    with pytest.raises(OSError) as caught:
        tmp_path.read_bytes()
    log.skip("not_written", error=caught.value)
    said = capsys.readouterr().err
    assert f"error='{tmp_path}: it is a folder; name a file'" in said and "Errno" not in said


@pytest.fixture
def station_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "logged.toml").write_text(ADS_ONLY)
    one_ad(tmp_path / "ads")
    return tmp_path / "logged.toml"


def test_under_systemd_every_line_of_every_process_has_its_severity(station_file: Path) -> None:
    found = {}
    for line in lines_of(station_file, journal=True):
        match = re.fullmatch(r"<(\d)>\S+Z (\S+) (.*)", line)
        assert match, line
        found[match[2], match[3].split()[0]] = int(match[1])
    assert found["stationcast", "ready"] == 5
    assert found["stationcast", "running"] == 6
    assert found["player.main", "skipped"] == 4


def test_a_mistake_of_the_user_is_an_error_to_journald(station_file: Path) -> None:
    station_file.write_text("name = ")
    [line] = lines_of(station_file, journal=True)
    assert line.startswith("<3>stationcast: error: ")


def test_elsewhere_a_line_begins_with_its_time(station_file: Path) -> None:
    lines = lines_of(station_file, journal=False)
    assert lines and all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in lines)


def test_a_stream_is_the_journal_only_where_systemd_says_so() -> None:
    read_end, write_end = os.pipe()
    assert is_journal(write_end, stream_name(write_end))
    assert not is_journal(write_end, "") and not is_journal(write_end, stream_name(0))
    os.close(read_end)
    os.close(write_end)
    assert not is_journal(write_end, "1:1")


def test_what_is_skipped_is_counted_and_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        log.skip("a_reason_of_this_test", file="two words", number=number)
    assert log.skipped["a_reason_of_this_test"] == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("skipped reason=a_reason_of_this_test file='two words' number=0")
