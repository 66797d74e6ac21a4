"""Files of any size are read in little time, or one line says what is too much."""

import random
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UserError
from pipeline.settings import load
from pipeline.toml import BYTES_MAX, parse_toml
from players.ads import campaigns as campaigns_module
from players.ads import watcher as watcher_module
from players.ads.campaigns import PROBLEMS_A_FILE, load_catalogue
from players.ads.catalogue import Catalogue
from players.ads.watcher import LINES_MAX, CatalogueWatcher

ZONE = ZoneInfo("UTC")
HUGE = {
    "lists in lists": "a=" + "[" * 600_000,
    "tables in tables": "a=" + "{a=" * 200_000,
    "dotted keys": "a" + ".a" * 300_000 + "=1",
    "an open text with escaped quotes": 'a="' + '\\"' * 600_000,
    "an open long text": 'a="""' + '\\"""' * 300_000,
    "open texts on every line": 'a="\\"\n' * 200_000,
    "quotes": '"' * 600_000,
    "apostrophes": "'" * 600_001,
    "keys": "".join(f"k{number} = 1\n" for number in range(100_000)),
    "cameras": "[[cameras]]\nname='a'\nsource='sample'\n" * 20_000,
    "screens": "".join(f"[[screens]]\nname='s{number}'\n" for number in range(20_000)),
    "comments": "#\n" * (BYTES_MAX // 2 + 1),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_station_file_is_refused_in_one_line_within_seconds(kind: str, tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(HUGE[kind])
    began_s = time.process_time()
    with pytest.raises(UserError) as caught:
        load(tmp_path / "station.toml")
    assert time.process_time() - began_s < 5
    said = str(caught.value)
    assert "station.toml: " in said and ("; " in said or "is written" in said) and len(said) < 1000


SIGNS = ('"', "'", '"""', "'''", '\\"', "\\", "#", "[", "{", "a", ".", "=", "\n", ",")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(SIGNS), max_size=6))
def test_no_pattern_that_repeats_takes_long(parts: list[str]) -> None:
    began_s = time.process_time()
    try:
        parse_toml("a=" + "".join(parts) * 20_000)
    except UserError as error:
        assert len(str(error)) < 1000
    assert time.process_time() - began_s < 5


def many(lines: int, creatives: int, dayparts: str = "[]") -> str:
    """Return a campaign file whose media are missing."""
    text = 'advertiser = "A"\ncampaign = "a"\n'
    for n in range(lines):
        text += f'[[lines]]\nid = "l{n}"\ndayparts = {dayparts}\n'
        text += "".join(f'[[lines.creatives]]\nid = "p{n}-{m}"\nfile = "m{n}-{m}.png"\n' for m in range(creatives))
    return text


def test_more_creatives_than_a_file_may_have_are_one_problem(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(many(8, 1500))
    assert load_catalogue(tmp_path, ZONE, 8.0).problems[0] == (
        "a.toml: lines: more than 10000 creatives; split the campaign"
    )


def test_missing_media_of_a_file_are_told_up_to_a_number(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(many(1, 9000))
    (tmp_path / "b.toml").write_text(many(1, 1).replace('"a"', '"b"').replace("l0", "m0").replace("p0", "q0"))
    problems = load_catalogue(tmp_path, ZONE, 8.0).problems
    assert len(problems) == PROBLEMS_A_FILE + 3
    assert any(problem.startswith("b.toml: creative q0-0: ") for problem in problems)
    assert f"a.toml: {9000 - PROBLEMS_A_FILE} more creatives of it cannot be shown; mend those named first" in problems


def test_a_change_of_the_folder_makes_few_lines_of_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text(many(1, 9000))
    for number in range(100):
        (tmp_path / f"{number}.txt").touch()
    CatalogueWatcher(tmp_path, ZONE, 8.0).close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 2 * LINES_MAX + 4 and max(map(len, said)) < 500
    assert sum("campaign_more" in line for line in said) == 2


def test_telling_what_is_new_takes_no_square_of_its_number() -> None:
    before, now = [f"a{n}" for n in range(100_000)], [f"b{n}" for n in range(100_000)]
    began_s = time.process_time()
    assert watcher_module._new("event", now, before) == now[:LINES_MAX]
    assert time.process_time() - began_s < 2


def test_campaign_files_over_the_number_are_left_out_and_those_that_play_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns_module, "FILES_MAX", 2)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def write(name: str) -> None:
        text = many(1, 1).replace('"a"', f'"{name}"').replace("l0", name).replace("p0-0", name)
        (tmp_path / f"{name}.toml").write_text(text.replace("m0-0.png", "a.png"))

    def names(catalogue: Catalogue) -> list[str]:
        return sorted(line.id for line in catalogue.lines)

    for name in ("b", "c"):
        write(name)
    watcher = CatalogueWatcher(tmp_path, ZONE, 8.0)
    write("a")
    deadline_s = time.monotonic() + 60
    while not watcher.poll().problems and time.monotonic() < deadline_s:
        time.sleep(0.1)
    watcher.close()
    assert names(watcher.poll()) == ["b", "c"]
    assert "1 campaign files over 2 are left out" in watcher.poll().problems[0]


def test_thousands_of_plans_of_hours_are_read_within_seconds(tmp_path: Path) -> None:
    draw = random.Random(1)

    def part() -> str:
        first, stop = sorted(draw.sample(range(1440), 2))
        return f'"{first // 60:02}:{first % 60:02}-{stop // 60:02}:{stop % 60:02}"'

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    text = 'advertiser = "A"\ncampaign = "a"\n'
    for n in range(3000):
        parts = ",".join(part() for _ in range(48))
        text += f'[[lines]]\nid = "l{n}"\ndayparts = [{parts}]\n[[lines.creatives]]\nid = "p{n}"\nfile = "a.png"\n'
    (tmp_path / "a.toml").write_text(text)
    began_s = time.process_time()
    assert len(load_catalogue(tmp_path, ZONE, 8.0).lines) == 3000
    assert time.process_time() - began_s < 12
