"""Films: their frames in order, at their times, upright and in the colours of an ordinary screen.

The one place that knows how the file of a film is read. The examiner of media, the screen, cameras that are files, and
`stationcast detect` use it. Only who plays or looks at films may import it: it loads FFmpeg.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from numpy.typing import NDArray

from pipeline import matroska, mp4
from pipeline.frames import Fit, FrameFilters, Pixels, Size, as_seen, deinterlacer, notes, upright_px
from pipeline.kinds import DECODERS, FILMS, sniff_film
from pipeline.medium import BUFFER_BYTES, opened

CODECS = tuple(DECODERS)
"""Codecs that are read at all: by cameras that are files, and by `detect`. Screens play fewer."""
_SEEK_S = 1.0
"""Time before a part of an edit list at which decoding begins, or at the key frame before it."""
_INSTANT_S = 0.0005
"""Difference of times, in s, that comes from rounding."""
_BACK_MAX_S, _GAP_MAX_S = 0.5, 5.0
"""Jumps of time, in s, back and forth, from which on a recording of a stream is taken to go on with another clock."""


class Shown(NamedTuple):
    """One frame and the time for which it is shown."""

    at_s: float
    """Time in s since the first frame of the film."""
    until_s: float
    """End of its time in s, by its own duration; the next frame may come before or after."""
    frame: av.VideoFrame
    """Frame as it was decoded, not interlaced."""
    damaged: bool
    """True where the decoder found damage."""


class Film:
    """Film in a file, open for reading. The caller closes it, or uses it in a `with` statement.

    What is in it, its first bytes say: FFmpeg never guesses, so that a file is the same film to all who open it.
    Raises av.FFmpegError or OSError where the file cannot be read as a film, ValueError where it is none that is
    known. MediumError: it is no plain file, or has changed.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        *,
        codecs: Collection[str] = CODECS,
        threads: int = 0,
        pixels_max: int | None = None,
        fit: Callable[[int, int], Fit] = as_seen,
        pixel_format: str = "bgr24",
    ) -> None:
        """Open a film; a source that was open before stays so.

        A codec that is none of `codecs` (FFmpeg's names) is refused. `threads` is for decoding; 0 leaves it to FFmpeg.
        A frame of more than `pixels_max` pixels is an error, at any time. `fit` places a picture, given its upright
        width and height in px; `picture` returns `pixel_format`.
        """
        self._own = opened(source) if isinstance(source, Path) else None
        self._file: BinaryIO = self._own or source  # type: ignore[assignment]
        decoders = ",".join(chain(*(DECODERS[codec] for codec in codecs)))
        try:
            self.kind = kind_of(self._file)
            tracks = mp4.read_tracks(self._file) if self.kind == "mp4" else {}
            cut = matroska.read_facts(self._file).cut if self.kind == "matroska" else None
            self.container = open_container(self._file, decoders, {"ignore_editlist": "1"} if tracks else {})
        except BaseException:
            if self._own is not None:
                self._own.close()
            raise
        try:
            self.stream = main_video(self.container)
            codec = "" if self.stream.codec_context is None else self.codec
            if codec not in codecs:
                known = ", ".join(codecs)
                raise ValueError(f"codec {codec or 'unknown'} is not played; known: {known}; export it as h264")
            self._track = tracks.get(self.stream.id, mp4.Track())
            self._cut = cut or self._track.cut(self.stream.width, self.stream.height)
            self._decoder = self.stream.codec_context
            if self.codec == "vp9" and self.stream.metadata.get("alpha_mode") == "1":
                self._decoder = av.VideoCodecContext.create("libvpx-vp9", "r")  # FFmpeg's own leaves the alpha out
            options = {"codec_whitelist": decoders}
            self._decoder.thread_type = "AUTO"
            self._decoder.thread_count = threads
            if pixels_max is not None:
                options |= {"max_pixels": str(pixels_max)}  # holds for later frames of another size too
            self._decoder.options = options
            self.fps = float(self.stream.average_rate or self.stream.guessed_rate or Fraction(25))
        except BaseException:
            self.close()
            raise
        self._frame_filters = FrameFilters(fit, pixel_format)
        self._ended_s = 0.0

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the film, and the file if this object has opened it."""
        self.container.close()
        if self._own is not None:
            self._own.close()

    @property
    def _pixels(self) -> Pixels:
        """Return the shape of the pixels as known by now, and the edges that are cut off."""
        return Pixels(self.stream.sample_aspect_ratio or Fraction(1), self._cut)

    @property
    def codec(self) -> str:
        """Return FFmpeg's name of the codec, whatever the decoder is called."""
        return str(self.stream.codec_context.codec.canonical_name)

    @property
    def frames_told(self) -> int:
        """Return the number of frames that the file says it shows; 0 where it does not say."""
        parts = [edit for edit in self._track.edits if edit.start_s is not None]
        media_s = float((self.stream.duration or 0) * (self.stream.time_base or 0))
        if len(parts) > 1 or any(0 < part.length_s < 0.99 * media_s for part in parts):
            return 0  # a part of them, which need not be counted
        return self.stream.frames

    def length_s(self, frames_max: int | None = None) -> float:
        """Return the length in s, from the start of the first frame to the end of the last; 0 where there is none.

        It comes from the packets and the edit list, never from a header. All packets are read, so `frames` gives
        nothing after this. Raises ValueError where the file is not whole, or has more than `frames_max` frames.
        """
        at = self._file.tell()
        whole = mp4.is_whole(self._file) if self.kind == "mp4" else matroska.read_facts(self._file).whole
        self._file.seek(at)
        if not whole:
            raise ValueError("it ends in the middle; copy it anew")
        base_s = float(self.stream.time_base or 0)
        first = end = last = None
        for number, packet in enumerate(self.container.demux(self.stream)):
            if frames_max is not None and number > frames_max:
                raise ValueError(f"it has more than {frames_max} frames; export it anew, or cut it into parts")
            if packet.is_corrupt and packet.size:
                raise ValueError("it is damaged in the middle; export or copy it anew")
            if packet.pts is None or not packet.size or packet.is_discard:
                continue
            first = packet.pts if first is None else min(first, packet.pts)
            if last is None or packet.pts >= last:
                last, end = packet.pts, packet.pts + (packet.duration or round(1 / self.fps / base_s))
        if first is None or end is None:
            return 0.0
        if not self._track.edits:
            return (end - first) * base_s
        shown = [edit for edit in self._track.edits if edit.start_s is None or edit.start_s < end * base_s]
        while shown and shown[0].start_s is None:
            shown.pop(0)  # the screen does not wait for the first frame
        return sum(_length_s(edit, end * base_s) for edit in shown)

    def frames(self) -> Iterator[Shown]:
        """Yield every frame that is shown, in order. Interlaced ones are made whole."""
        waiting: deque[tuple[float, float, bool]] = deque()
        graph = None
        shape: tuple[int, int, str] | None = None
        for at_s, until_s, frame in self.timed():
            now = (frame.width, frame.height, frame.format.name)
            if graph is not None and shape != now:
                yield from _flushed(graph, waiting)
                graph = None
            if graph is None:
                graph, shape = deinterlacer(frame), now
            if graph is None:
                yield Shown(at_s, until_s, frame, frame.is_corrupt)
                continue
            waiting.append((at_s, until_s, frame.is_corrupt))
            graph.vpush(frame)
            yield from _given(graph, waiting)
        if graph is not None:
            yield from _flushed(graph, waiting)

    def timed(self) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Yield (start, end, frame) as decoded and as the edit list says, times in s since the first frame."""
        if not self._track.edits:
            first_s: float | None = None
            for at_s, until_s, frame in self._in_media():
                first_s = at_s if first_s is None else first_s
                yield at_s - first_s, until_s - first_s, frame
            return
        passed_s = 0.0
        for number, edit in enumerate(self._track.edits):
            if edit.start_s is None:
                passed_s += edit.length_s if passed_s else 0.0
                continue
            if number or edit.start_s > 2 * _SEEK_S:
                base_s = float(self.stream.time_base or 1)
                self.container.seek(round(max(0.0, edit.start_s - _SEEK_S) / base_s), stream=self.stream)
            end_s = passed_s
            for at_s, until_s, frame in self._part(edit):
                end_s = passed_s + until_s
                yield passed_s + at_s, end_s, frame
            passed_s = max(end_s, passed_s + edit.length_s) if end_s > passed_s else passed_s

    def _part(self, edit: mp4.Edit) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Yield (start, end, frame) of one part of the edit list, times in s since its start."""
        start_s, length_s = edit.start_s or 0.0, edit.length_s or float("inf")
        before: av.VideoFrame | None = None
        began = False
        for at_s, until_s, frame in self._in_media():
            if at_s < start_s - _INSTANT_S:
                before = frame
                continue
            if not began and before is not None and at_s > start_s + _INSTANT_S:
                # The part begins in the middle of a frame.
                began = True
                yield 0.0, length_s if edit.stands else min(at_s - start_s, length_s), before
            if at_s >= start_s + length_s - _INSTANT_S or (began and edit.stands):
                return
            began = True
            yield max(0.0, at_s - start_s), length_s if edit.stands else min(until_s - start_s, length_s), frame
        if not began and before is not None and start_s < self._ended_s:
            yield 0.0, length_s if edit.stands else min(self._ended_s - start_s, length_s), before

    def _in_media(self) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Yield (start, end, frame) as decoded, times in s of the media; a time never goes back.

        Where the clock of the file starts anew, as in recordings that were joined, the next frame follows at once.
        """
        at_s = moved_s = 0.0
        jumps = "mpeg" in self.container.format.name  # .ts and .mpg: recordings of streams
        for number, frame in enumerate(self.decoded()):
            stamp_s = (number / self.fps if frame.time is None else frame.time) + moved_s
            if number and (stamp_s < at_s - _BACK_MAX_S or (jumps and stamp_s > self._ended_s + _GAP_MAX_S)):
                moved_s += self._ended_s - stamp_s
                stamp_s = self._ended_s
            at_s = max(at_s, stamp_s) if number else stamp_s
            self._ended_s = at_s + (float(frame.duration * (frame.time_base or 0)) or 1 / self.fps)
            yield at_s, self._ended_s, frame

    def decoded(self) -> Iterator[av.VideoFrame]:
        """Yield every frame as it is decoded, without its time."""
        if self._decoder is self.stream.codec_context:
            yield from self.container.decode(self.stream)
            return
        for packet in self.container.demux(self.stream):
            yield from self._decoder.decode(packet if packet.size else None)

    def picture(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame as its maker saw it, placed by the fit; raise ColourError where its colours are unknown."""
        return self._frame_filters.picture(frame, self._pixels)

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return `picture(frame)` of a film with pixel format bgr24 as uint8 BGR [height, width, 3]."""
        return np.asarray(self.picture(frame).to_ndarray(), np.uint8)

    def upright_px(self, frame: av.VideoFrame) -> Size:
        """Return width and height of a frame as it is seen, in square pixels."""
        return upright_px(frame, self._pixels)

    def notes(self, frame: av.VideoFrame) -> list[str]:
        """Return what is done to a decoded frame before it is shown, each in a few words.

        Raises ColourError where its colours cannot be told.
        """
        return notes(frame, self._pixels)


def kind_of(file: BinaryIO) -> str:
    """Return the kind of film in a file, a key of `kinds.FILMS`. Raises ValueError where it is none that is known."""
    file.seek(0)
    kind = sniff_film(file.read(4096))
    if kind not in FILMS:
        raise ValueError("it cannot be decoded: it is no film of a known kind; export it as MP4 with H.264")
    return kind


def open_container(file: BinaryIO, decoders: str, options: dict[str, str] | None = None) -> av.container.InputContainer:
    """Open a film as the kind that its first bytes tell. No other file is opened, whatever is written in it.

    `decoders` are FFmpeg's names of those that may look at it. Raises as `kind_of` does, and av.FFmpegError.
    """
    demuxer = FILMS[kind_of(file)]
    file.seek(0)
    options = (options or {}) | {"protocol_whitelist": "none", "codec_whitelist": decoders}
    return av.open(file, "r", format=demuxer, options=options, buffer_size=BUFFER_BYTES)


def main_video(container: av.container.InputContainer) -> av.VideoStream:
    """Return the video that the file marks as the one to be shown, else the first; never a cover.

    Raises ValueError where there is none.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not films:
        raise ValueError("there is no picture in it")
    return next((stream for stream in films if stream.disposition & Disposition.default), films[0])


def _length_s(edit: mp4.Edit, media_s: float) -> float:
    """Return the time for which a part of an edit list is shown, given where its media end."""
    if edit.start_s is None or edit.stands:
        return edit.length_s
    return min(edit.length_s or media_s, media_s - edit.start_s)


def _given(graph: Graph, waiting: deque[tuple[float, float, bool]]) -> Iterator[Shown]:
    """Yield the frames that the graph holds ready, with the times of those that were pushed, in the same order."""
    while waiting:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        at_s, until_s, damaged = waiting.popleft()
        yield Shown(at_s, until_s, frame, damaged)


def _flushed(graph: Graph, waiting: deque[tuple[float, float, bool]]) -> Iterator[Shown]:
    graph.vpush(None)
    yield from _given(graph, waiting)
    waiting.clear()
