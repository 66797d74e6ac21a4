"""Guards that a process sets on itself.

Its life ends with its parent's, and nobody looks into it. Memory, time and files have limits where it reads what others
made: a decoder that a medium has taken over shall find nothing to take.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

FIRST_KEPT = 3
"""Number of the first descriptor that `shut_in` leaves."""
_UNFIT = 1000
"""Score with which the kernel ends a process first where memory runs out."""
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


def go_first() -> None:
    """Let the kernel end this process, and its children, before others where memory runs out.

    One that keeps to itself may not say so any more.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_UNFIT))


def shut_in(parent_pid: int, descriptors: Sequence[int]) -> None:
    """Shut a forked process in before it reads what others made.

    It dies with its parent and cannot be looked into. Standard input, output and error lead nowhere. It keeps these
    descriptors only, numbered from FIRST_KEPT on in their order. No program that it becomes has even those.
    """
    tie_to_parent(parent_pid)
    keep_to_itself()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT + len(descriptors)) for descriptor in descriptors]
    for number in range(FIRST_KEPT):
        os.dup2(nothing, number)
    for number, descriptor in enumerate(kept, FIRST_KEPT):
        os.dup2(descriptor, number, inheritable=False)
    os.closerange(FIRST_KEPT + len(descriptors), most)


def limit_work(*, memory_mib: int, cpu_s: int, file_bytes: int) -> None:
    """Let this process grow by so much memory, run for so long and write files of so many bytes, and no more."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    limit_memory(memory_mib)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value):
        raise OSError(ctypes.get_errno(), "prctl")
