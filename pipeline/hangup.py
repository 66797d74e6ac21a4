"""Hang-ups (SIGHUP) of a running station: its station file has changed, or its terminal has closed."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.log import skip

if TYPE_CHECKING:
    from pipeline.supervisor import Supervisor


class Reloader:
    """Handler of SIGHUP: starts `stationcast reload` for the supervisor's own station, which checks the file.

    That takes seconds, in which the supervisor goes on looking after its processes. Where there is no station file,
    or the terminal of the start has closed, the station is stopped instead.
    """

    def __init__(self, supervisor: "Supervisor", stderr: int) -> None:
        self._supervisor, self._stderr = supervisor, stderr
        self._had_terminal = _has_terminal()
        self._asked = False
        self._command: subprocess.Popen[bytes] | None = None

    def hang_up(self, number: int, *_: object) -> None:
        """Handle the signal: note what is to be done."""
        if not self._supervisor.station_file or (self._had_terminal and not _has_terminal()):
            self._supervisor.stop(number)
        else:
            self._asked = True

    def tick(self) -> None:
        """Start the command once the one before has ended."""
        if self._command and self._command.poll() is not None:
            self._command = None
        if self._asked and self._command is None:
            name, file = self._supervisor.station.station.name, self._supervisor.station_file
            try:
                self._command = subprocess.Popen(
                    [sys.executable, "-P", "-m", "pipeline.cli", "reload", file, "--station", name],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                )
            except OSError as error:  # no memory, too many processes or open files: the next tick tries again
                skip("reload_not_started", error=error)
                return
            self._asked = False

    def close(self) -> None:
        """End the command if it still runs."""
        if self._command:
            self._command.kill()
            self._command.wait()


def _has_terminal() -> bool:
    """Return True if the process has a controlling terminal that has not hung up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
