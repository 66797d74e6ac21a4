"""Sessions of RTSP with the answers that real servers sent."""

import re
import socket
import struct
from pathlib import Path

from pipeline.settings import Camera
from stages.capture.connection import Address
from stages.capture.rtsp import RtspSession
from tests.stages.capture.servers import RtspCamera
from tests.stages.capture.test_guest import raw_camera

_DATE = "Date: Sun, Nov 29 2026 15:26:17 GMT\r\n"
_CHALLENGE = 'WWW-Authenticate: Digest realm="LIVE555 Streaming Media", nonce="{nonce}"\r\n'
_NONCES = ("1a87e797beb6bd57090684a0e06280d4", "f8fb86b78038c0852fe9c79d4baf0d5a")
_SDP = (
    "v=0\r\no=- 1795965976095427 1 IN IP4 192.0.2.2\r\ns=test\r\ni=mkv\r\nt=0 0\r\n"
    "a=tool:LIVE555 Streaming Media v2024.06.26\r\na=type:broadcast\r\na=control:*\r\na=range:npt=0-150.000\r\n"
    "a=x-qt-text-nam:test\r\na=x-qt-text-inf:mkv\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:500\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=64001E;"
    "sprop-parameter-sets=Z2QAHqzZQKAv+WEAAAMAAQAAAwAyDxYtlg==,aO+8sA==\r\na=control:track1\r\n"
)
_ANSWERS = {
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER\r\n\r\n",
    "DESCRIBE": "Content-Base: rtsp://127.0.0.1:8644/mkv/\r\nContent-Type: application/sdp\r\n"
    f"Content-Length: {len(_SDP)}\r\n\r\n{_SDP}",
    "SETUP": "Transport: RTP/AVP/TCP;unicast;destination=127.0.0.1;source=127.0.0.1;interleaved=0-1\r\n"
    "Session: 8AE56B98;timeout=3\r\n\r\n",
    "PLAY": "Range: npt=0.000-\r\nSession: 8AE56B98\r\n"
    "RTP-Info: url=rtsp://127.0.0.1:8644/mkv/track1;seq=4249;rtptime=3334818603\r\n\r\n",
    "GET_PARAMETER": "Session: 8AE56B98\r\nContent-Length: 10\r\n\r\n2024.06.26",
}
"""Answers of LIVE555 2024.06.26 to each method, after the date."""
_PACKET = struct.pack(">BBHII", 0x80, 0xE0, 4249, 3334818603, 1) + b"\x09\xf0"


def test_a_session_of_a_few_seconds_is_kept_alive_also_with_a_new_nonce() -> None:
    kept: list[str] = []  # nonces of the signs of life

    def talk(peer: socket.socket) -> None:
        peer.settimeout(0.05)
        data, is_playing = b"", False
        while True:
            try:
                data += (more := peer.recv(4096))
                if not more:
                    return
            except TimeoutError:
                pass
            while b"\r\n\r\n" in data:
                request, _, data = data.partition(b"\r\n\r\n")
                method, number = request.split()[0].decode(), re.findall(rb"CSeq: (\d+)", request)[0].decode()
                nonce = "".join(re.findall(r'nonce="(\w+)"', request.decode()))
                if method == "GET_PARAMETER":
                    kept.append(nonce)
                wanted = _NONCES[bool(kept)]
                head, answer = "200 OK", _ANSWERS.get(method, "\r\n")
                if method != "OPTIONS" and nonce != wanted:
                    head, answer = "401 Unauthorized", _CHALLENGE.format(nonce=wanted) + "\r\n"
                peer.sendall(f"RTSP/1.0 {head}\r\nCSeq: {number}\r\n{_DATE}{answer}".encode())
                is_playing = is_playing or (method == "PLAY" and head == "200 OK")
            if is_playing:
                peer.sendall(b"$\0" + struct.pack(">H", len(_PACKET)) + _PACKET)

    with raw_camera(talk) as port:
        url = f"rtsp://cam:word@127.0.0.1:{port}/mkv"
        session = RtspSession(Address.of(url), Camera(name="door", source=url), Path())
        try:
            for _ in session.stream():
                if len(kept) >= 2:
                    break
        finally:
            session.close()
    assert kept[:2] == list(_NONCES)


def test_tracks_are_asked_for_below_a_base_without_its_host() -> None:
    with RtspCamera(base="/media/live/") as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/live"
        RtspSession(Address.of(url), Camera(name="door", source=url), Path()).close()
        assert f"SETUP rtsp://127.0.0.1:{camera.port}/media/live/track1" in camera.asked
