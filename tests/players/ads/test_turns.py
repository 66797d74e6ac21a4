"""Turns of advertisers, with a clock that only the examinations move."""

from collections.abc import Iterator

import pytest

from players.ads.turns import BUDGET_S, SHARE, Owner, Turns, Used, Wanted


class Examined:
    """Examinations one after the other; each takes the seconds that its path begins with."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.used = Used(lambda: self.now_s)

    def of(self, wanted: dict[str, Wanted]) -> Iterator[str]:
        turns = Turns(self.used, wanted)
        while (wait_s := turns.wait_s()) is not None:
            self.now_s += wait_s
            taken = turns.take()
            assert taken is not None
            path, medium = taken
            seconds = float(path.split()[0])
            self.now_s += seconds
            self.used.charge(medium, seconds)
            yield path


def media(advertiser: str, number: int, seconds: float, campaign: str = "c", **about: bool) -> dict[str, Wanted]:
    return {
        f"{seconds} {advertiser} {campaign} {n}": Wanted((1000 + n, 0, 0), (Owner(advertiser, campaign, **about),))
        for n in range(number)
    }


def test_a_new_medium_waits_for_one_medium_of_another_however_many_he_sent() -> None:
    examined = Examined()
    flood = media("Evil", 1000, 20)
    assert list(zip(range(5), examined.of(flood), strict=False))
    order = list(zip(range(12), examined.of(flood | media("Moka", 10, 0.1)), strict=False))
    assert [path.split()[1] for _, path in order[:10]] == ["Moka"] * 10


@pytest.mark.parametrize("names", [1, 500])
def test_who_had_good_media_comes_before_any_number_of_new_names(names: int) -> None:
    flood: dict[str, Wanted] = {}
    for n in range(names):
        flood |= media(f"Evil {n}", 3, 20)
    examined = Examined()
    examined.used.charge(Wanted((1, 0, 0), (Owner("Moka", established=True),)), 5)
    order = list(examined.of(flood | media("Moka", 4, 1, established=True)))
    assert [path.split()[1] for path in order[:4]] == ["Moka"] * 4 and len(order) == len(flood) + 4


def test_what_an_advertiser_uses_over_his_budget_waits_and_no_other_with_him() -> None:
    examined = Examined()
    began_s = examined.now_s
    list(examined.of(media("Evil", 100, 20)))
    took_s = examined.now_s - began_s
    assert took_s == pytest.approx((2000 - BUDGET_S) / SHARE, rel=0.05)
    began_s = examined.now_s
    order = list(examined.of(media("Evil", 5, 20) | media("Moka", 3, 1)))
    assert [path.split()[1] for path in order] == ["Moka"] * 3 + ["Evil"] * 5


@pytest.mark.parametrize("moka_first", [False, True])
def test_who_names_the_files_of_another_who_is_over_his_budget_does_not_wait_with_him(moka_first: bool) -> None:
    """Each is examined once, in the turn of whoever is next, and charged to him."""
    examined = Examined()
    evil, moka = Owner("Evil", "e"), Owner("Moka", "m")
    examined.used.charge(Wanted((1, 0, 0), (evil,)), 2 * BUDGET_S)
    both = (moka, evil) if moka_first else (evil, moka)
    shared = {f"1 shared {n}": Wanted((1000 + n, 0, 0), both) for n in range(3)}
    began_s = examined.now_s
    order = list(zip(range(3), examined.of(shared | media("Evil", 5, 20)), strict=False))
    assert [path.split()[1] for _, path in order] == ["shared"] * 3
    assert examined.now_s - began_s == pytest.approx(3)
    assert examined.used.until_s["Moka", "m"] > examined.now_s
    assert len(list(Examined().of(shared))) == 3


def test_campaigns_of_one_advertiser_take_turns_and_the_smallest_medium_goes_first() -> None:
    both = media("Moka", 3, 5, "a") | media("Moka", 3, 5, "b")
    order = [path.split()[2:] for path in Examined().of(both)]
    assert order == [["a", "0"], ["b", "0"], ["a", "1"], ["b", "1"], ["a", "2"], ["b", "2"]]


def test_ten_thousand_media_are_ordered_without_a_square_of_their_number() -> None:
    wanted: dict[str, Wanted] = {}
    for n in range(10_000):
        wanted |= media(f"A{n % 5000}", 1, 0.01, f"c{n}")
    assert len(list(Examined().of(wanted))) == 10_000
