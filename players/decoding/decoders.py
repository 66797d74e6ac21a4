"""Decoders of one player: each medium is decoded in a process of its own, which the player can kill at any time."""

import contextlib
import os
import socket
import subprocess
import sys
from typing import Literal

import pygame

from pipeline.log import log
from pipeline.medium import CHANGED, UNREADABLE, MediumError, open_plain
from pipeline.pictures import PictureError
from players.ads.lines import Creative
from players.decoding.decoding import Decoding, LateError
from players.decoding.frames import Frames
from players.decoding.moving import AHEAD_FRAMES, Moving, surface_of
from players.decoding.order import Order, send
from players.screen.layout import Layout
from players.screen.pcm import BYTES, LONGEST_S, RATE_HZ

STILL_TIMEOUT_S = 10.0
"""Longest wait for a still picture; its examiner gave it 8 s of a processor."""
FIRST_FRAME_TIMEOUT_S = 3.0
"""Longest wait for the first frame of a film."""
SOUND_TIMEOUT_S = 5.0
"""Longest wait for the sound of a film; without it the film is silent."""
MEMORY_BYTES = 3 << 30
"""Largest address space that a process may take for decoding."""
CPU_S, CPU_SHARE = 20, 4
"""Processor time that it may take: so many s, and of a moving medium so many times the time that it is on."""
_START_TIMEOUT_S = 30.0


class Decoders:
    """Starts decodings. Not for use by several threads at once."""

    def __init__(self) -> None:
        """Start the server that forks for each medium; it is awaited when it is first needed."""
        self.memory_bytes = MEMORY_BYTES
        self.took_s = 0.0
        """Time that the last picture, or the first one of a film, took to be decoded; see `Decoding.took_s`."""
        self._start()

    def still(self, creative: Creative, layout: Layout) -> pygame.Surface:
        """Return a still picture laid out for the screen. Raises PictureError, MediumError or OSError."""
        decoding = self._begin(creative, "still", layout, 1, layout.width_px * layout.height_px * 4)
        try:
            decoding.wait(STILL_TIMEOUT_S)
            if not decoding.frames.written:
                raise unshown(creative, decoding.error)
            return surface_of(decoding.frames, 0, layout)
        except LateError as error:
            raise LateError(f"{creative.path}: {error}") from None
        finally:
            self.took_s = decoding.took_s
            decoding.close()

    def moving(self, creative: Creative, layout: Layout) -> Moving:
        """Begin to decode a film or an animated picture. Raises MediumError or OSError."""
        what: Literal["film", "animation"] = "film" if creative.kind == "video" else "animation"
        slot_bytes = layout.width_px * layout.height_px * 4
        return Moving(self._begin(creative, what, layout, AHEAD_FRAMES + 1, slot_bytes), layout)

    def sound(self, creative: Creative, layout: Layout) -> Decoding:
        """Begin to decode the sound of a film. Raises MediumError or OSError."""
        longest_s = min(LONGEST_S, creative.duration_ms / 1000)
        return self._begin(creative, "sound", layout, 1, round(longest_s * RATE_HZ) * BYTES)

    def close(self) -> None:
        """End the server, and with it whatever it decodes."""
        self._requests.close()
        self._server.kill()
        self._server.wait()

    def _begin(
        self,
        creative: Creative,
        what: Literal["still", "animation", "film", "sound"],
        layout: Layout,
        slots: int,
        slot_bytes: int,
    ) -> Decoding:
        order = Order(
            what=what,
            blocks=creative.blocks,
            container=creative.container,
            codec=creative.codec,
            layout=layout,
            slots=slots,
            slot_bytes=slot_bytes,
            longest_s=slot_bytes / BYTES / RATE_HZ,
            memory_bytes=self.memory_bytes,
            cpu_s=CPU_S + (CPU_SHARE * creative.duration_ms // 1000 if slots > 1 else 0),
        )
        self.took_s = 0.0
        with contextlib.ExitStack() as stack:
            file = _opened(creative)
            stack.callback(os.close, file)
            memory = Frames.create(slots, slot_bytes)
            stack.callback(os.close, memory)
            frames = Frames(memory, slots, slot_bytes)
            control, its_control = socket.socketpair()
            stack.callback(its_control.close)
            try:
                pidfd = self._fork([file, memory, its_control.fileno()])
                control.settimeout(_START_TIMEOUT_S)
                send(control, order)
                control.setblocking(True)
            except BaseException:
                control.close()
                raise
            return Decoding(frames, control, pidfd)

    def _fork(self, descriptors: list[int]) -> int:
        """Have the server fork with these descriptors; start it anew where it is gone. Return a pidfd of the child."""
        for _ in range(2):
            try:
                socket.send_fds(self._requests, [b"d"], descriptors)
                _, pidfds, _, _ = socket.recv_fds(self._requests, 1, 1)
                if pidfds:
                    return pidfds[0]
            except OSError:
                pass
            log("decoders_restarted", severity="warning", exit=self._server.poll())
            self.close()
            self._start()
        raise OSError(0, "no process can be started to decode it")

    def _start(self) -> None:
        self._requests, its_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(_START_TIMEOUT_S)
        without = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
        environment = {name: value for name, value in os.environ.items() if name not in without}
        try:
            with its_requests:
                self._server = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "players.decoding.server",
                        str(os.getpid()),
                        str(its_requests.fileno()),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                    pass_fds=[its_requests.fileno()],
                )
        except BaseException:
            self._requests.close()
            raise


def _opened(creative: Creative) -> int:
    """Open the file of a creative. Raises MediumError or OSError."""
    try:
        return open_plain(creative.path)
    except MediumError as error:
        raise MediumError(f"{creative.path}: {error}") from None


def unshown(creative: Creative, why: str) -> PictureError | MediumError | OSError:
    """Return the error that tells that nothing of a creative can be shown; `why` is that of its decoding."""
    text = f"{creative.path}: {why or 'there is no picture in it'}"
    if why.startswith(UNREADABLE):
        return OSError(text)
    return MediumError(text) if why == CHANGED else PictureError(text)
