"""Stations in one process."""

import numpy as np
import pytest

from bench.peers.sequential import run_loops


def test_loops_of_several_processes_add_up() -> None:
    pace = run_loops("loop", 0.5)
    assert pace.rate == pytest.approx(1e3 / np.mean(pace.times_ms), rel=0.3)
    assert 0 <= pace.faces <= 2
