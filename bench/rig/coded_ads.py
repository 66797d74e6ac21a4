"""Ads that say in their own pixels which ad and which frame they are, so that a recording can be read back."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BARS = 20
_AD_BITS, _FRAME_BITS = 7, 10
_DARK, _BRIGHT = 70, 185


def picture(ad: int, frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return uint8 RGB [height, width, 3]: a row of black and white bars (the code) above a moving scene.

    Bars: white, black, 7 bits of `ad`, 10 bits of `frame`, parity; the most significant bit comes first.
    """
    width, height = size
    bits = [ad >> i & 1 for i in reversed(range(_AD_BITS))] + [frame >> i & 1 for i in reversed(range(_FRAME_BITS))]
    bars = np.array([1, 0, *bits, sum(bits) & 1], np.uint8) * 255
    image = np.empty((height, width, 3), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    for channel in range(3):
        image[..., channel] = 96 + 64 * np.sin(x / width * 4 + y / height * 3 + ad * (channel + 1) + frame * 0.1)
    top = height // 4
    image[:top] = bars[np.arange(width) * BARS // width][None, :, None]
    ball = int((frame * 7) % max(1, width - width // 8))
    image[height // 2 : height // 2 + height // 8, ball : ball + width // 8] = (250, 230, 60)
    return image


def read(pixels: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return (ad, frame) of the picture, uint8 [height, width, 3 or 4]; None if there is none, or two mixed."""
    height, width = pixels.shape[:2]
    centres = (np.arange(BARS) * 2 + 1) * width // (2 * BARS)
    bars = pixels[height // 8, centres, :3].mean(axis=1)
    if ((bars > _DARK) & (bars < _BRIGHT)).any():
        return None
    bits = (bars >= _BRIGHT).astype(int).tolist()
    if bits[:2] != [1, 0] or sum(bits[2:-1]) & 1 != bits[-1]:
        return None
    number = int("".join(map(str, bits[2:-1])), 2)
    return number >> _FRAME_BITS, number & ((1 << _FRAME_BITS) - 1)


def make_image(path: Path, ad: int, size: tuple[int, int]) -> None:
    """Write a still ad."""
    Image.fromarray(picture(ad, 0, size)).save(path, quality=92)


def make_clip(
    path: Path, ad: int, frames: int, size: tuple[int, int], fps: int = 30, codec: str = "libx264", tone: bool = False
) -> None:
    """Write a film ad; with `tone` it has a sound of 440 Hz."""
    options = {"libx264": {"preset": "veryfast", "crf": "20"}, "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"}}
    options["libx265"] = {"preset": "ultrafast", "x265-params": "log-level=none"}
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=Fraction(fps), options=options[codec])
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio: Any = container.add_stream("aac", rate=48_000) if tone else None
        for i in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(ad, i, size), format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            samples = np.arange(48_000 * frames // fps)
            wave = (8000 * np.sin(2 * np.pi * 440 * samples / 48_000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate = 48_000
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
