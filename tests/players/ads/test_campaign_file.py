"""Campaign files: what their keys become, and mistakes in one line each."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from players.ads import campaign_file
from players.ads.campaign_file import parse
from players.ads.campaigns import load_catalogue
from players.ads.lines import Target
from tests.players.campaign_files import GOOD, UTC, little, read


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


@pytest.mark.parametrize(
    ("keys", "per", "bill_on"),
    [
        ("", "play", "present"),
        ('bill_on = "watched"', "play", "watched"),
        ('per = "1000 ots"', "1000 ots", "present"),
        ('per = "1000 ots"\nbill_on = "watched"', "1000 ots", "watched"),
        ('per = "1000 watchers"', "1000 watchers", "watched"),
        ('per = "1000 attentive seconds"\nbill_on = "watched"', "1000 attentive seconds", "watched"),
    ],
)
def test_a_price_is_for_what_per_says_and_is_billed_on_who_was_there_or_looked(
    folder: Path, keys: str, per: str, bill_on: str
) -> None:
    (folder / "a.toml").write_text('currency = "EUR"\n' + little(line=f"price = 9.5\n{keys}"))
    catalogue = read(folder)
    assert catalogue.problems == ()
    (line,) = catalogue.lines
    assert (line.price, line.per, line.bill_on) == (Decimal("9.5"), per, bill_on)


def test_a_budget_is_shared_between_the_screens_of_a_station(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    (line,) = load_catalogue(folder, UTC, 8.0, screens=3).lines
    assert line.budget == Decimal("166.666666")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("advertiser = ", "bad.toml: line 1: not TOML: advertiser: put text in straight quotes"),
        ("\0\1\2", "bad.toml: line 1: it holds a zero byte"),
        (f"a{'.a' * 100_000} = 1", "bad.toml: line 1: not TOML: it is no line of TOML; mend it"),
        ("campaign = 'a'", "bad.toml: file: advertiser is missing; add advertiser"),
        (little(line="quux = 1e15"), "bad.toml: lines[0].quux: unknown key; known here: id, target"),
        (little(file='latte.png"\nduration = 1e15#'), "creatives[0].duration: unknown key; did you mean duration_s?"),
        (little(file='latte.png"\nduration_s = 1e15#'), "creatives[0].duration_s: expected a number of at most 600"),
        (little(file='latte.png"\nduration_s = -1#'), "creatives[0].duration_s: expected a number of at least 1"),
        (little(file='latte.png"\nduration_s = nan#'), "duration_s"),
        (little(line='currency = "EUR"'), "lines[0].currency: unknown key"),
        ('currency = "XYZ"\n' + little(), "bad.toml: currency: there is no currency 'XYZ'"),
        (little(line='price = "0.10"'), "lines[0].price: needs a currency"),
        ('currency = "EUR"\n' + little(line='price = "-1"'), "lines[0].price: '-1' is no amount of EUR"),
        ('currency = "EUR"\n' + little(line='price = "NaN"'), "lines[0].price: 'NaN' is no amount of EUR"),
        ('currency = "EUR"\n' + little(line='price = "1e300"'), "lines[0].price: '1e300' is no amount of EUR"),
        (
            'currency = "EUR"\n' + little(line='price = "0.0000001"'),
            "write digits, at most two of them after a point, such as",
        ),
        (
            'currency = "KRW"\n' + little(line="price = 1.200"),
            "lines[0].price: '1.2' is no amount of KRW; write digits alone",
        ),
        ('currency = "EUR"\n' + little(line="price = 1.200"), "price in line 7: '1.200' is no amount of EUR"),
        ('currency = "EUR"\n' + little(line="price = 1e3"), "price in line 7: '1e3' is no amount of EUR"),
        (
            'currency = "EUR"\n' + little(line="price = 2000000000"),
            "lines[0].price: 2000000000 is more than 1000000000 EUR",
        ),
        ('currency = "eur"\n' + little(), "currency: 'eur' is not written as ISO 4217 has it; write EUR"),
        ('currency = "won"\n' + little(), "currency: there is no currency 'won'; use an ISO 4217 code"),
        ("currency = 5\n" + little(line="price = 1"), "lines[0].price: needs a currency"),
        (
            'currency = "EUR"\n' + little(line="cpm = 2"),
            'lines[0].cpm: it is not told whom it counts; write price = "2" with per = "1000 ots"',
        ),
        (
            'currency = "EUR"\n' + little(line='price = 1\nper = "1000 views"'),
            "lines[0].per: '1000 views' is not known; write one of play, 1000 ots, 1000 watchers",
        ),
        (
            'currency = "EUR"\n' + little(line='price = 1\nper = "1000 watchers"\nbill_on = "present"'),
            "lines[0].bill_on: 1000 watchers are of people who watched; remove bill_on",
        ),
        (little(line='per = "1000 ots"'), "lines[0].per: there is no price for 1000 ots; add price"),
        ('currency = "EUR"\n' + little(line="budget = 5"), "lines[0].budget: a budget needs a price"),
        (little(line="starts = 2026-05-02\nends = 2026-05-01"), "lines[0].ends: 2026-05-01 is before starts"),
        (little(line="starts = 2026-02-30"), "bad.toml: line 6: not TOML: starts: a day is written such as 2026-05-01"),
        (little(line='starts = "soon"'), "lines[0].starts"),
        (little(line='dayparts = ["7-10"]'), "lines[0].dayparts: '7-10' is no daypart"),
        (little(line='dayparts = ["10:00-25:00"]'), "lines[0].dayparts: '10:00-25:00' ends after 24:00"),
        (
            little(line='weekdays = ["monday"]'),
            "lines[0].weekdays[0]: 'monday' is not known; write one of mon, tue",
        ),
        (little(line="starts = 2026-05-01T10:00:00"), "got a day with a time; write a day such as 2026-05-01"),
        (little(line="weekdays = []"), "lines[0].weekdays: a line needs at least one day"),
        (little(line='target = { ages = ["29-20"] }'), "lines[0].target.ages: '29-20' is no range of ages"),
        (little(line='target = { ages = ["0-500"] }'), "lines[0].target.ages: '0-500' is no range of ages"),
        (little(line='target = { gender = "female" }'), "'female' is not known; write one of M, F, any"),
        (little(line='target = { mood = "happy" }'), "lines[0].target.mood: unknown key"),
        (little(line='house = true\ntarget = { gender = "F" }'), "lines[0].house: a house line has no target"),
        (little(line='pacing = "even"'), "lines[0].pacing: even pacing needs starts, ends and budget"),
        (little(line="weight = 0"), "lines[0].weight: expected a number above 0"),
        (little(line="priority = 101"), "lines[0].priority: expected a whole number of at most 100"),
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


ENCODED = {
    "bom": "", "utf16": "", "euckr": "line 1: it is not UTF-8 but looks like Korean CP949 (EUC-KR); save it as UTF-8",
    "cp1252": "line 1: it is not UTF-8 but looks like an older encoding such as CP1252 (ANSI, Western); save it as UTF",
    "smart": "line 1: not TOML: it holds the quotation mark ” (U+201D); write straight quotes",
    "nbsp": "line 1: not TOML: it holds a blank of another kind (no-break space, U+00A0); write plain blanks",
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODED)
def test_campaign_files_of_the_cases_are_read_or_told_how_to_save_them(shared_dir: Path, name: str) -> None:
    path = shared_dir / "cases" / "campaigns" / "encodings" / f"{name}.toml"
    if not ENCODED[name]:
        assert parse(str(path), path.parent).advertiser == "모카"
        return
    with pytest.raises(UserError) as caught:
        parse(str(path), path.parent)
    assert str(caught.value).startswith(f"{name}.toml: {ENCODED[name]}")


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


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "campaigns.md").read_text("utf-8")
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
    text = (Path(__file__).parents[3] / "docs" / "campaigns.md").read_text("utf-8")
    (folder / "moka.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    assert read(folder).problems == ()
