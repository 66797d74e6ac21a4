"""Settings of a player for the tests of the player's side."""

import time
from pathlib import Path
from typing import Any

import pytest

from bench.rig import coded_ads
from pipeline.settings import Ads, Choose, PlayerSettings, Screen, StationTable
from players import player as player_module
from tests.players.playing import SIZE, Configure, line


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Make the settings of a player from lines of a campaign file and keys of its screen.

    The pictures house, young, old and any bear the numbers 1 to 4, which `shown_ad` reads off the screen. On a busy
    machine frames may be lost and the next ad may be late: both change nothing.
    """
    monkeypatch.setattr(player_module, "GRACE_S", 20.0)
    monkeypatch.setattr(player_module, "FILM_GRACE_S", 20.0)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def build(*lines: str, mode: str = "target", **screen: Any) -> PlayerSettings:
        ads = tmp_path / "ads"
        ads.mkdir(exist_ok=True)
        for number, name in enumerate(("house", "young", "old", "any"), 1):
            coded_ads.make_image(ads / f"{name}.png", number, SIZE)
        (ads / "test.toml").write_text(
            'advertiser = "test"\ncampaign = "test"\ncurrency = "EUR"\n'
            + "\n".join(lines or (line("house", "house.png", house=True),))
        )
        station = StationTable(name="test", mode=mode, state_dir="state")  # type: ignore[arg-type]
        sized = {"width_px": SIZE[0], "height_px": SIZE[1], "screenshot": "now.png", "screenshot_every_s": 0.1}
        return PlayerSettings(
            station=station,
            screen=Screen(**{**sized, "transition": "cut", **screen}),
            choose=Choose(present_s=0.5),
            ads=Ads(campaigns="ads", default_duration_s=1.0, min_presented=0.01),
            cameras=("a",),
            folder=tmp_path,
            run_started_ms=round(time.time() * 1000),
        )

    return build
