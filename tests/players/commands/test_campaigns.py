"""The commands `campaigns check`, `simulate` and `import`."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from players.commands.campaigns import campaigns as campaigns_command
from tests.films import coded, edit, quarters, write_film
from tests.players.campaign_files import GOOD, UTC, little, read


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


@pytest.mark.parametrize("advertiser", ["", "x" * 201, "two\nlines", "\udcff"])
def test_import_writes_no_file_that_would_be_refused(layout: Path, advertiser: str) -> None:
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", advertiser])
    assert done.exit_code == 2
    assert not list(layout.glob("*.toml"))


@pytest.mark.parametrize("name", ["a\u202eb.png", "M\u043eka.png"])
def test_import_names_the_picture_whose_name_would_be_refused(layout: Path, name: str) -> None:
    (layout / "default" / name).touch()
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", "Shop"])
    assert done.exit_code == 2
    assert done.stderr.rstrip().endswith(f"; rename {f'default/{name}'!a}")
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--advertiser", "Sh\u043ep"])
    assert done.stderr.rstrip().endswith("; name another with --advertiser")


def test_import_replaces_no_file_by_one_that_would_be_refused(layout: Path) -> None:
    assert CliRunner().invoke(campaigns_command, ["import", str(layout)]).exit_code == 0
    before = (layout / "imported.toml").read_bytes()
    for n in range(10_001):
        (layout / "default" / f"{n}.png").touch()
    done = CliRunner().invoke(campaigns_command, ["import", str(layout), "--force"])
    assert done.exit_code == 2, done.output
    assert re.search(r"not written, as it would be refused: imported.toml: lines\[\d\].creatives: ", done.stderr)
    assert (layout / "imported.toml").read_bytes() == before


def test_check_shows_names_as_they_are_written(folder: Path) -> None:
    name = "[bold] [/bar] :smile:"
    (folder / "a.toml").write_text(little().replace('advertiser = "a"', f'advertiser = "{name}"'))
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert name in done.output, done.exception


def test_check_says_on_which_days_a_line_plays_and_that_a_budget_pays_no_play(folder: Path) -> None:
    budgets = {
        "poor": 'price = 0.6\nbudget = "0.5"',
        "fair": "price = 0.6\nbudget = 1",
        "mille": "price = 9\nper = '1000 ots'\nbudget = 1",
    }
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


def test_check_lists_lines_and_explains_every_problem(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    (folder / "kids.toml").write_text(little("kids", 'target = { ages = ["0-9"] }'))
    good = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert good.exit_code == 0, good.output
    assert "moka-women" in good.output
    assert "Not played: kids-line: it is aimed at people under 20" in good.output
    (folder / "bad.toml").write_text("advertiser =")
    bad = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert bad.exit_code == 2
    assert "problem: bad.toml: line 1: not TOML" in bad.output


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
    never, over = sorted(text for text in done.output.splitlines() if text.startswith("Not played: "))
    assert never == (
        "Not played: never-line: from now to its last day, 2400-01-02, none of its weekdays and dayparts is left."
    )
    assert over == f"Not played: over-line: its last day, {yesterday}, is over."
    assert f"Not now: late-line: it starts on {week}." in done.output


def test_a_campaign_file_is_one_in_capitals_too_and_check_names_those_in_folders(folder: Path) -> None:
    (folder / "A.TOML").write_text(little("a"))
    for place in ("sub", "20's, F"):
        (folder / place).mkdir()
        (folder / place / "b.Toml").write_text(little("b"))
    assert [line.id for line in read(folder).lines] == ["a-line"]
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert done.exit_code == 0, done.output
    notes = [text.split(": it lies")[0] for text in done.output.splitlines() if text.startswith("Not used: ")]
    assert notes == ["Not used: 20's, F/b.Toml", "Not used: sub/b.Toml"]


def test_check_says_in_plain_words_that_children_are_targeted(folder: Path, tmp_path: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    station = tmp_path / "station.toml"
    station.write_text(
        '[choose]\nminors = "target"\n[ads]\ncampaigns = "campaigns"\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    done = CliRunner().invoke(campaigns_command, ["check", "--station", str(station)])
    assert "ads ARE aimed at children and teenagers here" in done.output


def test_simulate_says_what_is_left_out_and_where_there_is_nothing(folder: Path) -> None:
    (folder / "bad.toml").write_text("no toml")
    nothing = CliRunner().invoke(campaigns_command, ["simulate", str(folder)])
    assert "problem: bad.toml: line 1: not TOML" in nothing.output
    assert nothing.exit_code == 2 and "nothing to simulate" in nothing.stderr
    (folder / "good.toml").write_text(little())
    scenes = folder / "scenes"
    scenes.write_text('{"at_s": 0, "people": [{"gender": "F", "age": 25}]}\n')
    words = ["simulate", str(folder), "--audience", str(scenes)]
    assert "it ends as it begins" in CliRunner().invoke(campaigns_command, words).stderr
    with scenes.open("a") as more:
        more.write('{"at_s": 60, "people": []}\n')
    done = CliRunner().invoke(campaigns_command, words)
    assert done.exit_code == 0 and "problem: bad.toml: line 1: not TOML" in done.output and "a-line" in done.output


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


def test_check_says_as_json_how_long_and_large_each_creative_is_and_what_is_done_to_it(folder: Path) -> None:
    write_film(
        folder / "turned.mp4", [coded(quarters(96, 64))] * 25, display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    )
    edit(folder / "turned.mp4", [(0.5, 1.5)])
    (folder / "film.toml").write_text(little("film", file="turned.mp4"))
    (folder / "still.toml").write_text(little("still"))
    done = CliRunner().invoke(campaigns_command, ["check", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    ads = {ad["creative"]: ad for line in told["lines"] for ad in line["creatives"]}
    film, still = ads["film-ad"], ads["still-ad"]
    assert (film["duration_ms"], film["width_px"], film["height_px"], film["codec"]) == (1500, 64, 96, "h264")
    assert film["notes"] == ["turned by 90 degrees"]
    assert (still["kind"], still["codec"], still["notes"]) == ("image", "png", [])
    assert told["problems"] == []
    plain = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert "Creative film-ad: turned by 90 degrees." in plain.stdout


def test_check_says_problems_in_json_too(folder: Path) -> None:
    (folder / "a.toml").write_text(little(file="none.png"))
    done = CliRunner().invoke(campaigns_command, ["check", str(folder), "--json"])
    assert done.exit_code == 2
    assert any("none.png" in problem for problem in json.loads(done.stdout)["problems"])
