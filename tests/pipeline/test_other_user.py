"""A station that root has set up runs as another user, such as that of a service, who has no home."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import HANG_S

NOBODY, UNNAMED = 65534, 54321


def command_as(account: int, *words: str) -> list[str]:
    """Return a command of Python that another account runs. Skip the test where it cannot be run as that."""
    command = [
        "setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups",
        # The interpreter may lie in root's own closed home here. What the account may not write stays as it is.
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", sys.executable,
    ]  # fmt: skip
    if (
        os.getuid()
        or not shutil.which("setpriv")
        or subprocess.run([*command, "-c", ""], capture_output=True).returncode
    ):
        pytest.skip("not root, or no setpriv with capabilities: a service's user was NOT tried")
    return [*command, *words]


@pytest.mark.parametrize("state_dir", ["state", ""])
def test_a_user_without_a_home_runs_a_station_that_root_has_set_up(state_dir: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        os.chown(folder, NOBODY, NOBODY)
        station = Path(folder) / "station.toml"
        station.write_text(
            f'[station]\nname = "svc"\nmode = "off"\nstate_dir = "{state_dir}"\n[[screens]]\nheadless = true\n'
        )
        station.chmod(0o644)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "XDG_RUNTIME_DIR": folder}
        command = command_as(NOBODY, "-P", "-m", "pipeline.cli", "run", str(station), "--duration", "1")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        if state_dir:
            assert "ledger_trouble" not in done.stderr
            assert (Path(folder) / "state" / "ledger-main.sqlite").stat().st_uid == NOBODY
        else:
            assert "cannot open /nonexistent/.local/share/stationcast/svc/ledger-main.sqlite: " in done.stderr
            assert "this user may not touch it; change its owner or its rights" in done.stderr


@pytest.mark.parametrize("words", [["status"], ["doctor"], ["models", "list"], ["report", "billing"]])
def test_an_account_that_no_home_is_known_of_is_told_so_in_one_line(words: list[str]) -> None:
    command = command_as(UNNAMED, "-P", "-m", "pipeline.cli", *words)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 2 and done.stderr.splitlines() == [
        "stationcast: error: HOME: this account has no home folder; set HOME to the path of a folder of its own"
    ]
