"""Folders of the original project's layout, `20's, F/*.jpg`, read as a campaign."""

import os
import re
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.kinds import SUFFIXES
from players.ads.campaign_file import ANYONE, CampaignFile, CreativeTable, LineTable, TargetTable
from players.ads.media import VIDEOS
from players.ads.places import as_seen, ignored, is_text
from players.audience.groups import MAX_AGE_YEARS

GROUPS = "folders"
"""Advertiser of folders of groups. It holds no ids: they are the names of the folders."""
NOT_TEXT = "there are control characters in its name, or its name is not UTF-8; rename it"
EXAMPLES = "20's, F or 20대 여성 or 30-39 or family or default"
_GENDERS = {
    "M": ("m", "male", "males", "man", "men", "mens", "남", "남자", "남성", "男", "男性"),
    "F": ("f", "w", "female", "females", "woman", "women", "womens", "여", "여자", "여성", "女", "女性"),
    "any": ("any", "anyone", "mf", "남녀"),
}
_HOUSE_NAMES = ("house", "default", "common", "all", "unknown", "기본", "공통", "전체", "하우스")
_FAMILY_NAMES = ("family", "families", "가족")
_WORDS = {word: gender for gender, words in _GENDERS.items() for word in words}
_SPACE = r"[\s,._/&()-]*"
_AGES = re.compile(
    r"(?P<low>\d{1,3})(?:(?:s|대|代|세)?\s*[-~]\s*(?P<high>\d{1,3}))?(?!\d)\s*(?P<decade>s|대|代)?(?:세|yrs?|years?)?"
    r"\s*(?P<more>\+|이상)?"
)
_GENDER = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))


def folder_target(name: str) -> tuple[TargetTable, bool] | None:
    """Return a folder's target and whether it is for house ads; None for a name that is no group.

    `20's, F`, `20s F`, `women 20-29` and `20대 여성` are women of 20 to 29; `family` and `default` are a family and a
    house folder. Case, blanks and signs between the words do not matter.
    """
    if not is_text(name):
        return None
    plain = as_seen(unicodedata.normalize("NFKC", name)).lower().translate(_PLAIN)
    if plain in _HOUSE_NAMES:
        return ANYONE, True
    if plain in _FAMILY_NAMES:
        return TargetTable(family=True), False
    genders: list[Any] = []
    ages: list[str] = []
    rest = re.sub(f"^{_SPACE}", "", plain)
    while rest:
        match = _AGES.match(rest)
        if match:
            own = _years(match)
            if own is None:
                return None
            ages.append(own)
        else:
            match = _GENDER.match(rest)
            if match is None or (match[0].isascii() and rest[match.end() : match.end() + 1].isalpha()):
                return None
            genders.append(_WORDS[match[0]])
        rest = re.sub(f"^{_SPACE}", "", rest[match.end() :])
    if len(genders) > 1 or not (genders or ages):
        return None
    if genders == ["any"] and not ages:
        return None
    return TargetTable(gender=genders[0] if genders else "any", ages=tuple(ages)), False


_PLAIN = str.maketrans({"'": None, "’": None, "‘": None, "`": None, "´": None, "–": "-", "—": "-", "∼": "-", "〜": "-"})


def _years(match: re.Match[str]) -> str | None:
    """Return a range of years such as `20-29`; None where a name tells none. Decades begin with a round number."""
    low, more = int(match["low"]), bool(match["more"])
    if match["high"]:
        high = int(match["high"]) + (9 if match["decade"] and not int(match["high"]) % 10 else 0)
        return f"{low}-{high}" if low < high <= MAX_AGE_YEARS and not more else None
    if low > 100 or (low % 10 and (not more or match["decade"])):
        return None
    if more or low >= 80:
        return f"{min(low, 80) if not low % 10 else low}+"
    return f"{low}-{low + 9}"


def folder_campaign(folder: Path, problems: list[str], advertiser: str = GROUPS) -> CampaignFile | None:
    """Return a campaign of one line a folder and one creative a picture or film; None where no folder has the layout.

    Adds to `problems` one line of text for each folder or file that is left out.
    """
    lines = []
    line_ids: set[str] = set()
    creative_ids: set[str] = set()
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not ignored(path.name)):
        meant = folder_target(place.name)
        if meant is None:
            continue
        found = [path for path in listed(place) if os.path.splitext(as_seen(path.name))[1] in (*SUFFIXES, *VIDEOS)]
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
    """Return the paths in a folder that are not ignored, sorted; none where it cannot be read."""
    try:
        return sorted(path for path in place.iterdir() if not ignored(path.name))
    except OSError:
        return []


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
    text = unicodedata.normalize("NFC", text)
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "").replace("’", "")).strip("-")
    if any(ord(letter) > 127 for letter in text) or not slug:
        slug = f"{slug[:50]}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
    return slug[:64].rstrip("-")
