"""One advertiser misbehaves in every way at once: a real station goes on with the other's ads as before.

`python -m pytest -m slow tests/players/test_hostile_advertisers.py` prints the figures of docs/campaigns.md.
"""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from players.ledger.snapshot import reading
from tests.conftest import HANG_S
from tests.hostile import damaged_near_its_end, slow_jpeg
from tests.players.campaign_files import fast_start

STATION = """
[station]
name = "hostile"
mode = "off"
state_dir = "state"
[[screens]]
headless = true
width_px = 320
height_px = 180
tick_hz = 10
transition = "cut"
[ads]
campaigns = "ads"
"""
MOKA = """
advertiser = "Moka"
campaign = "moka"
[[lines]]
id = "moka-line"
target = { min_watchers = 0 }
[[lines.creatives]]
id = "moka-ad"
file = "moka.png"
duration_s = 1
"""
TAKER = """
advertiser = "Evil"
campaign = "{campaign}"
currency = "EUR"
[[lines]]
id = "{line}"
priority = 100
weight = 1e6
price = "5.00"
budget = "10.00"
target = {{ min_watchers = 0 }}
[[lines.creatives]]
id = "{campaign}-{line}"
file = "{file}"
"""


class Figures(NamedTuple):
    """Plays of Moka and of others in a run, Moka's share of the time from his first play on, and of his ticks."""

    moka: int
    others: int
    moka_pct: float
    ticks_pct: float


def played(place: Path, seconds: float) -> Figures:
    """Run a station in a process of its own for so long."""
    before = len(plays(place))
    (place / "station.toml").write_text(STATION)
    command = [
        sys.executable,
        "-P",
        "-m",
        "pipeline.cli",
        "run",
        "station.toml",
        "--duration",
        f"{seconds:g}",
        "--headless",
    ]
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=seconds + HANG_S)
    ended_ns = time.monotonic_ns()
    rows = plays(place)[before:]
    mine = [row for row in rows if row["advertiser"] == "Moka"]
    shown_ms, presented, expected = (
        sum(row[name] or 0 for row in mine) for name in ("shown_ms", "frames_presented", "frames_expected")
    )
    span_ms = (ended_ns - mine[0]["started_mono_ns"]) / 1e6 if mine else 1
    return Figures(len(mine), len(rows) - len(mine), 100 * shown_ms / span_ms, 100 * presented / max(1, expected))


def plays(place: Path) -> list[dict[str, Any]]:
    ledger = place / "state" / "ledger-main.sqlite"
    if not ledger.exists():
        return []
    with reading([ledger]) as db:
        return [dict(row) for row in db.execute("SELECT * FROM plays ORDER BY started_seq")]


def honest(place: Path) -> None:
    ads = place / "ads"
    ads.mkdir(parents=True)
    Image.new("RGB", (320, 180), (200, 120, 40)).save(ads / "moka.png")
    (ads / "moka.toml").write_text(MOKA)


class Evil(threading.Thread):
    """An advertiser who sends slow pictures and a film that breaks, takes ids, and touches all of it every 4 s."""

    def __init__(self, ads: Path, slow: int) -> None:
        super().__init__(name="evil")
        self._ads, self._stopping = ads, threading.Event()
        slow_jpeg(ads / "slow-0.jpg", 12_000)
        (ads / "evil-slow-0.toml").write_text(TAKER.format(campaign="slow-0", line="slow-0", file="slow-0.jpg"))
        for n in range(1, slow):
            content = (ads / "slow-0.jpg").read_bytes()
            (ads / f"slow-{n}.jpg").write_bytes(content + bytes([n]))
            (ads / f"evil-slow-{n}.toml").write_text(
                TAKER.format(campaign=f"slow-{n}", line=f"slow-{n}", file=f"slow-{n}.jpg")
            )
        fast_start(ads / "tail.mp4")
        damaged_near_its_end(ads / "tail.mp4")
        (ads / "evil-film.toml").write_text(TAKER.format(campaign="evil", line="evil", file="tail.mp4"))
        shutil.copy(ads / "moka.png", ads / "own.png")
        self._take("aaa")

    def _take(self, name: str) -> None:
        """Take the line's id of Moka, and the campaign's, in files before and after Moka's."""
        (self._ads / f"{name}-line.toml").write_text(TAKER.format(campaign=name, line="moka-line", file="own.png"))
        (self._ads / f"{name}-campaign.toml").write_text(TAKER.format(campaign="moka", line=name, file="own.png"))

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(4.0):
            number += 1
            self._take("zzz" if number % 2 else "aaa")
            for path in self._ads.iterdir():
                if path.name.startswith(("evil", "slow", "tail", "own")):
                    path.touch()
            with (self._ads / "slow-1.jpg").open("ab") as stream:
                stream.write(b"x")

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def attacked(place: Path, seconds: float, slow: int) -> Figures:
    """Run the station while Evil is at it. In the middle Moka's file is away for a second, as where it is renamed."""
    ads = place / "ads"
    evil = Evil(ads, slow)

    def renamed() -> None:
        time.sleep(seconds / 2)
        (ads / "moka.toml").rename(ads / "moka.toml.new")
        time.sleep(1)
        (ads / "moka.toml.new").rename(ads / "spring.toml")

    renaming = threading.Thread(target=renamed)
    evil.start()
    renaming.start()
    try:
        return played(place, seconds)
    finally:
        evil.stop()
        renaming.join()


@pytest.mark.slow
def test_an_advertiser_who_misbehaves_takes_no_play_from_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest(tmp_path)
    played(tmp_path, 3)  # so that its picture is known in both runs
    calm = played(tmp_path, 60)
    under = attacked(tmp_path, 60, slow=20)
    with capsys.disabled():
        print(f"\nwithout the attack: {calm}\nunder it: {under}")
    assert under.others == calm.others == 0
    assert under.moka_pct > 0.95 * calm.moka_pct
    assert under.ticks_pct > 0.99 * calm.ticks_pct
