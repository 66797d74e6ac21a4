"""Guards that a process sets on itself: its life ends with its parent's, nobody looks into it, memory has a limit."""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def keep_to_itself() -> None:
    """Leave no core dump of what people look like; keep other processes of this user from memory and open files."""
    _prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tie_to_parent(parent_pid: int) -> None:
    """Die with the parent, whatever kills it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise SystemExit("stationcast: the supervisor is gone")


def limit_memory(more_mib: int) -> None:
    """Let the address space of this process grow by so much from now on. More raises MemoryError, in libraries too."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most_bytes = pages * resource.getpagesize() + (more_mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value):
        raise OSError(ctypes.get_errno(), "prctl")
