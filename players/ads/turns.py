"""Turns of advertisers: whose medium is examined next, so that no advertiser waits for another's media."""

import heapq
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from players.ads.lines import Stamp

BUDGET_S = 300.0
"""Time of the processor that an advertiser's media may take at once; what he uses over it has to wait."""
SHARE = 0.25
"""Share of the time that one advertiser's media may take in the long run."""


class Owner(NamedTuple):
    """A campaign that names a medium. `established`: a medium of its advertiser was good."""

    advertiser: str
    campaign: str = ""
    established: bool = False


class Wanted(NamedTuple):
    """A medium that is to be examined, and who names it: several may, and it waits in the turns of each."""

    stamp: Stamp
    owners: tuple[Owner, ...]


class Used:
    """Time that each advertiser and campaign has used, as the moment until which it pays for it at SHARE.

    An advertiser that has used nothing lately stands in the past, one that has used his budget far in the future.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.until_s: dict[tuple[str, ...], float] = {}

    def charge(self, wanted: Wanted, seconds: float) -> None:
        """Add a time to what the first owner of a medium, whose turn it was, has used, and his campaign."""
        owner = wanted.owners[0]
        for name in ((owner.advertiser,), (owner.advertiser, owner.campaign)):
            self.until_s[name] = max(self._clock(), self.until_s.get(name, 0.0)) + seconds / SHARE

    def wait_s(self, name: tuple[str, ...]) -> float:
        """Return for how long the media of an advertiser have to wait until he is within his budget."""
        return max(0.0, self.until_s.get(name, 0.0) - self._clock() - BUDGET_S / SHARE)

    def forget(self) -> None:
        """Drop those who have paid for all that they used."""
        now_s = self._clock()
        self.until_s = {name: until_s for name, until_s in self.until_s.items() if until_s > now_s}


class Turns:
    """Media that wait, in the order of turns.

    Advertisers who had good media come before new ones, those over their budget wait. Among equals the next is whose
    media have used least, then whose campaign has; of a campaign the smallest medium.
    """

    def __init__(self, used: Used, wanted: Mapping[str, Wanted] = {}) -> None:
        self._used = used
        self.wanted = dict(wanted)
        self._media: dict[tuple[str, ...], list[str]] = {}
        campaigns: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        groups: tuple[set[tuple[str, ...]], set[tuple[str, ...]]] = (set(), set())
        for path in sorted(wanted, key=lambda path: wanted[path].stamp[0], reverse=True):
            for owner in wanted[path].owners:
                advertiser, campaign = (owner.advertiser,), (owner.advertiser, owner.campaign)
                self._media.setdefault(campaign, []).append(path)
                campaigns.setdefault(advertiser, set()).add(campaign)
                groups[not owner.established].add(advertiser)
        self._campaigns = {advertiser: _Order(names, used) for advertiser, names in campaigns.items()}
        self._groups = [_Order(group, used) for group in groups]

    def take(self) -> tuple[str, Wanted] | None:
        """Take the next medium out, its first owner the one whose turn it is.

        None where there is none, or where all have to wait.
        """
        for group in self._groups:
            advertiser = self._first(group)
            if advertiser is not None and not self._used.wait_s(advertiser):
                name, campaign = self._campaigns[advertiser].first() or ("", "")
                path = self._media[name, campaign].pop()
                wanted = self.wanted.pop(path)
                whose = sorted(wanted.owners, key=lambda owner: owner[:2] != (name, campaign))
                return path, wanted._replace(owners=tuple(whose))
        return None

    def wait_s(self) -> float | None:
        """Return for how long all that are left have to wait, in s; None where nothing is left."""
        first = [advertiser for group in self._groups if (advertiser := self._first(group))]
        return min((self._used.wait_s(advertiser) for advertiser in first), default=None)

    def _first(self, group: "_Order") -> tuple[str, ...] | None:
        """Return the next advertiser whose next campaign has a medium that nobody has taken; None where none has."""
        while (advertiser := group.first()) is not None:
            campaigns = self._campaigns[advertiser]
            while (campaign := campaigns.first()) is not None:
                media = self._media[campaign]
                while media and media[-1] not in self.wanted:
                    media.pop()  # it was taken in the turn of another
                if media:
                    return advertiser
                campaigns.drop()
            group.drop()
        return None


class _Order:
    """Names in the order of what they have used; that may grow meanwhile."""

    def __init__(self, names: set[tuple[str, ...]], used: Used) -> None:
        self._used = used
        self._heap = [(used.until_s.get(name, 0.0), name) for name in names]
        heapq.heapify(self._heap)

    def first(self) -> tuple[str, ...] | None:
        """Return the name that has used least; None where none is left."""
        while self._heap:
            until_s, name = self._heap[0]
            now_s = self._used.until_s.get(name, 0.0)
            if now_s <= until_s:
                return name
            heapq.heapreplace(self._heap, (now_s, name))
        return None

    def drop(self) -> None:
        """Drop the name that `first` returned."""
        heapq.heappop(self._heap)
