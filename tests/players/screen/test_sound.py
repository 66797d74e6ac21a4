"""Sound of films: decoded, played where there is a device, never too long."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pygame
import pytest

from bench.rig import coded_ads
from players.screen import sound

SIZE = (320, 180)


def test_sound_is_decoded_and_played_where_there_is_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    with_tone, silent = tmp_path / "tone.mp4", tmp_path / "silent.mp4"
    coded_ads.make_clip(with_tone, 1, 30, SIZE, tone=True)
    coded_ads.make_clip(silent, 1, 10, SIZE)
    try:
        assert sound.load(silent) is None
        tone = sound.load(with_tone)
        assert tone is not None
        assert tone._sound.get_length() == pytest.approx(1.0, abs=0.1)
        tone.begin()
        assert pygame.mixer.get_busy()
        tone.stop()
    finally:
        pygame.mixer.quit()
    monkeypatch.setenv("SDL_AUDIODRIVER", "no-such-driver")
    assert sound.load(with_tone) is None
    assert "no_sound" in capsys.readouterr().err


def test_no_more_sound_is_made_of_a_frame_than_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
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
    try:
        slow = sound.load(tmp_path / "slow.mkv")
        assert slow is not None and slow._sound.get_length() <= sound.LONGEST_S
    finally:
        pygame.mixer.quit()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(
    ("picture_s", "sound_s", "silence_s"), [(0.0, 0.0, 0.0), (0.0, 1.0, 1.0), (2.0, 1.0, 0.0), (1.0, 2.5, 1.5)]
)
def test_the_sound_begins_with_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, picture_s: float, sound_s: float, silence_s: float
) -> None:
    """A tone that begins before or after the picture; it lasts 3 s in all."""
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
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
    try:
        loaded = sound.load(path)
        assert loaded is not None
        heard = np.frombuffer(loaded._sound.get_raw(), np.int16).reshape(-1, 2)[:, 0].astype(int)
    finally:
        pygame.mixer.quit()
    begins = int(np.argmax(np.abs(heard) > 1000))
    assert begins / 48_000 == pytest.approx(silence_s, abs=0.08)
    assert len(heard) / 48_000 == pytest.approx(3 + sound_s - picture_s, abs=0.12)
