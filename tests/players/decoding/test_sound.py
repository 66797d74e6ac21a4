"""Sound of films: decoded, played where there is a device, never too long."""

import math
import signal
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pygame
import pytest

from bench.rig import coded_ads
from pipeline import log as log_module
from players import ready
from players.decoding.decoders import Decoders
from players.decoding.decoding import Decoding
from players.screen.layout import Layout
from players.screen.pcm import BYTES, LONGEST_S, RATE_HZ
from tests.ads import decision
from tests.ads import line as ad_line
from tests.conftest import HANG_S
from tests.players.decoding.opened import creative

SIZE = (320, 180)


def heard(decoders: Decoders, path: Path) -> bytes | None:
    """Return the samples of a film's sound; None where it has none."""
    hearing = decoders.sound(creative(path), Layout(*SIZE))
    try:
        hearing.wait(HANG_S)
        assert not hearing.error
        return bytes(hearing.frames.view(0)) if hearing.frames.written else None
    finally:
        hearing.close()


def test_sound_is_decoded_and_played_where_there_is_a_device(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    with_tone, silent = tmp_path / "tone.mp4", tmp_path / "silent.mp4"
    coded_ads.make_clip(with_tone, 1, 30, SIZE, tone=True)
    coded_ads.make_clip(silent, 1, 10, SIZE)
    assert heard(decoders, silent) is None
    chosen = msgspec.structs.replace(decision(ad_line("a")), creative=creative(with_tone, sound=True))
    try:
        ad = ready.load(chosen, Layout(*SIZE), decoders, math.inf)
        tone = ad._sound
        assert tone is not None
        assert tone._sound.get_length() == pytest.approx(1.0, abs=0.1)
        ad.begin(time.monotonic())
        assert pygame.mixer.get_busy()
        ad.release()
    finally:
        pygame.mixer.quit()
    monkeypatch.setenv("SDL_AUDIODRIVER", "no-such-driver")
    ad = ready.load(chosen, Layout(*SIZE), decoders, math.inf)
    ad.release()
    assert ad._sound is None
    assert "no_sound" in capsys.readouterr().err


def test_no_more_sound_is_made_of_a_frame_than_is_played(decoders: Decoders, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "slow.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width = video.height = 64
        stream = container.add_stream("pcm_s16le", rate=10)
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for packets in (video.encode(picture), video.encode(None)):
            container.mux(packets)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 10
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    slow = heard(decoders, tmp_path / "slow.mkv")
    assert slow is not None and len(slow) <= LONGEST_S * RATE_HZ * BYTES


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(
    ("picture_s", "sound_s", "silence_s"), [(0.0, 0.0, 0.0), (0.0, 1.0, 1.0), (2.0, 1.0, 0.0), (1.0, 2.5, 1.5)]
)
def test_the_sound_begins_with_its_picture(
    decoders: Decoders, tmp_path: Path, suffix: str, picture_s: float, sound_s: float, silence_s: float
) -> None:
    """A tone that begins before or after the picture; it lasts 3 s in all."""
    path = tmp_path / f"film{suffix}"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=10)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        tone = container.add_stream("aac", rate=48_000)
        packets = []
        for n in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(10 * picture_s) + n, Fraction(1, 10)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        wave = (9000 * np.sin(np.arange(48_000 * 3) / 20)).astype(np.int16)
        for n in range(0, len(wave), 1000):
            part = av.AudioFrame.from_ndarray(wave[None, n : n + 1000], format="s16", layout="mono")
            part.pts, part.sample_rate, part.time_base = round(48_000 * sound_s) + n, 48_000, Fraction(1, 48_000)
            packets += tone.encode(part)
        for packet in [*packets, *tone.encode(None)]:
            container.mux(packet)
    samples = heard(decoders, path)
    assert samples is not None
    left = np.frombuffer(samples, np.int16).reshape(-1, 2)[:, 0].astype(int)
    begins = int(np.argmax(np.abs(left) > 1000))
    assert begins / 48_000 == pytest.approx(silence_s, abs=0.08)
    assert len(left) / 48_000 == pytest.approx(3 + sound_s - picture_s, abs=0.12)


def test_nobody_waits_for_sound_longer_than_until_its_ad_begins(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decoder of sound that is stopped stands for sound that is slow to decode."""
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    monkeypatch.setattr(ready, "SOUND_TIMEOUT_S", HANG_S)
    coded_ads.make_clip(tmp_path / "tone.mp4", 1, 30, SIZE, tone=True)
    begin = decoders.sound

    def stopped(*asked: Any) -> Decoding:
        hearing = begin(*asked)
        signal.pidfd_send_signal(hearing._pidfd, signal.SIGSTOP)
        return hearing

    monkeypatch.setattr(decoders, "sound", stopped)
    monkeypatch.setattr(log_module, "skipped", Counter())
    chosen = msgspec.structs.replace(decision(ad_line("a")), creative=creative(tmp_path / "tone.mp4", sound=True))
    began_s = time.monotonic()
    try:
        ad = ready.load(chosen, Layout(*SIZE), decoders, began_s)
        ad.release()
    finally:
        pygame.mixer.quit()
    assert ad._sound is None and time.monotonic() - began_s < HANG_S
    assert "not ready in the time allowed" in capsys.readouterr().err
