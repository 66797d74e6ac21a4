"""Plays that a real player shows to people whose truth is known: what its ledger says of them.

Words are made at the times of a camera's frames since the play began. Each is given to the player once its time has
come, however late the machine is; what they say does not depend on when they arrive.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipeline.messages import Audience, Person
from pipeline.settings import Camera
from players.player import Player
from tests.players.playing import HOUSE, TIMEOUT_S, Configure, audience, line, person, playing, rows

MS = 1_000_000
FRAME_MS = 100
ANY = line("any", "any.png", target="min_watchers = 0", duration_s=3.0, price="0.10")
Told = Callable[[int], tuple[Person, ...]]
"""People who are told at a time in ms since the play began; times of persons are in ms since then too."""


def someone(track: int, came_ms: int, left_ms: int, *look_ms: int, who: Person | None = None) -> Told:
    """Tell of a woman who is there, and looks from the first to the second of `look_ms`."""

    def at(now_ms: int) -> tuple[Person, ...]:
        if not came_ms <= now_ms <= left_ms:
            return ()
        begin, end = look_ms or (10**6, 10**6)
        looking = begin <= now_ms < end
        return (
            msgspec.structs.replace(
                who or person("F", 2),
                track=f"{track:016x}",
                since_ns=came_ms,
                seen_ns=now_ms,
                looking=looking,
                looking_since_ns=begin if looking else None,
                attention_ms=max(0, min(now_ms, end) - begin),
            ),
        )

    return at


def word(told: tuple[Told, ...], at_ms: int, began_ns: int, camera: str, **more: Any) -> Audience:
    def absolute(person: Person) -> Person:
        times = {name: getattr(person, name) for name in ("since_ns", "seen_ns", "looking_since_ns")}
        moved = {name: None if ms is None else began_ns + ms * MS for name, ms in times.items()}
        return msgspec.structs.replace(person, **moved)

    people = tuple(absolute(person) for tell in told for person in tell(at_ms))
    now_ns = began_ns + at_ms * MS
    told_ns = {"captured_ns": now_ns, "detected_ns": now_ns, "classified_ns": now_ns}
    return msgspec.structs.replace(audience(camera=camera), people=people, **told_ns, **more)


def play(player: Player, *cameras: Callable[[int, int], list[Audience]]) -> None:
    """Show the ad `any` to its end; each camera tells its words of a frame, given its time and that of the start."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while player.showing is None or player.showing.creative.id != "any":
        assert time.monotonic() < deadline_s, player.status
        player.step([])
    ad, told_ms = player.showing, -1000
    began_ns = round(ad.began_s * 1e9)
    while player.showing is ad:
        assert time.monotonic() < deadline_s, player.status
        batch: list[Audience] = []
        while began_ns + told_ms * MS <= time.monotonic_ns():
            batch += [word for camera in cameras for word in camera(told_ms, began_ns)]
            told_ms += FRAME_MS
        player.step(batch)


def camera(*told: Told, name: str = "kerb", until_ms: int = 10**6, **more: Any) -> Callable[[int, int], list[Audience]]:
    """Return a camera that sees these people, and is dark from `until_ms` on."""

    def words(at_ms: int, began_ns: int) -> list[Audience]:
        if at_ms >= until_ms:
            return [word((), at_ms, began_ns, name, **{**more, "lasts_ms": 0})]
        return [word(told, at_ms, began_ns, name, **more)]

    return words


def seen_by(configure: Configure, *cameras: Camera) -> Any:
    return msgspec.structs.replace(configure(ANY, HOUSE), cameras={camera.name: camera for camera in cameras})


def first_play(settings: Any) -> dict[str, Any]:
    return next(row for row in rows(settings) if row["creative"] == "any" and row["shown_ms"])


KERB = Camera(name="kerb", source="")


def test_a_play_is_measured_by_who_was_there_and_looked_while_it_was_on(configure: Configure) -> None:
    settings = seen_by(configure, KERB)
    with playing(settings) as player:
        play(
            player,
            camera(
                someone(1, -1000, 900),
                someone(2, -1000, 1100),
                someone(3, -1000, 9000, 500, 2400),
                someone(4, 300, 9000, 500, 2600, who=person("M", 6)),
            ),
        )
    row = first_play(settings)
    assert (row["ots_1s"], row["watchers_looked"], row["watchers_2s"], row["measured_share"]) == (3, 2, 1, 1.0)
    assert (row["attention_ms"], row["most_people"]) == (1900 + 2100, 4)
    assert row["presence_ms"] == pytest.approx(900 + 1100 + 2 * row["shown_ms"] - 300, abs=5)
    assert row["dwell_ms"] == pytest.approx(2 * row["shown_ms"] - 300, abs=5)
    assert (row["exposure_zone"], row["measure_level"]) == ("kerb: whole picture", "viewable/OTS")
    assert row["calibration"] == "kerb: yaw 0 +- 20, pitch 0 +- 16 deg"


def test_a_person_whom_two_cameras_of_a_group_see_counts_once_also_when_the_other_one_takes_over(
    configure: Configure,
) -> None:
    settings = seen_by(configure, Camera(name="a", source="", group="stop"), Camera(name="b", source="", group="stop"))

    def leading(one: Told, name: str, first: bool) -> Callable[[int, int], list[Audience]]:
        return lambda at_ms, began_ns: [
            word((one,), at_ms, began_ns, name, group="stop", leads=(at_ms < 1500) is first)
        ]

    with playing(settings) as player:
        both = leading(someone(1, -1000, 9000), "a", True), leading(someone(2, -1000, 9000), "b", False)
        play(player, *both)
    row = first_play(settings)
    assert (row["ots_1s"], row["most_people"], row["measured_share"]) == (1, 1, 1.0)
    assert row["presence_ms"] == pytest.approx(row["shown_ms"], abs=5)


def test_a_camera_that_goes_dark_half_way_measures_half_and_one_that_is_dark_measures_nothing(
    configure: Configure,
) -> None:
    settings = seen_by(configure, KERB)
    with playing(settings) as player:
        play(player, camera(someone(1, -1000, 9000), until_ms=2000))
    row = first_play(settings)
    assert row["measured_share"] == pytest.approx(2000 / row["shown_ms"], abs=0.001)
    assert (row["ots_1s"], row["bill_code"]) == (1, "billed")
    assert row["presence_ms"] == pytest.approx(2000 - FRAME_MS, abs=1)
    with playing(settings) as player:
        play(player, camera(until_ms=-2000))
    dark = next(row for row in rows(settings)[::-1] if row["creative"] == "any" and row["status"] == "played")
    assert (dark["measured_share"], dark["bill_code"], dark["cost_micro"]) == (0.0, "not_measured", 0)
    assert (dark["ots_1s"], dark["watchers_looked"], dark["attention_ms"]) == (None, None, None)
