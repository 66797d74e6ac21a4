"""Memory of earlier plays after a restart, and clocks that jump."""

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from players.choice.history import HOUR_NS
from players.ledger import clock, opening
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, HOUSE, decision, line, pick, present, tally_of
from tests.players.ledger.plays import AD, STATION, alter, play, sound, table


def test_caps_and_gaps_outlive_a_restart(ledger: Ledger, path: Path) -> None:
    play(ledger)
    play(ledger)
    ledger.close()
    again = Ledger(path, STATION, "main")
    starts = again.history.starts_ns[AD.key]
    again.close()
    now_ns = time.monotonic_ns()
    assert len(starts) == 2
    assert all(0 <= now_ns - start < 60 * 10**9 for start in starts)


def test_a_rival_does_not_follow_a_restart(ledger: Ledger, path: Path) -> None:
    cola, pepper = line("cola", separation="drinks"), line("pepper", separation="drinks")
    play(ledger, pepper)
    play(ledger, cola)
    ledger.close()
    again = Ledger(path, STATION, "main")
    again.close()
    shown, now_ns = again.history, time.monotonic_ns()
    next_ones = {pick(present(F20), cola, pepper, history=shown, mono_ns=now_ns, seed=n).line.id for n in range(30)}
    assert next_ones == {"house"}


def test_caps_and_gaps_go_by_the_boots_own_clock_and_are_told_anew_when_the_other_is_set(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a battery starts in 1970, or hours behind, until a server tells it the time."""
    shift = timedelta(hours=-30)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    def ages_h(book: Ledger) -> dict[str, float]:
        now_ns = time.monotonic_ns()
        return {key[2]: round((now_ns - starts[-1]) / HOUR_NS, 1) for key, starts in book.history.starts_ns.items()}

    monkeypatch.setattr(clock, "datetime", Clock)
    monkeypatch.setattr(clock, "is_synchronised", lambda: False)
    play(ledger, line("old"))
    shift = timedelta(hours=-10)
    play(ledger, line("late"))
    ledger.close()
    shift = timedelta(0)
    again = Ledger(path, STATION, "main")
    assert ages_h(again) == {"old": 0.0, "late": 0.0}
    again.close()
    monkeypatch.setattr(opening, "FOLLOWED_AT_START", 0)  # another boot is made by changing what was hashed
    alter(path, "UPDATE plays SET started_mono_ns = started_mono_ns + 9000000000000000")
    shift = timedelta(days=-20_000)
    booted = Ledger(path, STATION, "main")
    assert ages_h(booted) == {"late": 0.0, "old": 20.0}
    shift = timedelta(0)
    monkeypatch.setattr(clock, "is_synchronised", lambda: True)
    play(booted, HOUSE)
    assert ages_h(booted) == {"late": 10.0, "house": 0.0}
    booted.close()


def test_durations_are_monotonic_when_the_clock_jumps(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = timedelta(0)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + shift

    monkeypatch.setattr(clock, "datetime", Clock)
    for hours in (-3, 5, 0):
        chosen = decision(AD)
        play_id = ledger.start(chosen, planned_ms=50)
        assert play_id is not None
        shift = timedelta(hours=hours)
        time.sleep(0.05)
        tally = tally_of(present(F20))
        ledger.end(play_id, Shown(frames_expected=6, frames_presented=6, status="played", tally=tally))
    ledger.close()
    monkeypatch.undo()
    rows = table(path)
    assert all(50 <= row["shown_ms"] < 600_000 for row in rows)
    assert sound(path).billable == 3
    book = Ledger(path, STATION, "main")
    now_ns = time.monotonic_ns()
    assert all(now_ns - 4 * HOUR_NS < start <= now_ns for start in book.history.starts_ns[AD.key])
    book.close()
