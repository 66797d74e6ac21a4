"""Webcams and network streams: frames that come whether or not anybody asks."""

import contextlib
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import webcam_problem
from pipeline.colours import ColourError
from pipeline.frames import FrameFilters, Pixels, as_seen, deinterlacer
from pipeline.log import log
from pipeline.settings import Camera
from stages.capture.trouble import TIMEOUT_S, SourceError, network_trouble

SLICE_S = 0.4
"""Longest time that a call may take: heartbeats, SIGTERM and the blanking of old frames wait for it."""
_DARK_S = 15.0  # longer than FFmpeg (5 s) and V4L2 (10 s) wait for a frame
_JOIN_S, _LINGER_S = 1.0, 3.0
_THREAD = "camera"
_BROKEN_MAX = 200
"""Packets in a row that cannot be decoded, after which a stream is lost."""
_GAP_MAX_S = 5.0
"""Longest gap between two frames of a recording; a longer one is a jump of its clock."""
_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
"""Protocols that a URL may lead to. A playlist from the network opens no file of this machine."""

Image = NDArray[np.uint8]
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

    def release(self) -> None:
        """Free the device or connection."""


class LiveStream:
    """Webcam or network stream. A thread grabs every frame, so that none waits, and shows only those asked for."""

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
                raise SourceError(f"no picture for {_DARK_S:g} s; restart the camera")
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
        video: _Video | None = None
        try:
            source = str(self._camera.source)
            video = NetworkVideo(source) if "://" in source else Webcam(source, self._camera)
            while not self._closing.is_set():
                video.grab()
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
            self._error = error if isinstance(error, SourceError) else SourceError(told)
            self._arrived.set()
        finally:
            if video is not None:
                video.release()


class Webcam:
    """Webcam by its index or `/dev` path. Raises SourceError if it does not open."""

    def __init__(self, source: str, camera: Camera) -> None:
        self._source = source
        self._video = cv2.VideoCapture(int(source) if source.isdigit() else source, cv2.CAP_V4L2)
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

    def release(self) -> None:
        self._video.release()


class NetworkVideo:
    """Video behind a URL, read by PyAV. Raises SourceError if it does not open.

    Size, shape of the pixels, turn and colours are those of each frame, for a stream may change them at any time.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self._url = url = f"{scheme.lower()}://{rest}"  # FFmpeg knows schemes in small letters only
        options = {"protocol_whitelist": _PROTOCOLS}
        if url.startswith("rtsp"):
            options["rtsp_flags"] = "prefer_tcp"
        started_s = time.monotonic()
        try:
            self._container = av.open(url, options=options, timeout=(TIMEOUT_S, TIMEOUT_S))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(network_trouble(url, error, time.monotonic() - started_s)) from None
        try:
            self._stream = next(iter(self._container.streams.video), None)
            if self._stream is None:
                raise SourceError("it sends no picture; look up the path of its video in the manual")
            if self._stream.codec_context is None:
                raise SourceError("its codec is not known here; set the camera to H.264")
            self._decoder = self._stream.codec_context
            self._decoder.thread_count = 1  # every further thread would hold one frame back
            self._is_recording = bool(self._container.duration and self._container.duration > 0)
        except BaseException:
            self._container.close()
            raise
        self._frames = self._whole(self._stream)
        self._frame_filters = FrameFilters(as_seen, "bgr24")
        self._frame: av.VideoFrame | None = None
        self._first_ratio: Fraction | None = None
        self._start_s: float | None = None

    def grab(self) -> None:
        started_s = time.monotonic()
        try:
            frame = next(self._frames, None)
        except av.InvalidDataError:
            raise SourceError("its pictures cannot be decoded; set the camera to H.264, or restart it") from None
        except (av.FFmpegError, OSError) as error:
            raise SourceError(network_trouble(self._url, error, time.monotonic() - started_s)) from None
        if frame is None:
            raise SourceError("the camera ended the stream; it is opened again")
        if self._frame is None:
            self._first_ratio = self._decoder.sample_aspect_ratio
        self._frame = frame

    def _whole(self, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Yield every frame. Interlaced ones are made whole, for which each waits for the next."""
        graph = shape = None
        for frame in self._decoded(stream):
            now = (frame.width, frame.height, frame.format.name)
            if now != shape or (graph is None and frame.interlaced_frame):
                graph, shape = deinterlacer(frame), now
            if graph is None:
                yield frame
                continue
            graph.vpush(frame)
            with contextlib.suppress(av.BlockingIOError):
                yield graph.vpull()

    def _decoded(self, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Yield every frame. What was damaged on its way, or has no key frame before it, is passed over."""
        broken = 0
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                broken += 1
                if broken > _BROKEN_MAX:
                    raise
                continue
            for frame in frames:
                broken = 0
                yield frame

    def early_s(self) -> float:
        """Return the time until a frame of a recording is due: one behind a URL comes as fast as it is read."""
        if not self._is_recording or self._frame is None or self._frame.time is None:
            return 0.0
        now_s, at_s = time.monotonic(), self._frame.time
        if self._start_s is None or not -_GAP_MAX_S < self._start_s + at_s - now_s < _GAP_MAX_S:
            self._start_s = now_s - at_s
        return max(0.0, self._start_s + at_s - now_s)

    def retrieve(self) -> Image | None:
        frame = self._frame
        if frame is None:
            return None
        try:
            return np.asarray(self._frame_filters.picture(frame, Pixels(self._ratio())).to_ndarray(), np.uint8)
        except ColourError as error:
            raise SourceError(f"its pictures cannot be shown: {error}") from None
        except (av.FFmpegError, ValueError):
            raise SourceError("its pictures have a format that is not known here; set the camera to H.264") from None

    def _ratio(self) -> Fraction:
        """Return the ratio of a pixel's width to its height: the container's, until the frames' own changes."""
        now = self._decoder.sample_aspect_ratio
        assert self._stream is not None
        return (self._stream.sample_aspect_ratio if now == self._first_ratio else now) or Fraction(1)

    def release(self) -> None:
        self._container.close()
