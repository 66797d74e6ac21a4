"""Fixtures of the tests of players: settings of a player, and ledgers that hold given plays."""

import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from bench.rig import coded_ads
from pipeline.job import Job
from pipeline.settings import Ads, Screen, Station, StationTable
from players import player as player_module
from players.ads import campaigns, examiner, media
from players.ads.examiner import Examiner
from players.ledger import clock as ledger_clock
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import decision, tally_of
from tests.players.playing import SIZE, Configure, line
from tests.players.recording import STATION, Crowd, Play, Record, count_as_before


@pytest.fixture(scope="session")
def _examiner() -> Iterator[Examiner]:
    """Start an examiner of media, which takes much longer than to examine a small one."""
    with Examiner() as one:
        one._running()
        yield one


@pytest.fixture(autouse=True)
def one_examiner(_examiner: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all who read a folder once ask the same examiner, but for tests that put another program in its place."""
    program = media.__file__

    class Lent(Examiner):
        def __enter__(self) -> Examiner:  # type: ignore[override]
            return _examiner if media.__file__ == program and _examiner._program else self

    monkeypatch.setattr(campaigns, "Examiner", Lent)
    monkeypatch.setattr(examiner, "Examiner", Lent)


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

    def build(*lines: str, mode: str = "target", **screen: Any) -> Job:
        ads = tmp_path / "ads"
        ads.mkdir(exist_ok=True)
        for number, name in enumerate(("house", "young", "old", "any"), 1):
            coded_ads.make_image(ads / f"{name}.png", number, SIZE)
        (ads / "test.toml").write_text(
            'advertiser = "test"\ncampaign = "test"\ncurrency = "EUR"\n'
            + "\n".join(lines or (line("house", "house.png", house=True),))
        )
        station = Station(
            station=StationTable(name="test", mode=mode, state_dir="state"),  # type: ignore[arg-type]
            ads=Ads(campaigns="ads", default_duration_s=1.0, min_presented=0.01),
            folder=tmp_path,
        )
        sized = {"width_px": SIZE[0], "height_px": SIZE[1], "screenshot": "now.png", "screenshot_every_s": 0.1}
        return Job(
            station=station,
            screen=Screen(**{**sized, "transition": "cut", **screen}),
            run_started_ms=round(time.time() * 1000),
        )

    return build


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Write a ledger that holds these plays at these times, and visits as players counted them once."""

    def make(plays: list[Play], audience: list[Crowd] = [], screen: str = "main") -> Path:  # noqa: B006
        path = tmp_path / f"ledger-{screen}.sqlite"
        clock = [datetime(2026, 1, 1, tzinfo=UTC)]

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return clock[0].astimezone(tz)

        monkeypatch.setattr(ledger_clock, "datetime", Clock)
        book = Ledger(path, STATION, screen)
        for when, ad, who, share in plays:
            clock[0] = when
            chosen = decision(ad)
            seen = dataclasses.replace(chosen.present, model_sha256=who.model_sha256)
            play_id = book.start(msgspec.structs.replace(chosen, present=seen), planned_ms=0)
            assert play_id is not None
            tally = tally_of(who)
            clock[0] = when + timedelta(seconds=8)
            book.end(
                play_id,
                Shown(frames_expected=480, frames_presented=round(480 * share), status="played", tally=tally),
            )
        book.close()
        monkeypatch.undo()
        for when, people in audience:
            count_as_before(path, when, people, screen)
        return path

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder for campaign files, with the picture latte.png in it."""
    place = tmp_path / "campaigns"
    place.mkdir()
    Image.new("RGB", (160, 90), (200, 120, 40)).save(place / "latte.png")
    return place


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Make a folder of the original layout: three groups with four pictures, and two files that are none."""
    place = tmp_path / "ad"
    for n, (group, file) in enumerate(
        [("20's, F", "shoes.jpg"), ("20's, F", "bag 1.JPG"), ("0's, M", "robot.png"), ("default", "한국.png")]
    ):
        (place / group).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 45), (n, 50, 90)).save(place / group / file)
    (place / "20's, F" / "notes.txt").write_text("not an ad")
    (place / "20's, F" / "notes.toml").write_text("no = 'campaign'")
    return place
