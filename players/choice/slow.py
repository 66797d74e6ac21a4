"""Creatives that are slow to load: while one is loaded no other can be, so it is away for a while afterwards."""

import time
from collections.abc import Callable

from players.ads.lines import Creative, Line
from players.ads.quarantine import FIRST_S, WHOLE_MAX, in_words

LEAD_S = 1.5
"""Time before the end of the present ad at which the next one is chosen and loaded."""
SHARE = 0.05
"""Largest share of the time that slow creatives of one advertiser may take from others."""
PAUSE_S = 2.0
"""Shortest time for which a slow creative is away; it is doubled each time."""
LONGER = 10
"""Largest multiple of the time after which it takes SHARE, up to which that is doubled; quarantine.FIRST_S at most."""
FORGET_S = 3600.0
"""Time without another slow load after which the first one's pause holds again."""

_Key = tuple[str, str]
"""Advertiser and sha256 of a medium; without the latter all of his."""


class Slow:
    """Memory of what was slow to load, of each advertiser by its content: another's copy of a medium harms nobody else.

    While something of an advertiser is away, so are all his creatives that were never loaded in time: to send many slow
    ones gains nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until_s: dict[_Key, float] = {}
        self._pause_s: dict[_Key, float] = {}
        self._in_time: dict[_Key, None] = {}

    def loaded(self, creative: Creative, line: Line, took_s: float) -> float:
        """Note how long it took to load a creative. Return for how long it is away, in s; 0 where it was in time."""
        own, advertiser = (line.advertiser, creative.sha256), (line.advertiser, "")
        self._in_time.pop(own, None)
        if took_s <= LEAD_S:
            self._in_time[own] = None
            if len(self._in_time) > WHOLE_MAX:
                del self._in_time[next(iter(self._in_time))]
            return 0.0
        return max(self._pause(key, (took_s - LEAD_S) / SHARE) for key in (own, advertiser))

    @property
    def any(self) -> bool:
        """True where something is away."""
        now_s = self._clock()
        return any(until_s > now_s for until_s in self._until_s.values())

    def why_away(self, creative: Creative, line: Line) -> str:
        """Return why a creative is away now, in words; empty where it is not."""
        own = line.advertiser, creative.sha256
        if (left_s := self._left_s(own)) > 0:
            return f"it is slow to load; it waits for {in_words(left_s)}"
        if own not in self._in_time and (left_s := self._left_s((line.advertiser, ""))) > 0:
            return f"other media of {line.advertiser} are slow to load; new ones wait for {in_words(left_s)}"
        return ""

    def _left_s(self, key: _Key) -> float:
        return self._until_s.get(key, 0.0) - self._clock()

    def _pause(self, key: _Key, least_s: float) -> float:
        now_s = self._clock()
        oldest_s = now_s - FORGET_S
        self._until_s = {key: until_s for key, until_s in self._until_s.items() if until_s > oldest_s}
        self._pause_s = {key: pause_s for key, pause_s in self._pause_s.items() if key in self._until_s}
        most_s = max(PAUSE_S, min(LONGER * least_s, FIRST_S))
        pause_s = max(least_s, min(2 * self._pause_s.get(key, PAUSE_S / 2), most_s))
        self._until_s[key], self._pause_s[key] = now_s + pause_s, pause_s
        return pause_s
