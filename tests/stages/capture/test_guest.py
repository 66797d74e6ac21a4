"""A camera is a guest: what it answers leads to no other host, opens no port and takes no more memory or time."""

import gc
import hashlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pipeline.cameras import image_files, validate_source
from pipeline.errors import UserError
from pipeline.ring import Ring
from pipeline.settings import Camera
from stages.capture import connection, rtp
from stages.capture.connection import Address, Head, Login
from stages.capture.network import NetworkVideo
from stages.capture.trouble import SourceError
from tests.conftest import HANG_S, wait_for
from tests.stages.capture.conftest import open_capture, run
from tests.stages.capture.servers import RtspCamera, film, http_camera, make_certificate, quarters
from tests.stages.capture.test_live import corners, grabbed, opened, why_not

ELSEWHERE = "the camera sends to another address, which is not followed"
_LOOK = """
import sys, time
from pathlib import Path
from pipeline.settings import Camera
from stages.capture.sources import open_source
for url in sys.stdin.read().split():
    source = open_source(Camera(name="door", source=url), Path("/"))
    try:
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s and (shot := source.read()) is None:
            source.advance()
        print("not seen" if shot is None else "seen", url)
    except OSError as error:
        print("not seen", url, error)
    source.close()
"""


def hls(*lines: str) -> bytes:
    return "\n".join(
        ["#EXTM3U", "#EXT-X-TARGETDURATION:5", "#EXT-X-MEDIA-SEQUENCE:0", *lines, "#EXT-X-ENDLIST"]
    ).encode()


def web_attacks(inner: int, port: int, secret: Path) -> dict[str, tuple[int, dict[str, str], bytes]]:
    """Return answers that lead elsewhere, by path: redirects, playlists, lists of files, descriptions of sessions."""
    there = f"http://127.0.0.1:{inner}/inner"
    places = [
        there,
        f"//127.0.0.1:{inner}/inner",
        f"http://user@127.0.0.1:{inner}/inner",
        f"HTTP://127.0.0.1:{inner}/%0d%0aX-Evil:1",
        f"http://127.0.0.1:{port}@127.0.0.1:{inner}/inner",
        f"http://localhost:{port}/video",
        f"https://127.0.0.1:{port}/video",
        f"rtsp://127.0.0.1:{inner}/inner",
        f"tcp://127.0.0.1:{inner}",
        f"file://{secret}",
        f"concat:{secret}",
        f"subfile,,start,0,end,0,,:{secret}",
        "data:text/plain,x",
    ]
    redirects = [(status, place) for status in (301, 302, 303, 307, 308) for place in places]
    pages = {f"/{status}/{i}": (status, {"Location": place}, b"") for i, (status, place) in enumerate(redirects)}
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="{there}"'
    lists = [
        hls("#EXTINF:5,", there),
        hls(key, "#EXTINF:5,", "/video"),
        hls(f'#EXT-X-MAP:URI="{there}"', "#EXTINF:5,", "/video"),
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + there.encode() + b"\n",
        b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/list/0.m3u8\n",
        b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="' + there.encode() + b'"\n'
        b'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n/list/0.m3u8\n',
        hls("#EXTINF:5,", f"file://{secret}"),
        hls("#EXTINF:5,", f"crypto+{there}"),
        f"ffconcat version 1.0\nfile {there}\nfile {secret}\n".encode(),
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        b'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="video/mp4">'
        b'<Representation id="1" bandwidth="1"><BaseURL>'
        + there.encode()
        + b"</BaseURL></Representation></AdaptationSet></Period></MPD>",
        f'<html><meta http-equiv="refresh" content="0; url={there}"></html>'.encode(),
        f"RTSPtext\r\nrtsp://127.0.0.1:{inner}/inner\r\n".encode(),
    ]
    for media in ("RTP/AVP 96", "RTP/AVPF 96", "UDP 96", "TCP/RTP/AVP 96"):
        for where in ("127.0.0.1", "0.0.0.0", "239.1.2.3/4"):
            sdp = f"v=0\r\no=- 0 0 IN IP4 {where}\r\ns=x\r\nc=IN IP4 {where}\r\nt=0 0\r\nm=video 18090 {media}\r\n"
            lists.append(f"{sdp}a=rtpmap:96 H264/90000\r\n".encode())
    kinds = ["application/vnd.apple.mpegurl", "application/sdp", "application/dash+xml", "video/mp4"]
    for i, body in enumerate(lists):
        pages[f"/list/{i}.m3u8"] = 200, {"Content-Type": kinds[i % len(kinds)]}, body
        pages[f"/list/{i}"] = 200, {"Content-Type": "application/octet-stream"}, body
    return pages


def rtsp_attacks(inner: int) -> list[RtspCamera]:
    """Return cameras whose answers lead elsewhere: redirects, descriptions and transports."""
    there = f"rtsp://127.0.0.1:{inner}/inner"
    head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\n"
    track = "a=rtpmap:96 {codec}/90000\r\n"
    return [
        *(RtspCamera(status, location=there) for status in (301, 302, 303, 305)),
        RtspCamera(302, location=f"http://127.0.0.1:{inner}/inner"),
        RtspCamera(sdp=f"{head}c=IN IP4 239.1.2.3/4\r\nt=0 0\r\nm=video 18091 RTP/AVP 96\r\n{track}"),
        RtspCamera(sdp=f"{head}t=0 0\r\nm=video 0 RTP/AVP 96\r\n{track}a=control:{there}\r\n"),
        RtspCamera(transport=f"RTP/AVP;unicast;client_port=18092-18093;server_port={inner}-{inner + 1}"),
        RtspCamera(
            transport=f"RTP/AVP/UDP;unicast;interleaved=0-1;client_port=18094-18095;destination=127.0.0.1:{inner}"
        ),
        RtspCamera(transport="RTP/AVP;multicast;destination=239.1.2.3;port=18096-18097;ttl=4"),
    ]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace: what a capture process connects to was not seen")
def test_nothing_that_a_camera_answers_makes_another_connection_or_opens_a_port(tmp_path: Path) -> None:
    asked: list[str] = []
    secret = tmp_path / "secret.ts"
    secret.write_bytes(film(64, 48))
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
    with ExitStack() as stack:
        inner = stack.enter_context(http_camera(film(64, 48), asked=asked))
        port = stack.enter_context(http_camera(film(64, 48), lasts_s=2, pages=pages))
        pages |= web_attacks(inner, port, secret)
        rtsp = [stack.enter_context(camera) for camera in rtsp_attacks(inner)]
        good = stack.enter_context(RtspCamera(films=(film(64, 48, container="h264"),)))
        urls = [f"http://127.0.0.1:{port}{path}" for path in (*pages, "/video")]
        urls += [f"rtsp://127.0.0.1:{camera.port}/live" for camera in (*rtsp, good)]
        trace = tmp_path / "trace"
        command = [
            "strace",
            "--seccomp-bpf",
            "-f",
            "-qq",
            "-o",
            str(trace),
            "-e",
            "trace=connect,bind,listen,sendto,sendmsg,openat,open",
        ]
        done = subprocess.run(
            [*command, sys.executable, "-P", "-c", _LOOK],
            input="\n".join(urls),
            capture_output=True,
            text=True,
            timeout=2 * HANG_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seen = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("seen")]
    assert seen == [f"http://127.0.0.1:{port}/video", f"rtsp://127.0.0.1:{good.port}/live"]
    assert asked == []
    lines = trace.read_text(errors="replace").splitlines()
    ours = {port, good.port, *(camera.port for camera in rtsp)}
    connected = [int(n) for line in lines if "connect(" in line for n in re.findall(r"sin6?_port=htons\((\d+)\)", line)]
    assert set(connected) == ours
    assert [line for line in lines if re.search(r"\b(bind|listen)\(", line) and "AF_INET" in line] == []
    assert [line for line in lines if str(secret) in line] == []
    assert "s3cr" not in done.stdout


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["/video", "video", "http://127.0.0.1:{port}/video", "HTTP://127.0.0.1:{port}/video"])
def test_a_redirect_within_the_host_is_followed(status: int, place: str) -> None:
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
    with http_camera(film(64, 48, frames=5), pages=pages) as port:
        pages["/old"] = status, {"Location": place.format(port=port)}, b""
        assert grabbed(f"http://127.0.0.1:{port}/old", 1)


def test_a_redirect_in_an_older_encoding_is_followed() -> None:
    asked: list[str] = []
    with http_camera(film(64, 48, frames=5), pages={"/old": (302, {"Location": "/caf\xe9"}, b"")}, asked=asked) as port:
        assert grabbed(f"http://127.0.0.1:{port}/old", 1)
    assert asked[-1].strip() == "/caf%E9"


def test_a_redirect_to_another_query_keeps_the_path() -> None:
    asked: list[str] = []
    with http_camera(film(64, 48, frames=5), pages={"/a/b?x=1": (302, {"Location": "?y=2"}, b"")}, asked=asked) as port:
        assert grabbed(f"http://127.0.0.1:{port}/a/b?x=1", 1)
    assert asked[-1].strip() == "/a/b?y=2"


def test_a_password_goes_to_no_other_host_or_port() -> None:
    asked: list[str] = []
    with http_camera(asked=asked) as inner:
        elsewhere = (("Location", f"http://127.0.0.1:{inner}/inner"),)
        with http_camera(b"", 302, password="s3cr#t", headers=elsewhere) as port:
            assert ELSEWHERE in why_not(f"http://admin:s3cr%23t@127.0.0.1:{port}/live")
    assert asked == []


def test_redirects_in_a_circle_end() -> None:
    asked: list[str] = []
    with http_camera(b"", 302, headers=(("Location", "/again"),), asked=asked) as port:
        assert "from one address to the next" in why_not(f"http://127.0.0.1:{port}/live")
    assert len(asked) < 10


@contextmanager
def tls_camera(folder: Path, asked: list[str], host: str = "") -> Iterator[tuple[int, Path, str]]:
    """Run a camera with a certificate of its own; yield its port, the certificate's file and its fingerprint."""
    pem = make_certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    shown = x509.load_pem_x509_certificate(pem.read_bytes()).fingerprint(hashes.SHA256()).hex()
    with http_camera(film(64, 48, frames=5), password="s3cr#t", tls=context, asked=asked) as port:
        yield port, pem, shown


def test_no_password_is_sent_under_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    asked: list[str] = []
    with tls_camera(tmp_path, asked, "127.0.0.1") as (port, _, _):
        for scheme in ("https", "rtsps"):
            assert "its certificate is not to be trusted" in why_not(f"{scheme}://admin:s3cr%23t@127.0.0.1:{port}/live")
    assert asked == []


def test_a_camera_with_a_certificate_of_its_own_is_seen_by_its_fingerprint(tmp_path: Path) -> None:
    asked: list[str] = []
    with tls_camera(tmp_path, asked) as (port, _, shown):
        url = f"https://admin:s3cr%23t@127.0.0.1:{port}/live"
        spoken = ":".join(shown[i : i + 2] for i in range(0, 64, 2)).upper()
        for text in (shown, spoken):
            video = opened(url, certificate_sha256=text)
            video.grab()
            video.release()
        asked.clear()
        wrong = hashlib.sha256(b"another").hexdigest()
        assert "another fingerprint" in why_not(url, certificate_sha256=wrong)
    assert asked == []


def test_a_certificate_of_an_authority_of_ones_own_must_name_the_host(tmp_path: Path) -> None:
    asked: list[str] = []
    with tls_camera(tmp_path, asked, "127.0.0.1") as (port, pem, _):
        video = opened(f"https://admin:s3cr%23t@127.0.0.1:{port}/live", ca_file=str(pem))
        video.grab()
        video.release()
        asked.clear()
        assert "not to be trusted" in why_not(f"https://admin:s3cr%23t@localhost:{port}/live", ca_file=str(pem))
        (tmp_path / "text.pem").write_text("no certificate")
        other = why_not(f"https://admin:s3cr%23t@127.0.0.1:{port}/live", ca_file=str(tmp_path / "text.pem"))
        assert "is no file of certificates" in other
    assert asked == []


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"ca_file": "gone.pem"}, "cameras.door.ca_file: no such file: gone.pem"),
        ({"certificate_sha256": "AB:CD"}, "cameras.door.certificate_sha256: is no SHA-256 fingerprint"),
        ({"ca_file": "x.pem", "certificate_sha256": "ab" * 32}, "cameras.door: has both"),
    ],
)
def test_mistakes_in_the_settings_of_trust_are_told(settings: dict[str, str], word: str) -> None:
    with pytest.raises(UserError, match=re.escape(word)):
        validate_source(Camera(name="door", source="https://camera/", **settings), Path("/nowhere"))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["rtsp://admin:s3cr%23t@camera/live", "HTTP://camera/", "sample", 0])
@pytest.mark.parametrize("key", ["ca_file", "certificate_sha256"])
def test_a_certificate_that_would_not_be_looked_at_is_a_mistake(tmp_path: Path, source: str | int, key: str) -> None:
    (tmp_path / "ca.pem").touch()
    trust = {"ca_file": "ca.pem", "certificate_sha256": "ab" * 32}[key]
    with pytest.raises(UserError, match=rf"cameras\.door\.{key}: .*rtsps:// or https://") as error:
        validate_source(Camera(name="door", source=source, **{key: trust}), tmp_path)
    assert "s3cr" not in str(error.value)


def grey_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG of one grey, of any size: 1 bit a coefficient."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    head += b"".join(segment(0xC4, bytes([kind, 1]) + bytes(15) + b"\0") for kind in (0x00, 0x10))
    blocks = -(-width // 8) * -(-height // 8)
    return head + segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + bytes(-(-2 * blocks // 8)) + b"\xff\xd9"


def parts(*jpegs: bytes) -> bytes:
    return b"".join(
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg) for jpeg in jpegs
    )


MULTIPART = (("Content-Type", "multipart/x-mixed-replace; boundary=b"),)
_LIMITED = """
import sys, re, time
from pathlib import Path
from pipeline.guard import limit_memory
from pipeline.settings import Camera
from stages.capture.sources import open_source
from stages.capture import network
import numpy as np
def peak_mib():
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]) >> 10
limit_memory(2048)
before = peak_mib()
for url in sys.stdin.read().split():
    try:
        source = open_source(Camera(name="door", source=url), Path("/"))
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s and source.read() is None:
            source.advance()
            time.sleep(0.01)
        source.close()
        print("seen")
    except (OSError, MemoryError) as error:
        print(error or "MemoryError")
    print(peak_mib() - before)
try:
    np.ones(2_500_000_000, np.uint8)
except MemoryError:
    print("2.5 GB are refused")
"""


def sizes() -> list[tuple[bytes, tuple[tuple[str, str], ...]]]:
    """Return bodies and headers of cameras whose pictures are far too large, or are said to be."""
    big, small = grey_jpeg(16000, 16000), grey_jpeg(64, 48)
    flat = grey_jpeg(65000, 600)
    return [
        (parts(*[big] * 3), MULTIPART),
        (big, (("Content-Type", "image/jpeg"),)),
        (parts(*[small] * 30, *[big] * 3), MULTIPART),
        (parts(*[flat] * 3), MULTIPART),
        (film(176, 144, ratio=Fraction(60000, 1)), ()),
        (film(176, 144, container="matroska", ratio=Fraction(1, 60000)), ()),
    ]


def test_pictures_that_are_far_too_large_take_no_memory() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(http_camera(body, headers=headers)) for body, headers in sizes()]
        done = subprocess.run(
            [sys.executable, "-P", "-c", _LIMITED],
            input="\n".join(f"http://127.0.0.1:{port}/live" for port in ports),
            capture_output=True,
            text=True,
            timeout=2 * HANG_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert last == "2.5 GB are refused"
    assert len(lines) == 2 * len(ports)
    for said, grown_mib in zip(lines[::2], lines[1::2], strict=True):
        assert re.search("too large|cannot be decoded|ended the stream|seen", said), said
        assert int(grown_mib) < 300, said


def test_a_stream_that_becomes_too_large_is_lost_with_its_reason() -> None:
    with http_camera(parts(*[grey_jpeg(64, 48)] * 5, *[grey_jpeg(16000, 16000)] * 3), headers=MULTIPART) as port:
        video = opened(f"http://127.0.0.1:{port}/live")
        with pytest.raises(SourceError, match="cannot be decoded"):
            for _ in range(9):
                video.grab()
        video.release()


def test_a_bomb_among_pictures_is_passed_over(ring: Ring, tmp_path: Path, shared_dir: Path) -> None:
    bomb = shared_dir / "hostile/inputs/bomb20000.png"
    if not bomb.is_file():
        pytest.skip("no hostile inputs: a picture of 20,000 x 20,000 px was not tried")
    shutil.copy(bomb, tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.png"), np.full((48, 64, 3), 200, np.uint8))
    capture = open_capture(ring, tmp_path, ".", fps=50)
    assert {image.shape for _, image in run(capture, ring, HANG_S, at_most=3)} == {(48, 64, 3)}
    capture.close()


_SHORT_OF_MEMORY = """
import sys
from pathlib import Path
from pipeline.settings import Camera
from pipeline.guard import limit_memory
from stages.capture.sources import open_source
source = open_source(Camera(name="door", source="."), Path(sys.argv[1]))
source.read()  # loads what reads pictures
limit_memory(64)
print(source.read())
shot = source.read()
print(shot[0].shape)
"""


def test_a_picture_that_needs_too_much_memory_is_passed_over(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((6000, 6000, 3), 200, np.uint8))
    code = [sys.executable, "-P", "-c", _SHORT_OF_MEMORY, str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n(48, 64, 3)\n"), done.stderr
    assert "needs too much memory" in done.stderr


def test_a_capture_process_of_a_station_has_a_limit_of_memory(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(
        "[station]\nname = 'memory'\nstate_dir = 'state'\n[[cameras]]\nname = 'eye'\nsource = 'sample'\n"
        "[[screens]]\nheadless = true\n"
    )
    command = [sys.executable, "-P", "-m", "pipeline.cli", "run", "station.toml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as station:
        children = psutil.Process(station.pid).children
        wait_for(lambda: sum(_memory_limit(child.pid) < 16 << 30 for child in children()) == 1, "the limit")
        station.terminate()


def _memory_limit(pid: int) -> int:
    """Return the most bytes of address space that a process may have; very many if there is no limit."""
    try:
        soft, _ = psutil.Process(pid).rlimit(psutil.RLIMIT_AS)
    except psutil.NoSuchProcess:
        return 1 << 60
    return soft if soft >= 0 else 1 << 60


def test_only_plain_files_are_pictures(ring: Ring, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "z.png"), np.full((48, 64, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / "outside.png"), np.full((96, 64, 3), 100, np.uint8))
    os.mkfifo(folder / "a.jpg")
    (folder / "b.jpg").symlink_to("/dev/zero")
    (folder / "c.jpg").symlink_to(tmp_path / "outside.png")
    (folder / "d.jpg").symlink_to(folder / "a.jpg")
    (folder / "e.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "f.jpg"))
        assert image_files(folder) == [folder / "z.png"]
        capture = open_capture(ring, tmp_path, "photos", fps=50)
        assert {image.shape for _, image in run(capture, ring, HANG_S, at_most=3)} == {(48, 64, 3)}
        capture.close()


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_picture_that_becomes_something_else_holds_nothing_up(
    ring: Ring, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 200, np.uint8))
    capture = open_capture(ring, tmp_path, ".", fps=50, loop=False)
    assert len(run(capture, ring, HANG_S, at_most=1)) == 1
    (tmp_path / "b.png").unlink()
    put(tmp_path / "b.png")
    wait_for(lambda: capture.step([]) == [] and capture.status["state"] == "ended", "the end")
    capture.close()


@contextmanager
def raw_camera(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that speaks as `talk` does, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(HANG_S)

        def serve() -> None:
            try:
                peer, _ = listener.accept()
                with peer:
                    talk(peer)
            except OSError:
                pass  # the guest's host hung up, as it should

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def drip(start: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def talk(peer: socket.socket) -> None:
        peer.sendall(start)
        while True:
            peer.sendall(again)
            time.sleep(0.1)

    return talk


def flood(start: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def talk(peer: socket.socket) -> None:
        peer.sendall(start)
        while True:
            peer.sendall(again * 1000)

    return talk


@pytest.mark.parametrize("talk", [drip, flood])
@pytest.mark.parametrize(
    ("scheme", "start", "again"),
    [
        ("http", b"", b"x"),
        ("http", b"HTTP/1.1 200 OK\r\n", b"X-Name: value\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n", b"X: y\r\n"),
        (
            "http",
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n"
            b"Content-Type: image/jpeg\r\n\r\n\xff\xd8",
            b"x" * 100,
        ),
        ("rtsp", b"", b"RTSP/1.0 100 Trying\r\nCSeq: 1\r\n\r\n"),
        ("rtsp", b"RTSP/1.0 200 OK\r\n", b"X-Name: value\r\n"),
        ("rtsp", b"", b"$\0\0\x01x"),
        ("rtsp", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 100),
    ],
)
def test_what_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
    talk: Callable[[bytes, bytes], Callable[[socket.socket], None]],
    scheme: str,
    start: bytes,
    again: bytes,
) -> None:
    monkeypatch.setattr(connection, "_PICTURE_S", 2.0)
    monkeypatch.setattr(connection, "_PICTURE_BYTES", 4 << 20)
    with raw_camera(talk(start, again)) as port:
        started_s = time.monotonic()
        with pytest.raises(SourceError):
            opened(f"{scheme}://127.0.0.1:{port}/live").grab()
        assert time.monotonic() - started_s < HANG_S


def test_nothing_of_a_stream_stays_in_memory_when_it_is_opened_again() -> None:
    body = film(320, 180)
    gc.collect()
    gc.disable()
    try:
        with http_camera(body) as port:
            grabbed(f"http://127.0.0.1:{port}/live", 20)
        left = [thing for thing in gc.get_objects() if issubclass(type(thing), av.VideoFrame | NetworkVideo)]
        assert left == []
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_is_answered_as_in_the_example_of_rfc_7616(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    login = Login(Address("http", "example.org", 80, "Mufasa", "Circle of Life", "/dir/index.html"))
    challenge = (
        f'Basic realm="x", Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    refused = Head(401, {"www-authenticate": [challenge]})
    assert login.learn(refused)
    line = login.header("GET", "/dir/index.html")
    assert f'response="{response}"' in line and f"algorithm={algorithm}" in line
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in line and "Circle" not in line
    assert not login.learn(refused), "the same challenge again means that the password is wrong"


def test_a_film_on_a_server_of_ranges_may_have_its_index_at_the_end(tmp_path: Path) -> None:
    data = film(64, 48, container="mp4", frames=40)
    assert data.index(b"moov") > data.index(b"mdat")

    def talk(peer: socket.socket) -> None:
        request = peer.recv(4096).decode()
        first = re.search(r"Range: bytes=(\d+)-", request)
        at = int(first[1]) if first else 0
        status = "206 Partial Content" if first else "200 OK"
        peer.sendall(f"HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\nContent-Length: {len(data) - at}\r\n\r\n".encode())
        peer.sendall(data[at:])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                peer, _ = listener.accept()
                with peer:
                    try:
                        talk(peer)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        images = grabbed(f"http://127.0.0.1:{listener.getsockname()[1]}/film.mp4", 30)
        over.set()
        socket.create_connection(listener.getsockname()[:2]).close()
        thread.join()
    assert corners(images[-1]) == "rgbw"


def test_a_chunked_body_is_put_together() -> None:
    data = film(64, 48, frames=20)
    cut = [data[i : i + 1777] for i in range(0, len(data), 1777)]
    body = b"".join(b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in cut) + b"0\r\n\r\n"

    def talk(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    with raw_camera(talk) as port:
        assert corners(grabbed(f"http://127.0.0.1:{port}/live", 15)[-1]) == "rgbw"


@pytest.mark.parametrize(
    ("encoder", "name", "options"),
    [
        ("libx264", "H264", {"preset": "ultrafast", "x264-params": "keyint=5:repeat-headers=1"}),
        ("libx265", "H265", {"preset": "ultrafast", "x265-params": "keyint=5:repeat-headers=1:log-level=none"}),
        ("mjpeg", "JPEG", {"huffman": "default"}),
        ("mpeg4", "MP4V-ES", {"g": "5"}),
        ("mpeg2video", "MPV", {"g": "5"}),
    ],
)
def test_what_ffmpeg_packs_for_rtp_is_unpacked(encoder: str, name: str, options: dict[str, str]) -> None:
    """FFmpeg sends to a UDP port of the test; the packets are then read as those of a camera."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(2)
        url = f"rtp://127.0.0.1:{receiver.getsockname()[1]}?pkt_size=1000"
        with av.open(url, "w", format="rtp") as out:
            stream = out.add_stream(encoder, rate=25, options=options)
            stream.width, stream.height = 320, 240
            stream.codec_context.thread_count = 1
            stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
            for i in range(10):
                frame = av.VideoFrame.from_ndarray(quarters(320, 240), format="rgb24")
                frame.pts = i
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
            extradata = stream.codec_context.extradata or b""
        packets = []
        try:
            while True:
                packets.append(receiver.recv(2000))
        except TimeoutError:
            pass
    codec = rtp.codec(name, {"config": extradata.hex()} if name == "MP4V-ES" else {})
    assert codec is not None
    decoder = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    unpacked = [codec.prefix, *(codec.unpack(packet) for data in packets if (packet := rtp.packet(data)))]
    frames = [f for data in [*filter(None, unpacked), None] for p in decoder.parse(data) for f in decoder.decode(p)]
    assert len(frames) >= 8
    assert corners(frames[-1].to_ndarray(format="bgr24")) == "rgbw"
