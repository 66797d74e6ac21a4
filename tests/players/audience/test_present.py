"""The people present: which cameras count, who looks, minors, and what is kept of it."""

import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from players.audience.present import NOBODY, Cameras, Present, pack, unpack
from tests.ads import (
    BOY,
    F20,
    M30,
    MS,
    S,
    frame,
    person,
    present,
)


def test_the_newest_word_of_a_camera_says_who_is_there() -> None:
    cameras = Cameras({"cam": ""})
    cameras.add(frame(10 * S, person(*F20), person(*M30)))
    assert cameras.present(10 * S).groups() == {("F", "20-29"): 1, ("M", "30-39"): 1}
    cameras.add(frame(10_200 * MS, person(*M30)))
    cameras.add(frame(10_100 * MS, person(*F20)))
    assert cameras.present(10_300 * MS).groups() == {("M", "30-39"): 1}


def test_a_camera_whose_word_no_longer_holds_is_not_measured_which_is_not_nobody() -> None:
    cameras = Cameras({"cam": "", "slow": ""})
    assert (cameras.present(10 * S).people, cameras.present(10 * S).measured) == (0, 0.0)
    cameras.add(frame(10 * S, person()))
    cameras.add(frame(10 * S, person(), camera="slow", lasts_ms=15_000))
    assert (cameras.present(12 * S).people, cameras.present(12 * S).measured) == (2, 1.0)
    assert (cameras.present(13 * S).people, cameras.present(13 * S).measured) == (1, 0.5)
    assert (cameras.present(26 * S).people, cameras.present(26 * S).measured) == (0, 0.0)
    assert Cameras().present(10 * S).measured is None


def test_who_was_last_found_too_long_ago_is_gone_although_the_camera_holds() -> None:
    cameras = Cameras({"cam": ""})
    cameras.add(frame(10 * S, person(seen_ns=10 * S), person(seen_ns=9 * S)))
    assert [cameras.present(at_ns).people for at_ns in (11 * S, 11_100 * MS)] == [2, 1]


def test_cameras_add_up() -> None:
    cameras = Cameras({"left": "", "right": ""})
    cameras.add(frame(10 * S, person("F", 25), camera="left"))
    cameras.add(frame(11 * S, person("M", 35), person("M", 36), camera="right"))
    assert cameras.present(11 * S).people == 3


def test_of_a_group_the_camera_that_leads_counts_and_a_person_counts_once() -> None:
    cameras = Cameras({"left": "stop", "right": "stop", "roof": ""})
    cameras.add(frame(10 * S, person(), person(), camera="left", group="stop", leads=True))
    cameras.add(frame(10 * S, person(), camera="right", group="stop", leads=False))
    who = cameras.present(10 * S)
    assert (who.people, who.measured) == (2, 0.5)
    cameras.add(frame(10_100 * MS, person(), person(), person(), camera="right", group="stop", leads=True))
    assert cameras.present(10_200 * MS).people == 3  # for a moment both say that they lead
    assert cameras.present(12_050 * MS).people == 3


def test_where_the_camera_that_leads_is_not_of_this_screen_the_one_that_sees_most_counts() -> None:
    cameras = Cameras({"left": "stop", "right": "stop"})
    cameras.add(frame(10 * S, person(), camera="left", group="stop", leads=False))
    cameras.add(frame(10 * S, person(), person(), camera="right", group="stop", leads=False))
    who = cameras.present(10 * S)
    assert (who.people, who.measured) == (2, 1.0)


def test_a_camera_that_is_gone_counts_nobody() -> None:
    cameras = Cameras({"left": "", "right": ""})
    for name in ("left", "right"):
        cameras.add(frame(10 * S, person(), camera=name))
    cameras.update({"right": ""})
    cameras.add(frame(10 * S, person(), camera="left"))
    assert (cameras.present(10 * S).people, cameras.present(10 * S).measured) == (1, 1.0)


def test_who_looks_counts_by_attention_and_nearness() -> None:
    near = person(*F20, 200, looking=True, attention_ms=2500)
    far = person(*M30, 100, looking=True, attention_ms=9000)
    who = present(near, far, person(*M30, 400, looking=False), person(*M30))
    assert (who.looking[1, 2], who.looking[0, 3], who.looking.sum()) == (1, 1, 2)
    assert (who.appeal[1, 2], who.appeal[0, 3]) == pytest.approx((0.5, 0.5))
    assert who.expected_appeal.sum() == pytest.approx(1.0)
    assert present(person(*F20, looking=True)).appeal.sum() == pytest.approx(0.1)
    assert not present(person(*F20)).looking.any()


def test_the_probability_that_anybody_is_a_minor_is_told() -> None:
    who = present(person(*F20, p_minor=0.1), person(*BOY, p_minor=0.8), person("unknown", None))
    assert (who.minors, who.p_minor) == (1, pytest.approx(0.82))
    assert present(person()).p_minor is None


def test_somebody_who_is_rather_a_minor_is_one_whatever_the_likeliest_decade() -> None:
    girl = person("F", 22.0, p_minor=0.55)
    who = present(girl)
    assert (who.minors, who.groups()) == (1, {("unknown", "unknown"): 1})
    assert not who.ages.any()


def test_nearness_is_the_mean_height_of_the_faces_as_a_share_of_the_frame() -> None:
    who = present(person("F", 25, 100), person("F", 26, 300))
    assert who.nearness[1, 2] == pytest.approx(0.2)


def numbers(columns: int, most: float) -> st.SearchStrategy[np.ndarray]:
    """Make arrays of people by gender and something else, mostly of zeros."""
    sizes = st.floats(1e-7, most) | st.sampled_from([1.0, 0.5, 2.0])
    return arrays(np.float64, (3, columns), elements=st.just(0.0) | sizes, fill=st.just(0.0))


@given(
    st.integers(0, 500),
    st.lists(numbers(10, 300), min_size=6, max_size=6),
    numbers(121, 300),
    st.integers(0, 64),
    st.none() | st.floats(0, 1, allow_subnormal=False),
    st.none() | st.floats(0, 1, allow_subnormal=False),
)
def test_who_is_present_is_kept_to_one_in_2048(
    people: int, bins: list[np.ndarray], ages: np.ndarray, minors: int, p_minor: float | None, measured: float | None
) -> None:
    names = ("bins", "expected", "nearness", "looking", "appeal", "expected_appeal")
    before = dict(zip(names, bins, strict=True)) | {"ages": ages}
    kept = unpack(pack(Present(people, **before, minors=minors, p_minor=p_minor, measured=measured)), "ab")
    assert (kept.people, kept.model_sha256, kept.minors) == (people, "ab", minors)
    assert (kept.p_minor, kept.measured) == (p_minor, measured)
    for name, array in before.items():
        np.testing.assert_allclose(getattr(kept, name), array, rtol=1 / 2048, atol=3e-8)


def test_what_a_ledger_kept_before_people_were_followed_is_read() -> None:
    half = np.array([1.0, 0.5, 0.25, 1.0], "<f2").tobytes()  # two of M 0-9 as bins, expected, nearness; one of age 0
    plain = msgspec.msgpack.encode([2, [0, 29, 29, 29], half])
    who = unpack(zlib.compress(plain, 9, wbits=-zlib.MAX_WBITS))
    assert (who.people, who.bins[0, 0], who.expected[0, 0], who.nearness[0, 0], who.ages[0, 0]) == (2, 1, 0.5, 0.25, 1)
    assert (who.minors, who.p_minor, who.measured, who.looking.any()) == (1, None, None, False)


def test_nobody_takes_next_to_no_space_and_more_than_half_precision_holds_is_cut() -> None:
    assert len(pack(NOBODY)) < 12
    assert not unpack(pack(NOBODY)).groups()
    assert unpack(pack(Present(100_000, np.full((3, 10), 1e5)))).bins.max() == 65504


@given(st.binary() | st.integers(1, 20).map(lambda cut: pack(present(person()))[:-cut]))
def test_what_is_no_audience_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="who was present cannot be read"):
        unpack(data)
