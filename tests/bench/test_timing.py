"""Rates and times of calls whose duration is known, and the statistics."""

import pytest

from bench.timing import call_rate, call_times_ms, paired, percentile, slope


class Clock:
    """Simulated time that only a sleep moves on."""

    def __init__(self) -> None:
        self._now_s = 1000.0

    def perf_counter(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds


def test_known_sleeps_give_known_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("bench.timing.time", clock)
    assert call_rate(lambda: clock.sleep(0.01), 0.5) == pytest.approx(100)
    assert call_times_ms(lambda: clock.sleep(0.005), 20) == pytest.approx([5] * 20)


def test_ways_take_turns() -> None:
    turns: list[str] = []
    found = paired({"a": lambda: turns.append("a") or 1, "b": lambda: turns.append("b") or 2}, 2, lambda _: None)  # type: ignore[func-returns-value]
    assert turns == ["a", "b", "a", "b"]
    assert found == {"a": [1, 1], "b": [2, 2]}


def test_statistics() -> None:
    assert percentile([float(i) for i in range(100)], 0.95) == 95
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(1, 1)]) == 0
