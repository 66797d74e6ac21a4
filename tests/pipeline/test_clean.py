"""Whatever is printed is seen and stays where it is written, by every way out of the program."""

import io
import json
import subprocess
import sys
import unicodedata
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from pipeline.clean import clean, clean_lines, first_unseen
from pipeline.errors import UserError
from pipeline.log import log
from pipeline.streams import CleanStream, Terminal, json_text
from players.ledger.spreadsheet import Csv, write_csv
from players.reports.report import Report, as_json, as_table

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\u200e\u200f"
UNSEEN = (
    *BIDI, "\0", "\x07", "\x08", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\x9d", "\u200b", "\u200c", "\u200d", "\u2060",
    "\u2064", "\u206a", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u2800",
    "\u3164", "\uffa0", "\ufe00", "\ufe0f", "\ufff9", "\U000e0001", "\U000e0041", "\U000e0100", "\U0001d159",
    "\U0001d173", "\u2028", "\u2029", "\ue000", "\U000f0000", "\u0378", "\ufdd0", "\uffff", "\U0010ffff", "\ud800",
    "\udc80",
)  # fmt: skip
SEEN = (
    "Moka Coffee", "모카 커피", unicodedata.normalize("NFD", "모카"), "コーヒー",
    "葛\U000e0100城",
    "Café Müller", "क्\u200dष", "श्री", "ක්\u200dෂ", "می\u200cخواهم", "ﷺ", "\u0601",
    "👩\u200d💻", "👨\u200d👩\u200d👧", "❤\ufe0f",
    "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "👍🏽", "🇰🇷", "ệ", "a\u00a0b",
    "全角　空白", "№ 5 ™",
    "שָׁלוֹם", "ไทย", "\U0001faf8",
)  # fmt: skip
CATEGORIES: dict[str, list[str]] = defaultdict(list)
for _number in range(sys.maxunicode + 1):
    CATEGORIES[unicodedata.category(chr(_number))].append(chr(_number))
anything = st.sampled_from(sorted(CATEGORIES)).flatmap(lambda kind: st.sampled_from(CATEGORIES[kind]))
"""Any character; every category of Unicode comes as often as any other."""
names = st.lists(anything | st.sampled_from(UNSEEN), max_size=12).map("".join)


def is_clean(text: str) -> bool:
    """Return whether no character of a text is a control, moves others or shows nothing. Joiners may stay."""
    bad, moving = ("Cc", "Cs", "Co", "Zl", "Zp"), (*BIDI, "\u200b", "\u2060", "\ufeff")
    return not any((unicodedata.category(x) in bad and x not in "\n\t") or x in moving for x in text)


@pytest.mark.parametrize("letter", UNSEEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_a_character_that_is_not_seen_becomes_an_escape_that_json_reads_back(letter: str) -> None:
    for text in (letter, f"Moka{letter}", f"{letter}Moka", f"a{letter}b", f"모{letter}카"):
        shown = clean(text)
        assert is_clean(shown) and letter not in shown and json.loads(f'"{shown}"') == text
        assert first_unseen(text) == letter


@pytest.mark.parametrize("text", SEEN)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert clean(text) == text and first_unseen(text) == ""


@pytest.mark.parametrize("kind", sorted(CATEGORIES))
def test_every_category_of_unicode_is_kept_or_escaped_as_a_whole(kind: str) -> None:
    escaped = {letter for letter in CATEGORIES[kind] if clean(letter) != letter}
    kept = set(CATEGORIES[kind]) - escaped
    if kind in ("Cc", "Cs", "Co", "Zl", "Zp"):
        assert not kept
    elif kind == "Cf":
        assert len(kept) < 16 and not kept & set(BIDI)
    elif kind == "Cn":
        assert all("\U0001f000" <= letter <= "\U0001faff" for letter in kept)
    else:
        assert len(escaped) < 300 and (kind in ("Lo", "Mn", "So") or not escaped)


@given(names)
def test_clean_text_is_of_one_line_and_stays_as_it_is(text: str) -> None:
    shown = clean(text)
    assert is_clean(shown) and "\n" not in shown and clean(shown) == shown


def test_marks_that_would_cover_other_lines_are_escaped() -> None:
    assert clean("a" + "\u0301" * 50).count("\\u0301") == 42


def test_an_age_of_cleaning_is_not_spent_on_a_long_text() -> None:
    text = "\u200d" * 200_000
    assert clean(text) == "\\u200d" * 200_000


@given(names)
def test_no_way_out_of_the_program_lets_anything_else_through(name: str) -> None:
    wide = Table("name", title=name.replace("[", ""))
    wide.add_row(Text(name))
    wide.add_row(name.replace("[", ""))
    out = io.StringIO()
    for colours in (False, True):
        terminal = Terminal(out, width=80, force_terminal=colours, color_system=None, markup=False)
        terminal.print(wide, name, Text(name))
    report = Report(title="x", columns=("advertiser", "spend"), rows=[{"advertiser": name, "spend": Decimal(1)}])
    Terminal(out, width=80).print(as_table(report))
    write_csv(out, report.columns, ([row["advertiser"], row["spend"]] for row in report.rows), Csv())
    out.write(as_json(report) + json_text({name: [name]}) + str(UserError(name)))
    CleanStream(out).write(name)
    shown = out.getvalue().replace("\r\n", "\n")
    assert is_clean(shown), ascii(shown)
    assert json.loads(as_json(report))["rows"][0]["advertiser"] == name


@pytest.mark.parametrize("letter", UNSEEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_a_line_of_the_log_and_an_error_are_clean(letter: str, capsys: pytest.CaptureFixture[str]) -> None:
    log("event", name=f"a{letter}b", error=UserError(f"x{letter}"))
    UserError(f"a{letter}b").show()
    shown = capsys.readouterr().err
    assert is_clean(shown) and shown.count("\n") == 2


def test_only_colours_of_our_own_reach_a_terminal() -> None:
    out = io.StringIO()
    terminal = Terminal(out, force_terminal=True, color_system="standard", width=80)
    terminal.print("[red]ours[/] \x1b[32mtheirs\x1b[0m \x1b]0;owned\x07", highlight=False)
    shown = out.getvalue()
    assert "\x1b[31mours" in shown and "\\u001b[32mtheirs" in shown
    assert "\x1b[32m" not in shown and "\x1b]" not in shown and "\x07" not in shown


def test_lines_and_tabulators_of_our_own_stay() -> None:
    assert clean_lines("a\tb\n\x1bc\n") == "a\tb\n\\u001bc\n"


def test_even_a_traceback_is_clean(tmp_path: Path) -> None:
    code = (
        "import sys, pipeline.cli as c\n"
        "c.cli = lambda **_: (_ for _ in ()).throw(RuntimeError('\\x1b[2J\\u202e'))\n"
        "c.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "\\u202e" in done.stderr and is_clean(done.stderr)
