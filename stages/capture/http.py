"""Body of a web camera's answer, as a file that FFmpeg reads: over one connection, to the camera's host only."""

import os
from pathlib import Path

from pipeline.settings import Camera
from stages.capture.connection import Address, Connection, Head, Login
from stages.capture.trouble import NO_VIDEO, SourceError

_REDIRECTS = (301, 302, 303, 307, 308)
_TRIES_MAX = 5
"""Largest number of requests for one body: without a password, with it, and along redirects."""


class HttpBody:
    """Body of the answer to a GET, decoded, in order. Raises SourceError where there is none, or where reading fails.

    A recording can be sought in if the server gives ranges. The connection is then made anew, to the same host.
    """

    def __init__(self, address: Address, camera: Camera, folder: Path) -> None:
        self.error: SourceError | None = None
        """Error of the last read. FFmpeg goes on after some of them."""
        self._address, self._camera, self._folder = address, camera, folder
        self._login = Login(address)
        self._is_chunked = self._between = self._ended = False
        self._left: int | None = None
        head = self._ask(0)
        self.is_multipart = head.get("content-type").lower().startswith("multipart/x-mixed-replace")
        """True for MJPEG, a picture a part."""
        self._size_bytes = None if self._is_chunked else head.length
        self._can_seek = self._size_bytes is not None and head.get("accept-ranges").lower() == "bytes"
        self._at = 0

    def renew(self) -> None:
        """Begin with a new picture, for which there is time and room anew."""
        self._connection.renew()

    def hang_up(self) -> None:
        """End every read."""
        self._connection.hang_up()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def seekable(self) -> bool:
        """Return True where `seek` works."""
        return self._can_seek

    def tell(self) -> int:
        """Return the offset in bytes of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset in bytes and return it, counted from the beginning."""
        size = self._size_bytes or 0
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        if at != self._at:
            self._connection.close()
            if self._ask(at).status != 206 and at:
                raise SourceError(NO_VIDEO)
            self._at = at
        return at

    def read(self, most_bytes: int) -> bytes:
        """Return 1 to `most_bytes` bytes as soon as they are there; none at the end."""
        try:
            data = self._read(most_bytes)
        except SourceError as error:
            self.error = error
            raise
        self._at += len(data)
        return data

    def _read(self, most_bytes: int) -> bytes:
        if self._is_chunked and self._left == 0:
            self._left = self._next_chunk()
        if self._left is not None:
            most_bytes = min(most_bytes, self._left)
        data = self._connection.read_some(most_bytes) if most_bytes else b""
        if self._left is not None:
            self._left -= len(data)
            if self._is_chunked and data and self._left == 0:
                self._between = True
        return data

    def _next_chunk(self) -> int | None:
        """Return the length of the next chunk in bytes; 0 at the end."""
        if self._ended:
            return 0
        if self._between:
            self._connection.read_line()
        try:
            length = int(self._connection.read_line().partition(b";")[0].strip()[:15], 16)
        except ValueError:
            raise SourceError(NO_VIDEO) from None
        if length < 0:
            raise SourceError(NO_VIDEO)
        self._ended = length == 0
        return length

    def _ask(self, first_byte: int) -> Head:
        """Get the body from a byte on. A redirect is followed within the host, its port and scheme."""
        for _ in range(_TRIES_MAX):
            self._connection = Connection(self._address, self._camera, self._folder)
            try:
                self._connection.send(self._request(first_byte))
                head = self._connection.read_head()
                if head.status in (200, 206):
                    self._is_chunked = head.get("transfer-encoding").lower() == "chunked"
                    self._left = 0 if self._is_chunked else head.length
                    self._between = self._ended = False
                    return head
                if head.status in _REDIRECTS and head.get("location"):
                    self._address = self._address.moved(head.get("location"))
                elif head.status != 401 or not self._login.learn(head):
                    raise SourceError(self._address.refusal(head.status))
            except BaseException:
                self._connection.close()
                raise
            self._connection.close()
        raise SourceError("the camera sends from one address to the next; write the address of the stream itself")

    def _request(self, first_byte: int) -> bytes:
        target = self._address.target
        host = self._address.base.partition("://")[2]
        lines = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: stationcast\r\nAccept: */*\r\n"
        lines += "Accept-Encoding: identity\r\nConnection: close\r\n"
        lines += f"Range: bytes={first_byte}-\r\n" if first_byte else ""
        return (lines + self._login.header("GET", target) + "\r\n").encode(errors="surrogateescape")
