"""Painting: never black, crossfades, turned screens, and a display that comes and goes."""

import os
import time
from pathlib import Path

import msgspec
import numpy as np
import pygame
import pytest
from PIL import Image

from bench.rig import coded_ads, xvfb
from pipeline.errors import UserError
from pipeline.settings import Screen
from players.ledger.paths import ledger_path
from players.ledger.snapshot import reading
from players.reports import openrtb
from players.screen.painter import Painter
from tests.players.playing import (
    HOUSE,
    SIZE,
    Configure,
    canvas,
    line,
    needs_x,
    person,
    playing,
    rows,
    run_until,
    shown_ad,
)


def test_the_next_ad_is_on_at_once_and_no_frame_is_black(configure: Configure) -> None:
    settings = configure(
        HOUSE, line("any", "young.png", "old.png", "any.png", target="min_watchers = 0"), notice=False, mode="measure"
    )
    seen: list[int | None] = []

    def watch() -> None:
        seen.append(shown_ad(player))
        assert canvas(player).max() > 200

    with playing(settings) as player:
        assert canvas(player).max() > 200
        run_until(player, lambda: player.status["plays"]["total"] >= 5, each=watch)
    first = next(i for i, ad in enumerate(seen) if ad)
    assert None not in seen[first:]


def test_a_crossfade_is_a_blend_of_both_and_never_black(configure: Configure) -> None:
    settings = configure(
        line("any", "young.png", "old.png", target="min_watchers = 0"),
        transition="crossfade",
        transition_ms=300,
        notice=False,
        mode="measure",
    )
    seen: list[tuple[int | None, float]] = []
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player))
        run_until(
            player,
            lambda: player.status["plays"]["total"] >= 4 and sum(ad is None for ad, _ in seen) >= 8,
            each=lambda: seen.append((shown_ad(player), float(canvas(player)[SIZE[1] // 2 :].mean()))),
        )
    blends = [mean for ad, mean in seen if ad is None]
    solid = [mean for ad, mean in seen if ad is not None]
    assert min(blends) > 0.8 * min(solid)


def test_a_crossfade_mixes_in_proportion_to_time_and_then_ends() -> None:
    painter = Painter(Screen(headless=True, width_px=64, height_px=64), "off", alone=True)
    red, blue = (pygame.Surface((64, 64), 0, 32) for _ in range(2))
    red.fill((200, 0, 0))
    blue.fill((0, 0, 200))
    painter.show(red, 10.0)
    painter.paint(10.0)
    assert painter.canvas.get_at((5, 5))[:3] == (200, 0, 0)
    painter.show(blue, 20.0, fade_s=2.0)
    for after_s, mixed in ((0.0, (200, 0, 0)), (0.5, (150, 0, 50)), (1.5, (50, 0, 150)), (2.0, (0, 0, 200))):
        painter.paint(20.0 + after_s)
        assert painter.canvas.get_at((5, 5))[:3] == pytest.approx(mixed, abs=2)
        assert painter.fading == (after_s < 2.0)
    painter.close()


def test_a_picture_that_stands_still_is_not_painted_at_every_tick() -> None:
    painter = Painter(Screen(headless=True, width_px=64, height_px=64), "off", alone=True)
    picture = pygame.Surface((64, 64), 0, 32)
    began_s, before = time.monotonic(), painter.painted
    painter.show(picture, began_s)
    for tick in range(10):
        painter.paint(began_s + 0.01 * tick)
    assert painter.painted == before + 1
    painter.canvas.fill((9, 9, 9))
    painter.paint(began_s + 0.5)
    assert painter.canvas.get_at((5, 5))[:3] == (9, 9, 9)
    painter.paint(began_s + 2.0)
    assert painter.canvas.get_at((5, 5))[:3] == (0, 0, 0)
    painter.close()


def test_the_screenshot_shows_the_ad_and_the_notice(configure: Configure, tmp_path: Path) -> None:
    settings = configure(HOUSE, width_px=1280, height_px=720)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: _code_of(tmp_path / "now.png") == 1)
        shown = canvas(player)
    shot = np.asarray(Image.open(tmp_path / "now.png").convert("RGB"))
    assert (shot == shown).all()
    notice = shot[-110:-20, 20:500]
    assert (notice.max(axis=2) < 90).mean() > 0.5 and (notice.min(axis=2) > 220).mean() > 0.01


def _code_of(path: Path) -> int | None:
    if not path.exists():
        return None
    code = coded_ads.read(np.asarray(Image.open(path).convert("RGB")))
    return code[0] if code else None


@pytest.mark.parametrize(
    "rotation", [90, pytest.param(180, marks=pytest.mark.slow), pytest.param(270, marks=pytest.mark.slow)]
)
def test_a_turned_screen_shows_everything_turned(configure: Configure, tmp_path: Path, rotation: int) -> None:
    upright = configure(HOUSE, width_px=640, height_px=360, screenshot="upright.png")
    turned = msgspec.structs.replace(
        upright,
        screen=msgspec.structs.replace(
            upright.screen,
            rotation_deg=rotation,
            width_px=640 if rotation == 180 else 360,
            height_px=360 if rotation == 180 else 640,
        ),
    )
    pictures = []
    for settings in (upright, turned):
        with playing(settings) as player:
            run_until(player, lambda: player.status["plays"]["total"] >= 1)
            run_until(player, lambda: player.status["ad"] == "house" and player.status["since_ms"])
            pictures.append(canvas(player).copy())
    back = np.rot90(pictures[1], rotation // 90)
    assert np.abs(back.astype(int) - pictures[0].astype(int)).mean() < 1


@needs_x
def test_a_lost_display_is_taken_again_and_unseen_frames_are_not_counted(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f":{1000 + os.getpid() % 50_000}"  # other tests' displays have low numbers
    settings = configure(HOUSE, fullscreen=True, width_px=640, height_px=480)
    monkeypatch.setenv("DISPLAY", name)
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["total"] >= 2)
        assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        with xvfb.monitor(*SIZE, name=name) as monitor:
            run_until(player, lambda: player.status["screen"] == "window")
            run_until(player, lambda: (coded_ads.read(monitor.pixels) or (0,))[0] == 1)
            run_until(player, lambda: player.status["frames_presented"] > 30)
            pygame.display.quit()
            run_until(player, lambda: "display_lost" in capsys.readouterr().err)
            run_until(player, lambda: player.status["screen"] == "window")
            run_until(player, lambda: (coded_ads.read(monitor.pixels) or (0,))[0] == 1)
            pygame.display.quit()
            monkeypatch.setenv("DISPLAY", ":none")
            run_until(player, lambda: player.status["screen"] == "headless")
    first = rows(settings)[0]
    # One tick may be counted while a window is being opened; nobody saw the others.
    assert first["frames_presented"] <= 1 and first["frames_expected"] > 30


def test_a_full_screen_without_a_display_to_cover_is_seen_by_nobody(configure: Configure) -> None:
    settings = configure(HOUSE, fullscreen=True)
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["total"] >= 2, person("F", 2))
        assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        assert player.status["present"]["people"] == 1
    assert [row["ots_1s"] for row in rows(settings)] == [None, None]
    path = ledger_path(settings.station.station, settings.screen.name, settings.station.folder)
    there = msgspec.structs.replace(settings.station.station, venue_type="outdoor.bus_shelters")
    with reading([path]) as db, pytest.raises(UserError, match="holds no play of screen"):
        openrtb.bid_objects(db, there, settings.screen)


@needs_x
def test_a_screen_whose_display_is_missing_does_not_cover_anothers(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configure(HOUSE, fullscreen=True, display=1)
    with xvfb.monitor(*SIZE) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        with playing(msgspec.structs.replace(settings, screens=2)) as player:
            run_until(player, lambda: player.status["plays"]["total"] >= 2)
            assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        with playing(settings) as player:
            assert player.status["screen"] == "window"


@needs_x
@pytest.mark.parametrize("transition", [pytest.param("cut", marks=pytest.mark.slow), "crossfade"])
def test_what_is_on_the_monitor_is_never_black(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transition: str
) -> None:
    settings = configure(
        HOUSE,
        line("any", "young.png", "old.png", "film.mp4", target="min_watchers = 0"),
        fullscreen=True,
        transition=transition,
        transition_ms=200,
    )
    coded_ads.make_clip(tmp_path / "ads" / "film.mp4", 9, 40, SIZE)
    with xvfb.monitor(640, 360) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        darkest: list[int] = []
        with playing(settings) as player:
            run_until(
                player,
                lambda: player.status["plays"]["total"] >= 6 and "film" in player.status["plays"]["by_ad"],
                each=lambda: darkest.append(int(monitor.pixels[::8, ::8, :3].max())),
            )
            assert player.status["screen"] == "window"
    assert min(darkest) > 60
