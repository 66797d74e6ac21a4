"""Decoded frames of films, turned into pictures as their makers saw them: upright, square, whole, in sRGB, over black.

FFmpeg's filters do it. pipeline/film.py reads the files; this module knows nothing of files.
"""

import struct
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.filter
from av.sidedata.sidedata import SideDataContainer

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


class Pixels(NamedTuple):
    """Shape of the pixels of a film, and the edges of its frames that are not meant to be seen."""

    ratio: Fraction = Fraction(1)
    """Width of a pixel, divided by its height."""
    cut: tuple[int, ...] = (0, 0, 0, 0)
    """Stored px that are cut off at the left, the top, the right and the bottom."""

    def seen(self, frame: av.VideoFrame) -> Size:
        """Return width and height, in stored px, of what is left of a frame."""
        left, top, right, bottom = self._cut(frame)
        return frame.width - left - right, frame.height - top - bottom

    def filters(self, frame: av.VideoFrame) -> list[str]:
        """Return the filter that cuts the edges off, if any."""
        left, top, *_ = self._cut(frame)
        width, height = self.seen(frame)
        return [] if (width, height) == (frame.width, frame.height) else [f"crop={width}:{height}:{left}:{top}"]

    def _cut(self, frame: av.VideoFrame) -> tuple[int, ...]:
        """Return the edges; nothing is cut off a frame of which nothing would be left."""
        left, top, right, bottom = self.cut
        fits = min(self.cut) >= 0 and left + right < frame.width and top + bottom < frame.height
        return self.cut if fits else (0, 0, 0, 0)


def as_seen(width_px: int, height_px: int) -> Fit:
    """Return the fit that shows a picture of this size as it is."""
    size = (width_px, height_px)
    return Fit(size, (0, 0, *size), 0, size, (0, 0))


class FrameFilters:
    """Filters that turn the frames of one film into pictures on a canvas. They are made anew when frames change."""

    def __init__(self, fit: Callable[[int, int], Fit], pixel_format: str) -> None:
        """`fit` places a picture, given its upright width and height in px; `pixel_format` is FFmpeg's name."""
        self._fit, self._pixel_format = fit, pixel_format
        self._graph: tuple[Any, av.filter.Graph] | None = None

    def picture(self, frame: av.VideoFrame, pixels: Pixels) -> av.VideoFrame:
        """Return a whole frame, with such pixels, as a picture.

        Raises ColourError where its colours cannot be told.
        """
        key = (frame.width, frame.height, frame.format.name, pixels, _tags(frame), frame.rotation)
        if self._graph is None or self._graph[0] != key:
            # A graph that gets frames of another size than it was made for reads beyond their end.
            self._graph = key, _new_graph(frame, self._filters(frame, pixels))
        graph = self._graph[1]
        graph.vpush(frame)
        return graph.vpull()

    def _filters(self, frame: av.VideoFrame, pixels: Pixels) -> list[str]:
        """Return the filters that turn a decoded frame into the picture on the canvas."""
        colours, turn, alpha = _colours(frame), _orientation(frame), has_alpha(frame)
        fit = self._fit(*upright_px(frame, pixels))
        stored = pixels.seen(frame)[::-1] if _lies(turn) else pixels.seen(frame)
        (width, height), (x, y, crop_w, crop_h) = fit.size, fit.crop
        tags = f":in_range={'full' if colours.full_range else 'limited'}"
        tags += f":in_color_matrix={colours.matrix}" if colours.matrix else ""
        deep = "gbrap16le" if alpha else "gbrp16le"  # FFmpeg's table is twice as fast with 16 bits as with 8 or 10
        mend = [] if colours.ordinary and not alpha else [f"format={deep}"]
        mend += [] if colours.ordinary else ["lut3d"]
        mend += ["premultiply=inplace=1"] if alpha else []
        filters = pixels.filters(frame)
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


def deinterlacer(frame: av.VideoFrame) -> av.filter.Graph | None:
    """Return a graph that makes interlaced frames like this one whole; None where the frame is whole already."""
    if not frame.interlaced_frame or frame.height < _DEINTERLACED_LINES_MIN:
        return None
    return _new_graph(frame, [_DEINTERLACER])


def upright_px(frame: av.VideoFrame, pixels: Pixels) -> Size:
    """Return width and height of a frame as it is seen, in square pixels."""
    width, height = pixels.seen(frame)
    size = (max(1, round(width * pixels.ratio)), height)
    return size[::-1] if _lies(_orientation(frame)) else size


def notes(frame: av.VideoFrame, pixels: Pixels) -> list[str]:
    """Return what is done to a frame before it is shown, each in a few words.

    Raises ColourError where its colours cannot be told.
    """
    colours, turn = _colours(frame), _orientation(frame)
    done = ["deinterlaced"] if frame.interlaced_frame else []
    done += [_ORIENTATION_WORDS[turn]] if turn else []
    done += ["cut to {} x {} px".format(*pixels.seen(frame))] if pixels.filters(frame) else []
    done += [f"pixels of {pixels.ratio} made square"] if pixels.ratio != 1 else []
    done += [] if colours.ordinary else [f"{colours.text} shown as SDR, sRGB"]
    done += ["laid over black"] if has_alpha(frame) else []
    return done


def has_alpha(frame: av.VideoFrame) -> bool:
    """Return True where the frame can be transparent in places."""
    return any(component.is_alpha for component in frame.format.components)


def _new_graph(frame: av.VideoFrame, filters: list[str]) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    last = graph.add_buffer(
        None, frame.width, frame.height, frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
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


def _lies(turn: tuple[str, ...]) -> bool:
    """Return True where the filters exchange width and height."""
    return any(part.startswith("transpose") for part in turn)


def _side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """Return what the decoder says beside a frame, by PyAV's name for it; None where it says no such thing.

    `frame.side_data` would tie the frame into a circle, which lives until the garbage is collected.
    """
    try:
        data: Any = SideDataContainer(frame).get(name)  # type: ignore[call-arg]
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
