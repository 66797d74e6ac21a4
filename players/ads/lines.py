"""Lines: orders of advertisers, the people they are for, and their creatives."""

from datetime import date
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from pathlib import Path
from typing import Literal

from msgspec import Struct

from players.audience.groups import MAX_AGE_YEARS, UNKNOWN_AGE

MICRO = 1_000_000
"""Millionths in a unit of currency: money is compared as whole millionths."""
MINUTES_A_DAY = 1440
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Kind = Literal["image", "video"]
Stamp = tuple[int, int, int]
"""Size in bytes, mtime and ctime in ns of a file; zeros where there is none."""


Per = Literal["play", "1000 ots", "1000 watchers", "1000 attentive seconds"]
"""Thing that a price is for."""
BillOn = Literal["present", "watched"]
"""Condition on which a play is billed: somebody of the target was there, or looked."""

LineKey = tuple[str, str, str]
"""Advertiser, campaign and id of a line."""


class Creative(Struct, frozen=True, kw_only=True):
    """One picture or film that was examined and can be played.

    `path` is absolute. `sha256` is of the whole file, as it was when it had that `stamp`, `blocks` are the hashes of
    its parts (pipeline/medium.py). Width and height are as seen. `notes` say in a few words each what is done to it
    before it is shown. `moves` is True for films and animated pictures.
    """

    id: str
    path: Path
    sha256: str
    kind: Kind
    duration_ms: int
    width_px: int
    height_px: int
    blocks: bytes = b""
    moves: bool = False
    container: str = ""
    codec: str = ""
    notes: tuple[str, ...] = ()
    sound: bool = False
    title: str = ""
    stamp: Stamp = (0, 0, 0)


class Target(Struct, frozen=True, kw_only=True):
    """The people for whom an ad is; without gender, ages and family everybody.

    `ages` are inclusive ranges of years. Ranges of whole decades match by decade, others by the age in years.
    `family` is an adult and a minor together. `min_share` is a share of everybody present, 0 to 1.
    """

    gender: Literal["M", "F"] | None = None
    ages: tuple[tuple[int, int], ...] = ()
    family: bool = False
    min_watchers: int = 1
    min_share: float = 0.0

    @property
    def anyone(self) -> bool:
        """Return True where neither gender nor age nor family matters."""
        return self.gender is None and not self.ages and not self.family

    @property
    def by_decade(self) -> bool:
        """Return True where every age range begins and ends with a decade, of which the last is 80 years and more."""
        last = 10 * (UNKNOWN_AGE - 1)
        return all(
            low % 10 == 0 and low <= last and (high == MAX_AGE_YEARS or (high % 10 == 9 and high < last))
            for low, high in self.ages
        )

    def text(self) -> str:
        """Return the target in words, such as `F 20-29, at least 2 people`."""
        ages = " and ".join(f"{low}+" if high == MAX_AGE_YEARS else f"{low}-{high}" for low, high in self.ages)
        who = " ".join(part for part in (self.gender, "family" if self.family else ages) if part) or "anyone"
        if self.min_watchers != 1:
            who += f", at least {self.min_watchers} people"
        if self.min_share:
            who += f", at least {100 * self.min_share:g} % of the audience"
        return who


class Line(Struct, frozen=True, kw_only=True):
    """One order: its creatives, for whom, when, how often and for how much.

    `price` is for what `per` says. `starts` and `ends` are local days, both included; `weekdays` count from Monday, 0.
    `dayparts` are (first, one past the last) minutes of the local day; an end before its start runs over midnight.
    `separation` names rivals: two advertisers under one such name are not shown one after the other.
    """

    id: str
    campaign: str
    advertiser: str
    creatives: tuple[Creative, ...]
    target: Target = Target()
    house: bool = False
    starts: date | None = None
    ends: date | None = None
    weekdays: tuple[int, ...] = tuple(range(7))
    dayparts: tuple[tuple[int, int], ...] = ((0, MINUTES_A_DAY),)
    priority: int = 50
    weight: float = 1.0
    max_plays_per_hour: int | None = None
    min_gap_s: float = 0.0
    separation: str = ""
    currency: str = ""
    budget: Decimal | None = None
    price: Decimal = Decimal(0)
    per: Per = "play"
    bill_on: BillOn = "present"
    pacing: Literal["even", "asap"] = "asap"

    @property
    def key(self) -> LineKey:
        """Return what tells the line from all others that were ever shown."""
        return self.advertiser, self.campaign, self.id

    @property
    def per_person(self) -> Decimal:
        """Money that a play reserves for each person of the target: for one event, or for attention to all of its ad.

        Nothing where the price is that of a play.
        """
        if self.per == "play":
            return Decimal(0)
        longest_ms = max((creative.duration_ms for creative in self.creatives), default=0)
        return self.price / 1000 * (Decimal(longest_ms) / 1000 if self.per == "1000 attentive seconds" else 1)

    def reserve(self, matched: int) -> Decimal:
        """Return the money that a play reserves when so many people of the target are there, up to a millionth.

        It is the price of a play, or an estimate of what is settled afterwards.
        """
        if self.per == "play":
            return self.price
        return (self.per_person * matched).quantize(Decimal("0.000001"), rounding=ROUND_CEILING)


def budget_part(budget: Decimal, screens: int) -> Decimal:
    """Return the part of a budget that one of `screens` may spend: all are equal, rounded down to a millionth."""
    return (budget / screens).quantize(Decimal("0.000001"), rounding=ROUND_DOWN)


def micro(amount: Decimal) -> int:
    """Return an amount of money as whole millionths of its currency. Finer amounts are refused when they are read."""
    return int((amount * MICRO).to_integral_value())


def money(price_micro: int) -> Decimal:
    """Return millionths as an amount of money."""
    return Decimal(price_micro) / MICRO
