"""Films, decoded, scaled and turned by FFmpeg in a thread, a few frames ahead of the render loop."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pygame

from players.ads.media import PIXELS_MAX
from players.screen.layout import Layout, blank

if TYPE_CHECKING:
    import av
    import av.filter

AHEAD_FRAMES = 8
"""Largest number of decoded frames that wait to be shown: 66 MB at 1920x1080."""
DECODER_THREADS = 2
"""Threads of the decoder of one film."""
_TURNS = {0: "", 90: ",transpose=clock", 180: ",hflip,vflip", 270: ",transpose=cclock"}
"""FFmpeg's filters that turn a frame clockwise, by degrees."""


class Video:
    """Film laid out for one screen. `begin()` starts its clock; `due()` then gives each new frame when its time comes.

    A film that fails says why in `error`; the frames that were decoded before still come.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.fps = 0.0
        self.ends_s = 0.0
        """End of the last frame that was decoded, in seconds since the first. Once `finished`, the film's length."""
        self.error = ""
        """Reason why the film cannot go on; empty where it can."""
        self.ready = threading.Event()
        """Set when the first frames wait or the film has failed."""
        self._layout = layout
        self._queue: deque[tuple[float, pygame.Surface]] = deque()
        self._room = threading.Condition()
        self._began_s: float | None = None
        self._given = self._late = 0
        self._ended = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """True once the last frame was given out."""
        return self._ended and not self._queue

    def first(self) -> pygame.Surface | None:
        """Return the first frame and leave it in its place; None while there is none."""
        return self._queue[0][1] if self._queue else None

    def begin(self, now_s: float) -> None:
        """Start the clock: the first frame is due at `now_s` (CLOCK_MONOTONIC)."""
        self._began_s = now_s

    def due(self, now_s: float) -> pygame.Surface | None:
        """Return the newest frame whose time has come; None where there is none since the last call."""
        if self._began_s is None:
            return None
        frame = None
        while self._queue and self._queue[0][0] <= now_s - self._began_s:
            frame = self._queue.popleft()[1]
            self._given += 1
        if frame is not None:
            with self._room:
                self._room.notify()
        return frame

    def expected(self, elapsed_s: float) -> int:
        """Return the number of frames that were due up to `elapsed_s` seconds after the first.

        Frames that were decoded count as they came; only the rest is estimated by the film's rate. The rate alone
        would be wrong for a film with fewer frames than it says, or with frames at uneven times.
        """
        unknown_s = 0.0 if self._ended else max(0.0, elapsed_s - self.ends_s)
        return self._given + self._late + round(unknown_s * self.fps)

    def close(self) -> None:
        """Stop decoding, and end the thread."""
        with self._room:
            self._closing = True
            self._room.notify()
        self._thread.join()
        self._queue.clear()

    def _run(self) -> None:
        try:
            for at_s, surface in self._frames():
                with self._room:
                    self._queue.append((at_s, surface))
                    if len(self._queue) >= AHEAD_FRAMES:
                        self.ready.set()
                    self._room.wait_for(lambda: len(self._queue) < AHEAD_FRAMES or self._closing)
                if self._closing:
                    break
        except Exception as error:
            self.error = " ".join(f"{type(error).__name__}: {error}".split())
        self._ended = True
        self.ready.set()

    def _frames(self) -> Iterator[tuple[float, pygame.Surface]]:
        """Yield (seconds since the first frame, surface of the whole screen); late frames are left out."""
        import av

        with av.open(str(self.path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = DECODER_THREADS
            stream.codec_context.options = {
                "max_pixels": str(PIXELS_MAX)
            }  # holds for later frames too, whose size nobody examined
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.fps = float(rate)
            graph: av.filter.Graph | None = None
            shape: tuple[int, int, str] | None = None
            first_s: float | None = None
            for number, frame in enumerate(container.decode(stream)):
                if self._closing:
                    return
                if frame.is_corrupt:
                    raise ValueError(f"frame {number} is damaged")
                stamp_s = float(number / rate) if frame.time is None else frame.time
                first_s = stamp_s if first_s is None else first_s
                at_s = stamp_s - first_s
                self.ends_s = at_s + (float(frame.duration * (frame.time_base or 0)) or 1 / self.fps)
                if self._began_s is not None and at_s < time.monotonic() - self._began_s - 1 / self.fps:
                    self._late += 1
                    continue
                if graph is None or shape != (frame.width, frame.height, frame.format.name):
                    # A graph that gets frames of another size than it was made for reads beyond their end.
                    shape = frame.width, frame.height, frame.format.name
                    graph = self._graph(stream, frame)
                graph.vpush(frame)
                yield at_s, self._surface(graph.vpull())

    def _graph(self, stream: "av.VideoStream", frame: "av.VideoFrame") -> "av.filter.Graph":
        """Return FFmpeg's filters: turn a frame upright, crop it, scale it to square pixels, turn it and pad it."""
        import av.filter

        layout, turn = self._layout, -90 * round(frame.rotation / 90) % 360
        stored = (frame.width, frame.height)
        upright = (max(1, round(frame.width * (stream.sample_aspect_ratio or 1))), frame.height)
        if turn in (90, 270):
            stored, upright = stored[::-1], upright[::-1]
        (width, height), (crop_x, crop_y, crop_w, crop_h), (at_x, at_y) = layout.place(*upright)
        filters = _TURNS[turn]
        if (crop_w, crop_h) != (width, height):
            across, down = stored[0] / width, stored[1] / height
            cut = (crop_w * across, crop_h * down, crop_x * across, crop_y * down)
            filters += ",crop=" + ":".join(str(round(px)) for px in cut)
        filters += f",scale={crop_w}:{crop_h}:flags=bilinear,setsar=1{_TURNS[layout.rotation_deg]},format=bgra"
        shown = (crop_h, crop_w) if layout.rotation_deg in (90, 270) else (crop_w, crop_h)
        if shown != (layout.width_px, layout.height_px):
            filters += f",pad={layout.width_px}:{layout.height_px}:{at_x}:{at_y}:black"
        graph = av.filter.Graph()
        graph.threads = 1
        last = graph.add_buffer(None, frame.width, frame.height, frame.format, time_base=stream.time_base)
        for part in filters.lstrip(",").split(","):
            name, _, arguments = part.partition("=")
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph

    def _surface(self, frame: "av.VideoFrame") -> pygame.Surface:
        """Return the frame as an opaque surface. Its memory is shared where rows are packed, copied where padded."""
        plane = frame.planes[0]
        size = (frame.width, frame.height)
        if plane.line_size == frame.width * 4:
            surface = pygame.image.frombuffer(memoryview(plane), size, "BGRA")
            surface.set_alpha(None)
            return surface
        surface = blank(self._layout)
        rows = memoryview(plane)
        target, pitch = surface.get_buffer(), surface.get_pitch()
        for y in range(frame.height):
            target.write(bytes(rows[y * plane.line_size : y * plane.line_size + frame.width * 4]), y * pitch)
        return surface
