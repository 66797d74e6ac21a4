"""Campaign files: what is read, what is refused in one line, what a change does, and hostile media."""

import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from threading import Event
from zoneinfo import ZoneInfo

import av
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline import log as log_module
from pipeline.errors import UserError
from players.ads import campaign_file, campaigns, media
from players.ads.campaign_file import parse
from players.ads.campaigns import DEMO, CatalogueWatcher, load_catalogue, minor_lines
from players.ads.catalogue import Catalogue
from players.ads.folders import folder_target
from players.ads.lines import Target
from players.commands.campaigns import campaigns as campaigns_command
from players.screen import pictures
from players.screen.layout import Layout
from tests.ads import BROKEN_EXIF
from tests.conftest import HANG_S, lives, wait_for

UTC = ZoneInfo("UTC")
GOOD = """
advertiser = "Moka Coffee"
campaign = "moka"
currency = "EUR"
[[lines]]
id = "moka-women"
target = { gender = "F", ages = ["20-29", "65+"], min_watchers = 2, min_share_pct = 25 }
starts = 2026-01-01
ends = 2026-12-31
weekdays = ["mon", "fri"]
dayparts = ["07:00-10:00", "22:00-02:00"]
priority = 70
weight = 2
max_plays_per_hour = 20
min_gap_s = 60
separation = "coffee"
budget = "500.00"
price = 0.12
pacing = "even"
[[lines.creatives]]
id = "latte"
file = "latte.png"
duration_s = 6
title = "Latte"
"""
LITTLE = """
advertiser = "{name}"
campaign = "{name}"
[[lines]]
id = "{name}-line"
{line}
[[lines.creatives]]
id = "{name}-ad"
file = "{file}"
"""


def little(name: str = "a", line: str = "", file: str = "latte.png") -> str:
    return LITTLE.format(name=name, line=line, file=file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "campaigns"
    place.mkdir()
    Image.new("RGB", (160, 90), (200, 120, 40)).save(place / "latte.png")
    return place


def read(folder: Path) -> Catalogue:
    return load_catalogue(folder, UTC, 8.0)


def film(
    path: Path, frames: int = 30, codec: str = "libx264", side: int = 64, first: int = 0, sound_s: int = 0
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream("libopus", rate=48_000) if sound_s else None
        for n in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((side, side, 3), n % 256, dtype=np.uint8), format="rgb24")
            picture.pts, picture.time_base = first + n, Fraction(1, 30)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound is not None:
            for n in range(50 * sound_s):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="stereo")
                silence.pts, silence.sample_rate = 960 * n, 48_000
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))


# reading


def test_every_key_arrives(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    catalogue = read(folder)
    assert catalogue.problems == ()
    (line,) = catalogue.lines
    assert (line.id, line.campaign, line.advertiser) == ("moka-women", "moka", "Moka Coffee")
    assert line.target == Target(gender="F", ages=((20, 29), (65, 120)), min_watchers=2, min_share=0.25)
    assert line.dayparts == ((420, 600), (1320, 120))
    assert line.weekdays == (0, 4)
    assert (line.priority, line.weight, line.max_plays_per_hour, line.min_gap_s) == (70, 2.0, 20, 60.0)
    assert (line.budget, line.price, line.currency, line.pacing) == (Decimal("500.00"), Decimal("0.12"), "EUR", "even")
    (ad,) = line.creatives
    assert (ad.id, ad.kind, ad.duration_ms, ad.width_px, ad.height_px) == ("latte", "image", 6000, 160, 90)
    assert ad.path == (folder / "latte.png").resolve()
    assert len(ad.sha256) == 64


def test_a_film_lasts_as_long_as_it_is_and_no_longer_than_asked(folder: Path) -> None:
    film(folder / "film.mp4", frames=90)
    film(folder / "film.webm", frames=90, codec="libvpx-vp9")
    creatives = "".join(
        f'[[lines.creatives]]\nid = "{name}"\nfile = "{file}"\n{more}\n'
        for name, file, more in (
            ("whole", "film.mp4", ""),
            ("part", "film.mp4", "duration_s = 2"),
            ("beyond", "film.webm", "duration_s = 9\nsound = true"),
        )
    )
    (folder / "f.toml").write_text('advertiser = "f"\ncampaign = "f"\n[[lines]]\nid = "f"\n' + creatives)
    catalogue = read(folder)
    assert catalogue.problems == ()
    ads = {ad.id: ad for ad in catalogue.creatives}
    assert {name: ad.duration_ms for name, ad in ads.items()} == {"whole": 3000, "part": 2000, "beyond": 3000}
    assert {ad.kind for ad in ads.values()} == {"video"}
    assert ads["beyond"].sound


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_was_cut_out_of_a_longer_one_lasts_as_long_as_its_picture(folder: Path, suffix: str) -> None:
    film(folder / f"part{suffix}", frames=60, first=150)
    (folder / "f.toml").write_text(little(file=f"part{suffix}"))
    (ad,) = read(folder).creatives
    assert ad.duration_ms == 2000


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_film_whose_sound_lasts_longer_lasts_as_long_as_its_picture(folder: Path, suffix: str) -> None:
    film(folder / f"loud{suffix}", frames=60, codec="libvpx-vp9", sound_s=5)
    (folder / "f.toml").write_text(little(file=f"loud{suffix}"))
    (ad,) = read(folder).creatives
    assert ad.duration_ms == 2000


def test_a_budget_is_shared_between_the_screens_of_a_station(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    (line,) = load_catalogue(folder, UTC, 8.0, screens=3).lines
    assert line.budget == Decimal("166.666666")


def test_the_built_in_campaigns_are_sound() -> None:
    catalogue = read(DEMO)
    assert catalogue.problems == ()
    assert len(catalogue.lines) >= 8
    assert catalogue.house


# the original project's folders


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


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    place = tmp_path / "ad"
    for n, (group, file) in enumerate(
        [("20's, F", "shoes.jpg"), ("20's, F", "bag 1.JPG"), ("0's, M", "robot.png"), ("default", "한국.png")]
    ):
        (place / group).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 45), (n, 50, 90)).save(place / group / file)
    (place / "20's, F" / "notes.txt").write_text("not an ad")
    (place / "20's, F" / "notes.toml").write_text("no = 'campaign'")
    return place


def test_the_original_layout_is_read_as_it_is(layout: Path) -> None:
    catalogue = read(layout)
    assert catalogue.problems == ()
    assert {line.id: [ad.id for ad in line.creatives] for line in catalogue.lines} == {
        "0s-m": ["0s-m-robot"],
        "20s-f": ["20s-f-bag-1", "20s-f-shoes"],
    }
    assert [line.target.ages for line in catalogue.lines] == [((0, 9),), ((20, 29),)]
    assert len(catalogue.house) == 1
    assert minor_lines(catalogue) == ["0s-m"]


def test_import_writes_a_campaign_file_that_says_the_same(layout: Path) -> None:
    before = read(layout)
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", "Shop"])
    assert done.exit_code == 0, done.output
    assert "3 lines, 4 ads" in done.output
    after = read(layout)
    assert after.problems == ()
    assert [(line.id, line.target, line.creatives) for line in after.lines] == [
        (line.id, line.target, line.creatives) for line in before.lines
    ]
    assert {line.advertiser for line in after.lines} == {"Shop"}
    again = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", "Shop"])
    assert again.exit_code == 2


def test_folders_and_files_whose_ids_would_be_alike_get_ids_of_their_own(layout: Path) -> None:
    picture = layout / "20's, F" / "shoes.jpg"
    for group, file in (("20s F", "shoes.jpg"), ("20's", "F shoes.jpg")):
        (layout / group).mkdir()
        (layout / group / file).write_bytes(picture.read_bytes())
    for _ in ("as it is", "imported"):
        catalogue = read(layout)
        assert catalogue.problems == ()
        assert {line.id for line in catalogue.lines} == {"0s-m", "20s", "20s-f", "20s-f-2"}
        assert len({ad.id for ad in catalogue.creatives}) == 6
        CliRunner().invoke(campaigns_command, ["import", str(layout)])


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


@pytest.mark.parametrize("advertiser", ["", "x" * 201, "two\nlines", "\udcff"])
def test_import_writes_no_file_that_would_be_refused(layout: Path, advertiser: str) -> None:
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", advertiser])
    assert done.exit_code == 2
    assert not list(layout.glob("*.toml"))


def test_import_replaces_no_file_by_one_that_would_be_refused(layout: Path) -> None:
    assert CliRunner().invoke(campaigns_command, ["import", str(layout)]).exit_code == 0
    before = (layout / "imported.toml").read_bytes()
    for n in range(10_001):
        (layout / "default" / f"{n}.png").touch()
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--force"])
    assert done.exit_code == 2, done.output
    assert re.search(r"not written, as it would be refused: imported.toml: lines\[\d\].creatives: ", done.stderr)
    assert (layout / "imported.toml").read_bytes() == before


# what is refused, in one line each


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("advertiser = ", "bad.toml: not TOML:"),
        ("\0\1\2", "bad.toml: not TOML:"),
        (f"a{'.a' * 100_000} = 1", "bad.toml: not TOML:"),
        ("campaign = 'a'", "bad.toml: file: object missing required field `advertiser`"),
        (little(line="zzz = 1e15"), "bad.toml: lines[0].zzz: unknown key; known here: id, creatives"),
        (little(file='latte.png"\nduration = 1e15#'), "creatives[0].duration: unknown key; did you mean duration_s?"),
        (little(file='latte.png"\nduration_s = 1e15#'), "creatives[0].duration_s: expected `float` <= 600.0"),
        (little(file='latte.png"\nduration_s = -1#'), "creatives[0].duration_s: expected `float` >= 1.0"),
        (little(file='latte.png"\nduration_s = nan#'), "duration_s"),
        (little(line='currency = "EUR"'), "lines[0].currency: unknown key"),
        ('currency = "XYZ"\n' + little(), "bad.toml: currency: there is no currency 'XYZ'"),
        (little(line='price = "0.10"'), "lines[0].price: needs a currency"),
        ('currency = "EUR"\n' + little(line='price = "-1"'), "lines[0].price: -1 is no amount of money"),
        ('currency = "EUR"\n' + little(line='price = "NaN"'), "lines[0].price: NaN is no amount of money"),
        ('currency = "EUR"\n' + little(line='price = "1e300"'), "lines[0].price: 1E+300 is no amount of money"),
        ('currency = "EUR"\n' + little(line='price = "0.0000001"'), "finer than a millionth"),
        ('currency = "EUR"\n' + little(line="price = 1\ncpm = 2"), "lines[0].cpm: a line has a price a play or a cpm"),
        ('currency = "EUR"\n' + little(line="budget = 5"), "lines[0].budget: a budget needs a price"),
        (little(line="starts = 2026-05-02\nends = 2026-05-01"), "lines[0].ends: 2026-05-01 is before starts"),
        (little(line="starts = 2026-02-30"), "bad.toml: not TOML"),
        (little(line='starts = "soon"'), "lines[0].starts"),
        (little(line='dayparts = ["7-10"]'), "lines[0].dayparts: '7-10' is no daypart"),
        (little(line='dayparts = ["10:00-25:00"]'), "lines[0].dayparts: '10:00-25:00' ends after 24:00"),
        (
            little(line='weekdays = ["monday"]'),
            "lines[0].weekdays[0]: invalid enum value 'monday'; write one of mon, tue",
        ),
        (little(line="starts = 2026-05-01T10:00:00"), "got `datetime`; write a day such as 2026-05-01"),
        (little(line="weekdays = []"), "lines[0].weekdays: a line needs at least one day"),
        (little(line='target = { ages = ["29-20"] }'), "lines[0].target.ages: '29-20' is no range of ages"),
        (little(line='target = { ages = ["0-500"] }'), "lines[0].target.ages: '0-500' is no range of ages"),
        (little(line='target = { gender = "female" }'), "value 'female'; write one of M, F, any"),
        (little(line='target = { mood = "happy" }'), "lines[0].target.mood: unknown key"),
        (little(line='house = true\ntarget = { gender = "F" }'), "lines[0].house: a house line has no target"),
        (little(line='pacing = "even"'), "lines[0].pacing: even pacing needs starts, ends and budget"),
        (little(line="weight = 0"), "lines[0].weight: expected `float` > 0.0"),
        (little(line="priority = 101"), "lines[0].priority: expected `int` <= 100"),
        (little(name="A B"), "campaign"),
        (
            'advertiser = "a\\u001b[2J"\n' + little().replace("advertiser", "#"),
            "advertiser: expected text of one line, without control characters; correct it",
        ),
        (little(file='latte.png"\ntitle = "two\\nlines'), "creatives[0].title: expected text of one line"),
        (little(file="two\\nlines.png"), "creatives[0].file: expected text of one line"),
        (little(name="x" * 65), "campaign: expected a name of 1 to 64 lower-case letters, digits"),
        (little(file='latte.png"\ntitle = "end\\n'), "creatives[0].title: expected text of one line"),
        ("a = " + "[" * 5000, "bad.toml"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(folder: Path, text: str, says: str) -> None:
    (folder / "good.toml").write_text(little("good"))
    (folder / "bad.toml").write_text(text)
    catalogue = read(folder)
    (problem,) = catalogue.problems
    assert says in problem
    assert problem.startswith("bad.toml: ")
    assert "\n" not in problem
    assert [line.id for line in catalogue.lines] == ["good-line"]


def test_a_file_whose_name_would_break_the_line_is_named_in_one(folder: Path) -> None:
    (folder / "a\n\x1b[2J.toml").write_text(little())
    (problem, _) = read(folder).problems
    assert problem.startswith(r"'a\n\x1b[2J.toml': ") and problem.isprintable()


def test_check_shows_names_as_they_are_written(folder: Path) -> None:
    name = "[bold] [/bar] :smile:"
    (folder / "a.toml").write_text(little().replace('advertiser = "a"', f'advertiser = "{name}"'))
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert name in done.output, done.exception


def test_check_says_on_which_days_a_line_plays_and_that_a_budget_pays_no_play(folder: Path) -> None:
    budgets = {"poor": 'price = 0.6\nbudget = "0.5"', "fair": "price = 0.6\nbudget = 1", "mille": "cpm = 9\nbudget = 1"}
    for name, money in budgets.items():
        money += '\nweekdays = ["sun", "sat"]' if name == "mille" else ""
        (folder / f"{name}.toml").write_text('currency = "EUR"\n' + little(name, line=money))
    station = folder.parent / "station.toml"
    for screens, poor in ((1, ["poor"]), (2, ["fair", "poor"])):
        station.write_text(
            "cameras = [{ name = 'a', source = 'sample' }]\n"
            + "".join(f"[[screens]]\nname = 's{n}'\n" for n in range(screens))
            + "[ads]\ncampaigns = 'campaigns'\n"
        )
        done = CliRunner().invoke(campaigns_command, ["check", "--station", str(station)])
        problems = [text for text in done.output.splitlines() if text.startswith("problem: ")]
        assert [text.split("-line: ")[0] for text in problems] == [f"problem: line {name}" for name in poor]
        assert done.exit_code == 2
    assert "budget: 1.00 EUR, shared by 2 screens, does not pay one play at 0.60 EUR; raise it" in problems[0]
    assert "sat,sun" in done.output


def test_simulate_says_what_is_left_out_and_where_there_is_nothing(folder: Path) -> None:
    (folder / "bad.toml").write_text("no toml")
    nothing = CliRunner().invoke(campaigns_command, ["simulate", str(folder)])
    assert "problem: bad.toml: not TOML" in nothing.output
    assert nothing.exit_code == 2 and "nothing to simulate" in nothing.stderr
    (folder / "good.toml").write_text(little())
    scenes = folder / "scenes"
    scenes.write_text('{"at_s": 0, "people": [{"gender": "F", "age": 25}]}\n')
    words = ["simulate", str(folder), "--audience", str(scenes)]
    assert "it ends as it begins" in CliRunner().invoke(campaigns_command, words).stderr
    with scenes.open("a") as more:
        more.write('{"at_s": 60, "people": []}\n')
    done = CliRunner().invoke(campaigns_command, words)
    assert done.exit_code == 0 and "problem: bad.toml: not TOML" in done.output and "a-line" in done.output


BAD_MEDIA = [
    ("none.png", "there is no file 'none.png'"),
    ("../secret.png", "'../secret.png' leads out of the folder"),
    ("sub/../../secret.png", "leads out of the folder"),
    ("/etc/passwd", "'/etc/passwd' is not a path beside the campaign file"),
    ("link.png", "'link.png' leads out of the folder"),
    ("linked/secret.png", "leads out of the folder"),
    ("loop.png", "'loop.png' is a link that leads nowhere"),
    ("x" * 300 + ".png", "or too long a name"),
    (".", "there is no file '.'"),
    ("latte.txt", "unknown kind '.txt'"),
    ("empty.png", "it cannot be decoded"),
    ("really.png", "it cannot be decoded"),
    ("jpeg.png", "it is a JPEG under a .png name"),
    ("bomb.png", "are too many"),
    ("half.png", "it cannot be decoded"),
    ("fifo.png", "there is no file"),
    ("playlist.mp4", "it cannot be decoded"),
    ("half.mp4", "it cannot be decoded"),
    ("old.mp4", "codec mpeg4 is not played"),
    ("flash.mp4", "it lasts 0.1 s; at least 1, at most 600"),
]


def test_a_medium_that_cannot_be_shown_is_one_line(folder: Path) -> None:
    make_bad_media(folder)
    creatives = "".join(
        f'[[lines.creatives]]\nid = "bad-{n}"\nfile = "{file}"\n' for n, (file, _) in enumerate(BAD_MEDIA)
    )
    (folder / "bad.toml").write_text('advertiser = "a"\ncampaign = "a"\n[[lines]]\nid = "a"\n' + creatives)
    (folder / "good.toml").write_text(little("good"))
    catalogue = read(folder)
    assert [line.id for line in catalogue.lines] == ["good-line"]
    assert len(catalogue.problems) == len(BAD_MEDIA)
    for n, (file, says) in enumerate(BAD_MEDIA):
        (problem,) = (text for text in catalogue.problems if text.startswith(f"bad.toml: creative bad-{n}: "))
        assert says in problem, file
        assert "\n" not in problem


def make_bad_media(folder: Path) -> None:
    outside = folder.parent / "secret.png"
    Image.new("RGB", (8, 8)).save(outside)
    (folder / "sub").mkdir()
    (folder / "link.png").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "latte.txt").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "really.png").write_text("#!/bin/sh\nrm -rf /\n")
    Image.new("RGB", (8, 8)).save(folder / "jpeg.png", format="JPEG")
    bomb = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000_000))), (b"IEND", b"")):
        bomb += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (folder / "bomb.png").write_bytes(bomb)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:30_000])
    os.mkfifo(folder / "fifo.png")
    (folder / "playlist.mp4").write_text(f"ffconcat version 1.0\nfile '{outside}'\n")
    film(folder / "whole.mp4")
    (folder / "half.mp4").write_bytes((folder / "whole.mp4").read_bytes()[:200])
    film(folder / "old.mp4", codec="mpeg4")
    film(folder / "flash.mp4", frames=3)


def test_ids_may_be_used_once_only(folder: Path) -> None:
    (folder / "a.toml").write_text(little("a"))
    (folder / "b.toml").write_text(little("b").replace("b-ad", "a-ad"))
    catalogue = read(folder)
    assert catalogue.problems == ("b.toml: creative id 'a-ad' is used twice (also in a.toml); rename one",)
    assert [line.id for line in catalogue.lines] == ["a-line"]


def test_a_campaign_file_may_not_be_a_link_out(folder: Path) -> None:
    outside = folder.parent / "outside.toml"
    outside.write_text(little("a"))
    (folder / "a.toml").symlink_to(outside)
    assert "it is a link out of campaigns" in read(folder).problems[0]


def test_a_campaign_file_that_links_to_itself_is_one_line(folder: Path) -> None:
    (folder / "a.toml").symlink_to(folder / "a.toml")
    (folder / "b.toml").write_text(little("b"))
    catalogue = read(folder)
    assert [line.id for line in catalogue.lines] == ["b-line"]
    (problem,) = catalogue.problems
    assert problem.startswith("a.toml: it cannot be read")


def test_a_campaign_file_that_is_no_file_does_not_hang(folder: Path) -> None:
    os.mkfifo(folder / "a.toml")
    (folder / "b.toml").mkdir()
    problems = read(folder).problems
    assert [text.split(":")[0] for text in problems[:2]] == ["a.toml", "b.toml"]
    assert "it is not a regular file" in problems[0]


def test_no_folder_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        read(tmp_path / "none")
    (problem,) = read(tmp_path).problems
    assert "no campaign plays" in problem


def test_a_file_that_kills_or_hangs_its_examiner_takes_nothing_along(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of the decoders: it eats memory, hangs or crashes, as a hostile file might make it."""
    hostile = (
        Path(media.__file__)
        .read_text()
        .replace(
            "def _examine(path: Path) -> dict[str, Any]:",
            "def _examine(path: Path) -> dict[str, Any]:\n"
            "    if 'memory' in path.name: bytearray(64 << 30)\n"
            "    if 'crash' in path.name: os.kill(os.getpid(), signal.SIGSEGV)\n"
            "    if 'hang' in path.name: time.sleep(60)\n"
            "    if 'spin' in path.name:\n"
            "        while True: pass\n"
            "    if 'write' in path.name: open('/tmp/stationcast-written', 'wb').write(b'x' * 9999)\n",
        )
    )
    program = folder.parent / "hostile.py"
    hostile = hostile.replace("WALL_S_MAX = 40.0", "WALL_S_MAX = 6.0").replace("CPU_S_MAX = 20", "CPU_S_MAX = 1")
    program.write_text(hostile)
    monkeypatch.setattr(media, "__file__", str(program))
    names = ["memory", "crash", "hang", "spin", "write", "fine"]
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    answers = media.probe(folder / f"{name}.png" for name in names)
    said = {path.stem: answer.get("problem", "") for path, answer in answers.items()}
    assert said["memory"] == "it needs too much memory"
    assert "SIGSEGV" in said["crash"]
    assert "could not be read within 6 s" in said["hang"]
    assert any(end in said["spin"] for end in ("SIGXCPU", "SIGKILL", "within 6 s"))
    assert "cannot be decoded (OSError" in said["write"]
    assert said["fine"] == ""


def test_who_examines_a_file_dies_with_who_asked(folder: Path) -> None:
    program = folder.parent / "hangs.py"
    signature = "def _examine(path: Path) -> dict[str, Any]:"
    program.write_text(Path(media.__file__).read_text().replace(signature, f"{signature}\n    time.sleep(60)"))
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    ask = "import sys; from pathlib import Path; from players.ads import media; media.__file__ = sys.argv[1]; "
    ask += "media.probe([Path(sys.argv[2])])"
    command = [sys.executable, "-c", ask, str(program), str(folder / "a.png")]
    asks = psutil.Popen(command, cwd=Path(media.__file__).parents[2])
    wait_for(lambda: len(asks.children(recursive=True)) == 2, "a file that is being examined")
    examine = asks.children(recursive=True)
    asks.kill()
    asks.wait()
    wait_for(lambda: not any(map(lives, examine)), "the end of those who examine it")


def test_a_player_that_stops_does_not_wait_for_media_that_are_examined(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(little())
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    examining, done = Event(), Event()

    def slow(paths: Iterator[Path]) -> dict[Path, dict[str, str]]:
        examining.set()
        assert done.wait(HANG_S)
        return {path: {"problem": "late"} for path in paths}

    monkeypatch.setattr(campaigns, "probe", slow)
    (folder / "latte.png").touch()
    assert examining.wait(HANG_S)
    began_s = time.monotonic()
    watcher.close()
    took_s = time.monotonic() - began_s
    done.set()
    watcher._thread.join()
    assert took_s < HANG_S


def test_a_photograph_with_more_pictures_behind_it_is_a_jpeg(folder: Path) -> None:
    depth = Image.new("L", (16, 9))
    Image.new("RGB", (160, 90)).save(folder / "phone.jpg", "MPO", save_all=True, append_images=[depth])
    (folder / "a.toml").write_text(little(file="phone.jpg"))
    catalogue = read(folder)
    assert catalogue.problems == ()
    assert (catalogue.creatives[0].kind, catalogue.creatives[0].width_px) == ("image", 160)
    assert pictures.load(catalogue.creatives[0].path, Layout(160, 90)).get_size() == (160, 90)


def test_a_picture_that_cannot_be_turned_as_its_camera_says_is_refused(folder: Path) -> None:
    Image.new("RGB", (40, 30)).save(folder / "latte.png", exif=BROKEN_EXIF)
    (folder / "a.toml").write_text(little())
    (problem, _) = read(folder).problems
    assert problem.startswith("a.toml: creative a-ad: latte.png: it cannot be decoded (TypeError")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_corrupted_media_are_refused_or_played_but_never_fatal(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".webp", ".gif"):
        Image.fromarray(noise).save(folder / f"whole{suffix}")
    film(folder / "whole.mp4")
    film(folder / "whole.webm", codec="libvpx-vp9")
    rng = Random(5)
    paths = []
    for whole in sorted(folder.glob("whole.*")):
        content = whole.read_bytes()
        for n in range(60):
            harmed = bytearray(content)
            for _ in range(rng.randrange(1, 20)):
                harmed[rng.randrange(len(harmed))] = rng.randrange(256)
            path = folder / f"harmed-{n}{whole.suffix}"
            path.write_bytes(harmed[: rng.randrange(1, len(harmed))] if n % 3 == 0 else harmed)
            paths.append(path)
    answers = media.probe(paths)
    assert len(answers) == len(paths)
    assert all("problem" in answer or answer["sha256"] for answer in answers.values())


_key = st.sampled_from(["advertiser", "campaign", "lines", "id", "creatives", "file", "target", "ages", "price", "x"])
_value = st.sampled_from(
    ['""', '"a"', "0", "-1", "1e999", "nan", "[]", "{}", '["x"]', "true", "1979-05-27", '"../a"', '"\\u0000"', "[[1]]"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_key, _value), max_size=4), st.integers(0, len(GOOD)), st.text(max_size=5))
def test_whatever_a_file_says_the_answer_is_one_line(
    folder: Path, pairs: list[tuple[str, str]], at: int, noise: str
) -> None:
    for text in ("\n".join(f"{key} = {value}" for key, value in pairs), GOOD[:at] + noise + GOOD[at:]):
        (folder / "x.toml").write_text(text, "utf-8", "surrogatepass")
        try:
            parse(str(folder / "x.toml"), folder)
        except UserError as error:
            assert str(error).startswith("x.toml: ")
            assert "\n" not in str(error)


# changes


@pytest.fixture
def watched(folder: Path) -> Iterator[tuple[CatalogueWatcher, Path]]:
    (folder / "a.toml").write_text(little("a"))
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    yield watcher, folder
    watcher.close()


def lines(watcher: CatalogueWatcher) -> list[str]:
    return sorted(line.id for line in watcher.poll().lines)


def test_changes_are_picked_up_live(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    assert lines(watcher) == ["a-line"]
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "a new file")
    (folder / "a.toml").unlink()
    wait_for(lambda: lines(watcher) == ["b-line"], "a file to go")
    before = watcher.poll().creatives[0].sha256
    Image.new("RGB", (160, 90), (1, 2, 3)).save(folder / "latte.png")
    wait_for(lambda: watcher.poll().creatives[0].sha256 != before, "a new picture")


def test_a_medium_that_comes_later_is_found(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    (folder / "b.toml").write_text(little("b", file="later.png"))
    wait_for(lambda: watcher.poll().problems, "the problem")
    Image.new("RGB", (16, 9)).save(folder / "later.png")
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "the medium")
    assert not watcher.poll().problems


def test_a_broken_edit_keeps_the_last_good_version_and_says_so_once(
    watched: tuple[CatalogueWatcher, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    watcher, folder = watched
    (folder / "a.toml").write_text("advertiser =")
    wait_for(lambda: watcher.poll().problems, "the problem")
    assert lines(watcher) == ["a-line"]
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: "b-line" in lines(watcher), "a good file beside it")
    assert lines(watcher) == ["a-line", "b-line"]
    said = [text for text in capsys.readouterr().err.splitlines() if "campaign_problem" in text]
    assert len(said) == 1
    assert "its last good version plays on" in said[0]
    (folder / "a.toml").write_text(little("a2"))
    wait_for(lambda: not watcher.poll().problems, "the mended file")
    assert lines(watcher) == ["a2-line", "b-line"]


def test_an_edit_that_takes_anothers_id_keeps_its_last_good_version(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "a second file")
    (folder / "a.toml").write_text(little("a").replace("a-ad", "b-ad"))
    wait_for(lambda: watcher.poll().problems, "the clash")
    assert "a.toml: creative id 'b-ad' is used twice (also in b.toml)" in watcher.poll().problems[0]
    assert sorted(ad.id for ad in watcher.poll().creatives) == ["a-ad", "b-ad"]


def test_who_has_an_id_keeps_it_over_a_restart(folder: Path, tmp_path: Path) -> None:
    """What was spent belongs to the line's id: an edit, or a file before it by name, cannot take it."""
    cache = tmp_path / "catalogue.cache"
    (folder / "b.toml").write_text(little("b"))
    (folder / "c.toml").write_text(little("c"))
    assert not load_catalogue(folder, UTC, 8.0, cache).problems
    (folder / "a.toml").write_text(little("a").replace("a-line", "b-line"))
    (folder / "c.toml").write_text(little("c").replace("c-line", "b-line"))
    for _ in range(3):
        catalogue = load_catalogue(folder, UTC, 8.0, cache)
        assert [(line.id, line.advertiser) for line in catalogue.lines] == [("b-line", "b"), ("c-line", "c")]
        assert [problem[:7] for problem in catalogue.problems] == ["a.toml:", "c.toml:"]
    assert "its last good version plays on" in catalogue.problems[1]
    (folder / "b.toml").unlink()
    (folder / "c.toml").unlink()
    assert [line.advertiser for line in load_catalogue(folder, UTC, 8.0, cache).lines] == ["a"]


def test_media_are_examined_again_by_a_newer_version_and_last_good_versions_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "catalogue.cache"
    (folder / "a.toml").write_text(little())
    with monkeypatch.context() as older:
        older.setattr(campaigns, "EXAMINER", "older")
        older.setattr(campaigns, "probe", lambda paths: dict.fromkeys(paths, OLD_ANSWER))
        assert load_catalogue(folder, UTC, 8.0, cache).creatives[0].width_px == 1
        assert load_catalogue(folder, UTC, 8.0, cache).creatives[0].width_px == 1
    (folder / "a.toml").write_text("broken")
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert catalogue.creatives[0].width_px == 160
    assert "its last good version plays on" in catalogue.problems[0]


OLD_ANSWER = {"kind": "image", "width_px": 1, "height_px": 1, "duration_ms": 0, "sha256": "0" * 64}


def test_the_last_good_version_outlives_a_restart(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "state" / "catalogue.cache"
    (folder / "a.toml").write_text(little("a"))
    assert not load_catalogue(folder, UTC, 8.0, cache).problems
    (folder / "a.toml").write_text("advertiser =")
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert [line.id for line in catalogue.lines] == ["a-line"]
    assert "its last good version plays on" in catalogue.problems[0]


def test_unchanged_files_are_not_examined_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "catalogue.cache"
    (folder / "a.toml").write_text(little("a"))
    first = load_catalogue(folder, UTC, 8.0, cache)

    def none(*_: object) -> None:
        pytest.fail("read again")

    monkeypatch.setattr(campaign_file.rtoml, "loads", none)
    monkeypatch.setattr(media.subprocess, "run", none)
    assert load_catalogue(folder, UTC, 8.0, cache).version == first.version
    cache.write_bytes(b"torn")
    monkeypatch.undo()
    assert load_catalogue(folder, UTC, 8.0, cache).version == first.version


# the command


def test_check_lists_lines_and_explains_every_problem(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    (folder / "kids.toml").write_text(little("kids", 'target = { ages = ["0-9"] }'))
    good = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert good.exit_code == 0, good.output
    assert "moka-women" in good.output
    assert "Not played: kids-line: aimed at people under 20" in good.output
    (folder / "bad.toml").write_text("advertiser =")
    bad = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert bad.exit_code == 2
    assert "problem: bad.toml: not TOML" in bad.output


def test_check_says_which_lines_will_never_play(folder: Path) -> None:
    today = datetime.now(UTC).date()
    yesterday, week = today - timedelta(days=1), today + timedelta(days=7)
    times = {
        "over": f"starts = 2020-01-01\nends = {yesterday}",
        "never": 'starts = 2400-01-01\nends = 2400-01-02\nweekdays = ["fri"]',  # a Saturday and a Sunday
        "open": 'weekdays = ["mon"]',
        "late": f"starts = {week}",
        "last": f"starts = 2020-01-01\nends = {week}",
        "forever": "ends = 9999-12-31",
        "house": f"house = true\nends = {yesterday}",
    }
    for name, when in times.items():
        (folder / f"{name}.toml").write_text(little(name, when))
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert done.exit_code == 0, done.output
    (note,) = (text for text in done.output.splitlines() if text.startswith("Not played: "))
    assert note == "Not played: never-line, over-line: starts, ends and weekdays leave no time from now on."


def test_a_campaign_file_is_one_in_capitals_too_and_check_names_those_in_folders(folder: Path) -> None:
    (folder / "A.TOML").write_text(little("a"))
    for place in ("sub", "20's, F"):
        (folder / place).mkdir()
        (folder / place / "b.Toml").write_text(little("b"))
    assert [line.id for line in read(folder).lines] == ["a-line"]
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert done.exit_code == 0, done.output
    notes = [text.split(": it lies")[0] for text in done.output.splitlines() if text.startswith("Not read: ")]
    assert notes == ['Not read: "20\'s, F/b.Toml"', "Not read: 'sub/b.Toml'"]


def test_check_says_in_plain_words_that_children_are_targeted(folder: Path, tmp_path: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    station = tmp_path / "station.toml"
    station.write_text(
        '[choose]\nminors = "target"\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    done = CliRunner().invoke(campaigns_command, ["check", "--station", str(station)])
    assert "ads ARE aimed at children and teenagers here" in done.output


def test_simulate_says_what_would_be_delivered(folder: Path, tmp_path: Path) -> None:
    (folder / "a.toml").write_text('currency = "EUR"\n' + little("a", 'price = "0.50"\nbudget = "2.20"'))
    (folder / "house.toml").write_text(little("house", "house = true"))
    audience = tmp_path / "audience.jsonl"
    audience.write_text(
        '{"at_s": 0, "people": []}\n{"at_s": 80, "people": [{"gender": "F", "age": 25}]}\n'
        '{"at_s": 160, "people": []}\n{"at_s": 240, "people": []}\n'
    )
    picture = tmp_path / "simulation.png"
    done = CliRunner().invoke(
        campaigns_command,
        ["simulate", str(folder), "--audience", str(audience), "--format", "csv", "--plot", str(picture)],
    )
    assert done.exit_code == 0, done.output
    rows = [text.split(",") for text in done.output.splitlines()]
    named = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    assert (named["a-line"]["plays"], named["a-line"]["billable"], named["a-line"]["spend"]) == ("4", "4", "2.00")
    assert named["house-line"]["plays"] == "36"
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 1000


def test_simulate_plays_on_one_screen_with_its_part_of_the_budgets(folder: Path, tmp_path: Path) -> None:
    for name, budget in (("poor", "1.00"), ("fair", "1.20")):
        money = f'price = "0.60"\nbudget = "{budget}"'
        (folder / f"{name}.toml").write_text('currency = "EUR"\n' + little(name, money))
    (tmp_path / "audience.jsonl").write_text('{"at_s": 0, "people": [{"gender": "F"}]}\n{"at_s": 80, "people": []}\n')
    (tmp_path / "station.toml").write_text(
        'cameras = [{ name = "c", source = "sample" }]\nscreens = [{ name = "a" }, { name = "b" }]\n'
        '[ads]\ncampaigns = "campaigns"\n'
    )
    words = ["--station", str(tmp_path / "station.toml"), "--audience", str(tmp_path / "audience.jsonl")]
    done = CliRunner().invoke(campaigns_command, ["simulate", *words, "--format", "json"])
    assert done.exit_code == 0, done.output
    spend = {row["line"]: (row["spend"], row["budget"]) for row in json.loads(done.output)["rows"]}
    assert spend == {"fair-line": ("0.60", "0.60"), "poor-line": ("0.00", "0.50")}


def test_simulate_lets_a_rival_follow_the_house_card(folder: Path, tmp_path: Path) -> None:
    for name in ("cola", "pepper"):
        (folder / f"{name}.toml").write_text(little(name, 'separation = "drinks"\nmin_gap_s = 600'))
    audience = tmp_path / "audience.jsonl"
    audience.write_text('{"at_s": 0, "people": [{"gender": "F", "age": 25}]}\n{"at_s": 60, "people": []}\n')
    done = CliRunner().invoke(
        campaigns_command, ["simulate", str(folder), "--audience", str(audience), "--format", "csv"]
    )
    assert [text.split(",")[2] for text in done.output.splitlines()[1:]] == ["1", "1"]


def test_simulate_targets_nobody_where_the_station_only_counts(folder: Path, tmp_path: Path) -> None:
    (folder / "a.toml").write_text(little("a", 'target = { gender = "F" }'))
    (folder / "house.toml").write_text(little("house", "house = true"))
    (tmp_path / "audience.jsonl").write_text('{"at_s": 0, "people": [{"gender": "F"}]}\n{"at_s": 80, "people": []}\n')
    plays = {}
    for mode in ("count", "target"):
        (tmp_path / "station.toml").write_text(
            f'[station]\nmode = "{mode}"\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
        )
        done = CliRunner().invoke(
            campaigns_command,
            ["simulate", "--station", str(tmp_path / "station.toml"), "--audience", str(tmp_path / "audience.jsonl"),
             "--format", "json"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        plays[mode] = {row["line"]: row["plays"] for row in json.loads(done.output)["rows"]}
    assert plays == {"count": {"a-line": 0, "house-line": 10}, "target": {"a-line": 10, "house-line": 0}}


@pytest.mark.slow
def test_10_000_campaigns_start_quickly(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(10_000):
        (folder / f"c{n}.toml").write_text(GOOD.replace('"moka', f'"m{n}').replace('"latte"', f'"l{n}"'))
    took_s = []
    for _ in range(3):
        began_s = time.process_time()
        catalogue = load_catalogue(folder, UTC, 8.0, tmp_path / "cache")
        took_s.append(time.process_time() - began_s)
        assert len(catalogue.lines) == 10_000
    with capsys.disabled():
        first, *later = (f"{seconds:.2f} s" for seconds in took_s)
        print(f"\n10,000 campaigns read in {first} the first time, then in {' and '.join(later)}")


def test_a_cache_that_cannot_be_written_is_counted_and_nothing_more(folder: Path) -> None:
    count = log_module.skipped["campaign_cache_not_written"]
    (folder / "a.toml").write_text(little("a"))
    assert read(folder).lines == load_catalogue(folder, UTC, 8.0, Path("/proc/none/cache")).lines
    assert log_module.skipped["campaign_cache_not_written"] == count + 1


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "ads.md").read_text("utf-8")
    for table in (
        campaign_file.CampaignFile,
        campaign_file.LineTable,
        campaign_file.TargetTable,
        campaign_file.CreativeTable,
    ):
        for field in table.__struct_fields__:
            ways = f"`{field}`", f".{field}`", f"`{field}.", f"[[{field}]]", f".{field}]]"
            assert any(way in text for way in ways), f"{field} is undocumented"


def test_the_example_of_the_documentation_is_sound(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ads.md").read_text("utf-8")
    (folder / "moka.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    assert read(folder).problems == ()
