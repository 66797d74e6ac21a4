"""People, ads and decisions for the tests of the player's side."""

import struct
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from pipeline.messages import DECADES, Audience, Person
from players.ads.catalogue import Catalogue
from players.ads.lines import Creative, Line, Target
from players.audience.present import NOBODY, Present, of
from players.audience.tally import Tally
from players.choice.choose import Decision, Moment, Rules, choose
from players.choice.history import History

SEOUL = ZoneInfo("Asia/Seoul")
BERLIN = ZoneInfo("Europe/Berlin")
MS = 1_000_000
S = 1_000_000_000
NOON = datetime(2026, 5, 6, 12, 0, tzinfo=SEOUL)  # a Wednesday
BROKEN_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\2" + struct.pack(">HHLHHHHL4sL", 0x112, 3, 1, 6, 0, 0x11A, 2, 4, b"abc\0", 0)
"""Turned, and with letters for a resolution: Pillow raises a TypeError when it turns the picture."""
F20, M30, F30, BOY, UNKNOWN = ("F", 25.0), ("M", 35.0), ("F", 35.0), ("M", 8.0), ("unknown", None)


def person(
    gender: str = "F", age: float | None = 25.0, height_px: float = 100.0, sure: float = 0.9, **more: Any
) -> Person:
    decade = None if age is None else min(8, int(age) // 10)
    rest = (1 - sure) / 8
    p_decade = tuple(1 / 9 if decade is None else sure if d == decade else rest for d in range(len(DECADES)))
    p_male = {"M": sure, "F": 1 - sure, "unknown": 0.5}[gender]
    return Person(
        box_px=(0, 0, height_px * 0.8, height_px),
        score=0.9,
        gender=gender,
        p_male=p_male,
        age_years=age,
        decade=decade,
        p_decade=p_decade,
        **more,
    )


def frame(at_ns: int, *people: Person, camera: str = "cam", **more: Any) -> Audience:
    return Audience(
        camera=camera,
        seq=0,
        captured_ns=at_ns,
        width_px=1000,
        height_px=1000,
        detected_ns=at_ns,
        classified_ns=at_ns,
        people=people,
        **more,
    )


def present(*people: tuple[str, float | None] | Person) -> Present:
    return of([frame(10 * S, *(p if isinstance(p, Person) else person(*p) for p in people))])


PLACE = ("", "cam")


def tally_of(who: Present, shown_ms: int = 8000, looked_ms: int = 0) -> Tally:
    """The tally of a play that lasted so long in front of `who`, all of whom looked at it from its beginning."""
    tally = Tally([PLACE])
    tally.show(0)
    for at_ms in sorted({0, looked_ms, shown_ms}):
        looking = 0 < at_ms == looked_ms
        people = (
            msgspec.structs.replace(
                one,
                track=f"{number:016x}",
                since_ns=0,
                seen_ns=at_ms * MS,
                looking=looking,
                looking_since_ns=0 if looking else None,
                attention_ms=min(at_ms, looked_ms),
            )
            for number, one in enumerate(who.persons, 1)
        )
        tally.add(PLACE, frame(at_ms * MS, *people, lasts_ms=shown_ms))
    tally.show(shown_ms * MS)
    return tally


def creative(name: str) -> Creative:
    return Creative(
        id=name,
        path=Path(f"/{name}.png"),
        sha256="0" * 64,
        kind="image",
        duration_ms=8000,
        width_px=16,
        height_px=9,
    )


def line(name: str, target: Target | None = None, ads: int = 1, **more: Any) -> Line:
    more.setdefault("advertiser", f"owner of {name}")
    creatives = tuple(creative(f"{name}-{n}") for n in range(ads))
    return Line(id=name, campaign=f"c-{name}", creatives=creatives, target=target or Target(), **more)


HOUSE = line("house", house=True)


def catalogue(*lines: Line, zone: ZoneInfo = SEOUL) -> Catalogue:
    paid = tuple(x for x in lines if not x.house)
    return Catalogue(paid, tuple(x for x in lines if x.house) or (HOUSE,), zone)


def pick(
    who: Present,
    *lines: Line,
    history: History | None = None,
    at: datetime = NOON,
    mono_ns: int = 10 * S,
    seed: int = 0,
    **rules: Any,
) -> Decision:
    moment = Moment(at, mono_ns)
    decision = choose(who, catalogue(*lines), history or History(), moment, Random(seed), Rules(**rules))
    assert decision is not None
    return decision


def decision(line: Line, matched_watchers: int = 1, price: Decimal | None = None) -> Decision:
    """A decision to show the line's first creative, at its own price a play."""
    return Decision(
        decision_id="d",
        line=line,
        creative=line.creatives[0],
        trigger="fallback" if line.house else "target",
        policy="majority",
        propensity=1.0,
        reason="a test",
        target=line.target.text(),
        matched_watchers=matched_watchers,
        watchers=matched_watchers,
        price=line.reserve(matched_watchers) if price is None else price,
        present=NOBODY,
        eligible=((line.id, 1.0),),
    )


def winners(who: Present, *lines: Line, draws: int = 400, **more: Any) -> Counter[str]:
    """Count which line wins in so many draws of `pick`."""
    return Counter(pick(who, *lines, seed=seed, **more).line.id for seed in range(draws))
