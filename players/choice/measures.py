"""Measures of the people of one play, and what a line owes for them."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from pipeline.messages import OTS_NS, WATCHED_NS
from players.ads.lines import Line, micro, money
from players.ads.money import as_text
from players.audience.groups import MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER
from players.audience.present import group_of
from players.audience.spans import common, length_ns, union
from players.audience.tally import Seen, Tally
from players.choice.matching import fitting

MeasureLevel = Literal["viewable/OTS", "watchers"]


class Measures(Struct, frozen=True, kw_only=True):
    """Measures of one play, named as the ledger's columns; where no camera told anything, all but the first are None.

    Each counts people who were there while the ad was on the display, and the time that was measured.
    """

    measured_share: float | None
    """Share of the play in which cameras told who is there; None without cameras."""
    ots_1s: int | None = None
    """Opportunities to see: people who were there for at least 1 s."""
    ots_unknown: int | None = None
    """Part of `ots_1s` whose gender or age is unknown."""
    watchers_looked: int | None = None
    """Part of `ots_1s` who looked at least once: the watchers."""
    watchers_2s: int | None = None
    """Part of `watchers_looked` who looked for 2 s on end."""
    presence_ms: int | None = None
    """Time that all people were there, added up, also of those who were there for less than 1 s."""
    dwell_ms: int | None = None
    """Time that the watchers were there, added up."""
    attention_ms: int | None = None
    """Time that the watchers looked, added up."""
    most_people: int | None = None
    """Largest number of people at once."""
    p_minor_max: float | None = None
    """Probability of being a minor (`classify.minor_years`) of whoever is likeliest to be; None where none was told."""
    matched_ots: int | None = None
    """Part of `ots_1s` whom the target fits."""
    matched_looked: int | None = None
    """Part of `watchers_looked` whom the target fits."""
    matched_attention_ms: int | None = None
    """Part of `attention_ms` by people whom the target fits."""

    @staticmethod
    def of(tally: Tally, line: Line, *, minors: bool) -> "Measures":
        """Return the measures of a play of a line. `minors` lets people under 20 match its target."""
        count = tally.count()
        if not count.measured_share:
            return Measures(measured_share=count.measured_share)
        people = count.people
        there = [seen for seen in people if seen.present_ns >= OTS_NS]
        lookers = [seen for seen in there if seen.attention_ns]
        matched = _matched(there, line, minors)
        matched_lookers = [seen for seen in matched if seen.attention_ns]
        chances = [seen.person.p_minor for seen in people if seen.person.p_minor is not None]
        return Measures(
            measured_share=count.measured_share,
            ots_1s=len(there),
            ots_unknown=sum(map(_is_unknown, there)),
            watchers_looked=len(lookers),
            watchers_2s=sum(seen.longest_look_ns >= WATCHED_NS for seen in lookers),
            presence_ms=_ms(seen.present_ns for seen in people),
            dwell_ms=_ms(seen.present_ns for seen in lookers),
            attention_ms=_ms(seen.attention_ns for seen in lookers),
            most_people=count.most_people,
            p_minor_max=max(chances, default=None),
            matched_ots=len(matched),
            matched_looked=len(matched_lookers),
            matched_attention_ms=_ms(seen.attention_ns for seen in matched_lookers),
        )


def level_of(line: Line) -> MeasureLevel:
    """Return the level of the Media Rating Council (MRC) of what a line's plays are billed by."""
    return "viewable/OTS" if line.bill_on == "present" or line.per == "1000 ots" else "watchers"


def met_by(line: Line, measures: Measures) -> int:
    """Return how many people of the target were there for 1 s, or of these looked where the line is billed on that."""
    return (measures.matched_looked if line.bill_on == "watched" else measures.matched_ots) or 0


def cost(line: Line, measures: Measures) -> tuple[int, str]:
    """Return the millionths that a billable play costs, and in words what for; no words for the price of a play.

    What people bring about is a whole number of events or ms times the price, rounded once, half up, to a millionth.
    """
    rate = micro(line.price)
    if line.per == "play":
        return rate, ""
    if line.per == "1000 attentive seconds":
        ms = measures.matched_attention_ms or 0
        cost_micro, what = (rate * ms + 500_000) // 1_000_000, f"{ms / 1000:.3f} attentive seconds"
    elif line.per == "1000 watchers":
        cost_micro, what = (rate * (measures.matched_looked or 0) + 500) // 1000, f"{measures.matched_looked} watchers"
    else:
        cost_micro, what = (rate * (measures.matched_ots or 0) + 500) // 1000, f"{measures.matched_ots} ots"
    return cost_micro, f"; {what} at {as_text(line.price, line.currency)} per {line.per}: {cost_text(cost_micro, line)}"


def cost_text(amount_micro: int, line: Line) -> str:
    """Return millionths as an amount of a line's currency."""
    return as_text(money(amount_micro), line.currency)


def _matched(people: list[Seen], line: Line, minors: bool) -> list[Seen]:
    """Return those whom the line's target fits; a house line has no target."""
    if line.house:
        return []
    fits = fitting([seen.person for seen in people], line.target, minors)
    matched = [seen for seen, fit in zip(people, fits, strict=True) if fit]
    return _with_a_minor(matched, people) if line.target.family else matched


def _with_a_minor(adults: list[Seen], people: list[Seen]) -> list[Seen]:
    """Return the adults who were there together with a minor: one now and the other later are no family."""
    minors = union(span for seen in people if group_of(seen.person)[1] in MINOR_DECADES for span in seen.times)
    return [adult for adult in adults if length_ns(common(adult.times, minors)) >= OTS_NS]


def _is_unknown(seen: Seen) -> bool:
    gender, decade = group_of(seen.person)
    return gender == UNKNOWN_GENDER or decade == UNKNOWN_AGE


def _ms(times_ns: Iterable[int]) -> int:
    return sum(times_ns) // 1_000_000
