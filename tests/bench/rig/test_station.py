"""Readings of a running station."""

from typing import Any

import numpy as np

from bench.rig import station


def test_a_stretch_is_the_difference_of_two_readings() -> None:
    def reading(at_s: float, n: int, buckets: list[int]) -> Any:
        counters = dict.fromkeys(("in", "out", "dropped", "faces"), n)
        ages = np.array(buckets, np.uint64)
        return station.Reading(at_s=at_s, counters=counters, cpu_s=n / 10, rss_mb=5, age_in=ages, age_out=ages)

    found = station.stretch(reading(1, 10, [4, 0, 0]), reading(3, 30, [4, 0, 2]))
    assert found.in_rate == found.out_rate == 10
    assert found.cores == 1
    assert found.age_in_ms[0] == found.age_in_ms[2] > 0.01
