"""A real player whose campaign folder fails: what it shows meanwhile, and that all is back soon after."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from players.player import Player
from tests.players.playing import HOUSE, Configure, canvas, line, playing, rows, run_until, shown_ad

BACK_S = 5.0
"""Longest time from the return of a folder to the next of its ads. The test machine may be slower by SLACK."""
SLACK = 4
ANY = line("any", "young.png", target="min_watchers = 0")


def away_and_back(
    player: Player, away: Callable[[], None], back: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> str:
    """Play while the folder is away for 6 s, and until its paid ad is on again. Return what was logged."""
    run_until(player, lambda: shown_ad(player) == 2)
    capsys.readouterr()
    away()
    until_s = time.monotonic() + 6
    run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
    assert player.status["campaigns_problem"]
    plays = player.status["plays"]["by_ad"].get("young", 0)
    back()
    returned_s = time.monotonic()
    run_until(player, lambda: player.status["plays"]["by_ad"].get("young", 0) > plays and shown_ad(player) == 2)
    assert time.monotonic() - returned_s < BACK_S * SLACK
    run_until(player, lambda: not player.status["campaigns_problem"])
    return capsys.readouterr().err


def assert_something_is_shown(player: Player) -> None:
    assert canvas(player).max() > 50


def assert_said_once(said: str) -> None:
    assert said.count(" campaigns_away ") == 1 and said.count(" campaigns_back ") == 1
    assert "creative_failed" not in said
    assert said.count("creative_unreadable") <= 1


def test_a_folder_that_is_moved_away_and_back(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(HOUSE, ANY)
    elsewhere = tmp_path / "elsewhere"
    with playing(settings) as player:
        said = away_and_back(
            player, lambda: (tmp_path / "ads").rename(elsewhere), lambda: elsewhere.rename(tmp_path / "ads"), capsys
        )
    assert_said_once(said)
    assert "it is not there" in said
    assert {row["creative"] for row in rows(settings)} <= {"house", "young"}
