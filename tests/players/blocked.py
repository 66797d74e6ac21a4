"""A real slow or failing disk: the kernel asks this process before each opening and reading of a file (fanotify(7))."""

import ctypes
import os
import select
import struct
import threading
from pathlib import Path

_CLASS_CONTENT = 0x4
_MARK_ADD = 0x1
_OPEN_PERM, _ACCESS_PERM, _ON_CHILD = 0x10000, 0x20000, 0x08000000
_AT_FDCWD = -100
_ALLOW, _DENY = 1, 2
_EVENT = struct.Struct("IBBHQii")


class Disk:
    """Guard of the files of one folder: who opens or reads one waits until it is `well`, or fails if it `denies`."""

    def __init__(self, folder: Path) -> None:
        """Raise OSError where the kernel or the rights of this user do not allow it."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
        self._fd = libc.fanotify_init(_CLASS_CONTENT, os.O_RDONLY)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        mask = _OPEN_PERM | _ACCESS_PERM | _ON_CHILD
        if libc.fanotify_mark(self._fd, _MARK_ADD, mask, _AT_FDCWD, os.fsencode(folder)):
            os.close(self._fd)
            raise OSError(ctypes.get_errno(), "fanotify_mark")
        self.well = threading.Event()
        self.well.set()
        self.denies = False
        self._end = os.eventfd(0)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let everything pass from now on."""
        self.well.set()
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._end)
        os.close(self._fd)

    def _answer(self) -> None:
        while self._end not in select.select([self._fd, self._end], [], [])[0]:
            data = os.read(self._fd, 4096)
            at = 0
            while at < len(data):
                length, _, _, _, _, fd, _ = _EVENT.unpack_from(data, at)
                self.well.wait()
                try:
                    os.write(self._fd, struct.pack("iI", fd, _DENY if self.denies else _ALLOW))
                finally:
                    os.close(fd)
                at += length
