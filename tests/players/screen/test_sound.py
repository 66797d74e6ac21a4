"""Sound of films: decoded, played where there is a device, never too long."""

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
        stream = container.add_stream("pcm_s16le", rate=10)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 10
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    try:
        slow = sound.load(tmp_path / "slow.mkv")
        assert slow is not None and slow._sound.get_length() <= sound.LONGEST_S
    finally:
        pygame.mixer.quit()
