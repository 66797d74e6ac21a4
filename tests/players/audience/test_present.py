"""The people present: window, flicker, slow cameras, minors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from players.audience.present import NOBODY, AudienceWindow, Present, pack, unpack
from players.audience.quarters import AudienceCount
from tests.ads import (
    MS,
    S,
    frame,
    person,
    present,
)


def test_one_person_seen_in_every_frame_is_one_person() -> None:
    window = AudienceWindow(2.0)
    for n in range(20):
        window.add(frame(10 * S + n * 100 * MS, person("F", 25)))
    who = window.present(12 * S)
    assert who.people == 1
    assert who.groups() == {("F", "20-29"): pytest.approx(1.0)}


def test_a_missed_frame_drops_nobody_and_a_flickering_label_doubles_nobody() -> None:
    window = AudienceWindow(2.0)
    for n in range(20):
        seen = [] if n % 5 == 0 else [person("F", 25 if n % 2 else 35)]
        window.add(frame(10 * S + n * 100 * MS, *seen))
    who = window.present(12 * S)
    assert who.people == 1
    assert sum(who.groups().values()) == pytest.approx(1.0)


def test_who_has_just_come_counts_at_once_and_who_left_is_gone_after_the_window() -> None:
    window = AudienceWindow(2.0)
    for n in range(20):
        window.add(frame(10 * S + n * 100 * MS))
    assert window.present(12 * S).people == 0
    window.add(frame(12 * S, person("M", 35)))
    assert window.present(12 * S).groups() == {("M", "30-39"): pytest.approx(1.0)}
    for n in range(30):
        window.add(frame(12 * S + 100 * MS + n * 100 * MS))
    assert window.present(15 * S + 100 * MS).people == 0


def test_of_a_slow_camera_the_newest_frame_counts_until_the_next_is_overdue() -> None:
    window, counted = AudienceWindow(2.0), AudienceCount()
    people = []
    for tick in range(600):
        if tick % 50 == 0 and tick < 500:
            window.add(frame(tick * 200 * MS, person()))
        people.append(window.present(tick * 200 * MS).people)
        counted.add(window.present(tick * 200 * MS), tick * 200 * MS, "2026-05-06T12:15")
    assert people[100:525] == [1] * 425 and people[527:] == [0] * 73
    assert counted._quarters["2026-05-06T12:15"][0] == 3  # the third frame says how slow it is
    for hour_s in (3600, 7200):
        window.add(frame(hour_s * S, person()))
    assert [window.present(at_s * S).people for at_s in (7200, 7259, 7261)] == [1, 1, 0]


def test_after_an_outage_one_frame_does_not_count_for_longer_than_others() -> None:
    window = AudienceWindow(2.0)
    for at_s in (10, 11, 40):
        window.add(frame(at_s * S, person()))
    assert [window.present(at_s * S).people for at_s in (42, 43)] == [1, 0]


def test_cameras_add_up_and_a_silent_camera_counts_nobody() -> None:
    window = AudienceWindow(2.0)
    window.add(frame(10 * S, person("F", 25), camera="left"))
    window.add(frame(11 * S, person("M", 35), person("M", 36), camera="right"))
    assert window.present(11 * S).people == 3
    assert window.present(12 * S + 500 * MS).people == 2
    assert window.present(14 * S).people == 0


def test_nearness_is_the_mean_height_of_the_faces_as_a_share_of_the_frame() -> None:
    who = present(person("F", 25, 100), person("F", 26, 300))
    assert who.nearness[1, 2] == pytest.approx(0.2)


def numbers(columns: int, most: float) -> st.SearchStrategy[np.ndarray]:
    """Make arrays of people by gender and something else, mostly of zeros."""
    sizes = st.floats(1e-7, most) | st.sampled_from([1.0, 0.5, 2.0])
    return arrays(np.float64, (3, columns), elements=st.just(0.0) | sizes, fill=st.just(0.0))


@given(st.integers(0, 500), numbers(10, 300), numbers(10, 300), numbers(10, 1), numbers(121, 300))
def test_who_is_present_is_kept_to_one_in_2048(
    people: int, bins: np.ndarray, expected: np.ndarray, nearness: np.ndarray, ages: np.ndarray
) -> None:
    kept = unpack(pack(Present(people, bins, expected, nearness, ages)), "ab")
    assert (kept.people, kept.model_sha256) == (people, "ab")
    for name, before in (("bins", bins), ("expected", expected), ("nearness", nearness), ("ages", ages)):
        np.testing.assert_allclose(getattr(kept, name), before, rtol=1 / 2048, atol=3e-8)


def test_nobody_takes_next_to_no_space_and_more_than_half_precision_holds_is_cut() -> None:
    assert len(pack(NOBODY)) < 10
    assert not unpack(pack(NOBODY)).groups()
    crowd = Present(100_000, np.full((3, 10), 1e5), NOBODY.expected, NOBODY.nearness, NOBODY.ages)
    assert unpack(pack(crowd)).bins.max() == 65504


@given(st.binary() | st.integers(1, 20).map(lambda cut: pack(present(person()))[:-cut]))
def test_what_is_no_audience_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="who was present cannot be read"):
        unpack(data)
