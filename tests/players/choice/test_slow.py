"""Creatives that are slow to load, with a clock that only the loads move."""

import msgspec
import pytest

from players.ads.lines import Creative, Line
from players.choice.slow import LEAD_S, SHARE, Slow
from tests.ads import line


def lines(advertiser: str, number: int) -> list[tuple[Creative, Line]]:
    owner = line("x", advertiser=advertiser)
    return [
        (msgspec.structs.replace(owner.creatives[0], sha256=f"{advertiser} {n}", id=f"{advertiser}-{n}"), owner)
        for n in range(number)
    ]


@pytest.mark.parametrize("took_s", [2.0, 4.0, 9.5])
@pytest.mark.parametrize("number", [1, 3, 100])
def test_slow_media_of_one_advertiser_take_a_small_share_of_the_time_however_many_they_are(
    took_s: float, number: int
) -> None:
    """Whenever one may be chosen it is, for two hours."""
    now_s, lost_s = 0.0, 0.0
    slow = Slow(lambda: now_s)
    media = lines("Evil", number)
    while now_s < 2 * 3600:
        chosen = next(((ad, owner) for ad, owner in media if not slow.why_away(ad, owner)), None)
        if chosen is not None:
            now_s += took_s
            lost_s += took_s - LEAD_S
            slow.loaded(*chosen, took_s)
        now_s += 8.0
        assert lost_s <= SHARE * now_s + took_s - LEAD_S
    assert lost_s < SHARE * now_s / 2


def test_each_time_that_it_is_slow_a_creative_is_away_twice_as_long() -> None:
    now_s = 0.0
    slow = Slow(lambda: now_s)
    ((ad, owner),) = lines("Moka", 1)
    times_s = []
    for _ in range(12):
        assert not slow.why_away(ad, owner)
        times_s.append(slow.loaded(ad, owner, LEAD_S + 4))
        assert "slow to load" in slow.why_away(ad, owner)
        now_s += times_s[-1]
    assert times_s[:4] == [80, 160, 320, 600] and times_s[-1] == 600
    now_s += 2 * 3600
    assert slow.loaded(ad, owner, LEAD_S + 4) == 80
    assert max(slow.loaded(ad, owner, LEAD_S + 0.1) for _ in range(12)) <= 80 + 20, "what is a little slow is away less"


def test_what_was_loaded_in_time_and_what_is_of_others_plays_on() -> None:
    now_s = 0.0
    slow = Slow(lambda: now_s)
    quick, late, new = lines("Evil", 3)
    (other,) = lines("Moka", 1)
    assert slow.loaded(*quick, 0.1) == 0
    assert slow.loaded(*late, 9.0) >= (9.0 - LEAD_S) / SHARE
    assert [bool(slow.why_away(*ad)) for ad in (quick, late, new, other)] == [False, True, True, False]
    copy = other[0], late[1]
    assert slow.loaded(*copy, 9.0) and slow.why_away(*copy) and not slow.why_away(*other), "a rival shows a copy of it"
