"""Sources of pictures: the built-in scene, folders of images, video files, webcams and network streams."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import av
import numpy as np

from pipeline.cameras import image_files, source_kind, source_path
from pipeline.colours import ColourError
from pipeline.film import Film, Shown
from pipeline.kinds import sniff
from pipeline.log import log, skip, skipped
from pipeline.medium import MediumError, content_of, open_plain
from pipeline.pictures import Picture, PictureError
from pipeline.settings import Camera
from stages.capture import sample
from stages.capture.live import SLICE_S, LiveStream, Shot
from stages.capture.network import PIXELS_MAX
from stages.capture.trouble import SourceError

_BEHIND_MAX_S = 1.0
_PICTURE_BYTES_MAX = 256 << 20
_PAPER = (255, 255, 255)  # behind pictures with transparent parts


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
    path = source_path(camera, folder)
    if kind == "folder" or (kind == "file" and _is_still(path)):
        return Images(path, camera.loop)
    if kind == "file":
        return VideoFile(path, camera.loop)
    return LiveStream(camera, folder)


def _is_still(path: Path) -> bool:
    """Return True for a file that is a picture, by its content; a GIF counts as a film."""
    try:
        return sniff(content_of(path, 4096)) not in ("", "GIF")
    except OSError:  # whoever opens it says why it cannot be read
        return False


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


class Images:
    """Images of a folder in the order of their names, one per frame due, or one image. Each round lists them anew."""

    def __init__(self, place: Path, loop: bool) -> None:
        self.ended = False
        self._place, self._loop = place, loop
        self._named: set[Path] = set()  # files of which something was logged
        self._begin()

    def _begin(self) -> None:
        files = image_files(self._place) if self._place.is_dir() else [self._place]
        if not files:
            raise SourceError(f"no picture in {self._place}; put some there")
        self._named.intersection_update(files)
        self._files = iter(files)
        self._readable = False

    def advance(self) -> None:
        pass

    def read(self) -> Shot | None:
        now_ns = time.monotonic_ns()
        path = next(self._files, None)
        if path is None:
            if not self._readable:
                raise SourceError(f"no picture of {self._place} can be read; look at the first, which the log names")
            self.ended = not self._loop
            if self._loop:
                self._begin()
                return self.read()
            return None
        try:
            with _opened(path, follow=path == self._place) as file, Picture(file) as picture:
                image = np.asarray(picture.first(_PAPER))[..., ::-1]
                for note in picture.ignored if path not in self._named else ():
                    self._named.add(path)
                    log("picture", severity="notice", file=path, note=note)
        except (PictureError, MemoryError) as error:
            skipped["unreadable_image"] += 1
            if path not in self._named:
                self._named.add(path)
                told = str(error) or "it needs too much memory; save it smaller"
                log("skipped", severity="warning", reason="unreadable_image", file=path, error=told)
            return None
        self._readable = True
        return np.ascontiguousarray(image), now_ns

    def close(self) -> None:
        pass


def _opened(path: Path, *, follow: bool) -> BinaryIO:
    """Open a picture if it is a plain file; `follow` a link to it. A pipe or device in its place is not waited for.

    Raises PictureError.
    """
    try:
        file = os.fdopen(open_plain(path if follow else path.parent.resolve() / path.name, follow=follow), "rb")
    except OSError as error:
        raise PictureError(f"cannot read it: {error.strerror}") from error
    except MediumError as error:
        raise PictureError(str(error)) from error
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes <= _PICTURE_BYTES_MAX:
        return file
    file.close()
    raise PictureError(f"it has {size_bytes >> 20} MiB; at most {_PICTURE_BYTES_MAX >> 20}: save it smaller")


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
            raise SourceError(f"no such file: {self._path}; bring it back, or name another")
        try:
            # Every further decoder thread would hold one frame back.
            self._film = Film(self._path, threads=1, pixels_max=PIXELS_MAX)
        except (av.FFmpegError, ValueError, MediumError) as error:
            raise SourceError(f"{self._path} is no film that can be read; give one such as H.264 in MP4") from error
        self._frames: Iterator[Shown] = self._film.frames()
        self._length_s = 0.0
        self._coming = self._take()
        if self._coming is None:
            self._film.close()
            raise SourceError(f"no picture in {self._path}; give another film")

    def _take(self) -> Shown | None:
        """Return the next frame, or None at the end."""
        try:
            shown = next(self._frames, None)
        except av.FFmpegError:
            skip("damaged_video", file=self._path)
            return None
        if shown is not None:
            self._length_s = shown.until_s
        return shown

    def advance(self) -> None:
        if self._go_on() and self._finish():
            self._go_on()

    def _go_on(self) -> bool:
        """Take what is due by now. Return True where the film is over."""
        now_ns = time.monotonic_ns()
        while self._coming is not None and self._due_ns(self._coming) <= now_ns:
            if now_ns - self._due_ns(self._coming) > _BEHIND_MAX_S * 1e9:
                skip("video_slower_than_its_clock", file=self._path)
                self._start_ns += now_ns - self._due_ns(self._coming)
            self._fresh, self._coming = self._coming, self._take()
            if time.monotonic_ns() - now_ns > SLICE_S * 1e9:
                return False
        return self._coming is None and self._start_ns + round(self._length_s * 1e9) <= now_ns

    def _due_ns(self, shown: Shown) -> int:
        return self._start_ns + round(shown.at_s * 1e9)

    def _finish(self) -> bool:
        """End, or begin anew. Return True where the film goes on."""
        self._fresh = None
        self.ended = not self._loop
        if self._loop:
            self._film.close()
            self._frames = iter(())  # before the next film is opened: they hold the decoder and its pictures
            self._start_ns += round(self._length_s * 1e9)
            self._open()
            self._start_ns = max(self._start_ns, time.monotonic_ns() - int(SLICE_S * 1e9))  # to open it may take longer
        return self._loop

    def read(self) -> Shot | None:
        shown, self._fresh = self._fresh, None
        if shown is None:
            return None
        try:
            return self._film.pixels(shown.frame), self._due_ns(shown)
        except ColourError as error:
            raise SourceError(f"{self._path} cannot be shown: {error}") from error
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(f"{self._path} cannot be shown; give one such as H.264 in MP4") from error

    def close(self) -> None:
        self._film.close()
