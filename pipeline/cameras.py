"""Sources of cameras: their kinds, paths, names without credentials, and mistakes.

This module needs no OpenCV, so that the supervisor and `stationcast check` may use it.
"""

import fcntl
import re
import struct
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipeline.errors import UserError
from pipeline.pictures import SUFFIXES
from pipeline.settings import Camera

Kind = Literal["sample", "webcam", "url", "folder", "file"]
URL_SCHEMES = ("rtsp", "rtsps", "http", "https")
_GIVE = "`sample`, a webcam index, a /dev path, an rtsp:// or http(s):// URL, a video file or a folder of images"

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP of linux/videodev2.h
_VIDEO_CAPTURE = 0x1
_HAS_DEVICE_CAPS = 0x80000000


def source_kind(camera: Camera, folder: Path) -> Kind:
    """Return the kind of source that a camera names. A path that does not exist (yet) counts as a file."""
    source = str(camera.source)
    if source == "sample":
        return "sample"
    if re.fullmatch(r"[0-9]+|/dev/(?!shm/).*", source):
        return "webcam"
    if "://" in source:
        return "url"
    return "folder" if source_path(camera, folder).is_dir() else "file"


def source_path(camera: Camera, folder: Path) -> Path:
    """Return the path of a file or folder source; a relative one starts at the station file's folder."""
    return folder / Path(str(camera.source)).expanduser()


def public_name(source: str | int) -> str:
    """Return the source as it may be logged and shown. A URL loses all but scheme, host and port.

    Cameras' URLs carry passwords before the host, in the path and in the query.
    """
    text = str(source)
    if "://" not in text:
        return text
    scheme, rest = text.split("://", 1)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :]:
        return f"{scheme}://..."  # an unescaped / or ? in a password puts its @ there
    return f"{scheme}://{authority.rpartition('@')[2]}"


def image_files(folder: Path) -> list[Path]:
    """Return a folder's images in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def validate_source(camera: Camera, folder: Path) -> None:
    """Raise UserError where no later moment could make the source work.

    A webcam or a URL may come and go while a station runs, so they need not be there now.
    """
    where = f"cameras.{camera.name}.source"
    if isinstance(camera.source, int) and camera.source < 0:
        raise UserError(f"{where}: webcam index {camera.source} is negative; the first webcam is 0")
    if not str(camera.source):
        raise UserError(f"{where}: is empty; give {_GIVE}")
    try:
        kind = source_kind(camera, folder)
        if kind == "url":
            _validate_url(where, str(camera.source))
        elif kind == "folder":
            _validate_folder(where, source_path(camera, folder))
        elif kind == "file" and not source_path(camera, folder).is_file():
            raise UserError(f"{where}: no such file or folder: {source_path(camera, folder)}; give {_GIVE}")
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}; give {_GIVE}") from None
    except RuntimeError:  # of expanduser
        raise UserError(f"{where}: {camera.source}: no home of such a user; give {_GIVE}") from None


def _validate_folder(where: str, folder: Path) -> None:
    if not image_files(folder):
        raise UserError(f"{where}: folder {folder} holds no image ({', '.join(sorted(SUFFIXES))})")


def _validate_url(where: str, url: str) -> None:
    scheme = url.split("://", 1)[0].lower()
    if scheme not in URL_SCHEMES:
        raise UserError(f"{where}: unknown URL scheme {scheme!r}; use one of {', '.join(URL_SCHEMES)}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{where}: {public_name(url)}: {error}") from None
    if not host:
        raise UserError(f"{where}: {public_name(url)} names no host")


def find_webcams() -> list[str]:
    """Return the /dev/video* paths that can capture pictures now."""
    return [str(path) for path in sorted(Path("/dev").glob("video*"), key=_device_number) if _can_capture(path)]


def find_webcam() -> str | None:
    """Return the first of `find_webcams`, or None."""
    return next(iter(find_webcams()), None)


def _device_number(path: Path) -> int:
    digits = path.name.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 16


def _can_capture(path: Path) -> bool:
    # struct v4l2_capability: driver 16, card 32, bus 32, version, capabilities, device_caps, 3 spare
    answer = bytearray(104)
    try:
        with path.open("rb", buffering=0) as device:
            fcntl.ioctl(device, _QUERYCAP, answer)
    except OSError:
        return False
    _, capabilities, device_caps = struct.unpack_from("=3I", answer, 80)
    return bool((device_caps if capabilities & _HAS_DEVICE_CAPS else capabilities) & _VIDEO_CAPTURE)
