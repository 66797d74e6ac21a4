"""Files and folders that are this account's alone, whatever was at their place before.

What another account made or linked there is refused. What is our own is made private: files 0600, folders 0700.
"""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class NotPrivateError(OSError):
    """Mistrust of something that is not this account's alone."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(0, why, str(path))


def make_folders(path: Path) -> None:
    """Make a folder and the missing ones above it, all of mode 0700. Those that are there stay as they are."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def is_for_all(path: Path) -> bool:
    """Tell whether a folder is there for all accounts, as `/tmp` and `/` are. False where it is not there."""
    try:
        info = path.stat()
    except OSError:
        return False
    return bool(info.st_mode & stat.S_ISVTX) or os.path.samestat(info, Path("/").stat())


def own_folder(path: Path) -> None:
    """Make a folder as `make_folders` does; make one that is there private, which takes others' rights away.

    NotPrivateError: it is no folder, or another account's, or there for all. OSError: it cannot be made.
    """
    make_folders(path)
    info = path.stat()
    if not stat.S_ISDIR(info.st_mode):
        raise NotPrivateError("it is no folder", path)
    if is_for_all(path):
        raise NotPrivateError("it is there for all accounts", path)
    if info.st_uid == os.geteuid():
        if stat.S_IMODE(info.st_mode) != 0o700:
            path.chmod(0o700)
    elif info.st_uid or info.st_mode & _OTHERS_WRITE:
        raise NotPrivateError("it belongs to another account", path)


def check_folder(path: Path) -> None:
    """Raise NotPrivateError for a folder in which another account than root may have put something."""
    info = path.stat()
    if info.st_uid not in (0, os.geteuid()):
        raise NotPrivateError("it belongs to another account", path)
    if info.st_mode & _OTHERS_WRITE:
        raise NotPrivateError("other accounts may write there; run: chmod go-w", path)


def open_file(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open a file of our own, made where it is missing, and return its descriptor; its mode is 0600 from then on.

    NotPrivateError: it is a link, no plain file, has a second name, or belongs to another account.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPrivateError("it is a link", path) from None
        raise
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise NotPrivateError("it is no plain file", path)
        if info.st_uid != os.geteuid():
            raise NotPrivateError("it belongs to another account", path)
        if info.st_nlink > 1:
            raise NotPrivateError("it has a second name (a hard link)", path)
        if stat.S_IMODE(info.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: Path) -> bytes:
    """Return what a file of our own holds, and make it private. Raises as `open_file` does."""
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as stream:
        return stream.read()


def secure_file(path: Path) -> None:
    """Make a file of our own private if it is there. Raises as `open_file` does."""
    with contextlib.suppress(FileNotFoundError):
        os.close(open_file(path, os.O_RDONLY))


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Give a new file (0600) to write, which takes the place of `path` in one step at the end.

    Its name cannot be guessed, so nobody can put a link there beforehand. After an error nothing is left of it.
    A `durable` one is on the disk before it takes that place.
    """
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(descriptor)
        os.replace(draft, path)  # noqa: PTH105 (os.PathLike of a name that is bytes or text)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
