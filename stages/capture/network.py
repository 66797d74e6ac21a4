"""Video of network cameras. FFmpeg decodes it; it opens no connection, no file and no format that names others."""

import contextlib
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.colours import ColourError
from pipeline.frames import FrameFilters, Pixels, as_seen, deinterlacer, upright_px
from pipeline.settings import Camera
from stages.capture.connection import Address
from stages.capture.http import HttpBody
from stages.capture.rtsp import RtspSession
from stages.capture.trouble import NO_CODEC, NO_VIDEO, OnePictureError, SourceError

_BROKEN_MAX = 200
"""Packets in a row that cannot be decoded, after which a stream is lost."""
_GAP_MAX_S = 5.0
"""Longest gap between two frames of a recording; a longer one is a jump of its clock."""
_FORMATS = "mpjpeg,mjpeg,jpeg_pipe,png_pipe,webp_pipe,mpegts,mpeg,mov,matroska,flv,avi,h264,hevc,m4v"
"""Formats that a web camera may send. None of them names other places, as playlists do."""
_CODECS = "h264,hevc,mjpeg,mpeg4,mpeg1video,mpeg2video,h263,vp8,vp9,libdav1d,av1,png,webp"
"""Decoders that a camera may have work to do."""
PIXELS_MAX = 7680 * 4320
"""Largest number of pixels of a frame, as stored and as seen."""
_SIDE_PX_MAX = 16384

Image = NDArray[np.uint8]


class NetworkVideo:
    """Video behind a URL. Raises SourceError if it does not open.

    Connections are ours (`connection.py`); FFmpeg gets bytes, a list of formats and a list of codecs. Size, shape of
    the pixels, turn and colours are those of each frame, for a stream may change them at any time.
    """

    def __init__(self, camera: Camera, folder: Path) -> None:
        """Open the camera's URL. Relative paths of its settings start at `folder`."""
        address = Address.of(str(camera.source))
        is_rtsp = address.scheme.startswith("rtsp")
        self._guest: _Rtsp | _Web = (_Rtsp if is_rtsp else _Web)(address, camera, folder)
        self._decoder = self._guest.decoder
        self._decoder.options = {"max_pixels": str(PIXELS_MAX)}  # holds for later frames of another size too
        self._decoder.thread_count = 1  # every further thread would hold one frame back
        self._frames: Iterator[av.VideoFrame] = self._whole()
        self._frame_filters = FrameFilters(as_seen, "bgr24")
        self._frame: av.VideoFrame | None = None
        self._grabbed = 0
        self._first_ratio: Fraction | None = None
        self._start_s: float | None = None

    def grab(self) -> None:
        """Wait for the next frame. OnePictureError: there was but one; open the URL again for the next."""
        self._guest.renew()
        try:
            frame = next(self._frames, None)
        except (av.FFmpegError, MemoryError, ValueError):
            raise SourceError(self._guest.trouble() or self._cannot_decode()) from None
        if frame is None:
            ended = "the camera ended the stream; it is opened again" if self._frame else self._cannot_decode()
            is_one = self._grabbed == 1 and self._guest.may_be_one_picture and not self._guest.trouble()
            raise OnePictureError(ended) if is_one else SourceError(self._guest.trouble() or ended)
        if self._frame is None:
            self._first_ratio = self._decoder.sample_aspect_ratio
        self._frame = frame
        self._grabbed += 1

    def _cannot_decode(self) -> str:
        width, height = self._decoder.width, self._decoder.height
        return too_large(width, height) or (
            "its pictures cannot be decoded, or are larger than 7680x4320; set the camera to H.264, or restart it"
        )

    def _whole(self) -> Iterator[av.VideoFrame]:
        """Yield every frame. Interlaced ones are made whole, for which each waits for the next."""
        graph = shape = None
        for frame in self._decoded():
            now = (frame.width, frame.height, frame.format.name)
            if now != shape or (graph is None and frame.interlaced_frame):
                graph, shape = deinterlacer(frame), now
            if graph is None:
                yield frame
                continue
            graph.vpush(frame)
            with contextlib.suppress(av.BlockingIOError):
                yield graph.vpull()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Yield every frame. What was damaged on its way, or has no key frame before it, is passed over."""
        broken = 0
        for packet in self._guest.packets():
            try:
                frames = self._decoder.decode(packet)
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
        if not self._guest.is_recording or self._frame is None or self._frame.time is None:
            return 0.0
        now_s, at_s = time.monotonic(), self._frame.time
        if self._start_s is None or not -_GAP_MAX_S < self._start_s + at_s - now_s < _GAP_MAX_S:
            self._start_s = now_s - at_s
        return max(0.0, self._start_s + at_s - now_s)

    def retrieve(self) -> Image | None:
        frame = self._frame
        if frame is None:
            return None
        pixels = Pixels(self._ratio())
        if why := too_large(*upright_px(frame, pixels)):
            raise SourceError(why)
        try:
            return np.asarray(self._frame_filters.picture(frame, pixels).to_ndarray(), np.uint8)
        except ColourError as error:
            raise SourceError(f"its pictures cannot be shown: {error}") from None
        except (av.FFmpegError, ValueError):
            raise SourceError("its pictures have a format that is not known here; set the camera to H.264") from None

    def _ratio(self) -> Fraction:
        """Return the ratio of a pixel's width to its height: the container's, until the frames' own changes."""
        now = self._decoder.sample_aspect_ratio
        given = self._guest.ratio() if now == self._first_ratio else None
        return given or now or Fraction(1)

    def hang_up(self) -> None:
        self._guest.hang_up()

    def release(self) -> None:
        self._frame, self._frames = None, iter(())  # they lead back to this object and would keep its memory
        self._guest.close()


def too_large(width_px: int, height_px: int) -> str:
    """Return why a picture of that size is not taken; empty if it is."""
    if width_px * height_px <= PIXELS_MAX and max(width_px, height_px) <= _SIDE_PX_MAX:
        return ""
    return f"its pictures of {width_px}x{height_px} pixels are too large; set the camera to at most 7680x4320"


class _Rtsp:
    """Video of an RTSP camera."""

    is_recording = may_be_one_picture = False

    def __init__(self, address: Address, camera: Camera, folder: Path) -> None:
        self._session = RtspSession(address, camera, folder)
        self.renew, self.hang_up, self.close = self._session.renew, self._session.hang_up, self._session.close
        self.decoder = cast(av.VideoCodecContext, av.CodecContext.create(self._session.codec.decoder, "r"))

    def packets(self) -> Iterator[av.Packet]:
        for number, data in enumerate(self._session.stream()):
            for packet in self.decoder.parse(data) if data else ():
                packet.pts, packet.time_base = number, Fraction(1, 90000)
                yield packet

    def ratio(self) -> Fraction | None:
        return None

    def trouble(self) -> str:
        """Return why the last read failed; empty if it did not. Here such an error is raised at once."""
        return ""


class _Web:
    """Video of a web camera, or a film on a web server."""

    def __init__(self, address: Address, camera: Camera, folder: Path) -> None:
        self._body = HttpBody(address, camera, folder)
        self.may_be_one_picture = not self._body.is_multipart
        self.renew, self.hang_up = self._body.renew, self._body.hang_up
        options = {"format_whitelist": _FORMATS, "codec_whitelist": _CODECS, "protocol_whitelist": "none"}
        options |= {"max_pixels": str(PIXELS_MAX)}
        try:
            name = "mpjpeg" if self._body.is_multipart else None
            self._container = cast(InputContainer, av.open(self._body, format=name, options=options))
        except (av.FFmpegError, MemoryError, OSError, ValueError):
            self._body.close()
            raise SourceError(self.trouble() or NO_VIDEO) from None
        try:
            stream = next(iter(self._container.streams.video), None)
            if stream is None:
                raise SourceError("it sends no picture; look up the path of its video in the manual")
            if stream.codec_context is None or stream.codec_context.codec.name not in _CODECS.split(","):
                raise SourceError(NO_CODEC)
            if why := too_large(stream.codec_context.width, stream.codec_context.height):
                raise SourceError(why)
        except BaseException:
            self.close()
            raise
        self._stream, self.decoder = stream, stream.codec_context
        self.is_recording = bool(self._container.duration and self._container.duration > 0)

    def packets(self) -> Iterator[av.Packet]:
        return self._container.demux(self._stream)

    def ratio(self) -> Fraction | None:
        return self._stream.sample_aspect_ratio

    def trouble(self) -> str:
        """Return why the last read failed; empty if it did not."""
        return str(self._body.error or "")

    def close(self) -> None:
        self._container.close()
        self._body.close()
