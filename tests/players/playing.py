"""A player whose ads are pictures that can be told apart on the screen, and what its tests do with it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.rig import coded_ads, xvfb
from pipeline.job import Job
from pipeline.messages import Audience, Gender, Person
from players.ledger.paths import ledger_path
from players.ledger.snapshot import reading
from players.player import Player
from tests.players.screen.surfaces import pixels

SIZE = (320, 180)
TIMEOUT_S = 120.0
"""Bound of a hang; a test on a busy machine may take long."""
needs_x = pytest.mark.skipif(not xvfb.available(), reason="no Xvfb on this machine: a real window was NOT tested")

Configure = Callable[..., Job]
"""The fixture `configure`: `configure(HOUSE, YOUNG, transition="cut")`."""


def person(gender: Gender, decade: int | None) -> Person:
    """Return a face of this gender and decade, both classified with high confidence."""
    p_decade = tuple(float(decade == i) for i in range(9)) if decade is not None else (1 / 9,) * 9
    return Person(
        box_px=(100.0, 100.0, 200.0, 200.0),
        score=0.9,
        gender=gender,
        p_male={"M": 0.97, "F": 0.03, "unknown": 0.5}[gender],
        age_years=None if decade is None else decade * 10 + 5.0,
        decade=decade,
        p_decade=p_decade,
    )


def audience(*people: Person, camera: str = "a") -> Audience:
    """Return these people, seen in one frame just now; who has no track gets one, by place, gender and decade."""
    now_ns = time.monotonic_ns()
    people = tuple(
        msgspec.structs.replace(one, track=one.track or _track(n, one), seen_ns=now_ns) for n, one in enumerate(people)
    )
    return Audience(
        camera=camera,
        seq=now_ns // 1_000_000,
        captured_ns=now_ns,
        width_px=1280,
        height_px=720,
        detected_ns=now_ns,
        classified_ns=now_ns,
        people=people,
        model_sha256="ab" * 32,
    )


def _track(number: int, who: Person) -> str:
    return f"{number:02x}{ord(who.gender[0]):02x}{9 if who.decade is None else who.decade:012x}"


def line(
    name: str, *files: str, target: str = "", house: bool = False, duration_s: float = 1.2, price: str = ""
) -> str:
    """Return a line of a campaign file; creatives are named after their files."""
    parts = ["[[lines]]", f'id = "{name}"']
    parts += ["house = true"] if house else [f"target = {{ {target} }}"]
    parts += [f"price = {price}"] if price else []
    for file in files:
        parts += ["[[lines.creatives]]", f'id = "{Path(file).stem}"', f'file = "{file}"']
        parts += [] if file.endswith((".mp4", ".webm")) else [f"duration_s = {duration_s}"]
    return "\n".join(parts) + "\n"


HOUSE = line("house", "house.png", house=True)
YOUNG = line("young", "young.png", target='gender = "F", ages = ["20-29"]', price="0.10")
OLD = line("old", "old.png", target='gender = "M", ages = ["60+"]', price="0.20")


def canvas(player: Player) -> NDArray[np.uint8]:
    """Return the pixels of the screen: uint8 [height, width, 3], red first."""
    return pixels(player.painter.canvas)


def shown_ad(player: Player) -> int | None:
    """Return the number in the picture on the screen; None for the house card or a mixture."""
    code = coded_ads.read(canvas(player))
    return code[0] if code else None


@contextmanager
def playing(settings: Job) -> Iterator[Player]:
    """Make a player, and close it at the end."""
    player = Player(settings)
    try:
        yield player
    finally:
        player.close()


def run_until(
    player: Player,
    done: Callable[[], object],
    *people: Person,
    each: Callable[[], None] | None = None,
) -> None:
    """Tick until `done()`; these people are seen ten times a second. `each` is called after every tick."""
    deadline_s, seen_s = time.monotonic() + TIMEOUT_S, 0.0
    while not done():
        now_s = time.monotonic()
        assert now_s < deadline_s, f"waited in vain; {player.status}"
        batch = []
        if now_s >= seen_s:
            batch, seen_s = [audience(*people)], now_s + 0.1
        player.step(batch)
        if each:
            each()


def rows(settings: Job) -> list[dict[str, Any]]:
    """Return the plays in the ledger, oldest first."""
    path = ledger_path(settings.station.station, settings.screen.name, settings.station.folder)
    with reading([path]) as db:
        return [dict(row) for row in db.execute("SELECT * FROM plays ORDER BY started_seq")]


def assert_not_black(player: Player) -> None:
    """Fail where any pixel of the screen is black."""
    assert canvas(player).max(axis=2).min() > 10
