"""Sources of cameras: their kinds, paths, names without credentials, and mistakes.

This module needs no OpenCV, so that the supervisor and `stationcast check` may use it.
"""

import errno
import fcntl
import os
import re
import struct
from io import RawIOBase
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.kinds import SUFFIXES
from pipeline.settings import Camera

Kind = Literal["sample", "webcam", "url", "folder", "file"]
URL_SCHEMES = ("rtsp", "rtsps", "http", "https")
TLS_SCHEMES = ("rtsps", "https")
_GIVE = "`sample`, a webcam index, a /dev path, an rtsp:// or http(s):// URL, a video file or a folder of images"

_RESERVED = frozenset("#/?[]@")
"""Characters that end or divide a URL's user name and password (RFC 3986, 2.2), but for `:`, which only ends a name."""
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(%25[\w.~-]+)?\]|[^\s:@\[\]/?#]+)(:(?P<port>[0-9]{0,5}))?")
_LIKE_A_URL = re.compile(r"(?i)^(rtsps?|https?)\b|:.*@|[?&].*=")
"""A text without `://` that may still hold a password."""
READABLE_REMEDY = "let the station's user read it (chmod a+rX)"
VIDEO_GROUP_REMEDY = "sudo usermod -aG video $USER, then log in again"

_REQBUFS = 0xC0145608  # VIDIOC_REQBUFS of linux/videodev2.h
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

    Cameras' URLs carry passwords before the host, in the path and in the query. Nothing of what may be part of a
    password is returned: a text that looks like a URL but is not one becomes `...`.
    """
    text = str(source)
    if "://" not in text:
        return "..." if _LIKE_A_URL.search(text) else text
    scheme, rest = text.split("://", 1)
    if scheme.lower() not in URL_SCHEMES:
        return "..."
    place = rest.rpartition("@")[2]
    place = re.split(r"[/?#]", place, maxsplit=1)[0]
    hidden = _unescaped(rest) or not _PLACE.fullmatch(place)
    return f"{scheme}://{'...' if hidden else place}"


def image_files(folder: Path) -> list[Path]:
    """Return a folder's images in the order of their names. Links, pipes and devices are passed over."""
    with os.scandir(folder) as entries:
        plain = [folder / entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return sorted(path for path in plain if path.suffix.lower() in SUFFIXES)


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
        _validate_trust(camera, folder)
        if kind == "url":
            _validate_url(where, str(camera.source))
        elif kind == "folder":
            _validate_folder(where, source_path(camera, folder))
        elif kind == "file" and not source_path(camera, folder).is_file():
            shown = public_name(camera.source)
            path = source_path(camera, folder) if shown == camera.source else f"{shown} (is it a URL without rtsp://?)"
            raise UserError(f"{where}: no such file or folder: {path}; give {_GIVE}")
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}; give {_GIVE}") from None
    except RuntimeError:  # of expanduser
        raise UserError(f"{where}: {public_name(camera.source)}: no home of such a user; give {_GIVE}") from None


def _validate_folder(where: str, folder: Path) -> None:
    if not image_files(folder):
        raise UserError(f"{where}: folder {folder} holds no image ({', '.join(sorted(SUFFIXES))})")


def _validate_trust(camera: Camera, folder: Path) -> None:
    where = f"cameras.{camera.name}"
    if camera.ca_file and camera.certificate_sha256:
        raise UserError(f"{where}: has both ca_file and certificate_sha256; keep the one that holds")
    key = "ca_file" if camera.ca_file else "certificate_sha256" if camera.certificate_sha256 else ""
    scheme = str(camera.source).partition("://")[0].lower()
    if key and scheme not in TLS_SCHEMES:
        raise UserError(
            f"{where}.{key}: nothing shows a certificate there, so none would be looked at; "
            f"let the source begin with {' or '.join(f'{one}://' for one in TLS_SCHEMES)}, or take the key out"
        )
    if camera.ca_file and not (folder / Path(camera.ca_file).expanduser()).is_file():
        raise UserError(f"{where}.ca_file: no such file: {camera.ca_file}; export the authority's certificate as PEM")
    if camera.certificate_sha256 and not re.fullmatch("[0-9a-f]{64}", fingerprint(camera)):
        raise UserError(f"{where}.certificate_sha256: is no SHA-256 fingerprint; write its 64 hexadecimal digits")


def fingerprint(camera: Camera) -> str:
    """Return the fingerprint of the camera's certificate as 64 small hexadecimal digits; empty if none is set."""
    return re.sub(r"[\s:]", "", camera.certificate_sha256).lower()


def _validate_url(where: str, url: str) -> None:
    if url != url.strip():
        raise UserError(f"{where}: the URL begins or ends with a blank; take it out")
    scheme, rest = url.split("://", 1)
    if scheme.lower() not in URL_SCHEMES:
        shown = f" {scheme!r}" if scheme.isalpha() else ""
        raise UserError(f"{where}: unknown URL scheme{shown}; use one of {', '.join(URL_SCHEMES)}")
    if wrong := _unescaped(rest):
        escapes = ", ".join(f"write {_spoken(character)} as {_escape(character)}" for character in wrong)
        raise UserError(
            f"{where}: {scheme}://...: in its user name or password {escapes}; after the host, write @ as %40"
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    place = authority.rpartition("@")[2]
    host = _PLACE.fullmatch(place)
    if not re.sub(r":[0-9]*$", "", place):
        raise UserError(f"{where}: {scheme}://... names no host; write {scheme}://host/path")
    if not host or not 0 < int(host["port"] or 1) < 1 << 16:
        raise UserError(
            f"{where}: {scheme}://...: what stands for host and port is none; write {scheme}://host:port/path, "
            "the port from 1 to 65535"
        )
    if wrong := [c for c in dict.fromkeys(rest) if c == "#" or c.isspace() or not c.isprintable()]:
        escapes = ", ".join(f"write {_spoken(character)} as {_escape(character)}" for character in wrong)
        raise UserError(f"{where}: {scheme}://...: after the host {escapes}")


def _unescaped(rest: str) -> list[str]:
    """Return the characters of a URL's user name and password that must be escaped, each once, in a fixed order.

    `rest` is the URL after `://`. All before its last `@` counts: a `/` in a password looks like the start of a path.
    """
    user, _, _ = rest.rpartition("@")
    wrong = {c for c in user if c in _RESERVED or c.isspace() or not c.isprintable()}
    wrong |= {"%"} if re.search(r"%(?![0-9A-Fa-f]{2})", user) else set()
    return sorted(wrong)


def _spoken(character: str) -> str:
    if character == " ":
        return "a blank"
    return character if character.isprintable() else "a character that is not seen"


def _escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def find_webcams() -> list[str]:
    """Return the /dev/video* paths that can capture pictures now."""
    return [str(path) for path in sorted(Path("/dev").glob("video*"), key=_device_number) if _can_capture(path)]


def find_webcam() -> str | None:
    """Return the first of `find_webcams`, or None."""
    return next(iter(find_webcams()), None)


def present_problem(camera: Camera, folder: Path) -> str:
    """Return why a webcam, file or folder cannot be opened now, and the remedy; empty if it can, or is on the network.

    `stationcast check` says it. It is no mistake in the station file: the device may come while the station runs.
    """
    kind = source_kind(camera, folder)
    if kind == "webcam":
        return webcam_problem(camera.source)
    path = source_path(camera, folder)
    if kind in ("file", "folder") and not os.access(path, os.R_OK):
        return f"no permission to read {path}; {READABLE_REMEDY}"
    return ""


def webcam_problem(source: str | int) -> str:
    """Return why a webcam, by index or `/dev` path, cannot be opened now, and the remedy; empty if it seems to be well.

    The device is asked what it is and whether another program takes pictures from it.
    """
    path = Path(f"/dev/video{source}" if str(source).isdigit() else str(source))
    others = ", ".join(find_webcams())
    instead = f"the webcams here are {others}" if others else "there is no webcam here; plug it in"
    if not path.exists():
        return f"no such device: {path}; {instead}"
    if not path.is_char_device():
        return f"{path} is no camera; {instead}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"no permission to use {path}; {VIDEO_GROUP_REMEDY}"
    try:
        with path.open("rb", buffering=0) as device:
            if not _captures(device):
                return f"{path} is no camera; {instead}"
            # struct v4l2_requestbuffers: count 0, type VIDEO_CAPTURE, memory MMAP, capabilities, flags and 3 spare
            fcntl.ioctl(device, _REQBUFS, bytearray(struct.pack("=5I", 0, 1, 1, 0, 0)))
    except OSError as error:
        return device_trouble(path, error, instead)
    return ""


def device_trouble(path: Path, error: OSError, instead: str) -> str:
    """Return in plain words why a device at `path` refuses, and the remedy; `instead` names what else is there."""
    match error.errno:
        case errno.EBUSY:
            return f"{path} is busy: another program uses it; end that (`fuser -v {path}` names it)"
        case errno.EACCES | errno.EPERM:
            return f"no permission to use {path}; {VIDEO_GROUP_REMEDY}"
        case errno.ENODEV | errno.ENXIO | errno.ENOENT:
            return f"no such device: {path}; {instead}"
        case errno.ENOTTY | errno.EINVAL:
            return f"{path} is no camera; {instead}"
    return f"{path} does not answer; unplug it and plug it in again"


def _device_number(path: Path) -> int:
    digits = path.name.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 16


def _can_capture(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as device:
            return _captures(device)
    except OSError:
        return False


def _captures(device: RawIOBase) -> bool:
    """Tell whether an open device captures pictures; raise OSError if it is no video device."""
    # struct v4l2_capability: driver 16, card 32, bus 32, version, capabilities, device_caps, 3 spare
    answer = bytearray(104)
    fcntl.ioctl(device.fileno(), _QUERYCAP, answer)
    _, capabilities, device_caps = struct.unpack_from("=3I", answer, 80)
    return bool((device_caps if capabilities & _HAS_DEVICE_CAPS else capabilities) & _VIDEO_CAPTURE)
