"""The rolling screenshot: a PNG file that always shows what the screen shows."""

import queue
import threading
import time
from pathlib import Path

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
        from PIL import Image

        make_folders(self.path.parent)
        with replacing(self.path, durable=False) as draft:
            Image.frombuffer("RGB", size, pixels, "raw", "BGRX", 0, 1).save(draft, "PNG", compress_level=1)

    def close(self) -> None:
        """Finish the picture that is being written, and end the thread."""
        self._queue.put(None)
        self._thread.join()
