"""Every benchmark of the table in its smallest form."""

import importlib

import pytest

from bench.findings import Plan
from bench.harness import run_benchmark
from bench.questions import QUESTIONS, STEPS


@pytest.mark.parametrize("place", [*QUESTIONS.values(), *STEPS.values()])
def test_the_table_names_functions_that_there_are(place: str) -> None:
    module, _, function = place.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("what", ["transport", "capture", "gpu"])
def test_each_benchmark_runs_in_its_smallest_form(what: str) -> None:
    said: list[str] = []
    result = run_benchmark(what, Plan(size="tiny"), said.append)
    assert result.took_s > 0
    assert result.machine["cores"]
    assert all(len(measure.values) >= 1 for measure in result.findings.measures)
    assert result.findings.measures or what == "gpu"
    assert said or what == "gpu"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["detect", "classify", "ledger", "overload", "pipeline", "scale", "player", "soak"])
def test_each_long_benchmark_runs_in_its_smallest_form(what: str) -> None:
    assert run_benchmark(what, Plan(size="tiny"), lambda _: None).findings.measures
