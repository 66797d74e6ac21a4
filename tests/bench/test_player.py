"""Punctuality of a screen."""

import pytest

from bench.player import punctuality


def test_a_tick_that_is_left_out_makes_the_next_one_late() -> None:
    late_ms, missed_pct = punctuality([0.0, 0.1, 0.2, 0.4, 0.5], 10)
    assert late_ms == pytest.approx([0, 0, 100, 0], abs=1e-6)
    assert missed_pct == pytest.approx(20)
