"""Counters, histograms and statuses in shared memory."""

import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.cells import Cells, quantile_ms
from pipeline.log import log, skipped
from tests.conftest import wait_for


@pytest.fixture
def cells() -> Iterator[Cells]:
    cells = Cells.create()
    yield cells
    os.close(cells.fd)


def test_counters_are_seen_by_others_and_go_on_after_a_restart(cells: Cells) -> None:
    cells.cell(5).add("in", 3)
    assert Cells(cells.fd).cell(5)["in"] == 3
    cells.cell(5).add("in")
    assert cells.cell(5)["in"] == 4 and cells.cell(4)["in"] == cells.cell(6)["in"] == 0


def test_quantiles_are_right_within_two_percent(cells: Cells) -> None:
    rng = random.Random(1)
    ages_ms = sorted(rng.lognormvariate(2, 1.5) for _ in range(5000))
    cell = cells.cell(0)
    for age_ms in ages_ms:
        cell.left(int(age_ms * 1e6))
    for q in (0.5, 0.95, 0.99):
        found = quantile_ms(cell.age_out.buckets, q)
        assert found == pytest.approx(ages_ms[int(q * 5000)], rel=0.02)
    assert cell["age_out_max_ns"] == int(ages_ms[-1] * 1e6)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert quantile_ms(np.zeros(8, np.uint64), 0.5) is None


def test_a_status_is_replaced_whole_and_too_large_a_one_left_out(cells: Cells) -> None:
    cell = cells.cell(1)
    assert cell.status() == {}
    cell.publish({"ad": "가" * 100})
    cell.publish({"ad": "b"})
    assert cells.cell(1).status() == {"ad": "b"}
    before = skipped["status_too_large"]
    cell.publish({"ad": "x" * 40_000})
    assert cell.status() == {"ad": "b"} and skipped["status_too_large"] == before + 1


def test_whoever_is_killed_while_he_replaces_his_status_leaves_the_one_before(cells: Cells) -> None:
    program = f"""
from pipeline.cells import Cells
cell = Cells({cells.fd}).cell(0)
while True:
    for letter in "ab":
        cell.publish({{"said": letter * 30_000}})
"""
    for _ in range(8):
        published = cells.cell(0)["statuses"]
        writer = subprocess.Popen([sys.executable, "-c", program], pass_fds=[cells.fd])
        try:
            wait_for(lambda published=published: cells.cell(0)["statuses"] > published + 100, "statuses")
            for _ in range(500):
                said = cells.cell(0).status()["said"]
                assert len(said) == 30_000 and len(set(said)) == 1
        finally:
            writer.kill()
            writer.wait()
        assert len(cells.cell(0).status()["said"]) == 30_000


def test_a_log_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    log("nobody_hears_this")


def test_neighbours_do_not_overlap(cells: Cells) -> None:
    cells.cell(0).publish({"x": "y" * 32_000})
    for _ in range(10):
        cells.cell(0).left(10**15)
    assert cells.cell(1).status() == {} and cells.cell(1)["heartbeat_ns"] == 0
