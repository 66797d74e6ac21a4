"""Server of one player that forks a process for each medium: `python -m players.decoding.server PARENT_PID SOCKET`.

It has loaded all that decodes, and never looks at a medium itself, so each of its children begins clean and at once. A
child gets three descriptors (the file, memory for frames, a socket) and limits of memory and processor time. It has no
other open file. Children die with the server, and the server with its player.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
from typing import NoReturn

from pipeline.guard import FIRST_KEPT, go_first, keep_to_itself, limit_work, shut_in, tie_to_parent

_FILE, _MEMORY, _CONTROL = range(FIRST_KEPT, FIRST_KEPT + 3)
"""Descriptors of a child."""
_WRITTEN_BYTES_MAX = 4 << 20
"""Largest file that a child may write: a table of colours for FFmpeg, in memory."""


def main() -> int:
    """Load what decodes, then fork a child for each request, and answer with a descriptor of its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    go_first()
    keep_to_itself()
    tie_to_parent(int(sys.argv[1]))
    _load()
    signal.signal(signal.SIGCHLD, _clear_away)
    requests = socket.socket(fileno=int(sys.argv[2]))
    gc.freeze()
    pid = os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
        if not message:
            return 0
        child = os.fork()
        if not child:
            _become_child(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        pidfd = os.pidfd_open(child)  # it waits for its order, and so still lives
        socket.send_fds(requests, [message], [pidfd])
        os.close(pidfd)


def _clear_away(_signal: int, _frame: object) -> None:
    """Take note of children that have ended, so that nothing is left of them."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _load() -> None:
    """Import whatever children need; it takes half a second, which they save."""
    import PIL.Image
    import PIL.ImageCms
    import PIL.ImageFilter

    from players.decoding import animation, film, pictures, sound  # noqa: F401

    PIL.Image.init()


def _become_child(parent_pid: int, descriptors: list[int]) -> NoReturn:
    try:
        shut_in(parent_pid, descriptors)
        _decode()
    finally:
        os._exit(0)


def _decode() -> None:
    """Decode one medium as the order says. A reason why it ends early is written into the shared memory."""
    from pipeline.medium import Medium, MediumError
    from pipeline.pictures import PictureError
    from players.decoding import animation, film, order, pictures, sound
    from players.decoding.frames import Frames
    from players.decoding.sink import Sink

    control = socket.socket(fileno=_CONTROL)
    told = order.receive(control)
    sink = Sink(Frames(_MEMORY, told.slots, told.slot_bytes), control)
    limit_work(memory_mib=told.memory_bytes >> 20, cpu_s=told.cpu_s, file_bytes=_WRITTEN_BYTES_MAX)
    decode = {"still": pictures.decode, "animation": animation.decode, "film": film.decode, "sound": sound.decode}
    medium, why = None, ""
    try:
        medium = Medium(_FILE, told.blocks)
        decode[told.what](medium.buffered(), told, sink)
    except MemoryError:
        why = "it needs too much memory; save it smaller"
    except (PictureError, MediumError, ValueError) as error:
        why = str(error)
    except Exception as error:
        why = f"it cannot be decoded ({type(error).__name__}: {error})"
    sink.end((medium and medium.trouble) or why)
    control.recv(1)  # stay until the player has looked at what it took


if __name__ == "__main__":
    raise SystemExit(main())
