"""Simulation of one screen: the real choice in quick motion, without a window or a ledger."""

import re
from datetime import datetime
from decimal import Decimal
from math import exp
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.messages import DECADES, Audience, Person
from pipeline.text import describe, read_text
from pipeline.toml import explain
from players.ads.catalogue import Catalogue
from players.ads.lines import Line, micro, money
from players.audience.present import of
from players.audience.tally import Tally
from players.choice.choose import Decision, Moment, Rules, choose
from players.choice.history import History
from players.choice.measures import Measures, cost, met_by

PLACE = ("", "simulated")
"""Place that the one camera of a simulation sees."""
_NS = 1_000_000_000
_LOOKS, _LOOK_S, _PAUSE_S = 0.6, (1, 6), (3, 20)
"""Share of made-up people who ever look, and the lengths of a look and of the pause before it, in s."""
_SURE = 0.9
"""Class probability of every known gender and decade in a simulation."""
_SHARE_BY_DECADE = (4, 9, 20, 20, 16, 13, 10, 6, 2)
"""Age distribution of the made-up audience by decade, in per cent."""
_LINE = '{"at_s": 12.5, "people": [{"gender": "F", "age": 25}]}'
"""Example of a line of an audience file."""


class Passer(Struct, frozen=True, forbid_unknown_fields=True):
    """One person of an audience file. The age is in years, null where it is unknown."""

    gender: Literal["M", "F", "unknown"]
    age: Annotated[float, Meta(ge=0, le=120)] | None = None
    nearness: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Height of the face as a share of the frame's."""
    looks: bool | None = None
    """True while the person looks at the screen; where no line says it, looks are made up."""


class Crowd(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an audience file: the people present from `at_s` on, in seconds from the beginning.

    Whoever is in two lines, one after the other, in the same words (but for `looks`) is one person who stays.
    """

    at_s: Annotated[float, Meta(ge=0, le=366 * 86400)]
    people: Annotated[tuple[Passer, ...], Meta(max_length=64)]


class Play(Struct, frozen=True):
    """One simulated play; `decision.price` is what it cost, or would have cost."""

    at: datetime
    decision: Decision
    billable: bool


class Simulation(Struct, frozen=True):
    """The plays from `began` to `ended`, in the station's time zone."""

    catalogue: Catalogue
    began: datetime
    ended: datetime
    plays: list[Play]


def read_audience(path: Path) -> list[Crowd]:
    """Read an audience file: JSON lines {"at_s": 12.5, "people": [{"gender": "F", "age": 25}]}, in order of time.

    Raises UserError for the first bad line.
    """
    crowds: list[Crowd] = []
    for number, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            crowds.append(msgspec.json.decode(text, type=Crowd))
        except (msgspec.DecodeError, RecursionError) as error:
            raise UserError(
                f"{path}: line {number}: {_what_is_wrong(text, error)}; a line is such as {_LINE}"
            ) from None
        if len(crowds) > 1 and crowds[-1].at_s < crowds[-2].at_s:
            raise UserError(f"{path}: line {number}: at_s goes back; sort the lines")
    if not crowds:
        raise UserError(f"{path}: nobody ever comes; write JSON lines of at_s and people")
    if not crowds[-1].at_s:
        raise UserError(f"{path}: it ends as it begins; add a last line whose at_s is the end")
    return crowds


def _what_is_wrong(text: str, error: Exception) -> str:
    """Return why a line of an audience file cannot be read."""
    if isinstance(error, msgspec.ValidationError):
        return explain(error, Crowd)
    foreign = re.search(r"[^\x00-\x7f]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text))
    return describe(foreign[0]) if foreign else "it is no JSON object of its own"


def make_audience(hours: float, begin: datetime, rng: Random) -> list[Crowd]:
    """Make up a street: small groups come, most in two rush hours, and stay for 20 s to 3 minutes."""
    events: list[tuple[float, int, Passer]] = []
    now_s, number = 0.0, 0
    while now_s < 3600 * hours:
        clock = datetime.fromtimestamp(begin.timestamp() + now_s, begin.tzinfo)
        hour = clock.hour + clock.minute / 60
        rush = exp(-((hour - 8.3) ** 2) / 2) + exp(-((hour - 18) ** 2) / 4)
        rate_per_s = (0.15 + (0.5 if 6 <= hour < 23 else 0.0) + 2.2 * rush) / 60
        now_s += rng.expovariate(rate_per_s)
        stay_s = rng.uniform(20, 180)
        for _ in range(rng.choices((1, 2, 3), (70, 22, 8))[0]):
            decade = rng.choices(range(len(DECADES)), _SHARE_BY_DECADE)[0]
            age = None if rng.random() < 0.05 else 10.0 * decade + rng.uniform(0, 10)
            gender: Literal["M", "F", "unknown"] = "unknown" if rng.random() < 0.05 else rng.choice(("M", "F"))
            who = Passer(gender, age, round(rng.uniform(0.05, 0.3), 3))
            number += 1
            events += [(now_s, number, who), (now_s + stay_s, -number, who)]
    there: dict[int, Passer] = {}
    crowds = [Crowd(0.0, ())]
    for at_s, key, who in sorted(events, key=lambda event: event[0]):
        if at_s >= 3600 * hours:
            break
        if key > 0:
            there[key] = who
        else:
            there.pop(-key)
        crowds.append(Crowd(at_s, tuple(there.values())[:64]))
    return [*crowds, Crowd(3600 * hours, ())]


def simulate(catalogue: Catalogue, crowds: list[Crowd], begin: datetime, rules: Rules, seed: int = 0) -> Simulation:
    """Play to an audience from `begin`, in the station's time zone, until the last crowd.

    At the beginning a line of even pacing has spent what was due by then, the others nothing.
    """
    history, rng = History(), Random(seed)
    for line, share in zip(catalogue.lines, _share_over(catalogue, begin), strict=True):
        if line.pacing == "even" and line.budget is not None:
            history.commit(line, int(micro(line.budget) * share))
    street = Street(crowds, seed)
    now_s, end_s = 0.0, crowds[-1].at_s
    plays: list[Play] = []
    while now_s < end_s:
        at = (begin.timestamp() + now_s, round(now_s * 1e9))
        moment = Moment(datetime.fromtimestamp(at[0], catalogue.zone), at[1])
        decision = choose(of([street.at(now_s)]), catalogue, history, moment, rng, rules)
        if decision is None:
            history.last = None  # the house card is on: whatever comes after it follows no ad
            now_s += 1.0
            continue
        line, stop_s = decision.line, now_s + decision.creative.duration_ms / 1000
        reserved_micro = micro(decision.price)
        history.started(line, decision.creative.id, reserved_micro, moment.mono_ns)
        tally = Tally([PLACE])
        while True:
            tally.add(PLACE, street.at(now_s))
            tally.show(round(now_s * _NS))
            if now_s >= stop_s:
                break
            now_s = min(now_s + 1.0, stop_s)
        measures = Measures.of(tally, line, minors=rules.minors)
        billable = not line.house and met_by(line, measures) >= max(1, line.target.min_watchers)
        cost_micro = cost(line, measures)[0] if billable else 0
        if line.budget is not None:
            cost_micro = min(cost_micro, micro(line.budget) - history.committed_by(line) + reserved_micro)
        history.commit(line, cost_micro - reserved_micro)
        plays.append(Play(moment.at, msgspec.structs.replace(decision, price=money(cost_micro)), billable))
    return Simulation(catalogue, begin, datetime.fromtimestamp(begin.timestamp() + end_s, catalogue.zone), plays)


def goal_by_now(line: Line, simulation: Simulation) -> Decimal | None:
    """Return the money that even delivery would spend within the simulation; None without a budget and its days."""
    if line.budget is None or line.starts is None or line.ends is None:
        return None
    row = simulation.catalogue.arrays.row[line.key]
    first, last = (_share_over(simulation.catalogue, at)[row] for at in (simulation.began, simulation.ended))
    return line.budget * Decimal(str(round(float(last - first), 9)))


def _share_over(catalogue: Catalogue, moment: datetime) -> NDArray[np.float64]:
    """Return how much of each line's open time is over before the minute of `moment`: float [lines], 0 to 1."""
    before = datetime.fromtimestamp(moment.timestamp() - 60, catalogue.zone)
    return catalogue.arrays.elapsed_share(before.date(), 60 * before.hour + before.minute)


class _Walker:
    """One simulated person: since when he is there, and how he looks."""

    def __init__(self, who: Passer, number: int, since_s: float, rng: Random) -> None:
        self.who = who
        self._person = _person(who)
        self.track = f"{number:016x}"
        self._since_s = since_s
        self._rng = rng
        self._made_up = rng.random() < _LOOKS
        self._look_s = (since_s, since_s)
        self._attention_s = 0.0
        self._looking = False

    def person(self, now_s: float) -> Person:
        """Return him at a time, no earlier than the last one that was asked for."""
        self._walk_on(now_s)
        attention_s = self._attention_s + (now_s - self._look_s[0] if self._looking else 0.0)
        return msgspec.structs.replace(
            self._person,
            track=self.track,
            since_ns=round(self._since_s * _NS),
            seen_ns=round(now_s * _NS),
            looking=self._looking,
            looking_since_ns=round(self._look_s[0] * _NS) if self._looking else None,
            attention_ms=round(attention_s * 1000),
            watched=attention_s > 0,
        )

    def _walk_on(self, now_s: float) -> None:
        if self.who.looks is not None:
            self._turn(self.who.looks, now_s)
            return
        while self._made_up and now_s >= self._look_s[1]:
            self._turn(False, self._look_s[1])
            begin_s = self._look_s[1] + self._rng.uniform(*_PAUSE_S)
            self._look_s = begin_s, begin_s + self._rng.uniform(*_LOOK_S)
        if self._made_up and now_s >= self._look_s[0]:
            self._looking = True

    def _turn(self, looking: bool, at_s: float) -> None:
        """Begin or end a look."""
        if self._looking and not looking:
            self._attention_s += at_s - self._look_s[0]
        elif looking and not self._looking:
            self._look_s = at_s, at_s
        self._looking = looking


class Street:
    """The simulated people, as one camera tells them; the times that are asked for may only rise."""

    def __init__(self, crowds: list[Crowd], seed: int) -> None:
        self._crowds = crowds
        self._next = 0
        self._rng = Random(seed)
        self._count = 0
        self._there: list[_Walker] = []

    def at(self, now_s: float) -> Audience:
        """Return who is there at a time in s."""
        while self._next < len(self._crowds) and self._crowds[self._next].at_s <= now_s:
            self._change(self._crowds[self._next])
            self._next += 1
        return Audience(
            camera=PLACE[1],
            seq=0,
            captured_ns=round(now_s * _NS),
            width_px=1920,
            height_px=1080,
            detected_ns=0,
            classified_ns=0,
            people=tuple(walker.person(now_s) for walker in self._there),
        )

    def _change(self, crowd: Crowd) -> None:
        """Let come who is new in a crowd, and go who is not in it any more."""
        stayed, there = list(self._there), []
        for who in crowd.people:
            walker = next((one for one in stayed if _same(one.who, who)), None)
            if walker:
                stayed.remove(walker)
                walker.who = who
            else:
                self._count += 1
                walker = _Walker(who, self._count, crowd.at_s, self._rng)
            there.append(walker)
        self._there = there


def _same(one: Passer, other: Passer) -> bool:
    return (one.gender, one.age, one.nearness) == (other.gender, other.age, other.nearness)


def _person(who: Passer) -> Person:
    decade = None if who.age is None else min(len(DECADES) - 1, int(who.age) // 10)
    rest = (1 - _SURE) / (len(DECADES) - 1)
    return Person(
        box_px=(0.0, 0.0, 800 * who.nearness, 1080 * who.nearness),
        score=0.9,
        gender=who.gender,
        p_male={"M": _SURE, "F": 1 - _SURE, "unknown": 0.5}[who.gender],
        age_years=who.age,
        decade=decade,
        p_decade=() if decade is None else tuple(_SURE if n == decade else rest for n in range(len(DECADES))),
    )
