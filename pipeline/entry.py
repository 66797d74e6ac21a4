"""Beginning of every child of the supervisor: `python -m pipeline.entry PARENT_PID`, its Spec on standard input.

A child ties its life to its parent's before it loads anything that takes time. During a second of imports, nobody would
end an orphan. Nothing in it is written to a core dump.
"""

import ctypes
import os
import resource
import signal
import sys

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


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value):
        raise OSError(ctypes.get_errno(), "prctl")


def main() -> int:
    """Become the process that standard input describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_to_itself()
    tie_to_parent(int(sys.argv[1]))
    from pipeline import stage

    return stage.main()


if __name__ == "__main__":
    raise SystemExit(main())
