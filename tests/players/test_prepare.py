"""Preparation of ads: choosing, loading, and what happens where a file or the ledger fails."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.rig import coded_ads
from players import player as player_module
from players.ads.campaigns import Reader
from players.audience.present import of
from players.choice import slow as slow_module
from players.player import Player
from players.prepare import Preparation
from players.screen.layout import Layout
from tests import hostile
from tests.conftest import wait_for
from tests.players.playing import (
    HOUSE,
    SIZE,
    YOUNG,
    Configure,
    audience,
    line,
    person,
    playing,
    rows,
    run_until,
    shown_ad,
)


def test_an_ad_is_chosen_for_the_moment_at_which_it_begins(configure: Configure) -> None:
    """A line that is open at the moment of the choice, but not when the ad would begin, is not played."""
    now = datetime.now(UTC)
    hours = f"{now:%H:%M}-{now + timedelta(minutes=2):%H:%M}"
    settings = configure(HOUSE, f"{YOUNG}".replace("target", f'dayparts = ["{hours}"]\ntarget', 1))
    present = of([audience(person("F", 2))])
    preparation = Preparation(settings)
    try:

        def chosen_in(left_s: float) -> str:
            ad = preparation.prepare(present, Layout(*SIZE), left_s, card_on=False).result()
            return ad.decision.line.id if ad else ""

        wait_for(lambda: chosen_in(0.0) == "young", "both media to be examined")
        assert chosen_in(600.0) == "house"
    finally:
        preparation.close()


def test_a_file_that_vanishes_is_passed_over(configure: Configure, tmp_path: Path) -> None:
    settings = configure(HOUSE, line("any", "young.png", target="min_watchers = 0"))
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 2)
        (tmp_path / "ads" / "young.png").unlink()
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: player.status["plays"]["by_ad"]["house"] >= 2)


@pytest.mark.parametrize("file", ["young.png", "film.mp4"])
def test_a_medium_that_was_exchanged_is_shown_only_after_it_was_examined(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The sha256 in the ledger is that of the file that was shown, even before the change was noticed."""
    settings = configure(HOUSE, line("any", file, target="min_watchers = 0"))
    path = tmp_path / "ads" / file
    if file == "film.mp4":
        coded_ads.make_clip(path, 9, 60, SIZE)
    monkeypatch.setattr(Reader, "changed", lambda _: False)
    with playing(settings) as player:
        run_until(player, lambda: player.showing and player.showing.creative.path.name == file)
        coded_ads.make_image(path, 4, SIZE) if file == "young.png" else coded_ads.make_clip(path, 7, 60, SIZE)
        plays = player.status["plays"]["by_ad"].get("house", 0)
        run_until(player, lambda: player.status["plays"]["by_ad"].get("house", 0) >= plays + 2)
    assert {row["creative"]: row["line"] for row in rows(settings)[-2:]} == {"house": "house"}


def _never(player: Player, ad: int) -> None:
    assert shown_ad(player) != ad


def test_a_ledger_that_cannot_be_written_stops_paid_ads_only(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    settings = configure(HOUSE, YOUNG)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1, person("F", 2))
        end_s = time.monotonic() + 2.5
        run_until(player, lambda: time.monotonic() > end_s, person("F", 2), each=lambda: _never(player, 2))
        assert player.status["plays"]["total"] == 0


def test_a_line_that_its_money_holds_is_named_in_the_status_and_once_in_the_log(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    poor = YOUNG.replace("price = 0.10", 'price = "0.10"\nbudget = "0.15"')
    settings = configure(HOUSE, poor)
    with playing(settings) as player:
        run_until(player, lambda: "are left" in player.status["held"].get("young", ""), person("F", 2))
        plays = player.status["plays"]["total"]
        run_until(player, lambda: player.status["plays"]["total"] >= plays + 2, person("F", 2))
        assert player.status["held"] == {
            "young": "0.05 EUR are left of its budget of 0.15 EUR, and one play costs 0.10 EUR"
        }
    said = [text for text in capsys.readouterr().err.splitlines() if "line_held" in text and "are left" in text]
    assert len(said) == 1 and "line=young" in said[0] and "0.05 EUR are left" in said[0]


def test_campaigns_are_changed_while_it_plays(configure: Configure, tmp_path: Path) -> None:
    settings = configure(HOUSE)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1)
        (tmp_path / "ads" / "more.toml").write_text(
            'advertiser = "more"\ncampaign = "more"\n' + line("any", "any.png", target="min_watchers = 0")
        )
        run_until(player, lambda: shown_ad(player) == 4)


def test_a_rival_follows_the_house_card_where_nothing_else_may(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cola = line("cola", "young.png").replace("target = {  }", 'separation = "drinks"\nmin_gap_s = 600')
    settings = configure(cola)
    rival = (tmp_path / "ads" / "test.toml").read_text().replace('"test"', '"rival"')
    (tmp_path / "ads" / "rival.toml").write_text(rival.replace("cola", "pepper").replace("young", "old"))
    monkeypatch.setattr(player_module, "GRACE_S", 0.5)
    with playing(settings) as player:
        run_until(player, lambda: {*player.status["plays"]["by_ad"]} == {"young", "old"}, person("F", 3))
    first, second = rows(settings)
    assert second["started_mono_ns"] - first["ended_mono_ns"] > 500_000_000


def test_a_picture_that_is_slow_to_load_is_shown_and_then_away(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow_module, "LEAD_S", 0.1)
    settings = configure(HOUSE, line("any", "slow.jpg", target="min_watchers = 0"))
    hostile.slow_jpeg(tmp_path / "ads" / "slow.jpg", 199, 4000, 4000)
    rival = line("rival", "old.png", target='gender = "F"')
    (tmp_path / "ads" / "rival.toml").write_text(f'advertiser = "rival"\ncampaign = "rival"\n{rival}')
    preparation = Preparation(settings)
    try:

        def chosen() -> str:
            ad = preparation.prepare(of([]), Layout(*SIZE), 0.0, card_on=False).result()
            return ad.decision.line.id if ad else ""

        wait_for(lambda: chosen() == "any", "the picture to be examined")
        assert chosen() != "any"
        assert "slow to load" in preparation.quarantined["slow"]
    finally:
        preparation.close()
    assert "creative_slow creative=slow" in capsys.readouterr().err
