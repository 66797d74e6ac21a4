"""Processes that end with the process that started them."""

import os
import signal
import subprocess
import sys

_TIE = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))  # PR_SET_PDEATHSIG
os.getppid() == int(sys.argv[2]) or sys.exit(1)
os.execvp(sys.argv[3], sys.argv[3:])"""


def peer(module: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    """Start `python -m MODULE ARGUMENTS`, a benchmark's other process, which ends with this one at the latest."""
    return subprocess.Popen(
        tied(sys.executable, "-m", module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )


def tied(*command: str, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command wrapped so that its process gets the signal `by` when this process dies.

    A `preexec_fn` would be shorter. But an exception that a signal handler raises while Python forks is lost, and with
    it the order to stop.
    """
    return [sys.executable, "-I", "-S", "-c", _TIE, str(int(by)), str(os.getpid()), *command]
