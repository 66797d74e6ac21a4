"""Take frames from a camera at its own pace, always the newest, and put them into the camera's ring.

A source that fails or vanishes is opened again, later and later, for as long as the station runs.
"""

import os
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: FFmpeg would print URLs with their passwords

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import image_files, public_name, source_kind, source_path
from pipeline.log import log, skip
from pipeline.messages import Frame
from pipeline.ring import Ring
from pipeline.settings import Camera, CaptureSettings
from stages.capture import sample

_SLICE_S = 0.4  # longest sleep: heartbeats, SIGTERM and the blanking of old frames wait no longer
_RETRY_FIRST_S, _RETRY_LAST_S = 0.5, 30.0
_QUIET_NS = 60_000_000_000  # a source that comes and goes is said to be lost once in this time
_LOOK_AGAIN_NS = 2_000_000
_CATCH_UP_NS = 100_000_000
_NETWORK_TIMEOUT_MS = 5000
_DARK_S = 15.0  # longer than FFmpeg (5 s) and V4L2 (10 s) wait for a frame
_JOIN_S, _LINGER_S = 1.0, 3.0
_ONE_THREAD = [cv2.CAP_PROP_N_THREADS, 1]  # more would each hold a frame back
_BEHIND_MAX_S = 1.0
_THREAD = "camera"
_CLOCK_HZ = 1000  # what FFmpeg says instead of a rate of a recording that has none, such as a browser's
_GUESSED_FPS = 30

Image = NDArray[np.uint8]
Shot = tuple[Image, int]
"""A picture, uint8 BGR [height, width, 3], and the monotonic time in ns that it shows."""


class Source(Protocol):
    """Where pictures come from; any method may raise OSError: the source is lost and is opened anew."""

    ended: bool

    def advance(self) -> None:
        """Let go of what has passed; called at least every 0.4 s, whether a picture is wanted or not."""

    def read(self) -> Shot | None:
        """The newest picture; None if there is none since the last call."""

    def close(self) -> None:
        """Let go of the device."""


class Capture:
    """The stage of one camera. `status` says which source it is, its state, and the size of its frames."""

    def __init__(self, settings: CaptureSettings) -> None:
        cv2.setNumThreads(1)
        self._camera, self._folder = settings.camera, settings.folder
        ring = settings.ring
        self._ring = Ring(ring.fd, ring.slots, ring.slot_bytes)
        self._period_ns = round(1e9 / settings.camera.fps)
        self._due_ns = self._look_ns = time.monotonic_ns()
        self._seq = 0
        self._source: Source | None = None
        if source_kind(self._camera, self._folder) == "sample":
            sample.prepare()  # now, while nobody expects a heartbeat: many at once take seconds
        self._retry_s, self._retry_at_ns = _RETRY_FIRST_S, 0
        self._said, self._quiet_until_ns = "", 0
        self.status: dict[str, Any] = {
            "source": public_name(settings.camera.source),
            "state": "opening",
            "width_px": 0,
            "height_px": 0,
        }

    def step(self, _batch: list[Any]) -> list[Frame]:
        """Sleep until the next frame is due, at most 0.4 s -> [Frame], or [] if it is not due or there is none."""
        self._ring.expire()
        early_s = (max(self._due_ns, self._look_ns) - time.monotonic_ns()) / 1e9
        time.sleep(min(max(early_s, 0.0), _SLICE_S))
        try:
            source = self._open()
            if source is None:
                return []
            source.advance()
            shot = source.read() if early_s <= _SLICE_S else None
            if source.ended:
                self._end()
        except (OSError, cv2.error) as error:
            self._lose(error)
            return []
        if shot is None:
            self._look_ns = time.monotonic_ns() + _LOOK_AGAIN_NS
            return []
        return [self._publish(*shot)]

    def close(self) -> None:
        """Let go of the camera and of the ring's memory."""
        if self._source is not None:
            self._source.close()
        self._ring.close()

    def _open(self) -> Source | None:
        if self._source is None and self.status["state"] != "ended" and time.monotonic_ns() >= self._retry_at_ns:
            self._source = open_source(self._camera, self._folder)
        if self._source is None:
            self._look_ns = time.monotonic_ns() + int(_SLICE_S / 2 * 1e9)
        return self._source

    def _publish(self, image: Image, captured_ns: int) -> Frame:
        now_ns = time.monotonic_ns()
        self._due_ns = max(self._due_ns + self._period_ns, now_ns - min(self._period_ns, _CATCH_UP_NS))
        image = fit(image, self._camera.max_width_px, self._camera.max_height_px)
        height_px, width_px = image.shape[:2]
        self._say(state="live", width_px=width_px, height_px=height_px)
        self._retry_s = _RETRY_FIRST_S
        slot, version = self._ring.write(image)
        self._seq += 1
        return Frame(
            camera=self._camera.name,
            seq=self._seq,
            captured_ns=captured_ns,
            slot=slot,
            version=version,
            width_px=width_px,
            height_px=height_px,
        )

    def _end(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        self._say(state="ended")
        log("source_ended", camera=self._camera.name, source=self.status["source"])

    def _lose(self, error: Exception) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        if self._said != "lost" and time.monotonic_ns() >= self._quiet_until_ns:
            why = str(error).replace(str(self._camera.source), self.status["source"])
            log("source_lost", camera=self._camera.name, source=self.status["source"], why=why, retry_s=self._retry_s)
            self._said, self._quiet_until_ns = "lost", time.monotonic_ns() + _QUIET_NS
        self._say(state="retrying")
        self._retry_at_ns = time.monotonic_ns() + int(self._retry_s * 1e9)
        self._retry_s = min(self._retry_s * 2, _RETRY_LAST_S)

    def _say(self, **facts: Any) -> None:
        if facts.get("state") == "live" and self._said != "live":
            self._said = "live"
            log("source_live", camera=self._camera.name, source=self.status["source"])
        if not facts.items() <= self.status.items():
            self.status = self.status | facts


def fit(image: Image, max_width_px: int, max_height_px: int) -> Image:
    """Return the picture, scaled down if it is larger than allowed; its shape is kept."""
    height, width = image.shape[:2]
    scale = min(max_width_px / width, max_height_px / height)
    if scale >= 1:
        return image
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def open_source(camera: Camera, folder: Path) -> Source:
    """Open what the camera names. OSError: it is not there, or cannot be read."""
    kind = source_kind(camera, folder)
    if kind == "sample":
        return SampleScene(camera)
    if kind == "folder":
        return ImageFolder(source_path(camera, folder), camera.loop)
    if kind == "file":
        return VideoFile(source_path(camera, folder), camera.loop)
    return LiveStream(camera)


class SampleScene:
    """The built-in scene; without `loop` it ends after one round."""

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
    """The images of a folder in the order of their names, one each time a frame is due; each round looks anew."""

    def __init__(self, folder: Path, loop: bool) -> None:
        self.ended = False
        self._folder, self._loop = folder, loop
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
        image = _image(path)
        if image is None:
            skip("unreadable_image", file=path)
            return None
        self._readable = True
        return image, now_ns

    def close(self) -> None:
        pass


def _image(path: Path) -> Image | None:
    try:  # not imread: a name that is not UTF-8 crashes it
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):  # the latter also of pictures larger than OpenCV allows
        return None
    return None if image is None else np.asarray(image, np.uint8)


class VideoFile:
    """A video played at its own clock: whoever asks seldom misses the frames between."""

    def __init__(self, path: Path, loop: bool) -> None:
        self._path, self._loop = path, loop
        self.ended = False
        self._fresh = False
        self._open()
        self._start_ns = time.monotonic_ns()

    def _open(self) -> None:
        if not self._path.is_file():
            raise FileNotFoundError(f"no such file: {self._path}")
        self._video = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG, _ONE_THREAD)
        if not self._video.isOpened():
            raise OSError(f"not a video that FFmpeg can read: {self._path}")
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self._steady = 0 < fps < _CLOCK_HZ
        self._frame_ns = 1e9 / (fps if self._steady else _GUESSED_FPS)
        self._grabbed = 0

    def advance(self) -> None:
        now_ns = time.monotonic_ns()
        late_ns = now_ns - self._start_ns - self._grabbed * self._frame_ns
        if late_ns > _BEHIND_MAX_S * 1e9:
            skip("video_slower_than_its_clock", file=self._path)
            self._start_ns += int(late_ns)
        while self._start_ns + self._grabbed * self._frame_ns <= now_ns:
            if not self._video.grab():
                self._finish()
                return
            self._grabbed += 1
            self._fresh = True
            shown_ns = 0 if self._steady else self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6
            if shown_ns > 0 and self._grabbed > 1:
                self._frame_ns = shown_ns / (self._grabbed - 1)
            if time.monotonic_ns() - now_ns > _SLICE_S * 1e9:
                return

    def _finish(self) -> None:
        if self._grabbed == 0:
            raise OSError(f"no frame in {self._path}")
        self._fresh = False
        self.ended = not self._loop
        if self._loop:
            self._video.release()
            self._start_ns += int(self._grabbed * self._frame_ns)
            self._open()

    def read(self) -> Shot | None:
        if not self._fresh:
            return None
        self._fresh = False
        ok, image = self._video.retrieve()
        if not ok:
            raise OSError(f"a frame of {self._path} cannot be decoded")
        return np.asarray(image, np.uint8), int(self._start_ns + (self._grabbed - 1) * self._frame_ns)

    def close(self) -> None:
        self._video.release()


class LiveStream:
    """A webcam or a network stream. A thread takes every frame off it, so that none waits, and keeps the one wanted."""

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
                # It hangs and holds the device: no thread can be ended, this process can, and the next one begins anew.
                log("source_hangs", camera=camera.name)
                raise SystemExit(1)
        self._thread = threading.Thread(target=self._drain, name=_THREAD, daemon=True)
        self._thread.start()

    def advance(self) -> None:
        if self._error is not None:
            raise self._error

    def read(self) -> Shot | None:
        self._wanted.set()
        self._asked_s = self._asked_s or time.monotonic()
        if not self._arrived.wait(_SLICE_S):
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
        except Exception as error:  # of this thread, which nobody else would hear of
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
    """Time between the frames of a recording behind a URL, which comes as fast as it is read; 0 for a live stream."""
    fps = video.get(cv2.CAP_PROP_FPS)
    return 1 / fps if video.get(cv2.CAP_PROP_FRAME_COUNT) > 0 and 0 < fps < _CLOCK_HZ else 0.0
