"""The one connection to a network camera: TCP to the host and port of its URL, with verified TLS where the URL says so.

No other part of the capture stage opens a connection. A camera is a guest: what it answers may be anything. Every read
ends in time, everything has a largest size, and what it says leads to no other host.
"""

import base64
import contextlib
import hashlib
import re
import secrets
import socket
import ssl
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pipeline.cameras import TLS_SCHEMES, fingerprint
from pipeline.settings import Camera
from stages.capture.trouble import (
    NO_VIDEO,
    TIMEOUT_S,
    SourceError,
    certificate_trouble,
    network_trouble,
    refusal,
)

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_PICTURE_S = 15.0
"""Longest time in which all that belongs to one picture must have come. Opening counts as one."""
_PICTURE_BYTES = 64 << 20
"""Largest number of bytes that may come for one picture, all else between included."""
_HEAD_BYTES = 64 << 10
_URL_SAFE = "%/:?#[]@!$&'()*+,;=~"
_START = re.compile(r"(?:HTTP/1\.[01]|RTSP/1\.0) ([1-5][0-9][0-9])(?: .*)?")
_CHALLENGE = re.compile(r"(?i)(?:^|,\s*)(basic|digest)\s+")
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"": hashlib.md5, "MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Address(NamedTuple):
    """Parts of a camera's URL."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str
    target: str
    """Path and query, escaped."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return the parts of a URL that `pipeline.cameras.validate_source` accepts."""
        scheme, _, rest = url.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        target = rest[len(authority) :].partition("#")[0]
        user, at, place = authority.rpartition("@")
        name, _, password = user.partition(":")
        parts = urlsplit(f"{scheme.lower()}://{place}")
        return cls(
            scheme.lower(),
            unquote(parts.hostname or ""),
            parts.port or _PORTS[scheme.lower()],
            unquote(name) if at else None,
            unquote(password),
            _escaped(target),
        )

    @property
    def base(self) -> str:
        """Return the URL of the host, without user and password."""
        host = self.host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    def refusal(self, status: int) -> str:
        """Return why the camera answered with a status that is no success, and the remedy."""
        return refusal(status, self.scheme, has_password=self.user is not None)

    def moved(self, location: str) -> "Address":
        """Return the address to which the camera sends; raise SourceError if that is another host, port or scheme."""
        path, there = location, location.partition("://")
        if there[1]:
            try:
                other = Address.of(location)
            except (KeyError, ValueError):
                raise SourceError(_ELSEWHERE) from None
            if other[:3] != self[:3]:
                raise SourceError(_ELSEWHERE)
            return self._replace(target=other.target)
        if not path.startswith("/"):
            base = self.target.partition("?")[0]
            path = base + path if path.startswith("?") else base.rpartition("/")[0] + "/" + path
        if path.startswith("//") or ":" in location.partition("/")[0]:
            raise SourceError(_ELSEWHERE)
        return self._replace(target=_escaped(path.partition("#")[0]))


_ELSEWHERE = "the camera sends to another address, which is not followed; write the address of the stream itself"


def _escaped(target: str) -> str:
    target = quote(target, safe=_URL_SAFE, errors="surrogateescape")
    return target if target.startswith("/") else f"/{target}"


class Head(NamedTuple):
    """Start and headers of an answer."""

    status: int
    """Code of three digits; 0 where it is a request."""
    headers: dict[str, list[str]]
    """Values by the name in small letters."""

    def get(self, name: str) -> str:
        """Return the first header of a name; empty if there is none."""
        return self.headers.get(name, [""])[0]

    @property
    def length(self) -> int | None:
        """Return the length of the body in bytes; None where it is not told."""
        text = self.get("content-length")
        return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


class Connection:
    """Connection to a camera. Raises SourceError where it fails, at any time; its text is without the password."""

    def __init__(self, address: Address, camera: Camera, folder: Path) -> None:
        """Connect. Relative paths of the camera's settings start at `folder`."""
        self.renew()
        self._ahead = bytearray()
        try:
            self._socket = socket.create_connection((address.host, address.port), TIMEOUT_S)
            if address.scheme in TLS_SCHEMES:
                self._socket = _secured(self._socket, address.host, camera, folder)
        except (OSError, UnicodeError) as error:
            raise SourceError(network_trouble(address.scheme, error)) from None
        self._scheme = address.scheme

    def renew(self) -> None:
        """Begin with a new picture, for which there is time and room anew."""
        self._until_s = time.monotonic() + _PICTURE_S
        self._bytes_left = _PICTURE_BYTES

    def send(self, data: bytes) -> None:
        """Send everything."""
        try:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.sendall(data)
        except OSError as error:
            raise SourceError(network_trouble(self._scheme, error)) from None

    def read_some(self, most_bytes: int) -> bytes:
        """Return 1 to `most_bytes` bytes as soon as they are there; none at the end."""
        if not self._ahead:
            return self._receive(most_bytes)
        data = bytes(self._ahead[:most_bytes])
        del self._ahead[:most_bytes]
        return data

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes."""
        while len(self._ahead) < count:
            self._fetch()
        return self.read_some(count) if count else b""

    def peek(self) -> bytes:
        """Return the next byte, which is read again."""
        while not self._ahead:
            self._fetch()
        return bytes(self._ahead[:1])

    def read_line(self, most_bytes: int = 1024) -> bytes:
        """Return a line without its end."""
        while (end := self._ahead.find(b"\n")) < 0:
            if len(self._ahead) > most_bytes:
                raise SourceError(NO_VIDEO)
            self._fetch()
        return self.read_some(end + 1).rstrip(b"\r\n")

    def read_head(self) -> Head:
        """Return the head of the next message."""
        lines: list[str] = []
        length = 0
        while True:
            line = self.read_line(_HEAD_BYTES)
            length += len(line) + 2
            if length > _HEAD_BYTES:
                raise SourceError(NO_VIDEO)
            if line:
                lines.append(line.decode(errors="surrogateescape"))
            elif lines:
                break
        answer = _START.fullmatch(lines[0])
        if not answer and not lines[0].endswith(" RTSP/1.0"):
            raise SourceError(NO_VIDEO)
        headers: dict[str, list[str]] = {}
        for text in lines[1:]:
            name, _, value = text.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        return Head(int(answer[1]) if answer else 0, headers)

    def hang_up(self) -> None:
        """End every read, also one that another thread waits for."""
        with contextlib.suppress(OSError):  # it may be over already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _fetch(self) -> None:
        data = self._receive(1 << 16)
        if not data:
            raise SourceError("the camera hangs up; restart it, or let fewer programs watch it")
        self._ahead += data

    def _receive(self, most_bytes: int) -> bytes:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise SourceError(f"no whole picture within {_PICTURE_S:g} s; restart the camera")
        if self._bytes_left <= 0:
            raise SourceError(f"{_PICTURE_BYTES >> 20} MiB came without a picture in them; set the camera to H.264")
        try:
            self._socket.settimeout(min(TIMEOUT_S, left_s))
            data = self._socket.recv(min(most_bytes, 1 << 16))
        except OSError as error:
            raise SourceError(network_trouble(self._scheme, error)) from None
        self._bytes_left -= len(data)
        return data


def _secured(plain: socket.socket, host: str, camera: Camera, folder: Path) -> socket.socket:
    """Return the connection with TLS. The certificate is verified before anything is sent."""
    context = ssl.create_default_context()
    wanted = fingerprint(camera)
    if wanted:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif camera.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        path = folder / Path(camera.ca_file).expanduser()
        try:
            context.load_verify_locations(path)
        except OSError:
            plain.close()
            raise SourceError(
                f"ca_file {path} is no file of certificates; export the CA's certificate as PEM"
            ) from None
    try:
        secure = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise SourceError(certificate_trouble(error.verify_message)) from None
    except BaseException:
        plain.close()
        raise
    if wanted and hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest() != wanted:
        secure.close()
        raise SourceError(certificate_trouble("another fingerprint"))
    return secure


class Login:
    """User and password, as the camera's challenge wants them: Digest or Basic (RFC 7616 and 7617)."""

    def __init__(self, address: Address) -> None:
        self._user, self._password = address.user, address.password
        self._digest: dict[str, str] | None = None
        self._basic = False
        self._count = 0

    def learn(self, head: Head) -> bool:
        """Take the challenge of an answer with status 401.

        Return False where it cannot be met, or was met in vain.
        """
        if self._user is None:
            return False
        before, self._digest = self._digest, None
        tried = self._basic or before is not None
        for text in head.headers.get("www-authenticate", []):
            kinds = list(_CHALLENGE.finditer(text))
            ends = [*(kind.start() for kind in kinds[1:]), len(text)]
            for kind, end in zip(kinds, ends, strict=True):
                found = _PARAMETER.findall(text, kind.end(), end)
                parameters = {name.lower(): quoted or plain for name, quoted, plain in found}
                if kind[1].lower() == "basic":
                    self._basic = True
                elif parameters.get("algorithm", "").upper() in _HASHES and "nonce" in parameters:
                    self._digest = self._digest or parameters
        is_stale = self._digest is not None and self._digest.get("stale", "").lower() == "true"
        return is_stale or (not tried and (self._basic or self._digest is not None))

    def header(self, method: str, target: str) -> str:
        """Return the header line for a request; empty until the camera has asked for it."""
        if self._digest is not None:
            return f"Authorization: Digest {self._answer(self._digest, method, target)}\r\n"
        if self._basic:
            return f"Authorization: Basic {base64.b64encode(f'{self._user}:{self._password}'.encode()).decode()}\r\n"
        return ""

    def _answer(self, challenge: dict[str, str], method: str, target: str) -> str:
        algorithm = challenge.get("algorithm", "")
        realm, nonce = challenge.get("realm", ""), challenge["nonce"]

        def hashed(text: str) -> str:
            return _HASHES[algorithm.upper()](text.encode(errors="surrogateescape")).hexdigest()

        secret, request = hashed(f"{self._user}:{realm}:{self._password}"), hashed(f"{method}:{target}")
        user = (self._user or "").replace("\\", "\\\\").replace('"', '\\"')
        said = f'username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}"'
        if "auth" in re.split(r"[\s,]+", challenge.get("qop", "")):
            self._count += 1
            own, count = secrets.token_hex(8), f"{self._count:08x}"
            said += f', qop=auth, nc={count}, cnonce="{own}"'
            said += f', response="{hashed(f"{secret}:{nonce}:{count}:{own}:auth:{request}")}"'
        else:
            said += f', response="{hashed(f"{secret}:{nonce}:{request}")}"'
        said += f', opaque="{challenge["opaque"]}"' if "opaque" in challenge else ""
        return said + (f", algorithm={algorithm}" if algorithm else "")
