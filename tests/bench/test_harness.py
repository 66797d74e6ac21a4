"""Benchmarks in processes of their own: findings on the way, and interruptions."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.findings import Plan, Result
from bench.harness import run_benchmark
from tests.conftest import HANG_S, wait_for


def test_findings_are_kept_as_they_come() -> None:
    kept: list[Result] = []
    result = run_benchmark("gpu", Plan(size="tiny"), lambda _: None, kept.append)
    assert len(kept) > 1
    assert kept[-1] is result  # with what is known at the end only, such as how busy the machine was otherwise


@pytest.mark.parametrize(("what", "number"), [("ledger", signal.SIGINT), ("ledger", signal.SIGTERM), ("pipeline", 15)])
def test_an_interrupted_benchmark_leaves_nothing(what: str, number: int, tmp_path: Path) -> None:
    places = {"XDG_DATA_HOME": tmp_path / "data", "TMPDIR": tmp_path / "temporary"}
    for place in places.values():
        place.mkdir()
    environment = os.environ | {name: str(place) for name, place in places.items()}
    command = [sys.executable, "-m", "bench", what, "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        # A signal just when a folder is made would leave it: wait until it is in use.
        running = psutil.Process(process.pid)
        wait_for(
            lambda: list(tmp_path.glob("**/*bench-*/*")) or len(running.children(recursive=True)) > 1,
            "its work to begin",
        )
        process.send_signal(number)
        assert process.wait(HANG_S) != 0
    assert not list(tmp_path.glob("**/*bench-*"))
    assert not list((tmp_path / "out").iterdir())
