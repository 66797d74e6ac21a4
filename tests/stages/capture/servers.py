"""Network cameras for the tests: real servers on this machine, of RTSP and HTTP, which answer as they are told."""

import base64
import contextlib
import datetime
import http.server
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from numpy.typing import NDArray

from models.crop import turned

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 {codec}/90000\r\na=control:track1\r\n"
)
_PACKET_BYTES = 1200


def quarters(width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture with red, green, blue and white quarters from the top left, uint8 RGB [height, width, 3]."""
    colours = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
    return colours[np.arange(height)[:, None] * 2 // height, np.arange(width)[None] * 2 // width]


def film(
    width: int,
    height: int,
    *,
    container: str = "mpegts",
    frames: int = 30,
    ratio: Fraction = Fraction(1),
    turn_deg: int = 0,
    starts_s: float = 0.0,
) -> bytes:
    """Return an H.264 film of `quarters` at 25 fps, with a key frame each 5 frames, for pixels of the ratio."""
    data = BytesIO()
    with av.open(data, "w", format=container) as file:
        options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=5:repeat-headers=1"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = ratio
        image = np.ascontiguousarray(turned(quarters(width, height), turn_deg))
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i + round(25 * starts_s), Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return data.getvalue()


@contextmanager
def http_camera(
    body: bytes = b"hello",
    status: int = 200,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    lasts_s: float = 0.0,
    headers: tuple[tuple[str, str], ...] = (),
    asked: list[str] | None = None,
    pages: dict[str, tuple[int, dict[str, str], bytes]] | None = None,
) -> Iterator[int]:
    """Run a web server that answers every request so, in `lasts_s`, and yield its port.

    With a password, user `admin` needs it. Requests are noted in `asked`. The paths of `pages` have answers of their
    own: status, headers and body.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(f"{self.path} {self.headers.get('Authorization', '')}")
            if self.path in (pages or {}):
                own_status, own_headers, own_body = (pages or {})[self.path]
                self.send_response(own_status)
                for name, value in ({"Content-Length": str(len(own_body))} | own_headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(own_body)
                return
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            wrong = password is not None and base64.b64decode(given) != f"admin:{password}".encode()
            self.send_response(401 if wrong else status)
            if wrong:
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", str(0 if wrong else len(body)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            if not wrong:
                parts = 50 if lasts_s else 1
                size = -(-len(body) // parts)
                with contextlib.suppress(OSError):
                    for i in range(parts):
                        self.wfile.write(body[i * size : (i + 1) * size])
                        time.sleep(lasts_s / parts)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def moving_bar(number: int) -> NDArray[np.uint8]:
    """Return an interlaced picture of a bar that moves by 8 px a field, uint8 RGB [96, 160, 3]."""
    image = np.zeros((96, 160, 3), np.uint8)
    for field in (0, 1):
        left = 16 * number + 8 * field
        image[field::2, left : left + 20] = 255
    return image


def interlaced() -> bytes:
    """Return an interlaced H.264 film of `moving_bar`, as MPEG-TS."""
    data = BytesIO()
    with av.open(data, "w", format="mpegts") as file:
        options = {"preset": "ultrafast", "x264-params": "keyint=5:tff=1:interlaced=1:qp=5"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(moving_bar(i), format="rgb24")
            frame.pts = i
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return data.getvalue()


def make_certificate(folder: Path, host: str = "") -> Path:
    """Write a key and a certificate that it signed itself, as a camera does, into one file; it names no host or one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if host:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "camera.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class RtspCamera:
    """RTSP server that answers DESCRIBE with `status`, or sends films (H.264, Annex B) over TCP."""

    def __init__(
        self,
        status: int = 200,
        films: tuple[bytes, ...] = (),
        codec: str = "H264",
        silent: bool = False,
        location: str = "",
        sdp: str = _SDP,
        transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1",
        base: str = "{url}/",
    ) -> None:
        self.asked: list[str] = []
        """Methods with their URLs, in order."""
        self._base = base
        self._status, self._films, self._codec, self._silent = status, films, codec, silent
        self._location, self._sdp, self._transport = location, sdp, transport
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> "RtspCamera":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(0.1)
        data = b""
        with connection:
            while not self._over.is_set():
                try:
                    more = connection.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not more:
                    return
                data += more
                while b"\r\n\r\n" in data and not self._silent:
                    request, _, data = data.partition(b"\r\n\r\n")
                    self._answer(connection, request.decode())

    def _answer(self, connection: socket.socket, request: str) -> None:
        method, url, *_ = request.split(" ")
        self.asked.append(f"{method} {url}")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in request.split("\r\n")[1:])
        }
        status, more, body = 200, "", ""
        if method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            status, body = self._status, self._sdp.format(codec=self._codec) if self._status == 200 else ""
            more = f"Location: {self._location}\r\n" if self._location else ""
            more += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            more += f"Content-Base: {self._base.format(url=url)}\r\n"
        elif method == "SETUP" and "TCP" not in headers["transport"]:
            status = 461
        elif method == "SETUP":
            more = f"Transport: {self._transport}\r\nSession: 7;timeout=60\r\n"
        elif method == "PLAY":
            more = "Session: 7\r\n"
        connection.sendall(f"RTSP/1.0 {status} answer\r\nCSeq: {headers['cseq']}\r\n{more}\r\n{body}".encode())
        if method == "PLAY":
            connection.settimeout(None)
            self._play(connection)

    def _play(self, connection: socket.socket) -> None:
        sequence = stamp = 0
        for film in self._films:
            for unit in film.split(b"\x00\x00\x01")[1:]:
                unit = unit.rstrip(b"\x00")
                is_picture = unit[0] & 31 in (1, 5)
                for payload in _payloads(unit):
                    marker = 128 if is_picture else 0
                    header = struct.pack(">BBHII", 128, 96 | marker, sequence & 0xFFFF, stamp, 7)
                    packet = header + payload
                    try:
                        connection.sendall(b"$\x00" + struct.pack(">H", len(packet)) + packet)
                    except OSError:
                        return
                    sequence += 1
                if is_picture:
                    stamp += 3600
                    time.sleep(0.01)
                if self._over.is_set():
                    return


def _payloads(unit: bytes) -> Iterator[bytes]:
    """Yield the RTP payloads of a NAL unit: itself, or its fragments (RFC 6184, 5.8)."""
    if len(unit) <= _PACKET_BYTES:
        yield unit
        return
    parts = [unit[i : i + _PACKET_BYTES] for i in range(1, len(unit), _PACKET_BYTES)]
    for i, part in enumerate(parts):
        flags = (128 if i == 0 else 0) | (64 if i == len(parts) - 1 else 0)
        yield bytes([unit[0] & 0x60 | 28, flags | unit[0] & 31]) + part
