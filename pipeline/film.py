"""Films: their frames in order, at their times, upright and in the colours of an ordinary screen.

The one place that knows how the file of a film is read. The examiner of media, the screen, cameras that are files, and
`stationcast detect` use it. Only who plays or looks at films may import it: it loads FFmpeg.
"""

import struct
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from pipeline.colours import ColourError, Colours, colours_of, table

_ORIENTATIONS = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): ("hflip",),
    (1, 0, 0, -1): ("vflip",),
    (-1, 0, 0, -1): ("hflip", "vflip"),
    (0, 1, 1, 0): ("transpose=cclock_flip",),
    (0, 1, -1, 0): ("transpose=clock",),
    (0, -1, 1, 0): ("transpose=cclock",),
    (0, -1, -1, 0): ("transpose=clock_flip",),
}
"""FFmpeg's filters for a display matrix: where it takes one step to the right (x, y), then one step down (x, y)."""
_ORIENTATION_WORDS = {
    ("hflip",): "mirrored",
    ("vflip",): "mirrored upside down",
    ("hflip", "vflip"): "turned by 180 degrees",
    ("transpose=cclock_flip",): "turned by 90 degrees and mirrored",
    ("transpose=clock",): "turned by 90 degrees",
    ("transpose=cclock",): "turned by 270 degrees",
    ("transpose=clock_flip",): "turned by 270 degrees and mirrored",
}
_TURNS: dict[int, tuple[str, ...]] = {
    0: (),
    90: ("transpose=clock",),
    180: ("hflip", "vflip"),
    270: ("transpose=cclock",),
}
_DEINTERLACER = "bwdif=mode=send_frame:deint=interlaced"
"""Filter that gives one whole frame for each interlaced one, by its flags, and leaves the others as they are."""
_DEINTERLACED_LINES_MIN = 16
"""Lowest height that is deinterlaced; the filter refuses a few lines."""

Size = tuple[int, int]
"""Width and height in px."""


class Fit(NamedTuple):
    """Place of an upright picture on a canvas. It is scaled to `size`, cut to `crop`, turned, and put at `at`."""

    size: Size
    """Width and height of the whole picture after scaling, in px."""
    crop: tuple[int, int, int, int]
    """x, y, width and height of the part that is shown, within the scaled picture, in px."""
    turn_deg: int
    """Turn clockwise after scaling: 0, 90, 180 or 270."""
    canvas: Size
    """Width and height of the canvas, in px; black where the picture does not reach."""
    at: tuple[int, int]
    """x and y of the top left corner on the canvas, after turning."""


def as_seen(width_px: int, height_px: int) -> Fit:
    """Return the fit that shows a picture of this size as it is."""
    size = (width_px, height_px)
    return Fit(size, (0, 0, *size), 0, size, (0, 0))


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

    Raises av.FFmpegError or OSError where the file cannot be read as a film, ValueError where no picture is in it.
    """

    def __init__(
        self,
        path: Path,
        *,
        container_format: str | None = None,
        threads: int = 0,
        pixels_max: int | None = None,
        fit: Callable[[int, int], Fit] = as_seen,
        pixel_format: str = "bgr24",
    ) -> None:
        """Open a film.

        `threads` is for decoding; 0 leaves it to FFmpeg. A frame of more than `pixels_max` pixels is an error, at any
        time. `fit` places a picture, given its upright width and height in px; `picture` returns `pixel_format`.
        """
        whitelist = {"protocol_whitelist": "file"}
        self.container = av.open(str(path), format=container_format, options=whitelist)
        try:
            if not self.container.streams.video:
                raise ValueError("there is no picture in it")
            self.stream = self.container.streams.video[0]
            self._decoder = self.stream.codec_context
            if self.codec == "vp9" and self.stream.metadata.get("alpha_mode") == "1":
                self._decoder = av.VideoCodecContext.create("libvpx-vp9", "r")  # FFmpeg's own leaves the alpha out
            self._decoder.thread_type = "AUTO"
            self._decoder.thread_count = threads
            if pixels_max is not None:
                self._decoder.options = {"max_pixels": str(pixels_max)}  # holds for later frames of another size too
            self.fps = float(self.stream.average_rate or self.stream.guessed_rate or Fraction(25))
        except BaseException:
            self.container.close()
            raise
        self._fit, self._pixel_format = fit, pixel_format
        self._graph: tuple[Any, av.filter.Graph] | None = None

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    @property
    def codec(self) -> str:
        """Return FFmpeg's name of the codec, whatever the decoder is called."""
        return str(self.stream.codec_context.codec.canonical_name)

    def length_s(self) -> float:
        """Return the length in s, from the start of the first frame to the end of the last; 0 where there is none.

        All packets are read, so `frames` gives nothing after this. A header is believed only where it says that an edit
        list ends within the last frame. Raises ValueError where the file ends in the middle of a packet.
        """
        base_s = float(self.stream.time_base or 0)
        first = last = end = None
        for packet in self.container.demux(self.stream):
            if packet.is_corrupt and packet.size:
                raise ValueError("it ends in the middle, or is damaged; copy it anew")
            if packet.pts is None or not packet.size or packet.is_discard:
                continue
            first = packet.pts if first is None else min(first, packet.pts)
            if last is None or packet.pts >= last:
                last, end = packet.pts, packet.pts + (packet.duration or round(1 / self.fps / base_s))
        if first is None or last is None or end is None:
            return 0.0
        return (self._end_within(last, end) - first) * base_s

    def _end_within(self, last: int, end: int) -> int:
        """Return the end of the last frame, in units of the stream: that of the edit list where it comes before."""
        said = (self.stream.start_time or 0) + self.stream.duration if self.stream.duration else end
        return said if last < said < end else end

    def frames(self) -> Iterator[Shown]:
        """Yield every frame that is shown, in order. Interlaced ones are made whole."""
        waiting: deque[tuple[float, float, bool]] = deque()
        graph: av.filter.Graph | None = None
        shape: tuple[int, int, str] | None = None
        for at_s, until_s, frame in self._timed():
            now = (frame.width, frame.height, frame.format.name)
            if graph is not None and shape != now:
                yield from _flushed(graph, waiting)
                graph = None
            if graph is None and frame.interlaced_frame and frame.height >= _DEINTERLACED_LINES_MIN:
                graph, shape = self._new_graph(frame, [_DEINTERLACER]), now
            if graph is None:
                yield Shown(at_s, until_s, frame, frame.is_corrupt)
                continue
            waiting.append((at_s, until_s, frame.is_corrupt))
            graph.vpush(frame)
            yield from _given(graph, waiting)
        if graph is not None:
            yield from _flushed(graph, waiting)

    def _timed(self) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Yield (start, end, frame) as decoded, times in s since the first frame; a time never goes back."""
        first_s: float | None = None
        at_s = 0.0
        for number, frame in enumerate(self.decoded()):
            stamp_s = number / self.fps if frame.time is None else frame.time
            first_s = stamp_s if first_s is None else first_s
            at_s = max(at_s, stamp_s - first_s)
            yield at_s, at_s + self._duration_s(frame), frame

    def decoded(self) -> Iterator[av.VideoFrame]:
        """Yield every frame as it is decoded, without its time."""
        if self._decoder is self.stream.codec_context:
            yield from self.container.decode(self.stream)
            return
        for packet in self.container.demux(self.stream):
            yield from self._decoder.decode(packet if packet.size else None)

    def _duration_s(self, frame: av.VideoFrame) -> float:
        base_s = float(frame.time_base or 0)
        if not (frame.duration and base_s):
            return 1 / self.fps
        if frame.pts is None or frame.time_base != self.stream.time_base:
            return frame.duration * base_s
        return (self._end_within(frame.pts, frame.pts + frame.duration) - frame.pts) * base_s

    def picture(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame as its maker saw it: upright, in square pixels and sRGB, over black, placed by the fit.

        Raises ColourError where its colours cannot be told.
        """
        key = (frame.width, frame.height, frame.format.name, _tags(frame), _side_data(frame, "DISPLAYMATRIX"))
        if self._graph is None or self._graph[0] != key:
            # A graph that gets frames of another size than it was made for reads beyond their end.
            self._graph = key, self._new_graph(frame, self._filters(frame))
        graph = self._graph[1]
        graph.vpush(frame)
        return graph.vpull()

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return `picture(frame)` of a film with pixel format bgr24 as uint8 BGR [height, width, 3]."""
        return np.asarray(self.picture(frame).to_ndarray(), np.uint8)

    def upright_px(self, frame: av.VideoFrame) -> Size:
        """Return width and height of a frame as it is seen, in square pixels."""
        width_px = max(1, round(frame.width * (self.stream.sample_aspect_ratio or 1)))
        return (frame.height, width_px) if _lies(_orientation(frame)) else (width_px, frame.height)

    def notes(self, frame: av.VideoFrame) -> list[str]:
        """Return what is done to a frame before it is shown, in plain words.

        Raises ColourError where its colours cannot be told.
        """
        colours = _colours(frame)
        turn = _orientation(frame)
        done = ["deinterlaced"] if frame.interlaced_frame else []
        done += [_ORIENTATION_WORDS[turn]] if turn else []
        ratio = self.stream.sample_aspect_ratio or 1
        done += [f"pixels of {ratio} made square"] if ratio != 1 else []
        done += [] if colours.ordinary else [f"{colours.text} shown as SDR, sRGB"]
        done += ["laid over black"] if self.has_alpha(frame) else []
        return done

    def has_alpha(self, frame: av.VideoFrame) -> bool:
        """Return True where the frame is transparent in places."""
        return any(component.is_alpha for component in frame.format.components)

    def _new_graph(self, frame: av.VideoFrame, filters: list[str]) -> av.filter.Graph:
        graph = av.filter.Graph()
        graph.threads = 1
        last = graph.add_buffer(None, frame.width, frame.height, frame.format, time_base=self.stream.time_base)
        with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
            for part in [*filters, "buffersink"]:
                name, _, arguments = part.partition("=")
                if name == "lut3d":
                    path = Path(folder) / "colours.cube"
                    colours = _colours(frame)
                    path.write_text(table(colours.primaries, colours.transfer))
                    node = graph.add(name, file=str(path))
                else:
                    node = graph.add(name, arguments or None)
                last.link_to(node)
                last = node
        graph.configure()
        return graph

    def _filters(self, frame: av.VideoFrame) -> list[str]:
        """Return the filters that turn a decoded frame into the picture on the canvas."""
        colours, turn, alpha = _colours(frame), _orientation(frame), self.has_alpha(frame)
        fit = self._fit(*self.upright_px(frame))
        stored = (frame.height, frame.width) if _lies(turn) else (frame.width, frame.height)
        (width, height), (x, y, crop_w, crop_h) = fit.size, fit.crop
        tags = f":in_range={'full' if colours.full_range else 'limited'}"
        tags += f":in_color_matrix={colours.matrix}" if colours.matrix else ""
        deep = "gbrap16le" if alpha else "gbrp16le"  # FFmpeg's table is twice as fast with 16 bits as with 8 or 10
        mend = [] if colours.ordinary and not alpha else [f"format={deep}"]
        mend += [] if colours.ordinary else ["lut3d"]
        mend += ["premultiply=inplace=1"] if alpha else []
        filters = []
        if mend and (alpha or stored[0] * stored[1] <= crop_w * crop_h):
            filters += [f"scale=iw:ih:flags=bilinear{tags}", *mend]
            tags, mend = "", []
        filters += turn
        if (crop_w, crop_h) != (width, height):
            across, down = stored[0] / width, stored[1] / height
            cut = (crop_w * across, crop_h * down, x * across, y * down)
            filters.append("crop=" + ":".join(str(max(0, round(px))) for px in cut))
        filters += [f"scale={crop_w}:{crop_h}:flags=bilinear{tags}", *mend, "setsar=1"]
        filters += [*_TURNS[fit.turn_deg], f"format={self._pixel_format}"]
        shown = (crop_h, crop_w) if fit.turn_deg in (90, 270) else (crop_w, crop_h)
        if shown != fit.canvas:
            filters.append("pad=" + ":".join(map(str, (*fit.canvas, *fit.at, "black"))))
        return filters


def _given(graph: av.filter.Graph, waiting: deque[tuple[float, float, bool]]) -> Iterator[Shown]:
    """Yield the frames that the graph holds ready, with the times of those that were pushed, in the same order."""
    while waiting:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        at_s, until_s, damaged = waiting.popleft()
        yield Shown(at_s, until_s, frame, damaged)


def _flushed(graph: av.filter.Graph, waiting: deque[tuple[float, float, bool]]) -> Iterator[Shown]:
    graph.vpush(None)
    yield from _given(graph, waiting)
    waiting.clear()


def _lies(turn: tuple[str, ...]) -> bool:
    """Return True where the filters exchange width and height."""
    return any(part.startswith("transpose") for part in turn)


def _side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """Return what the decoder says beside a frame, by PyAV's name for it; None where it says no such thing."""
    try:
        data: Any = frame.side_data.get(name)
    except ValueError:  # PyAV refuses all where one is newer than itself
        return None
    return None if data is None else bytes(data)


def _orientation(frame: av.VideoFrame) -> tuple[str, ...]:
    """Return the filters of the right-angled turn or mirror that comes nearest to the display matrix."""
    matrix = _side_data(frame, "DISPLAYMATRIX")
    if matrix is None:
        return ()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    return _ORIENTATIONS[max(_ORIENTATIONS, key=lambda o: o[0] * a + o[1] * b + o[2] * c + o[3] * d)]


def _tags(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return matrix, range (1 limited, 2 full), primaries and transfer of a frame, as code points of ITU-T H.273."""
    return int(frame.colorspace), int(frame.color_range), int(frame.color_primaries), int(frame.color_trc)


def _colours(frame: av.VideoFrame) -> Colours:
    matrix, range_, primaries, transfer = _tags(frame)
    if transfer == 2 and _side_data(frame, "DOVI_METADATA") is not None:
        raise ColourError("it is Dolby Vision without an HDR10 picture, which is not shown; export it as HDR10 or SDR")
    return colours_of(
        lines=frame.height,
        is_rgb=frame.format.is_rgb,
        always_full=frame.format.name.startswith("yuvj"),
        matrix=matrix,
        range_=range_,
        primaries=primaries,
        transfer=transfer,
    )
