"""Attention of one person: looks begin, end, are bridged and summed; what cannot be told is said."""

from collections.abc import Iterable

import numpy as np
import pytest

from stages.people.attention import Attention, Window

AT, EDGE, OFF = 0.0, 28.0, 45.0
"""Yaws at the screen, between the inner and the outer window, and away from it."""


def after(yaws: Iterable[float | None], period_s: float = 0.1, start: Attention | None = None) -> Attention:
    """Attention after one frame each `period_s` with these yaws; the first frame is at 100 s."""
    attention = start or Attention(Window(0, 0, 25, 25))
    for i, yaw in enumerate(yaws):
        attention.update(round((100 + i * period_s) * 1e9), yaw, None if yaw is None else 0.0)
    return attention


def seconds(value_ns: int | None) -> float:
    assert value_ns is not None
    return value_ns / 1e9


def test_a_look_begins_at_once_and_counts_after_a_quarter_of_a_second_from_its_start() -> None:
    assert after([AT]).looking is None
    assert after([AT] * 2).looking is True
    assert not after([AT] * 3).watched
    look = after([AT] * 11)
    assert (look.looking, look.watched) == (True, True)
    assert seconds(look.since_ns) == 100
    assert seconds(look.attention_ns) == pytest.approx(1)


def test_a_glance_of_two_frames_does_not_count() -> None:
    glance = after([OFF] * 5 + [AT] * 2 + [OFF] * 10)
    assert (glance.looking, glance.watched) == (False, False)
    assert glance.attention_ns == 0


def test_a_look_ends_with_its_last_angle_within() -> None:
    ended = after([AT] * 11 + [OFF] * 10)
    assert ended.looking is False
    assert seconds(ended.since_ns) == pytest.approx(101, abs=0.11)
    assert seconds(ended.attention_ns) == pytest.approx(1, abs=0.11)
    assert ended.watched


def test_between_the_windows_a_look_goes_on_and_none_begins() -> None:
    assert after([AT] * 5 + [EDGE] * 30).looking is True
    assert after([OFF] * 5 + [EDGE] * 30).looking is False


def test_an_angle_that_trembles_at_the_edge_makes_one_look() -> None:
    noise = np.random.default_rng(1).normal(25, 1.5, 200)
    attention, changes, before = Attention(Window(0, 0, 25, 25)), 0, None
    for i, yaw in enumerate([AT] * 10 + list(noise)):
        attention.update(100 + i * 100_000_000, float(yaw), 0.0)
        changes, before = changes + (attention.looking != before), attention.looking
    assert changes == 1


@pytest.mark.parametrize(("missing", "looking"), [(10, True), (20, None)])
def test_a_short_gap_is_bridged_and_a_long_one_ends_the_look(missing: int, looking: bool | None) -> None:
    gap = after([AT] * 11 + [None] * missing)
    assert gap.looking is looking
    assert seconds(gap.attention_ns) == pytest.approx(1)
    again = after([AT] * 11 + [None] * missing + [AT] * 11)
    assert again.looking is True
    bridged_s = 0.1 * (missing + 1) if looking else 0
    assert seconds(again.attention_ns) == pytest.approx(2 + bridged_s, abs=1e-6)
    assert seconds(again.longest_ns) == pytest.approx(2 + bridged_s if looking else 1, abs=1e-6)


def test_a_face_that_is_always_too_small_was_never_told() -> None:
    small = after([None] * 50)
    assert (small.looking, small.watched, small.attention_ns) == (None, False, 0)
    assert seconds(small.since_ns) == 100


def test_looks_are_summed_and_the_longest_is_known() -> None:
    looks = after([AT] * 11 + [OFF] * 20 + [AT] * 31 + [OFF] * 20)
    assert seconds(looks.attention_ns) == pytest.approx(4, abs=0.4)
    assert seconds(looks.longest_ns) == pytest.approx(3, abs=0.3)


def test_one_frame_a_second_is_enough() -> None:
    slow = after([AT, AT, AT, OFF, OFF], period_s=1)
    assert slow.watched
    assert slow.looking is False
    assert seconds(slow.attention_ns) == pytest.approx(2)


def test_frames_that_come_more_rarely_than_gaps_are_bridged_tell_no_look() -> None:
    rare = after([AT] * 4, period_s=2)
    assert (rare.looking, rare.watched, rare.attention_ns) == (None, False, 0)


def test_frames_out_of_order_change_nothing() -> None:
    attention = after([AT] * 11)
    attention.update(99_000_000_000, OFF, 0.0)
    assert attention.looking is True
    assert seconds(attention.attention_ns) == pytest.approx(1)


def test_the_window_is_where_the_screen_is() -> None:
    window = Window(yaw_deg=-30, pitch_deg=-10, half_yaw_deg=15, half_pitch_deg=10)
    assert window.distance(-30, -10) == 0
    assert window.distance(-15, -10) == 1
    assert window.distance(-30, -20) == 1
    assert window.distance(0, 0) == 2
