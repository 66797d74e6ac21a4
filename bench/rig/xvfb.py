"""Real X server without a monitor. Its picture lies in shared memory, so reading it costs nothing."""

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.rig.processes import tied
from pipeline.errors import UserError

_HEADER = struct.Struct(">25I")
_COLOUR_BYTES = 12


def available() -> bool:
    """Return whether this machine has Xvfb (Debian: package xvfb)."""
    return shutil.which("Xvfb") is not None


class Monitor:
    """Running Xvfb. `pixels` always holds its present picture: uint8 [height, width, 4], blue, green, red, unused."""

    def __init__(self, name: str, pixels: NDArray[np.uint8], process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pixels = pixels
        self.process = process


@contextmanager
def monitor(width_px: int, height_px: int, name: str | None = None) -> Iterator[Monitor]:
    """Run Xvfb on a free display, or on the display of that name such as `:42`. UserError: there is no Xvfb."""
    if not available():
        raise UserError("there is no Xvfb: install the package xvfb")
    with tempfile.TemporaryDirectory(prefix="stationcast-x-") as folder:
        reader, writer = os.pipe()
        command = ["Xvfb", *([name] if name else []), "-displayfd", str(writer), "-nolisten", "tcp", "-noreset"]
        command += ["-screen", "0", f"{width_px}x{height_px}x24", "-fbdir", folder]
        process = subprocess.Popen(tied(*command), pass_fds=(writer,), stderr=subprocess.DEVNULL)
        os.close(writer)
        try:
            with os.fdopen(reader) as stream:
                number = stream.readline().strip()
            if not number:
                raise UserError(f"Xvfb did not start (exit {process.wait()})")
            with (Path(folder) / "Xvfb_screen0").open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            yield Monitor(f":{number}", _pixels(memory), process)
        finally:
            process.terminate()
            process.wait()


def _pixels(memory: mmap.mmap) -> NDArray[np.uint8]:
    """Return the picture behind an XWD header (X11/XWDFile.h)."""
    header = _HEADER.unpack_from(memory)
    header_bytes, width, height, line_bytes, colours = header[0], header[4], header[5], header[12], header[19]
    start = header_bytes + colours * _COLOUR_BYTES
    rows = np.frombuffer(memory, np.uint8, height * line_bytes, start).reshape(height, line_bytes)
    return rows[:, : width * 4].reshape(height, width, 4)
