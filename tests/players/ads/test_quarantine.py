"""Media that failed: how long they are kept away, what frees them and what does not."""

import time
from pathlib import Path

import pytest

from players.ads import quarantine
from players.ads.quarantine import FAILED_MAX, FIRST_S, MOST_S, REMEMBERED_S, Quarantine

EVIL, MOKA = "Evil", "Moka"


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time of the wall clock, which the test sets."""
    now = [time.time()]
    monkeypatch.setattr(quarantine.time, "time", lambda: now[0])
    return now


def test_each_failure_keeps_a_medium_away_twice_as_long_up_to_a_day(now_s: list[float]) -> None:
    kept = Quarantine()
    pauses = []
    for _ in range(10):
        pauses.append(kept.fail("a", "it broke", 9, EVIL))
        now_s[0] += pauses[-1] - 1
        assert kept.held([("a", EVIL)])
        now_s[0] += 1
        assert not kept.held([("a", EVIL)])
    assert pauses[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S] and pauses[-1] == MOST_S
    now_s[0] += MOST_S + REMEMBERED_S
    kept.fail("b", "it broke", 9, EVIL)
    assert kept.fail("a", "it broke", 9, EVIL) == FIRST_S


def test_a_restart_forgets_no_failure(tmp_path: Path) -> None:
    kept = Quarantine(tmp_path / "state" / "quarantine.cache")
    kept.fail("a", "it broke", 9, EVIL)
    kept.shown_whole("good")
    again = Quarantine(tmp_path / "state" / "quarantine.cache")
    assert again.held([("a", EVIL), ("good", EVIL)]) == {
        ("a", EVIL): "it failed (it broke); it is tried again in 10 min"
    }
    assert again.of_size(9) == ["a"] and again.of_size(8) == []
    (tmp_path / "state" / "quarantine.cache").write_bytes(b"torn")
    assert not Quarantine(tmp_path / "state" / "quarantine.cache").held([("a", EVIL)])


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_is_set_back_begins_a_pause_anew_and_no_more(
    now_s: list[float], tmp_path: Path, restarts: bool
) -> None:
    kept = Quarantine(tmp_path / "quarantine.cache")
    kept.fail("a", "it broke", 9, EVIL)
    now_s[0] -= 10 * 365 * 86_400
    assert kept.left_s("a") == FIRST_S and kept.of_size(9) == ["a"]
    now_s[0] += FIRST_S
    kept = Quarantine(tmp_path / "quarantine.cache") if restarts else kept
    assert not kept.left_s("a") and not kept.held([("a", EVIL)])


def test_a_medium_that_fails_takes_no_other_along(now_s: list[float]) -> None:
    """Media that were shown whole go on, however many others of their advertiser fail; and so do all of others."""
    kept = Quarantine()
    kept.shown_whole("good")
    for n in range(FAILED_MAX - 1):
        kept.fail(f"bad-{n}", "it broke", 9, EVIL)
    assert not kept.held([("good", EVIL), ("new", EVIL), ("new of Moka", MOKA)])
    for n in range(20):
        kept.fail(f"worse-{n}", "it broke", 9, EVIL)
    assert not kept.held([("good", EVIL), ("new of Moka", MOKA)])


def test_a_copy_of_a_rivals_new_medium_keeps_only_the_copy_away() -> None:
    kept = Quarantine()
    for n in range(FAILED_MAX):
        kept.fail(f"broken{n}", "it broke", 9, EVIL)
    assert set(kept.held([("new", MOKA), ("new", EVIL)])) == {("new", EVIL)}


def test_to_change_a_byte_of_a_medium_that_fails_frees_it_for_a_few_times_only(now_s: list[float]) -> None:
    kept = Quarantine()
    played = 0
    end_s = now_s[0] + 86_400
    while now_s[0] < end_s:
        if not kept.held([(f"version {now_s[0]}", EVIL)]):
            played += 1
            kept.fail(f"version {now_s[0]}", "it broke", 9, EVIL)
        now_s[0] += 4
    assert FAILED_MAX <= played <= FAILED_MAX + 8
    assert "other media of Evil failed; new ones wait" in kept.held([("new", EVIL)])["new", EVIL]
