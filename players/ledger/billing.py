"""Decision whether a play is billed, and what it costs: a code for programs, words for people."""

import math
from typing import Literal, NamedTuple

from players.ads.lines import Line
from players.choice.measures import Measures, cost, cost_text, met_by
from players.ledger.shown import Shown

BillCode = Literal["billed", "house", "failed", "cut_short", "not_measured", "target_not_met", "aborted", "other"]
IN_SHORT: dict[BillCode, str] = {
    "billed": "billed",
    "house": "house ad",
    "failed": "failed",
    "cut_short": "cut short",
    "not_measured": "not measured",
    "target_not_met": "target not met",
    "aborted": "aborted",
    "other": "other",
}
"""Words for the codes in reports. `other` is a sentence of schema 1 that no code is known for."""


class Bill(NamedTuple):
    """The answer for one play; `words` is a sentence that begins with `billed` or `not billed`."""

    code: BillCode
    words: str
    cost_micro: int = 0
    """Millionths that the advertiser owes."""

    @property
    def billable(self) -> bool:
        """True where the advertiser owes what the play cost."""
        return self.code == "billed"


ABORTED = Bill("aborted", "not billed: the play was aborted")
"""The answer for a play that the player stopped without ending."""


def bill(
    line: Line,
    shown: Shown,
    measures: Measures,
    *,
    shown_ms: int,
    planned_ms: int,
    min_presented: float,
    left_micro: int | None,
) -> Bill:
    """Decide about a play that ended.

    A play is billed if at least `min_presented` (0 to 1) of its frames were presented and its target was met.
    Frames that were cut off count as not presented: of a play of half its planned time, at most half was.
    It costs no more than `left_micro`, what is left of the line's budget; None where that has no end.
    """
    share = shown.frames_presented / shown.frames_expected if shown.frames_expected else 0.0
    if shown_ms < planned_ms:
        share *= shown_ms / planned_ms
    if line.house:
        return Bill("house", "not billed: a house ad")
    if shown.status == "failed":
        return Bill("failed", f"not billed: it failed ({shown.stop_reason or 'no reason given'})")
    if not shown.frames_presented or share < min_presented:
        tenths = math.floor(round(1000 * share, 6))  # never as much as would have been enough
        return Bill("cut_short", f"not billed: only {tenths / 10:g} % of it was shown")
    if not measures.measured_share:
        return Bill("not_measured", "not billed: no camera told who was there")
    matched = met_by(line, measures)
    met = f"the target ({line.target.text()}) was met by {matched}"
    met += " who watched" if line.bill_on == "watched" else ""
    if matched < max(1, line.target.min_watchers):
        return Bill("target_not_met", f"not billed: {met} while it was shown")
    cost_micro, words = cost(line, measures)
    if left_micro is not None and cost_micro > left_micro:
        cost_micro = max(0, left_micro)
        words += f", of which the budget had {cost_text(cost_micro, line)} left"
    return Bill("billed", f"billed: {met}, {100 * share:.0f} % shown{words}", cost_micro)


def code_of_words(words: str | None) -> BillCode | None:
    """Return the code of a row of schema 1, which kept words only; None where the play has not ended."""
    if words is None:
        return None
    beginnings: dict[str, BillCode] = {
        "billed: ": "billed",
        "not billed: a house ad": "house",
        "not billed: it failed": "failed",
        "not billed: only ": "cut_short",
        "not billed: the target ": "target_not_met",
        ABORTED.words: "aborted",
    }
    return next((code for beginning, code in beginnings.items() if words.startswith(beginning)), "other")
