"""A station whose wall clock is set back and forward while it runs, by hand or by a server."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import UserError
from players.ledger.chain import verify
from players.ledger.export import read_plays
from players.ledger.snapshot import reading
from tests.conftest import HANG_S, wait_for
from tests.players.campaign_files import one_ad

SHIFT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
static long shift(void) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, 31) < 0) text[0] = 0;
    close(file);
    return atol(text);
}
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
    return failed;
}
"""


@pytest.fixture(scope="session")
def shifter(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return a library that moves the wall clock of a process by the seconds in the file CLOCK_SHIFT."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) here: a clock that is set while a station runs was NOT tested")
    folder = tmp_path_factory.mktemp("shift")
    (folder / "shift.c").write_text(SHIFT)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "shift.so", "shift.c", "-ldl"], cwd=folder, check=True)
    return folder / "shift.so"


def plays(state: Path) -> list[dict[str, Any]]:
    """Return the plays so far; none while the ledger is being made."""
    try:
        with reading(list(state.glob("ledger-*.sqlite"))) as db:
            return list(read_plays(db))
    except UserError:
        return []


def two_plays_more(state: Path, run: "subprocess.Popen[bytes]") -> None:
    so_far = len(plays(state))
    wait_for(lambda: len(plays(state)) >= so_far + 2 or run.poll() is not None, "two plays more")
    assert run.poll() is None


def test_the_plays_of_a_run_are_all_counted_whatever_is_done_to_the_clock(shifter: Path, tmp_path: Path) -> None:
    one_ad(tmp_path / "ads")
    station = tmp_path / "station.toml"
    station.write_text(
        '[station]\nname = "clock"\nmode = "off"\nstate_dir = "state"\n[ads]\ncampaigns = "ads"\n'
        '[[screens]]\nheadless = true\ntransition = "cut"\nwidth_px = 128\nheight_px = 72\n'
    )
    shift, summary = tmp_path / "shift", tmp_path / "summary.json"
    shift.write_text("0")
    environment = os.environ | {"LD_PRELOAD": str(shifter), "CLOCK_SHIFT": str(shift)}
    command = [sys.executable, "-P", "-m", "pipeline.cli", "run", str(station), "--summary", str(summary)]
    run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for seconds in (-86_400, 200_000, -3600):
            two_plays_more(tmp_path / "state", run)
            if seconds == -3600:  # a player that starts again goes on counting
                player = max(psutil.Process(run.pid).children(), key=lambda child: child.memory_info().rss)
                player.send_signal(signal.SIGKILL)
            shift.write_text(str(seconds))
        two_plays_more(tmp_path / "state", run)
        run.send_signal(signal.SIGTERM)
        assert run.wait(HANG_S) == 0
    finally:
        run.kill()
        run.wait()
    rows, said = plays(tmp_path / "state"), json.loads(summary.read_text())
    assert said["plays"]["total"] == len(rows) >= 8
    assert sum(said["restarts"].values()) == 1
    began = [datetime.fromisoformat(row["started_utc"]) for row in rows]
    steps = [round((later - earlier) / timedelta(hours=1)) for earlier, later in pairwise(began)]
    assert [step for step in steps if step] == [-24, 80, -57], "the clock was set three times"
    assert [row["started_mono_ns"] for row in rows] == sorted(row["started_mono_ns"] for row in rows)
    assert not verify(next((tmp_path / "state").glob("ledger-*.sqlite"))).problem
    assert 0 < said["duration_s"] < HANG_S
