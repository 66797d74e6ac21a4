"""Bills: codes, words and what they depend on."""

import time
from pathlib import Path
from typing import Any, get_args

import pytest

from players.ads.lines import Target
from players.audience.present import NOBODY
from players.ledger.billing import IN_SHORT, BillCode, code_of_words
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, HOUSE, M30, decision, line, present, tally_of
from tests.players.ledger.plays import AD, STATION, play, sound, table


@pytest.mark.parametrize(
    ("how", "code", "why"),
    [
        ({}, "billed", "billed: the target (F 20-29) was met by 1, 100 % shown"),
        ({"shown": 0.75}, "billed", "billed: the target (F 20-29) was met by 1, 75 % shown"),
        ({"shown": 0.74}, "cut_short", "not billed: only 73.9 % of it was shown"),
        ({"shown": 359 / 480}, "cut_short", "not billed: only 74.7 % of it was shown"),
        ({"who": present(M30)}, "target_not_met", "not billed: the target (F 20-29) was met by 0 while it was shown"),
        ({"who": NOBODY}, "target_not_met", "not billed: the target (F 20-29) was met by 0 while it was shown"),
        ({"status": "failed", "stop_reason": "torn file"}, "failed", "not billed: it failed (torn file)"),
        ({"ad": HOUSE}, "house", "not billed: a house ad"),
        (
            {"ad": line("two", Target(min_watchers=2))},
            "target_not_met",
            "not billed: the target (anyone, at least 2 people) was met",
        ),
    ],
)
def test_what_is_billed_and_why(ledger: Ledger, path: Path, how: dict[str, Any], code: str, why: str) -> None:
    play(ledger, **how)
    ledger.close()
    row = table(path)[0]
    assert (row["billable"], row["bill_code"], row["bill_reason"][: len(why)]) == (int(code == "billed"), code, why)
    assert code_of_words(row["bill_reason"]) == code
    sound(path)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (None, None),
        ("not billed: the play was aborted", "aborted"),
        ("not billed: the moon was in the way", "other"),
        ("", "other"),
    ],
)
def test_words_of_schema_1_have_codes_whatever_they_are(words: str | None, code: str | None) -> None:
    assert code_of_words(words) == code


def test_every_code_has_words_for_reports() -> None:
    assert {*IN_SHORT} == {*get_args(BillCode)}


def test_what_nobody_saw_is_not_billed_however_little_is_asked(path: Path) -> None:
    book = Ledger(path, STATION, "main", min_presented=0.0)
    play(book, shown=0.0)
    play(book, shown=0.01)
    book.close()
    assert [row["billable"] for row in table(path)] == [0, 1]


def test_a_play_cut_short_is_not_billed_however_smooth_it_was(ledger: Ledger, path: Path) -> None:
    chosen = decision(AD)
    play_id = ledger.start(chosen, planned_ms=8000)
    assert play_id is not None
    tally = tally_of(present(F20))
    cut = Shown(frames_expected=3, frames_presented=3, status="partial", shown_ms=80, tally=tally)
    ledger.end(play_id, cut)
    ledger.close()
    (row,) = table(path)
    assert (row["billable"], row["bill_reason"]) == (0, "not billed: only 1 % of it was shown")


@pytest.mark.parametrize(("presented", "billed", "share"), [(360, 0, 72), (380, 1, 76)])
def test_frames_lost_and_time_cut_off_both_count_and_waiting_for_the_disk_does_not(
    ledger: Ledger, path: Path, presented: int, billed: int, share: int
) -> None:
    """Four fifths of the time was shown, and of its 400 frames not all; the commits themselves took longer."""
    chosen = decision(AD)
    play_id = ledger.start(chosen, planned_ms=50)
    assert play_id is not None
    tally = tally_of(present(F20))
    time.sleep(0.06)
    shown = Shown(frames_expected=400, frames_presented=presented, status="partial", shown_ms=40, tally=tally)
    ledger.end(play_id, shown)
    ledger.close()
    (row,) = table(path)
    assert (row["billable"], row["shown_ms"]) == (billed, 40)
    assert f"{share} % " in row["bill_reason"]
