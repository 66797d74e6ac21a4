"""The sample scene as films, as folders of images, and as a network camera."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stages.capture import sample

_CLIP_FPS = 30


def scene(size: tuple[int, int], t_s: float) -> NDArray[np.uint8]:
    """Return the sample scene of time `t_s`, uint8 BGR [height, width, 3]; `size` is (width, height) in px."""
    return np.asarray(cv2.resize(sample.render("bench", t_s), size), np.uint8)


def make_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Write an H.264 clip of the sample scene at 30 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(_CLIP_FPS), options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            picture = av.VideoFrame.from_ndarray(scene(size, i / _CLIP_FPS), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def make_images(folder: Path, size: tuple[int, int], images: int) -> None:
    """Write JPEGs of the sample scene into a new folder."""
    folder.mkdir()
    for i in range(images):
        cv2.imwrite(str(folder / f"{i:03}.jpg"), scene(size, i / 2))


@contextmanager
def mjpeg_camera(folder: Path) -> Iterator[str]:
    """Run a network camera that sends the folder's JPEGs at 30 fps, and yield its URL."""
    jpegs = [path.read_bytes() for path in sorted(folder.iterdir())]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for i in range(10**9):
                    jpeg = jpegs[i % len(jpegs)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                    time.sleep(1 / _CLIP_FPS)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
