"""Basis of each line of an invoice: its price, measure level, model, zone, calibration and count by hand."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from players.ads.lines import Line, micro, money
from players.ads.money import as_text, in_full
from players.reports.by_hand import HandCount, in_words
from players.reports.rests_on import RestsOn, changed, plays_rest_on

Price = tuple[str, int, str]
"""Unit of a price, the price in millionths, and on what a play is billed."""


def _never(_: RestsOn) -> Sequence[HandCount]:
    return ()


class _Seen(Struct):
    """Bases of the billed plays of one invoice line, in the order in which they were first met."""

    line: str
    currency: str
    prices: dict[Price, list[int]] = field(default_factory=dict)
    """Plays and what they cost, in millionths, by price. Until schema 4 plays have no price of this kind."""
    levels: dict[str, None] = field(default_factory=dict)
    rests_on: dict[RestsOn, None] = field(default_factory=dict)
    by_screen: dict[tuple[str, str], dict[RestsOn, None]] = field(default_factory=dict)
    """The same by station and screen: each has cameras of its own."""


class InvoiceBasis:
    """Bases of billed plays by invoice line; plays until schema 4 have none but the model."""

    columns = ("price", "per", "bill_on", "level", "model", "by_hand")

    def __init__(
        self, model_in_words: Callable[[str], str], by_hand: Callable[[RestsOn], Sequence[HandCount]] = _never
    ) -> None:
        """Begin without plays.

        `model_in_words` tells of a model by its sha256, `by_hand` which counts by hand hold for what a play rests on.
        """
        self._model_in_words = model_in_words
        self._by_hand = by_hand
        self._lines: dict[Hashable, _Seen] = {}
        self._unsure_times = 0

    def add(self, key: Hashable, row: sqlite3.Row) -> None:
        """Add a billed play to the line of the invoice that `key` names."""
        seen = self._lines.get(key)
        if seen is None:
            seen = self._lines[key] = _Seen(row["line"], row["currency"])
        if row["price_per"]:
            sums = seen.prices.setdefault((row["price_per"], row["rate_micro"], row["bill_on"]), [0, 0])
            sums[0] += 1
            sums[1] += row["cost_micro"]
        if row["measure_level"]:
            seen.levels[row["measure_level"]] = None
        rests_on = row["model_sha256"], row["exposure_zone"], row["calibration"]
        seen.rests_on[rests_on] = None
        seen.by_screen.setdefault((row["station"], row["screen"]), {})[rests_on] = None
        self._unsure_times += not row["clock_synced"]

    def row(self, key: Hashable, contract: Line | None) -> dict[str, Any]:
        """Return the columns of an invoice line, and its price in words; that of the contract where none was billed.

        Models are told by the beginning of their sha256, counts by hand by their days.
        """
        seen = self._lines.get(key) or _Seen("", contract.currency if contract else "")
        prices: list[Price] = [*seen.prices]
        if not prices and contract:
            prices = [(contract.per, micro(contract.price), contract.bill_on)]
        rates = [*dict.fromkeys(in_full(money(rate), seen.currency) for _, rate, _ in prices)]
        price: Decimal | str | None = rates[0] if len(rates) == 1 else ", ".join(f"{rate:f}" for rate in rates) or None
        models = dict.fromkeys(model for model, _, _ in seen.rests_on if model)
        return {
            "price": price,
            "per": ", ".join(dict.fromkeys(per for per, _, _ in prices)),
            "bill_on": ", ".join(dict.fromkeys(on for _, _, on in prices)),
            "level": ", ".join(level.removeprefix("viewable/") for level in seen.levels),
            "model": ", ".join(sha256[:12] for sha256 in models),
            "by_hand": ", ".join(dict.fromkeys(count.day for count in self._counts_of(seen))),
            "price and unit": "; ".join(_priced(one, seen.currency) for one in prices),
        }

    def notes(self) -> tuple[str, ...]:
        """Return sentences on what all lines rest on, and on the lines for which some of it changed."""
        rests_on = dict.fromkeys(one for seen in self._lines.values() for one in seen.rests_on)
        said = [*plays_rest_on(rests_on, self._model_in_words), *self._counted_by_hand()]
        for seen in self._lines.values():
            said += _changed(seen)
        if self._unsure_times:
            said.append(
                f"{self._unsure_times} of the billed plays began while the machine's clock was not known to be right: "
                "their day and hour may be wrong."
            )
        return tuple(said)

    def _counts_of(self, seen: _Seen) -> list[HandCount]:
        return [count for one in seen.rests_on for count in self._by_hand(one)]

    def _counted_by_hand(self) -> list[str]:
        """Return a sentence for each count by hand that is in force for plays that are billed."""
        lines: dict[str, dict[str, None]] = defaultdict(dict)
        for seen in self._lines.values():
            for count in self._counts_of(seen):
                lines[f"{count.basis.place}: {in_words(count)}"][seen.line] = None
        return [f"{said}. The bill is not corrected by it. It holds for {', '.join(of)}." for said, of in lines.items()]


def _priced(price: Price, currency: str) -> str:
    """Return a price in words, such as `9.50 per 1000 ots`."""
    per, rate, bill_on = price
    on = " that was looked at" if per == "play" and bill_on == "watched" else ""
    return f"{in_full(money(rate), currency):f} per {per}{on}"


def _changed(seen: _Seen) -> list[str]:
    """Return a sentence on each change between the plays of one line: of the price, and of what they rest on."""
    said = []
    if len(seen.prices) > 1:
        parts = []
        for price, (plays, cost) in seen.prices.items():
            so_many = "1 play" if plays == 1 else f"{plays} plays"
            parts.append(f"{so_many} at {_priced(price, seen.currency)} for {as_text(money(cost), seen.currency)}")
        said.append(f"{seen.line}: the price changed: {', '.join(parts)}.")
    of_screens = [name for rests_on in seen.by_screen.values() for name in changed(rests_on)]
    different = [*(["measure level"] if len(seen.levels) > 1 else []), *dict.fromkeys(of_screens)]
    if different:
        said.append(
            f"{seen.line}: {', '.join(different)} changed between plays that are billed here; what was counted before "
            "and after is not alike."
        )
    return said
