"""Reasons, in words, why paid lines cannot play now: their media, dates, hours and people. Money is not looked at."""

from collections.abc import Mapping
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from players.ads.catalogue import Arrays, Catalogue, week_minutes
from players.ads.lines import MINUTES_A_DAY, WEEKDAYS, Line
from players.choice.choose import Moment, Rules
from players.choice.held import LISTED, OTHERS, PASSING, Held, held_by_money
from players.choice.history import History

OF_NOBODY = "nobody is seen in mode off, and it needs at least 1 person; set target.min_watchers = 0"


def unmet_terms(
    catalogue: Catalogue, at: datetime, rules: Rules, *, people_seen: bool = True, most: int | None = None
) -> dict[str, Held]:
    """Return the paid lines that cannot play at a time, by id, those that need a hand first.

    `people_seen` is False in mode off. At most `most` lines are returned.
    """
    lines, arrays = catalogue.lines, catalogue.arrays
    local = at.astimezone(catalogue.zone)
    day, minute = local.date(), 60 * local.hour + local.minute
    unmet = {line.id: Held("media", catalogue.silent.get(line.id, "it has no medium")) for line in catalogue.unplayable}
    is_open, _ = arrays.in_minute(day, minute)
    is_over = ~is_open & _over(arrays, day, minute)
    anyone, wanted = arrays.anyone, _wants_somebody(arrays, rules.minors)
    aimed = ~anyone[arrays.target_row] if not rules.targeting else np.zeros(len(lines), dtype=bool)
    alone = (arrays.min_watchers[arrays.target_row] > 0) & (not people_seen)
    nobody = ~wanted[arrays.target_row]
    for row in np.flatnonzero(is_over | aimed | alone | nobody).tolist():
        if most is not None and len(unmet) >= most:
            return unmet
        line = lines[row]
        if is_over[row]:
            unmet[line.id] = Held("over", _why_over(line, day))
        elif aimed[row]:
            unmet[line.id] = Held("mode", f"it is for {line.target.text()}, and only mode target aims at anybody")
        elif alone[row]:
            unmet[line.id] = Held("mode", OF_NOBODY)
        else:
            why = 'it is aimed at people under 20; choose.minors = "target" in the station file would allow it'
            unmet[line.id] = Held("minors", why)
    for row in np.flatnonzero(~is_open).tolist():
        if most is not None and len(unmet) >= most:
            break
        line = lines[row]
        if line.id in unmet:
            continue
        if line.starts and line.starts > day:
            unmet[line.id] = Held("future", f"it starts on {line.starts}")
        else:
            unmet[line.id] = Held("hours", _why_closed(line, local))
    return unmet


def held_now(
    catalogue: Catalogue, history: History, moment: Moment, rules: Rules, *, people_seen: bool
) -> dict[str, Held]:
    """Return the paid lines that do not play now, by terms and money, those that need a hand first.

    At most LISTED are named; OTHERS says that there are more.
    """
    terms = unmet_terms(catalogue, moment.at, rules, people_seen=people_seen, most=LISTED + 1)
    all_of_them = together(terms, held_by_money(catalogue, history, moment, LISTED))
    rest = all_of_them.pop(OTHERS, None)
    if len(all_of_them) <= LISTED and rest is None:
        return all_of_them
    named = dict(list(all_of_them.items())[:LISTED])
    return named | {OTHERS: Held("others", "more lines do not play; `stationcast campaigns check` names them")}


def together(terms: Mapping[str, Held], by_money: Mapping[str, Held]) -> dict[str, Held]:
    """Return what terms and money say of lines, those that need a hand first. Of two reasons the one that lasts holds.

    Even pacing holds open lines only, so that no line has two reasons that pass.
    """
    lasting = {name: why for name, why in terms.items() if why.kind not in PASSING}
    held = {**terms, **by_money, **lasting}
    return dict(sorted(held.items(), key=lambda line: line[1].kind in PASSING))


def _over(arrays: Arrays, day: date, minute: int) -> NDArray[np.bool_]:
    """Tell which lines never play after that minute of that local day: bool [lines]."""
    ended = arrays.ends < date.max.toordinal()
    return ended & (arrays.elapsed_share(day, minute) == arrays.elapsed_share(date.max, 0))


def _wants_somebody(arrays: Arrays, minors: bool) -> NDArray[np.bool_]:
    """Tell which distinct targets can be met by anybody at all: bool [targets]."""
    return arrays.anyone | arrays.bins[minors].any(axis=(1, 2)) | arrays.ages[minors].any(axis=(1, 2))


def _why_over(line: Line, day: date) -> str:
    if line.ends and line.ends < day:
        return f"its last day, {line.ends}, is over"
    return f"from now to its last day, {line.ends}, none of its weekdays and dayparts is left"


def _why_closed(line: Line, local: datetime) -> str:
    """Say when the line opens next, looking a week ahead as its weekdays and dayparts repeat."""
    week = week_minutes(line).any(axis=0)
    now = local.weekday() * MINUTES_A_DAY + 60 * local.hour + local.minute
    ahead = np.flatnonzero(np.roll(week, -now))
    if not ahead.size or not ahead[0]:
        return "outside its dates and hours"
    opens = (now + int(ahead[0])) % week.size
    clock = "{:02}:{:02}".format(*divmod(opens % MINUTES_A_DAY, 60))
    return f"outside its hours; it opens on {WEEKDAYS[opens // MINUTES_A_DAY]} at {clock}"
