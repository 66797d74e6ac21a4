"""Files of pictures and films: opened once, without links, and read only as they were when they were examined.

A file may be exchanged, cut off or written to at any time, and keep its size and its times. So its hash is taken block
by block when it is examined. Later each block is copied out of the file, compared, and only then given to a decoder.
This module imports none of ours, so that `models` may use it.
"""

import errno
import hashlib
import io
import os
import stat
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1 << 20
"""Length of the parts of a file that have a hash each."""
BUFFER_BYTES = 1 << 18
"""Length of the parts that a decoder asks for."""
_HASH_BYTES = 32
_BLOCKS_KEPT = 4
"""Blocks that are kept: picture and sound of a film lie in different places."""
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PASSING = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


CHANGED = "it has changed since it was examined, and is examined again"
UNREADABLE = "it cannot be read now"


class MediumError(Exception):
    """A file that is not opened, or has changed. The text says why and what to do, without the file's name."""


class Fingerprint(NamedTuple):
    """Hashes of one file: SHA-256 of all of it, in hex digits, and of each of its blocks, 32 bytes each."""

    sha256: str
    blocks: bytes


def open_plain(path: Path | str, *, follow: bool = False) -> int:
    """Open a plain file for reading and return its descriptor. A pipe or a device in its place is not waited for.

    Unless links are to be followed, no part of the absolute path may be one, and none may be `..`.
    Raises MediumError, or OSError where the place fails.
    """
    try:
        fd = os.open(path, _READING) if follow else _open_without_links(Path(path))
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise MediumError("it is no plain file; copy the file itself here") from None
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise MediumError("it is no plain file; copy the file itself here")


def _open_without_links(path: Path) -> int:
    """Open a file step by step from the root. Raises MediumError where a part of its path is a link."""
    if not path.is_absolute() or ".." in path.parts:
        raise MediumError("its path is not a plain one")
    at = os.open("/", _PASSING)
    try:
        for folder in path.parts[1:-1]:
            at, above = os.open(folder, _PASSING, dir_fd=at), at
            os.close(above)
        return os.open(path.name, _READING | os.O_NOFOLLOW, dir_fd=at)
    except OSError as error:
        if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and any(map(os.path.islink, path.parents))):
            raise MediumError("it is a link, or lies behind one; copy the file itself here") from None
        raise
    finally:
        os.close(at)


def opened(path: Path) -> BinaryIO:
    """Open a plain file that the user names, behind links too. Raises as `open_plain` does."""
    return cast(BinaryIO, os.fdopen(open_plain(path, follow=True), "rb"))


def content_of(path: Path, most_bytes: int = -1) -> bytes:
    """Return the content of a plain file that the user names, behind links too, or its first bytes.

    Raises OSError; EISDIR: it is a folder; ESPIPE: it is a pipe, a device or another thing that is never waited for.
    """
    try:
        file = opened(path)
    except MediumError:
        wrong = errno.EISDIR if path.is_dir() else errno.ESPIPE
        raise OSError(wrong, "it is no plain file", str(path)) from None
    with file:
        return file.read(most_bytes)


def fingerprint(fd: int) -> Fingerprint:
    """Read a whole file and return its hashes."""
    whole, blocks, at = hashlib.sha256(), bytearray(), 0
    while block := _read(fd, at):
        whole.update(block)
        blocks += hashlib.sha256(block).digest()
        at += len(block)
    return Fingerprint(whole.hexdigest(), bytes(blocks))


def _read(fd: int, at: int) -> bytes:
    """Return the block that begins `at` these bytes; it is shorter at the end of the file only."""
    parts, left = [], BLOCK_BYTES
    while left and (part := os.pread(fd, left, at + BLOCK_BYTES - left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Medium(io.RawIOBase):
    """Content of an open file, as it was when the hashes of its blocks were taken. It owns the descriptor.

    A block that has changed, or cannot be read, raises MediumError, and so does every later read. Only copies are given
    out: what happens to the file afterwards does not matter.
    """

    def __init__(self, fd: int, blocks: bytes) -> None:
        """Raises MediumError where the file has another length."""
        self._fd, self._blocks, self._at = fd, blocks, 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self.trouble = ""
        """Reason why nothing more is read: CHANGED, or UNREADABLE and why; empty while all is well."""
        self._bytes = os.fstat(fd).st_size
        if self._bytes:
            self._block((self._bytes - 1) // BLOCK_BYTES)
        if -(-self._bytes // BLOCK_BYTES) * _HASH_BYTES != len(blocks):
            raise self._fails(CHANGED)

    def buffered(self) -> BinaryIO:
        """Return a reader that is quick with small parts; closing it closes this one."""
        return cast(BinaryIO, io.BufferedReader(self, BUFFER_BYTES))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._bytes}[whence]
        if begin + offset < 0:
            raise ValueError("negative position")
        self._at = begin + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._at >= self._bytes:
            return 0
        number, begin = divmod(self._at, BLOCK_BYTES)
        target = memoryview(buffer).cast("B")
        part = memoryview(self._block(number))[begin : begin + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
            self._kept.clear()
        super().close()

    def _block(self, number: int) -> bytes:
        """Return a block that is as it was."""
        block = self._kept.pop(number, b"")
        if not block:
            if self.trouble:
                raise self._fails(self.trouble)
            try:
                block = _read(self._fd, number * BLOCK_BYTES)
            except OSError as error:
                raise self._fails(f"{UNREADABLE} ({error.strerror})") from None
            if hashlib.sha256(block).digest() != self._blocks[number * _HASH_BYTES : (number + 1) * _HASH_BYTES]:
                raise self._fails(CHANGED)
            if len(self._kept) >= _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        self._kept[number] = block
        return block

    def _fails(self, why: str) -> MediumError:
        self.trouble = why
        return MediumError(why)
