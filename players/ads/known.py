"""Results of reading and examining that outlive a restart: a file of state beside the ledger."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.log import skip
from pipeline.private import make_folders, read_file, replacing
from players.ads.campaign_file import CampaignFile, has_plain_amounts
from players.ads.lines import Stamp
from players.ads.media import examiner

Answer = tuple[Stamp, dict[str, Any]]
"""Stamp of a medium, and what `media.probe` found in it then."""


class Known(Struct):
    """Results by path, kept while a file's stamp stays the same: the last good campaigns, and answers about media."""

    campaigns: dict[str, tuple[Stamp, CampaignFile]] = {}
    media: dict[str, Answer] = {}
    examiner: str = ""


def read_known(path: Path | None) -> Known:
    """Return what is known from before; answers of an older examiner are left out."""
    try:
        known = msgspec.msgpack.decode(read_file(path), type=Known) if path is not None else Known()
    except (OSError, msgspec.DecodeError):
        return Known()
    known.campaigns = {path: entry for path, entry in known.campaigns.items() if has_plain_amounts(entry[1])}
    return known if known.examiner == examiner() else Known(known.campaigns)


def write_known(path: Path | None, known: Known) -> None:
    """Write what is known, without answers that tell of a problem: those media are examined again after a restart."""
    if path is None:
        return
    try:
        make_folders(path.parent)
        examined = {path: answer for path, answer in known.media.items() if "problem" not in answer[1]}
        with replacing(path, durable=False) as draft:
            draft.write(msgspec.msgpack.encode(Known(known.campaigns, examined, examiner())))
    except OSError as error:
        skip("campaign_cache_not_written", error=error)
