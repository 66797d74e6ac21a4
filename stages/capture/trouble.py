"""Reasons why a source gives no picture, each with its remedy, in plain words and without a password."""

import errno
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import av

from pipeline.cameras import READABLE_REMEDY

TIMEOUT_S = 5.0
"""Longest wait for an answer from the network."""
_TLS_SCHEMES = ("https", "rtsps")
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_NO_ANSWER = (
    f"no answer within {TIMEOUT_S:g} s; look whether the camera is on, its address right, and no firewall in between"
)
_NO_VIDEO = (
    "what comes from there is no video; open the URL in a player such as VLC, and look up its path in the manual"
)


class SourceError(OSError):
    """Source that gives no picture. The text says why, and what to do; it holds no password."""


def network_trouble(url: str, error: Exception, waited_s: float) -> str:
    """Return why a URL could not be opened or read, and the remedy.

    `error` is what PyAV raised after `waited_s`. FFmpeg has one word for an unknown name and for TLS that fails, so the
    host is then asked once more.
    """
    if isinstance(error, av.HTTPError | av.HTTPClientError):
        return _refusal(url, error)
    if isinstance(error, av.DecoderNotFoundError):
        return "its codec is not known here; set the camera to H.264"
    if waited_s >= 0.9 * TIMEOUT_S or isinstance(error, av.ExitError | TimeoutError):
        return _NO_ANSWER
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EIO:
        number, text = _asked_again(url)
        if text:
            return text
    return _SYSTEM.get(number or 0, _NO_VIDEO)


def _refusal(url: str, error: Exception) -> str:
    if isinstance(error, av.HTTPUnauthorizedError):
        if "@" in url:
            return "the camera refuses the user or the password (401); write them as the camera has them"
        scheme = url.partition("://")[0]
        return f"the camera asks for a user and a password (401); write {scheme}://user:password@host/path"
    if isinstance(error, av.HTTPForbiddenError):
        return "the camera forbids this user to see the stream (403); allow it in the camera's settings"
    if isinstance(error, av.HTTPNotFoundError):
        return "the camera has no stream of that path (404); look up the path in its manual"
    if isinstance(error, av.HTTPServerError):
        return "the camera has a fault of its own (5xx); restart it"
    if isinstance(error, av.HTTPTooManyRequestsError):
        return "the camera has too many requests (429); let fewer programs watch it"
    return (
        "the camera turns the request down (4xx); look up the path in its manual, let fewer programs watch it, or "
        "restart it"
    )


_SYSTEM = {
    errno.ECONNREFUSED: "nothing listens there (connection refused); look up the port, and switch the stream on",
    errno.EHOSTUNREACH: "no way to that address; look at the camera's cable, power and address",
    errno.ENETUNREACH: "no way to that address; look at this machine's network",
    errno.ECONNRESET: "the camera hangs up; restart it, or let fewer programs watch it",
    errno.EPIPE: "the camera hangs up; restart it, or let fewer programs watch it",
    errno.ETIMEDOUT: _NO_ANSWER,
    errno.EIO: "the camera ends the connection; look up the path of its video in the manual, or restart it",
}


def _asked_again(url: str) -> tuple[int, str]:
    """Return what the system says of a host, as an error number and as a text; a text is the better answer."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    try:
        parts = urlsplit(f"{scheme}://{rest.rpartition('@')[2]}")
        host, port = parts.hostname or "", parts.port or _PORTS[scheme]
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            if scheme not in _TLS_SCHEMES:
                return errno.EIO, ""
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(connection, server_hostname=host):
                return errno.EIO, ""
    except ssl.SSLError:
        plain = scheme.removesuffix("s")
        return 0, f"it does not speak TLS as this machine does; write {plain}://, or renew the camera's software"
    except (socket.gaierror, ValueError):
        return 0, "no host of that name; look at its spelling and this machine's DNS, or write its IP address"
    except OSError as error:
        return error.errno or errno.ETIMEDOUT, ""


def local_trouble(error: Exception, path: Path) -> str:
    """Return why a file or folder could not be read, and the remedy."""
    if isinstance(error, SourceError):
        return str(error)
    match error.errno if isinstance(error, OSError) else None:
        case errno.ENOENT | errno.ENOTDIR:
            return f"no such file or folder: {path}; bring it back, or name another"
        case errno.EACCES | errno.EPERM:
            return f"no permission to read {path}; {READABLE_REMEDY}"
        case errno.EIO | errno.ESTALE | errno.ENODEV | errno.ENXIO | errno.EHOSTDOWN | errno.ENOTCONN:
            return f"the disk or share of {path} does not answer; plug it in or mount it again"
    return f"{path} cannot be read; look at the file and its disk"
