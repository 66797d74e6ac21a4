"""One decoding as the player sees it: the memory that it fills, and the process, which can be killed at any time."""

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path

from pipeline.pictures import PictureError
from players.decoding.frames import Frames
from players.decoding.order import READY, ROOM

WORK_S = 0.15
"""Longest time of work for which no medium is blamed, however long it took on a busy machine."""
_THIS_THREAD = "/proc/thread-self"
_KILL_TIMEOUT_S = 5.0
_SAID_BYTES_MAX = 1 << 20
"""Largest part that is taken in at once of what a process says: more than a socket holds."""


class LateError(PictureError):
    """A medium was not ready in the time allowed. That may be due to the medium or to a slow disk."""


class Decoding:
    """One medium that is being decoded: memory for its frames, and a process that can be killed."""

    def __init__(self, frames: Frames, control: socket.socket, pidfd: int) -> None:
        self.frames = frames
        self._control, self._pidfd = control, pidfd
        self._began_s, self._starved_s = time.monotonic(), _starved_s(_THIS_THREAD)
        self._gone = False

    @property
    def lives(self) -> bool:
        """True while the process runs: what it has to say of that is taken in without waiting."""
        if not self._gone:
            try:
                self._gone = not self._control.recv(_SAID_BYTES_MAX, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except OSError:
                self._gone = True
        return not self._gone

    def wait(self, timeout_s: float) -> None:
        """Wait until as many frames wait as there may, or no more will come. Raises LateError after `timeout_s`."""
        ready, _, _ = select.select([self._control], [], [], timeout_s)
        if ready:
            self._gone = self._control.recv(1) != READY
        elif not self.frames.written:
            raise LateError("it was not ready in the time allowed")

    @property
    def took_s(self) -> float:
        """Seconds since it began; 0 where that was next to no work, and the rest waiting for a core.

        So a medium is blamed for a busy machine only where it is itself a burden. The thread that began it asks.
        """
        took_s = time.monotonic() - self._began_s
        work_s = took_s - _starved_s(_process_of(self._pidfd)) - (_starved_s(_THIS_THREAD) - self._starved_s)
        return took_s if work_s > WORK_S else 0.0

    def make_room(self) -> None:
        """Tell the process that frames were released."""
        with contextlib.suppress(OSError):
            self._control.send(ROOM, socket.MSG_DONTWAIT)

    @property
    def error(self) -> str:
        """Reason why no more will come; empty while more may come, or where all came."""
        if self.frames.ended:
            return self.frames.error
        if self.lives or self.frames.ended:
            return self.frames.error if self.frames.ended else ""
        return "its decoder died: it took too much memory or time of a processor, or the medium is damaged"

    def kill(self) -> None:
        """Kill the process without waiting: one that hangs in a share's read ends only with that."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process, and wait until it is gone."""
        if self._pidfd < 0:
            return
        self.kill()
        select.select([self._pidfd], [], [], _KILL_TIMEOUT_S)
        os.close(self._pidfd)
        self._pidfd = -1
        self._control.close()


def _process_of(pidfd: int) -> str:
    """Return the place of a process under /proc; empty where it is gone."""
    try:
        told = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    except OSError:
        return ""
    return next((f"/proc/{line.split()[1]}" for line in told.splitlines() if line.startswith("Pid:")), "")


def _starved_s(place: str) -> float:
    """Return for how long a thread, or the first of a process, has waited for a core, in s; 0 where nobody tells."""
    try:
        return int(Path(f"{place}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
