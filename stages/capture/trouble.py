"""Reasons why a source gives no picture, each with its remedy, in plain words and without a password."""

import errno
import socket
import ssl
from pathlib import Path

from pipeline.cameras import READABLE_REMEDY

TIMEOUT_S = 5.0
"""Longest wait for an answer from the network."""
NO_ANSWER = (
    f"no answer within {TIMEOUT_S:g} s; look whether the camera is on, its address right, and no firewall in between"
)
NO_VIDEO = (
    "what comes from there is no video that is taken; open the URL in a player such as VLC, look up its path in the "
    "manual, and take RTSP or MJPEG rather than a playlist (HLS, DASH)"
)
NO_CODEC = "its codec is not known here; set the camera to H.264"


class SourceError(OSError):
    """Source that gives no picture. The text says why, and what to do; it holds no password."""


class OnePictureError(SourceError):
    """End of what the network sends after one picture: for the next one it is asked again."""


def network_trouble(scheme: str, error: Exception) -> str:
    """Return why a host could not be reached or read over a scheme, given what the socket raised, and the remedy."""
    if isinstance(error, SourceError):
        return str(error)
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no host of that name; look at its spelling and this machine's DNS, or write its IP address"
    if isinstance(error, TimeoutError):
        return NO_ANSWER
    if isinstance(error, ssl.SSLError):
        plain = scheme.removesuffix("s")
        return f"it does not speak TLS as this machine does; write {plain}://, or renew the camera's software"
    return _SYSTEM.get((error.errno if isinstance(error, OSError) else None) or 0, _SYSTEM[errno.EIO])


def certificate_trouble(why: str) -> str:
    """Return the remedy for a certificate that does not hold; `why` is what the verification says."""
    return (
        f"its certificate is not to be trusted ({why}), so no password was sent; if it is the camera's own, write its "
        "fingerprint as `certificate_sha256`, or name the CA's file as `ca_file`"
    )


def refusal(status: int, scheme: str, *, has_password: bool) -> str:
    """Return why a camera answered with a status of 4xx or 5xx, and the remedy."""
    if status == 401 and has_password:
        return "the camera refuses the user or the password (401); write them as the camera has them"
    if status == 401:
        return f"the camera asks for a user and a password (401); write {scheme}://user:password@host/path"
    if status == 403:
        return "the camera forbids this user to see the stream (403); allow it in the camera's settings"
    if status == 404:
        return "the camera has no stream of that path (404); look up the path in its manual"
    if status == 429:
        return "the camera has too many requests (429); let fewer programs watch it"
    if status == 461:
        return "the camera does not send RTSP over TCP (461); allow that in its settings"
    if status >= 500:
        return "the camera has a fault of its own (5xx); restart it"
    if status >= 400:
        return (
            "the camera turns the request down (4xx); look up the path in its manual, let fewer programs watch it, or "
            "restart it"
        )
    return NO_VIDEO


_SYSTEM = {
    errno.ECONNREFUSED: "nothing listens there (connection refused); look up the port, and switch the stream on",
    errno.EHOSTUNREACH: "no way to that address; look at the camera's cable, power and address",
    errno.ENETUNREACH: "no way to that address; look at this machine's network",
    errno.ECONNRESET: "the camera hangs up; restart it, or let fewer programs watch it",
    errno.EPIPE: "the camera hangs up; restart it, or let fewer programs watch it",
    errno.ETIMEDOUT: NO_ANSWER,
    errno.EIO: "the camera ends the connection; look up the path of its video in the manual, or restart it",
}


def local_trouble(error: Exception, path: Path) -> str:
    """Return why a file or folder could not be read, and the remedy."""
    if isinstance(error, SourceError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{path} needs more memory than a camera may take; make its pictures smaller"
    match error.errno if isinstance(error, OSError) else None:
        case errno.ENOENT | errno.ENOTDIR:
            return f"no such file or folder: {path}; bring it back, or name another"
        case errno.EACCES | errno.EPERM:
            return f"no permission to read {path}; {READABLE_REMEDY}"
        case errno.EIO | errno.ESTALE | errno.ENODEV | errno.ENXIO | errno.EHOSTDOWN | errno.ENOTCONN:
            return f"the disk or share of {path} does not answer; plug it in or mount it again"
    return f"{path} cannot be read; look at the file and its disk"
