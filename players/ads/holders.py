"""Holders of ids: who first had an id of a campaign, a line or a creative keeps it, while his file is away too."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from os.path import basename
from typing import NamedTuple

from players.ads.campaign_file import CampaignFile

Kind = str
"""`campaign`, `line` or `creative`."""
ABSENT_MAX = 100_000
"""Largest number of ids that are remembered though no campaign file has them now."""


class Holder(NamedTuple):
    """Holder of an id: an advertiser, the campaign that has it, and the name of the file in which it was first."""

    advertiser: str
    campaign: str
    file: str = ""

    def is_of(self, kind: Kind, campaign: CampaignFile) -> bool:
        """Return whether the id is that campaign's: a line stays in its campaign, all stay with their advertiser."""
        same = self.advertiser == campaign.advertiser
        return same and (kind != "line" or self.campaign == campaign.campaign)


class Holders:
    """Memory of who holds which id."""

    def __init__(self, holders: dict[Kind, dict[str, Holder]] | None = None) -> None:
        """Take what is known from before."""
        self.by_kind: dict[Kind, dict[str, Holder]] = {"campaign": {}, "line": {}, "creative": {}} | (holders or {})

    def __bool__(self) -> bool:
        return any(self.by_kind.values())

    def first_of(self, campaign: CampaignFile, file: str) -> bool:
        """Return whether a campaign is in the file in which its id was first."""
        holder = self.by_kind["campaign"].get(campaign.campaign)
        return holder is not None and holder.file == file and holder.advertiser == campaign.advertiser

    def other(self, campaign: CampaignFile) -> tuple[Kind, str, Holder] | None:
        """Return the first id of a campaign that somebody else holds, and who; None where there is none."""
        for kind, name in ids_of(campaign):
            holder = self.by_kind[kind].get(name)
            if holder is not None and not holder.is_of(kind, campaign):
                return kind, name, holder
        return None

    def take(self, campaign: CampaignFile, file: str) -> None:
        """Give a campaign the ids that nobody holds."""
        mine = Holder(campaign.advertiser, campaign.campaign, file)
        for kind, name in ids_of(campaign):
            self.by_kind[kind].setdefault(name, mine)

    def learn(self, plays: Iterable[tuple[Kind, str, Holder]]) -> None:
        """Take who had ids in plays of a ledger, the newest last."""
        for kind, name, holder in plays:
            self.by_kind[kind][name] = holder

    def add(self, others: "Holders") -> None:
        """Take what another screen knows; what is known already stays."""
        for kind, names in others.by_kind.items():
            self.by_kind[kind] = names | self.by_kind[kind]

    def forget(self, present: Iterable[CampaignFile]) -> None:
        """Drop ids that no campaign has now, where there are too many: those of whoever has most, the oldest first."""
        if sum(map(len, self.by_kind.values())) <= ABSENT_MAX:
            return
        used = {key for campaign in present for key in ids_of(campaign)}
        absent = [key for key in self._all() if key not in used]
        counts = Counter(self.by_kind[kind][name].advertiser for kind, name in absent)
        spare = counts - Counter(dict.fromkeys(counts, _level(counts.values(), ABSENT_MAX)))
        for kind, name in absent:
            advertiser = self.by_kind[kind][name].advertiser
            if spare[advertiser]:
                spare[advertiser] -= 1
                del self.by_kind[kind][name]

    def _all(self) -> Iterator[tuple[Kind, str]]:
        return ((kind, name) for kind, names in self.by_kind.items() for name in names)


def _level(counts: Iterable[int], most: int) -> int:
    """Return the largest number up to which each count may go, so that all together are at most so many."""
    left, level = most, 0
    ordered = sorted(counts)
    for number, count in enumerate(ordered):
        level = left // (len(ordered) - number)
        if level < count:
            return level
        left -= count
    return max(level, ordered[-1] if ordered else 0)


def ids_of(campaign: CampaignFile) -> Iterator[tuple[Kind, str]]:
    """Yield every id of a campaign, as (kind, id)."""
    yield "campaign", campaign.campaign
    for line in campaign.lines:
        yield "line", line.id
        for creative in line.creatives:
            yield "creative", creative.id


def settle(
    campaigns: Mapping[str, CampaignFile],
    before: Mapping[str, CampaignFile],
    holders: Holders,
    problems: list[str],
    groups: str,
) -> dict[str, CampaignFile]:
    """Return the campaigns, by path, whose ids nobody else holds; they hold them from now on.

    Files in which ids were first go first, then those that are as they were `before`. An edit that clashes keeps its
    last good version. The campaign at the path `groups` holds nothing.
    """
    taken: dict[tuple[Kind, str], str] = {}
    settled: dict[str, CampaignFile] = {}

    def late(path: str) -> tuple[bool, bool]:
        return not holders.first_of(campaigns[path], basename(path)), before.get(path) != campaigns[path]

    def refused(path: str, campaign: CampaignFile) -> str:
        if (clash := _clash(campaign, taken)) is not None:
            kind, name = clash
            also = taken.get(clash, basename(path))
            return f"{basename(path)}: {kind} id {name!r} is used twice (also in {also}); rename one"
        if (other := holders.other(campaign)) is not None:
            kind, name, holder = other
            whose = f"it is that of {holder.advertiser}, campaign {holder.campaign}; take another id"
            return f"{basename(path)}: {kind} id {name!r}: {whose}"
        return ""

    for path in sorted(campaigns, key=late):
        campaign, last_good = campaigns[path], before.get(path)
        if problem := refused(path, campaign):
            if last_good is None or refused(path, last_good):
                problems.append(problem)
                continue
            problems.append(f"{problem}; its last good version plays on")
            campaign = last_good
        settled[path] = campaign
        taken.update((key, basename(path)) for key in ids_of(campaign))
        if path != groups:
            holders.take(campaign, basename(path))
    holders.forget(settled.values())
    return settled


def _clash(campaign: CampaignFile, taken: Mapping[tuple[Kind, str], str]) -> tuple[Kind, str] | None:
    """Return the first (kind, id) that another file has taken or the campaign uses twice; None where all are new."""
    seen: set[tuple[str, str]] = set()
    for key in ids_of(campaign):
        if key in taken or key in seen:
            return key
        seen.add(key)
    return None
