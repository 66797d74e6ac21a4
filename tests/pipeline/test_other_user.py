"""A station that root has set up runs as another user, such as that of a service, who has no home."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import HANG_S

NOBODY = 65534
AS_NOBODY = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    # The interpreter may lie in root's own closed home here. What nobody may write stays as it is.
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip


@pytest.mark.parametrize("state_dir", ["state", ""])
def test_a_user_without_a_home_runs_a_station_that_root_has_set_up(state_dir: str) -> None:
    tried = [*AS_NOBODY, sys.executable, "-c", "pass"]
    if os.getuid() or not shutil.which("setpriv") or subprocess.run(tried, capture_output=True).returncode:
        pytest.skip("not root, or no setpriv with capabilities: a service's user was NOT tried")
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        station = Path(folder) / "station.toml"
        station.write_text(
            f'[station]\nname = "svc"\nmode = "off"\nstate_dir = "{state_dir}"\n[[screens]]\nheadless = true\n'
        )
        station.chmod(0o644)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "XDG_RUNTIME_DIR": folder}
        command = [*AS_NOBODY, sys.executable, "-P", "-m", "pipeline.cli", "run", str(station), "--duration", "1"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        if state_dir:
            assert "ledger_trouble" not in done.stderr
            assert (Path(folder) / "state" / "ledger-main.sqlite").stat().st_uid == NOBODY
        else:
            assert "cannot open /nonexistent/.local/share/stationcast/svc/ledger-main.sqlite: " in done.stderr
            assert "this user may not touch it; change its owner or its rights" in done.stderr
