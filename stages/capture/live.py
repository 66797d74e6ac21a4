"""Webcams and network streams: frames that come whether or not anybody asks."""

import threading
import time
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from pipeline.cameras import webcam_problem
from pipeline.log import log
from pipeline.settings import Camera
from stages.capture.network import Image, NetworkVideo
from stages.capture.trouble import OnePictureError, SourceError

SLICE_S = 0.4
"""Longest time that a call may take: heartbeats, SIGTERM and the blanking of old frames wait for it."""
_DARK_S = 15.0  # longer than FFmpeg (5 s) and V4L2 (10 s) wait for a frame
_JOIN_S, _LINGER_S = 1.0, 3.0
_THREAD = "camera"

Shot = tuple[Image, int]
"""Picture, uint8 BGR [height, width, 3], and the monotonic time in ns at which it was taken."""


class _Video(Protocol):
    """Open video. `grab` and `retrieve` may raise SourceError."""

    def grab(self) -> None:
        """Wait for the next frame."""

    def early_s(self) -> float:
        """Return the time in s before the frame is due; 0 for a live one."""

    def retrieve(self) -> Image | None:
        """Return the frame grabbed last, or None if it cannot be shown."""

    def hang_up(self) -> None:
        """End every wait for the network."""

    def release(self) -> None:
        """Free the device or connection."""


class LiveStream:
    """Webcam or network stream. A thread grabs every frame, so that none waits, and shows only those asked for.

    A URL that gives one picture is opened again for each that is asked for.
    """

    def __init__(self, camera: Camera, folder: Path) -> None:
        self.ended = False
        self._camera, self._folder = camera, folder
        self._video: _Video | None = None
        self._wanted, self._arrived, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._shot: Shot | None = None
        self._asked_s: float | None = None
        self._problem = ""
        for before in (thread for thread in threading.enumerate() if thread.name == _THREAD):
            before.join(_LINGER_S)
            if before.is_alive():
                # The driver hangs and holds the device. A thread cannot be ended: the process ends, the next opens it.
                log("source_hangs", severity="warning", camera=camera.name)
                raise SystemExit(1)
        self._thread = threading.Thread(target=self._drain, name=_THREAD, daemon=True)
        self._thread.start()

    def advance(self) -> None:
        if self._problem and self._shot is None:  # a picture that still came is shown first
            raise SourceError(self._problem)

    def read(self) -> Shot | None:
        self._wanted.set()
        self._asked_s = self._asked_s or time.monotonic()
        if not self._arrived.wait(SLICE_S):
            if time.monotonic() - self._asked_s > _DARK_S:
                raise SourceError(f"no picture for {_DARK_S:g} s; restart the camera")
            return None
        self._arrived.clear()
        self._asked_s = None
        self.advance()
        shot, self._shot = self._shot, None
        return shot

    def close(self) -> None:
        self._closing.set()
        video = self._video
        if video is not None:
            video.hang_up()
        self._thread.join(_JOIN_S)

    def _opened(self) -> _Video:
        source = str(self._camera.source)
        return NetworkVideo(self._camera, self._folder) if "://" in source else Webcam(source, self._camera)

    def _drain(self) -> None:
        video: _Video | None = None
        try:
            while not self._closing.is_set():
                if video is None:
                    video = self._video = self._opened()
                try:
                    video.grab()
                except OnePictureError:
                    self._video = None
                    video.release()
                    video = None
                    while not self._wanted.wait(SLICE_S) and not self._closing.is_set():
                        pass
                    continue
                captured_ns = time.monotonic_ns()
                if self._wanted.is_set():
                    image = video.retrieve()
                    if image is not None:
                        self._wanted.clear()
                        self._shot = image, captured_ns
                        self._arrived.set()
                self._closing.wait(video.early_s())
        except Exception as error:  # an exception that leaves a thread would be lost: `advance` raises it instead
            told = f"its pictures end in a {type(error).__name__}; restart the camera"
            # Only the text is kept: an error holds its traceback, and that the last pictures.
            self._problem = str(error) if isinstance(error, SourceError) else told
            self._arrived.set()
        finally:
            self._video = None
            if video is not None:
                video.release()


class Webcam:
    """Webcam by its index or `/dev` path. Raises SourceError if it does not open."""

    def __init__(self, source: str, camera: Camera) -> None:
        self._source = source
        try:
            self._video = cv2.VideoCapture(int(source) if source.isdigit() else source, cv2.CAP_V4L2)
        except cv2.error:  # no index of a device is so large
            raise SourceError(webcam_problem(source)) from None
        self._video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._video.set(cv2.CAP_PROP_FRAME_WIDTH, camera.max_width_px)
        self._video.set(cv2.CAP_PROP_FRAME_HEIGHT, camera.max_height_px)
        self._video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self._video.isOpened():
            raise SourceError(webcam_problem(source) or "the webcam offers no picture that is known; unplug it once")

    def grab(self) -> None:
        if not self._video.grab():
            raise SourceError(webcam_problem(self._source) or "the webcam stands still; unplug it once")

    def early_s(self) -> float:
        return 0.0

    def retrieve(self) -> Image | None:
        ok, image = self._video.retrieve()
        return np.asarray(image, np.uint8) if ok else None

    def hang_up(self) -> None:
        pass

    def release(self) -> None:
        self._video.release()
