"""Audience of one ad while it is on the screen. People are told apart by number only."""

from typing import Literal

from msgspec import Struct

from players.audience.present import Present
from players.choice.choose import Decision
from players.choice.matching import matched


class Shown(Struct, frozen=True, kw_only=True):
    """Outcome of a play.

    `status` is `failed` if the medium could not be shown, and `partial` if the play was cut short. `shown_ms` is the
    time from its first flip to its last; None takes the time between the two commits.
    """

    frames_expected: int
    frames_presented: int
    status: Literal["played", "partial", "failed"]
    stop_reason: str = ""
    shown_ms: int | None = None
    exposure: "Exposure"


class Exposure:
    """Counts of the people in front of an ad.

    `matched_watchers`: most people at once whom the target fits. `watchers`: most people at once.
    `ots` (opportunity to see): the people there at its beginning plus every rise of their number since.
    `person_ms`: people times time, in ms.
    """

    def __init__(self, decision: Decision) -> None:
        self._target = decision.line.target
        self._minors = decision.minors
        self._last: tuple[int, int] | None = None
        self.matched_watchers = self.watchers = self.ots = self.person_ms = 0

    def add(self, present: Present, mono_ns: int) -> None:
        """Count who is present at `mono_ns` while the ad is shown; call it as often as the audience changes."""
        if self._last is None:
            self.ots = present.people
        else:
            people, then_ns = self._last
            self.person_ms += people * (mono_ns - then_ns) // 1_000_000
            self.ots += max(0, present.people - people)
        self._last = present.people, mono_ns
        self.watchers = max(self.watchers, present.people)
        self.matched_watchers = max(self.matched_watchers, matched(present, self._target, self._minors))
