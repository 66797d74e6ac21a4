"""Sources of pictures: the built-in scene, folders of images, video files, webcams and network streams."""

import threading
import time
from itertools import count
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import image_files, source_kind, source_path
from pipeline.film import Film, Shown
from pipeline.log import log, skip, skipped
from pipeline.pictures import Picture, PictureError
from pipeline.settings import Camera
from stages.capture import sample

SLICE_S = 0.4  # longest time that a call may take: heartbeats, SIGTERM and the blanking of old frames wait for it
_NETWORK_TIMEOUT_MS = 5000
_DARK_S = 15.0  # longer than FFmpeg (5 s) and V4L2 (10 s) wait for a frame
_JOIN_S, _LINGER_S = 1.0, 3.0
_ONE_THREAD = [cv2.CAP_PROP_N_THREADS, 1]  # every further decoder thread would hold one frame back
_BEHIND_MAX_S = 1.0
_THREAD = "camera"
_CLOCK_HZ = 1000  # FFmpeg's answer for a recording without a frame rate, such as a browser's
_PAPER = (255, 255, 255)  # behind pictures with transparent parts

Image = NDArray[np.uint8]
Shot = tuple[Image, int]
"""Picture, uint8 BGR [height, width, 3], and the monotonic time in ns at which it was taken."""


class Source(Protocol):
    """Open source of pictures. Any method may raise OSError: the source is lost and must be opened anew."""

    ended: bool

    def advance(self) -> None:
        """Drop what has passed. The stage calls it at least every 0.4 s, whether or not it wants a picture."""

    def read(self) -> Shot | None:
        """Return the newest picture, or None if there is none since the last call."""

    def close(self) -> None:
        """Release the device or file."""


def open_source(camera: Camera, folder: Path) -> Source:
    """Open the source that the camera names; raise OSError if it is missing or cannot be read."""
    kind = source_kind(camera, folder)
    if kind == "sample":
        return SampleScene(camera)
    if kind == "folder":
        return ImageFolder(source_path(camera, folder), camera.loop)
    if kind == "file":
        return VideoFile(source_path(camera, folder), camera.loop)
    return LiveStream(camera)


class SampleScene:
    """Built-in scene. Without `loop` it ends after one round of 30 s."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._until_ns = None if camera.loop else time.monotonic_ns() + int(sample.CYCLE_S * 1e9)
        self.ended = False

    def advance(self) -> None:
        self.ended = self._until_ns is not None and time.monotonic_ns() >= self._until_ns

    def read(self) -> Shot | None:
        now_ns = time.monotonic_ns()
        return sample.render(self._camera.name, now_ns / 1e9), now_ns

    def close(self) -> None:
        pass


class ImageFolder:
    """Images of a folder in the order of their names, one per frame due. Each round lists the folder anew."""

    def __init__(self, folder: Path, loop: bool) -> None:
        self.ended = False
        self._folder, self._loop = folder, loop
        self._named: set[Path] = set()  # files of which something was logged
        self._begin()

    def _begin(self) -> None:
        files = image_files(self._folder)
        if not files:
            raise FileNotFoundError(f"{self._folder} holds no image")
        self._files = iter(files)
        self._readable = False

    def advance(self) -> None:
        pass

    def read(self) -> Shot | None:
        now_ns = time.monotonic_ns()
        path = next(self._files, None)
        if path is None:
            if not self._readable:
                raise OSError(f"no image of {self._folder} can be read")
            self.ended = not self._loop
            if self._loop:
                self._begin()
                return self.read()
            return None
        try:
            with Picture(path) as picture:
                image = np.asarray(picture.first(_PAPER))[..., ::-1]
                for note in picture.ignored if path not in self._named else ():
                    self._named.add(path)
                    log("picture", severity="notice", file=path, note=note)
        except PictureError as error:
            skipped["unreadable_image"] += 1
            if path not in self._named:
                self._named.add(path)
                log("skipped", severity="warning", reason="unreadable_image", file=path, error=error)
            return None
        self._readable = True
        return np.ascontiguousarray(image), now_ns

    def close(self) -> None:
        pass


class VideoFile:
    """Video file played at its own times, as its maker saw it. A camera slower than the video skips the frames between.

    A video that is damaged half way ends there.
    """

    def __init__(self, path: Path, loop: bool) -> None:
        self._path, self._loop = path, loop
        self.ended = False
        self._fresh: Shown | None = None
        self._open()
        self._start_ns = time.monotonic_ns()

    def _open(self) -> None:
        if not self._path.is_file():
            raise FileNotFoundError(f"no such file: {self._path}")
        try:
            self._film = Film(self._path, threads=1)  # every further decoder thread would hold one frame back
        except (av.FFmpegError, ValueError) as error:
            raise OSError(f"not a video that FFmpeg can read: {self._path}") from error
        self._frames = self._film.frames()
        self._length_s = 0.0
        self._coming = self._take()
        if self._coming is None:
            self._film.close()
            raise OSError(f"no frame in {self._path}")

    def _take(self) -> Shown | None:
        """Return the next frame, or None at the end."""
        try:
            shown = next(self._frames, None)
        except av.FFmpegError as error:
            skip("damaged_video", file=self._path, error=error)
            return None
        if shown is not None:
            self._length_s = shown.until_s
        return shown

    def advance(self) -> None:
        now_ns = time.monotonic_ns()
        while self._coming is not None and self._due_ns(self._coming) <= now_ns:
            if now_ns - self._due_ns(self._coming) > _BEHIND_MAX_S * 1e9:
                skip("video_slower_than_its_clock", file=self._path)
                self._start_ns += now_ns - self._due_ns(self._coming)
            self._fresh, self._coming = self._coming, self._take()
            if time.monotonic_ns() - now_ns > SLICE_S * 1e9:
                return
        if self._coming is None and self._start_ns + round(self._length_s * 1e9) <= now_ns:
            self._finish()

    def _due_ns(self, shown: Shown) -> int:
        return self._start_ns + round(shown.at_s * 1e9)

    def _finish(self) -> None:
        self._fresh = None
        self.ended = not self._loop
        if self._loop:
            self._film.close()
            self._start_ns += round(self._length_s * 1e9)
            self._open()
            self.advance()

    def read(self) -> Shot | None:
        shown, self._fresh = self._fresh, None
        if shown is None:
            return None
        try:
            return self._film.pixels(shown.frame), self._due_ns(shown)
        except (av.FFmpegError, ValueError) as error:
            raise OSError(f"a frame of {self._path} cannot be shown: {error}") from error

    def close(self) -> None:
        self._film.close()


class LiveStream:
    """Webcam or network stream. A thread grabs every frame, so that none waits, and decodes only those asked for."""

    def __init__(self, camera: Camera) -> None:
        self.ended = False
        self._camera = camera
        self._wanted, self._arrived, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._shot: Shot | None = None
        self._asked_s: float | None = None
        self._error: OSError | None = None
        for before in (thread for thread in threading.enumerate() if thread.name == _THREAD):
            before.join(_LINGER_S)
            if before.is_alive():
                # The driver hangs and holds the device. A thread cannot be ended: the process ends, the next opens it.
                log("source_hangs", severity="warning", camera=camera.name)
                raise SystemExit(1)
        self._thread = threading.Thread(target=self._drain, name=_THREAD, daemon=True)
        self._thread.start()

    def advance(self) -> None:
        if self._error is not None:
            raise self._error

    def read(self) -> Shot | None:
        self._wanted.set()
        self._asked_s = self._asked_s or time.monotonic()
        if not self._arrived.wait(SLICE_S):
            if time.monotonic() - self._asked_s > _DARK_S:
                raise OSError(f"no picture for {_DARK_S:g} s")
            return None
        self._arrived.clear()
        self._asked_s = None
        shot, self._shot = self._shot, None
        self.advance()
        return shot

    def close(self) -> None:
        self._closing.set()
        self._thread.join(_JOIN_S)

    def _drain(self) -> None:
        video = None
        try:
            video = self._connect()
            pause_s, started_s = _pause_s(video), time.monotonic()
            for grabbed in count():
                if self._closing.wait(max(0.0, started_s + grabbed * pause_s - time.monotonic())):
                    return
                if not video.grab():
                    raise OSError("the stream ended or stood still")
                captured_ns = time.monotonic_ns()
                if self._wanted.is_set():
                    ok, image = video.retrieve()
                    if ok:
                        self._wanted.clear()
                        self._shot = np.asarray(image, np.uint8), captured_ns
                        self._arrived.set()
        except Exception as error:  # an exception that leaves a thread would be lost: `advance` raises it instead
            self._error = error if isinstance(error, OSError) else OSError(str(error))
            self._arrived.set()
        finally:
            if video is not None:
                video.release()

    def _connect(self) -> cv2.VideoCapture:
        source = str(self._camera.source)
        if "://" in source:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS]
            video = cv2.VideoCapture(source, cv2.CAP_FFMPEG, _ONE_THREAD + limits)
        else:
            video = cv2.VideoCapture(int(source) if source.isdigit() else source, cv2.CAP_V4L2)
            video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            video.set(cv2.CAP_PROP_FRAME_WIDTH, self._camera.max_width_px)
            video.set(cv2.CAP_PROP_FRAME_HEIGHT, self._camera.max_height_px)
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not video.isOpened():
            raise OSError("cannot be opened")
        return video


def _pause_s(video: cv2.VideoCapture) -> float:
    """Return the s between two frames of a recording behind a URL, which arrives as fast as it is read; 0 if live."""
    fps = video.get(cv2.CAP_PROP_FPS)
    return 1 / fps if video.get(cv2.CAP_PROP_FRAME_COUNT) > 0 and 0 < fps < _CLOCK_HZ else 0.0
