"""Recorded runs: a whole station plays coded pictures and films on a real X server, and the screen is read back."""

from pathlib import Path

import pytest

from bench import screen
from bench.rig import xvfb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not xvfb.available(), reason="no Xvfb on this machine: NO real screen was recorded"),
]


@pytest.mark.parametrize("transition", ["cut", "crossfade"])
def test_no_black_and_no_frozen_frame_between_ads(tmp_path: Path, transition: str) -> None:
    screen.make_ads(tmp_path / "ads", 3)
    played = screen.play(tmp_path, transition, 16, cameras=1)
    assert played.black == 0
    assert played.ads >= 16
    if transition == "cut":
        frames = sorted(gap_ms / (1e3 / screen.HZ) for gap_ms in played.gaps_ms)
        assert frames[len(frames) // 2] <= 1
    stills_ms = sorted(played.stills_ms)
    assert stills_ms[len(stills_ms) // 2] < 300
    assert played.pictures_pct > 75 and played.films_pct > 60
