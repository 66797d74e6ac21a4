"""Folders of the original project's layout, `20's, F/*.jpg`, read as a campaign."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.kinds import SUFFIXES
from players.ads.campaign_file import ANYONE, CampaignFile, CreativeTable, LineTable, TargetTable
from players.ads.media import VIDEOS

_LAYOUT = re.compile(r"(?P<age>\d{1,3})\s*(?:'?s|\+)?\s*(?:[,_ -]\s*(?P<gender>[MF]))?|(?P<only>[MF])", re.IGNORECASE)
NOT_TEXT = "there are control characters in its name, or its name is not UTF-8; rename it"
_HOUSE_FOLDERS = ("house", "default", "common", "all", "unknown")


def folder_target(name: str) -> tuple[TargetTable, bool] | None:
    """Return a folder's target and whether it is for house ads; None for a folder of another layout.

    `20's, F` is women of 20 to 29; `Family` and `default` are a family and a house folder.
    """
    plain = name.strip().replace("’", "'")
    if not is_text(name):
        return None
    if plain.lower() in _HOUSE_FOLDERS:
        return ANYONE, True
    if plain.lower() == "family":
        return TargetTable(family=True), False
    match = _LAYOUT.fullmatch(plain)
    if match is None:
        return None
    gender: Any = (match["gender"] or match["only"] or "any").replace("m", "M").replace("f", "F")
    if match["age"] is None:
        return TargetTable(gender=gender), False
    low = int(match["age"])
    if low % 10 or low > 100:
        return None
    ages = (f"{min(low, 80)}+",) if "+" in plain or low >= 80 else (f"{low}-{low + 9}",)
    return TargetTable(gender=gender, ages=ages), False


def folder_campaign(folder: Path, problems: list[str], advertiser: str = "folders") -> CampaignFile | None:
    """Return a campaign of one line a folder and one creative a picture or film; None where no folder has the layout.

    Adds to `problems` one line of text for each folder or file that is left out.
    """
    lines = []
    line_ids: set[str] = set()
    creative_ids: set[str] = set()
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        meant = folder_target(place.name)
        if meant is None:
            continue
        found = [path for path in listed(place) if path.suffix.lower() in (*SUFFIXES, *VIDEOS)]
        media = [path for path in found if is_text(path.name)]
        problems += [f"{place.name}: {path.name!a}: {NOT_TEXT}" for path in found if not is_text(path.name)]
        if not found:
            problems.append(f"{place.name}: there is no picture or film in it, or it cannot be read; add one")
            continue
        if not media:
            continue
        line_id = _own_id(place.name, line_ids)
        creatives = []
        for path in media:
            creative_id = _own_id(f"{line_id}-{path.stem}", creative_ids)
            creatives.append(CreativeTable(id=creative_id, file=f"{place.name}/{path.name}", title=path.stem[:200]))
        lines.append(LineTable(id=line_id, creatives=tuple(creatives), target=meant[0], house=meant[1]))
    if not lines:
        return None
    return CampaignFile(advertiser=advertiser, campaign=_slug(advertiser), lines=tuple(lines))


def listed(place: Path) -> list[Path]:
    """Return the paths in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(place.iterdir())
    except OSError:
        return []


def is_text(name: str) -> bool:
    """Return True for a name that is UTF-8 of one line. Names on old disks may be bytes that no TOML file can hold."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name) is None


def _own_id(name: str, taken: set[str]) -> str:
    """Make an id of a name, with a number where the id is `taken`; add it to those."""
    slug = own = _slug(name)
    number = 1
    while own in taken:
        number += 1
        own = f"{slug[:58]}-{number}"
    taken.add(own)
    return own


def _slug(text: str) -> str:
    """Make an id of a text: `20's, F` becomes `20s-f`. Text beyond ASCII adds a short hash, as an id cannot hold it."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "").replace("’", "")).strip("-")
    if any(ord(letter) > 127 for letter in text) or not slug:
        slug = f"{slug[:50]}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
    return slug[:64].rstrip("-")
