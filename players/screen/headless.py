"""A screen without a display: the same frames on a surface in memory. And the rolling screenshot of either."""

import os
import queue
import threading
import time
from pathlib import Path

import pygame

from pipeline.log import skip
from pipeline.settings import Screen


class Headless:
    """Stands in for `screen.Window` where there is no display."""

    kind = "headless"

    def __init__(self, settings: Screen, size: tuple[int, int] | None = None) -> None:
        self.canvas: pygame.Surface = pygame.Surface(size or (settings.width_px, settings.height_px), 0, 32)

    def flip(self) -> None:
        """Nothing to show it on: the canvas is the screen."""

    def pump(self) -> bool:
        """No window, no events."""
        return False

    def close(self) -> None:
        """Nothing is held."""


class Screenshot:
    """Writes what the screen shows to a PNG every `every_s`, replaced atomically, in a thread of its own."""

    def __init__(self, path: Path, every_s: float) -> None:
        self.path = path
        self._every_ns = round(every_s * 1e9)
        self._due_ns = 0
        self._written = -1
        self._todo: queue.SimpleQueue[tuple[bytes, tuple[int, int]] | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._write, name="screenshot", daemon=True)
        self._thread.start()

    def offer(self, canvas: pygame.Surface, painted: int) -> None:
        """Take a copy if one is due and the canvas (its count of paintings) has changed; otherwise do nothing."""
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns or painted == self._written or not self._idle.is_set():
            return
        self._due_ns = now_ns + self._every_ns
        self._written = painted
        self._idle.clear()
        self._todo.put((canvas.get_buffer().raw, canvas.get_size()))

    def _write(self) -> None:
        while (job := self._todo.get()) is not None:
            try:
                self._save(*job)
            except OSError as error:
                skip("screenshot_failed", file=self.path, error=error)
            self._idle.set()

    def _save(self, pixels: bytes, size: tuple[int, int]) -> None:
        from PIL import Image

        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            Image.frombuffer("RGB", size, pixels, "raw", "BGRX", 0, 1).save(partial, "PNG", compress_level=1)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the picture that is being written."""
        self._todo.put(None)
        self._thread.join()
