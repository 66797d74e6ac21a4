"""Readings of a running station."""

from bench.rig import station
from pipeline.operator.snapshot import Ages, Stage


def test_a_stretch_is_the_difference_of_two_readings() -> None:
    def reading(n: int, counts: dict[int, int]) -> Stage:
        counters = dict.fromkeys(("in", "out", "dropped", "faces"), n)
        ages = Ages(counts=counts)
        return Stage(name="detect", counters=counters, cpu_s=n / 10, rss_mb=5, age_in=ages, age_out=ages)

    found = station.stretch(reading(10, {0: 4}), reading(30, {0: 4, 2: 2}), 2.0)
    assert found.in_rate == found.out_rate == 10
    assert found.cores == 1
    assert found.age_in_ms[0] == found.age_in_ms[2] > 0.01
