"""The X server without a monitor."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.rig import xvfb
from tests.conftest import wait_for


@pytest.mark.skipif(not xvfb.available(), reason="no Xvfb")
def test_the_screen_ends_with_the_benchmark(tmp_path: Path) -> None:
    code = "import time\nfrom bench.rig import xvfb\nwith xvfb.monitor(8, 8) as x: print(x.process.pid); time.sleep(9)"
    command, environment = [sys.executable, "-u", "-c", code], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
    wait_for(lambda: not psutil.pid_exists(pid), "the end of the screen")
