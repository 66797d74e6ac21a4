"""Punctuality of cameras."""

import pytest

from bench.capture import lateness_ms


def test_a_frame_is_late_by_its_distance_from_the_most_punctual_one() -> None:
    assert lateness_ms([0.0, 0.1, 0.205, 0.3], 10) == pytest.approx([0, 0, 5, 0], abs=1e-6)
