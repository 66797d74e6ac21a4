"""Results of reading and examining that outlive a restart: a file of state beside the ledger."""

from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from pipeline.log import skip
from pipeline.private import make_folders, read_file, replacing
from players.ads.campaign_file import CampaignFile, has_plain_amounts
from players.ads.examiner import can_be_shown, examiner
from players.ads.holders import Holder, Holders
from players.ads.lines import Stamp

Answer = tuple[Stamp, dict[str, Any]]
"""Stamp of a medium, and what `Examiner.ask` found in it then; `stale` where that was an older examiner."""
CONTENTS_MAX = 20_000
"""Largest number of contents that are remembered though no campaign uses them now."""


class Known:
    """Results of reading campaign files and examining media: by path while a stamp stays, and by content."""

    def __init__(self, file: "_File | None" = None) -> None:
        """Take what a file of state holds."""
        file = file or _File()
        self.holders = Holders(file.holders)
        """Holders of ids."""
        self.campaigns = file.campaigns
        """Last good version of each campaign file, and its stamp."""
        self.contents = file.contents
        """Results for each content that was examined to the end, good or refused, by its sha256."""
        all_known = file.stale | file.contents
        self.media: dict[str, Answer] = {
            path: (stamp, all_known[sha256]) for path, (stamp, sha256) in file.media.items() if sha256 in all_known
        }
        """Newest answer about each medium, by path."""
        self._by_size: dict[int, list[str]] = {}
        for sha256, found in self.contents.items():
            self._by_size.setdefault(found["bytes"], []).append(sha256)

    def of_size(self, size: int) -> list[str]:
        """Return the sha256 of each known content of so many bytes, the newest last. Any thread may ask."""
        return list(self._by_size.get(size, ()))

    def learn(self, path: str, answer: Answer) -> None:
        """Take an answer about a medium. That of an examination which did not finish says nothing of the content."""
        found = answer[1]
        self.media[path] = answer
        if "sha256" in found and not {"unfinished", "again"} & found.keys():
            self._drop(found["sha256"])
            self.contents[found["sha256"]] = found
            self._by_size.setdefault(found["bytes"], []).append(found["sha256"])

    def forget(self, campaigns: set[str], media: set[str]) -> None:
        """Drop paths that are not among these, and the contents that were seen longest ago."""
        self.campaigns = {path: entry for path, entry in self.campaigns.items() if path in campaigns}
        self.media = {path: answer for path, answer in self.media.items() if path in media}
        spare = len(self.contents) - len(self.media) - CONTENTS_MAX
        if spare > 0:
            used = {found.get("sha256") for _, found in self.media.values()}
            for sha256 in list(islice((name for name in self.contents if name not in used), spare)):
                self._drop(sha256)

    def _drop(self, sha256: str) -> None:
        found = self.contents.pop(sha256, None)
        if found is not None:
            self._by_size[found["bytes"]].remove(sha256)


class _File(Struct):
    """File of state: what is known by path refers to contents by their sha256."""

    campaigns: dict[str, tuple[Stamp, CampaignFile]] = field(default_factory=dict)
    media: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    examiner: str = ""
    holders: dict[str, dict[str, Holder]] = field(default_factory=dict)
    stale: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_known(path: Path | None) -> Known:
    """Return what is known from before.

    What an older examiner found good is kept as `stale`: it goes on playing while it is examined anew. The hashes of
    its blocks see to it that no other bytes are shown.
    """
    try:
        file = msgspec.msgpack.decode(read_file(path), type=_File) if path is not None else _File()
    except (OSError, msgspec.DecodeError):
        return Known()
    file.campaigns = {path: entry for path, entry in file.campaigns.items() if has_plain_amounts(entry[1])}
    if file.examiner != examiner():
        older = (file.stale | file.contents).items()
        stale = {sha256: found | {"stale": True} for sha256, found in older if can_be_shown(found)}
        file = _File(file.campaigns, file.media, holders=file.holders, stale=stale)
    return Known(file)


def write_known(path: Path | None, known: Known, campaigns: dict[str, tuple[Stamp, CampaignFile]]) -> None:
    """Write what is known of media, and these campaigns. Answers about no content are left out, as they cost little."""
    if path is None:
        return
    stale = {found["sha256"]: found for _, found in known.media.values() if "stale" in found}
    media = {
        place: (stamp, found["sha256"])
        for place, (stamp, found) in known.media.items()
        if "stale" in found or known.contents.get(found.get("sha256", "")) is found
    }
    file = _File(campaigns, media, known.contents, examiner(), known.holders.by_kind, stale)
    try:
        make_folders(path.parent)
        with replacing(path, durable=False) as draft:
            draft.write(msgspec.msgpack.encode(file))
    except OSError as error:
        skip("campaign_cache_not_written", error=error)
