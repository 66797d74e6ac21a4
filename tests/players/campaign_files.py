"""Campaign files and films for the tests of ads."""

import functools
import re
import tempfile
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import numpy as np
import pytest
from PIL import Image

from players.ads import known, media
from players.ads.campaigns import load_catalogue
from players.ads.catalogue import Catalogue

UTC = ZoneInfo("UTC")
GOOD = """
advertiser = "Moka Coffee"
campaign = "moka"
currency = "EUR"
[[lines]]
id = "moka-women"
target = { gender = "F", ages = ["20-29", "65+"], min_watchers = 2, min_share_pct = 25 }
starts = 2026-01-01
ends = 2026-12-31
weekdays = ["mon", "fri"]
dayparts = ["07:00-10:00", "22:00-02:00"]
priority = 70
weight = 2
max_plays_per_hour = 20
min_gap_s = 60
separation = "coffee"
budget = "500.00"
price = 0.12
pacing = "even"
[[lines.creatives]]
id = "latte"
file = "latte.png"
duration_s = 6
title = "Latte"
"""
LITTLE = """
advertiser = "{name}"
campaign = "{name}"
[[lines]]
id = "{name}-line"
{line}
[[lines.creatives]]
id = "{name}-ad"
file = "{file}"
"""


def little(name: str = "a", line: str = "", file: str = "latte.png") -> str:
    return LITTLE.format(name=name, line=line, file=file)


def one_ad(folder: Path) -> None:
    """Make a folder whose only ad is a small picture of the house, on for a second: it is examined in no time."""
    folder.mkdir()
    Image.new("RGB", (64, 36), (200, 120, 40)).save(folder / "a.png")
    (folder / "a.toml").write_text(little("a", "house = true", "a.png") + "duration_s = 1\n")


def read(folder: Path) -> Catalogue:
    return load_catalogue(folder, UTC, 8.0)


def film(
    path: Path, frames: int = 30, codec: str = "libx264", side: int = 64, first: int = 0, sound_s: int = 0
) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream("libopus", rate=48_000) if sound_s else None
        for n in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((side, side, 3), n % 256, dtype=np.uint8), format="rgb24")
            picture.pts, picture.time_base = first + n, Fraction(1, 30)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound is not None:
            for n in range(50 * sound_s):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="stereo")
                silence.pts, silence.sample_rate = 960 * n, 48_000
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))


def fast_start(path: Path, seconds: int = 4) -> bytes:
    """Write a film whose index comes first, so that its first half looks like a film, and return its bytes."""
    content = _fast_start(seconds)
    path.write_bytes(content)
    return content


@functools.cache
def _fast_start(seconds: int) -> bytes:
    with (
        tempfile.NamedTemporaryFile(suffix=".mp4") as file,
        av.open(file.name, "w", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=30, options={"g": "15"})
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(30 * seconds):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (128, 128, 3), dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        container.close()
        return Path(file.name).read_bytes()


def other_examiner(place: Path, monkeypatch: pytest.MonkeyPatch, instead: str, quick_s: float = 10.0) -> Path:
    """Put another program in the place of the examiner: `instead` runs where a `path` is examined.

    A quick look takes at most `quick_s`. What is known stays known. Returns a file to which each path is appended that
    it examines.
    """
    examiner, told = known.examiner(), place / "examined"
    monkeypatch.setattr(known, "examiner", lambda: examiner)
    note = f"    with open({str(told)!r}, 'a') as told:\n        told.write(path.name + chr(10))\n    {instead}\n"
    program = Path(media.__file__).read_text().replace("file_bytes=0", "file_bytes=1 << 20")
    program = program.replace("QUICK_WALL_S = 2, 10.0", f"QUICK_WALL_S = 2, {quick_s}")
    program = re.sub(r"def _examine\(.*\n", lambda found: found[0] + note, program)
    (place / "other.py").write_text(program)
    monkeypatch.setattr(media, "__file__", str(place / "other.py"))
    told.touch()
    return told
