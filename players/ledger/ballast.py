"""Disk space that a ledger keeps back, to record plays when the disk is full."""

import os
import sqlite3
from pathlib import Path

from pipeline.private import NotPrivateError, open_file

BALLAST_BYTES = 16 << 20


class Ballast:
    """A file beside the ledger that takes space until it is needed."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_suffix(".ballast")

    def take(self) -> str:
        """Take the space, where it is not taken already; return why that fails, empty if it does not."""
        try:
            descriptor = open_file(self._path)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
            finally:
                os.close(descriptor)
        except NotPrivateError as error:
            return f"{self._path}: {error.strerror}; remove it"
        except OSError as error:
            self.give()
            return f"no {BALLAST_BYTES >> 20} MB are free beside the ledger: {error}"
        return ""

    def give(self) -> bool:
        """Give the space back to the disk; False when it was gone already."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def is_full(error: Exception) -> bool:
    """Return whether a disk without space (or a file size limit, or a quota) is what stopped a write."""
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
