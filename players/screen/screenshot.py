"""The rolling screenshot: a PNG file that always shows what the screen shows."""

import queue
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pygame

from pipeline.log import skip
from pipeline.private import make_folders, replacing


class Screenshot:
    """Writes the canvas to a PNG file at most every `every_s` seconds, in a thread of its own.

    The file is replaced in one step: a reader never finds half a picture.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self.path = path
        self._every_ns = round(every_s * 1e9)
        self._due_ns = 0
        self._written = -1
        self._queue: queue.SimpleQueue[tuple[bytes, tuple[int, int]] | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._write, name="screenshot", daemon=True)
        self._thread.start()

    def offer(self, canvas: pygame.Surface, painted: int) -> None:
        """Take a copy of the canvas, if one is due and the canvas has changed.

        `painted` is the number of times that the canvas was painted: the same number means the same picture.
        """
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns or painted == self._written or not self._idle.is_set():
            return
        self._due_ns = now_ns + self._every_ns
        self._written = painted
        self._idle.clear()
        self._queue.put((canvas.get_buffer().raw, canvas.get_size()))

    def _write(self) -> None:
        while (taken := self._queue.get()) is not None:
            try:
                self._save(*taken)
            except OSError as error:
                skip("screenshot_failed", file=self.path, error=error)
            self._idle.set()

    def _save(self, pixels: bytes, size: tuple[int, int]) -> None:
        make_folders(self.path.parent)
        with replacing(self.path, durable=False) as draft:
            draft.write(_png(pixels, size))

    def close(self) -> None:
        """Finish the picture that is being written, and end the thread."""
        self._queue.put(None)
        self._thread.join()


def _png(pixels: bytes, size: tuple[int, int]) -> bytes:
    """Return a PNG file of pixels of blue, green, red and an unused byte; `size` is width and height in px.

    The format is that of ISO/IEC 15948. Each row is the difference to the one above (filter 2).
    """
    width, height = size
    screen = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)[..., 2::-1].reshape(height, 3 * width)
    rows = np.full((height, 1 + 3 * width), 2, np.uint8)
    rows[0, 1:] = screen[0]
    np.subtract(screen[1:], screen[:-1], out=rows[1:, 1:])
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content
