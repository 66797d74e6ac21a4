"""Rates and times of calls, ways measured in turns, and the statistics of what was measured."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from bench.findings import Say

T = TypeVar("T")


def call_rate(call: Callable[[], object], seconds: float, warm_up: int = 3) -> float:
    """Return the calls per second of a function that is called again and again for `seconds`."""
    for _ in range(warm_up):
        call()
    calls, started_s = 0, time.perf_counter()
    while (passed_s := time.perf_counter() - started_s) < seconds:
        call()
        calls += 1
    return calls / passed_s


def call_times_ms(call: Callable[[], object], calls: int, warm_up: int = 3) -> list[float]:
    """Return the time of each of so many calls, ms."""
    for _ in range(warm_up):
        call()
    times_ms = []
    for _ in range(calls):
        started_s = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - started_s) * 1e3)
    return times_ms


def paired(ways: Mapping[str, Callable[[], T]], repeats: int, say: Say) -> dict[str, list[T]]:
    """Measure several ways in turns, so that a slow minute of the machine falls on all of them."""
    found: dict[str, list[T]] = {name: [] for name in ways}
    for i in range(repeats):
        for name, measure in ways.items():
            say(f"{name} ({i + 1}/{repeats})")
            found[name].append(measure())
    return found


def percentile(values: list[float], q: float) -> float:
    """Return the value with a share q (0..1) of all values below it. There must be at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def slope(points: list[tuple[float, float]]) -> float:
    """Return the growth of y by x, by least squares; 0 for fewer than two x."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    squares = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / squares if squares else 0.0
