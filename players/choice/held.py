"""Reasons, in words, why paid lines do not play now: what the money says, and a log of all reasons."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from pipeline.log import log
from players.ads.catalogue import Catalogue
from players.ads.lines import Line, micro, money
from players.ads.money import as_text, to_cents
from players.choice.choose import Moment
from players.choice.history import History

LISTED = 20
"""Largest number of held lines that a player tells of by name."""
OTHERS = "(others)"

Kind = Literal[
    "overspent", "spent", "short", "pacing", "others", "media", "failed", "over", "mode", "minors", "future", "hours"
]
PASSING: tuple[Kind, ...] = ("pacing", "future", "hours")
"""Reasons that pass by themselves, again and again."""


class Held(NamedTuple):
    """Reason why a line does not play.

    `overspent`: its budget is less than what it has spent. `spent`: nothing of its budget is left. `short`: what is
    left does not pay one play. `pacing`: it has spent what is due by now, and goes on later. `others`: more such lines.
    `media`: it has no medium that can be shown. `failed`: its media failed on the screen. `over`: no open hour is left.
    `mode`, `minors`: the station aims at nobody, or not at people under 20. `future`, `hours`: it is not open yet.
    """

    kind: Kind
    why: str


def held_by_money(catalogue: Catalogue, history: History, moment: Moment, most: int | None = None) -> dict[str, Held]:
    """Return the lines whose money does not allow a play now, by id. Lines whose last day is over are left out.

    Of more than `most` lines the others are counted under OTHERS.
    """
    arrays = catalogue.arrays
    local = moment.at.astimezone(catalogue.zone)
    committed, _ = history.columns(catalogue)
    is_open, paced = arrays.in_minute(local.date(), 60 * local.hour + local.minute)
    least = arrays.least_micro
    short = (committed + least > arrays.budget_micro) & (local.date().toordinal() - 1 <= arrays.ends)
    rows = np.flatnonzero(short | (is_open & (committed > paced))).tolist()
    named = rows if most is None or len(rows) <= most else rows[:most]
    held = {
        catalogue.lines[row].id: _because(
            catalogue.lines[row], int(committed[row]), int(least[row]), None if short[row] else int(paced[row])
        )
        for row in named
    }
    if len(named) < len(rows):
        held[OTHERS] = Held("others", f"{len(rows) - len(named)} more lines are held by their money")
    return held


_LINES_MAX = 20
"""Largest number of lines of the log that one change makes."""


class HeldLog:
    """Log of held lines: each is told of once a reason, and once more when it plays again."""

    def __init__(self) -> None:
        self._said: dict[str, Kind] = {}

    def tell(self, held: dict[str, Held], lines: Iterable[Line]) -> None:
        """Log what is new. Reasons that pass, such as hours and even pacing, are told of once a line."""
        told_before = {name: PASSING if kind in PASSING else (kind,) for name, kind in self._said.items()}
        new = [(name, kind, why) for name, (kind, why) in held.items() if kind not in told_before.get(name, ())]
        for name, kind, why in new[:_LINES_MAX]:
            log("line_held", severity="warning" if kind in ("overspent", "media") else "notice", line=name, why=why)
        if len(new) > _LINES_MAX:
            more = len(new) - _LINES_MAX
            log("line_held", severity="notice", line=f"{more} more", why="stationcast campaigns check tells all")
        over = {name for name, kind in self._said.items() if name not in held and kind not in PASSING}
        if over:
            for name in sorted(over & {line.id for line in lines})[:_LINES_MAX]:
                log("line_plays_again", severity="notice", line=name)
        self._said = {name: kind for name, kind in self._said.items() if name not in over}
        self._said |= {name: kind for name, (kind, _) in held.items()}


def _because(line: Line, committed: int, least: int, paced: int | None) -> Held:
    """Say why a line is held; `paced` are the millionths that are due by now, None where its budget holds it."""

    def text(amount_micro: int) -> str:
        return as_text(money(amount_micro), line.currency)

    if line.budget is None:
        raise ValueError(f"line {line.id} has no budget that could hold it")
    left = micro(line.budget) - committed
    budget = as_text(line.budget, line.currency)
    if paced is not None:
        due = to_cents(money(paced), line.currency)
        return Held(
            "pacing", f"even pacing: it has spent {text(committed)}, and {due:f} {line.currency} are due by now"
        )
    if left < 0:
        remedy = "raise the budget, or give a new order a new id"
        return Held("overspent", f"it has spent {text(committed)}, more than its budget of {budget}; {remedy}")
    if not left:
        return Held("spent", f"its budget of {budget} is spent")
    if not committed:
        return Held("short", f"its budget of {budget} does not pay one play at {text(least)}; raise it")
    return Held("short", f"{text(left)} are left of its budget of {budget}, and one play costs {text(least)}")
