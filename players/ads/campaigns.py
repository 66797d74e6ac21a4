"""A folder of campaign files and media, read into a Catalogue and watched for changes.

Each mistake is left out and said in one line (`Catalogue.problems`); the rest plays on. A folder without campaign files
is read as one of the original layout (folders.py).
"""

import os
import stat
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from os.path import basename
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.log import log, skip
from players.ads.campaign_file import CampaignFile, LineTable, has_plain_amounts, line_of, parse
from players.ads.catalogue import Catalogue
from players.ads.folders import NOT_TEXT, folder_campaign, folder_target, is_text, listed
from players.ads.lines import Creative, Line, Stamp
from players.ads.media import examiner, probe
from players.audience.groups import MINOR_DECADES

DEMO = Path(__file__).parents[1] / "demo"
CLOSE_S = 1.0
"""Longest that a player that stops waits for the watcher: examining a film may take longer than it has."""


class _Cache(Struct):
    """Results kept while a file's stamp stays the same: the last good campaigns, and what was found of media."""

    campaigns: dict[str, tuple[Stamp, CampaignFile]] = {}
    media: dict[str, tuple[Stamp, dict[str, Any]]] = {}
    examiner: str = ""


def open_folder(campaigns: str, folder: Path) -> Path:
    """Return the folder that `ads.campaigns` of a station file in `folder` names; `demo` is the built-in set."""
    return DEMO if campaigns == "demo" else folder / campaigns


def load_catalogue(
    folder: Path, zone: ZoneInfo, default_duration_s: float, cache: Path | None = None, screens: int = 1
) -> Catalogue:
    """Read a folder once. A bad file is a problem of the catalogue; UserError is raised only where there is no folder.

    Each of the station's `screens` keeps a ledger of its own, so each may spend an equal part of a budget.
    """
    return _Reader(folder, zone, default_duration_s, cache, screens).read()


def minor_lines(catalogue: Catalogue) -> list[str]:
    """Return the ids of lines for people under 20 only; they play only where `choose.minors = "target"`."""
    adult = 10 * len(MINOR_DECADES)
    return [
        line.id for line in catalogue.lines if line.target.ages and all(high < adult for _, high in line.target.ages)
    ]


class CatalogueWatcher:
    """Keeper of the newest good catalogue of a folder: reads it now, then looks for changes in a thread of its own."""

    def __init__(
        self, folder: Path, zone: ZoneInfo, default_duration_s: float, cache: Path | None = None, screens: int = 1
    ) -> None:
        self._reader = _Reader(folder, zone, default_duration_s, cache, screens)
        self._catalogue = self._reader.read()
        _say_new_problems(self._catalogue, ())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="campaigns", daemon=True)
        self._thread.start()

    def poll(self) -> Catalogue:
        """Return the newest good catalogue, without waiting."""
        return self._catalogue

    def share_budgets(self, screens: int) -> None:
        """Let this screen spend its equal part of each budget among so many; the next look at the folder applies it."""
        self._reader.screens = screens

    def close(self) -> None:
        """Stop watching, without waiting for media that are being examined."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _watch(self) -> None:
        pause_s = 1.0
        while not self._closing.wait(pause_s):
            began_s = time.thread_time()
            try:
                changed = self._reader.changed()
                pause_s = max(1.0, 50 * (time.thread_time() - began_s))
                if changed:
                    self._replace()
            except Exception as error:
                skip("campaigns_unreadable", error=error)

    def _replace(self) -> None:
        before, self._catalogue = self._catalogue, self._reader.read()
        _say_new_problems(self._catalogue, before.problems)
        log("campaigns_read", lines=len(self._catalogue.lines), house=len(self._catalogue.house))


def _say_new_problems(catalogue: Catalogue, known: tuple[str, ...]) -> None:
    for problem in catalogue.problems:
        if problem not in known:
            log("campaign_problem", severity="warning", problem=problem)


class _Reader:
    """Reader of one folder, again and again. Unchanged files are neither parsed nor examined twice."""

    def __init__(
        self, folder: Path, zone: ZoneInfo, default_duration_s: float, cache: Path | None, screens: int
    ) -> None:
        if not folder.is_dir():
            raise UserError(f"ads.campaigns: no folder {folder}; name one, or 'demo' for the built-in ads")
        self._folder = folder.absolute()
        self._zone = zone
        self._default_ms = round(default_duration_s * 1000)
        self._cache_path = cache
        self.screens = self._screens_read = screens
        """Number of the station's screens, each of which may spend an equal part of a budget; it may be set."""
        self._cache = _read_cache(cache)
        # Keys are paths as text: ten thousand Path objects take longer to make and compare than all the rest.
        self._files: dict[str, Stamp] = {}
        self._media: dict[str, Stamp] = {}
        self._settled = {path: campaign for path, (_, campaign) in self._cache.campaigns.items()}

    def changed(self) -> bool:
        """Return True where a campaign file, a picture's folder, a medium or the number of screens has changed.

        A medium that was missing and is there now has changed too.
        """
        if self.screens != self._screens_read:
            return True
        return self._list() != self._files or any(stamp_of(path) != stamp for path, stamp in self._media.items())

    def read(self) -> Catalogue:
        """Return the catalogue of the folder as it is now."""
        problems: list[str] = []
        self._screens_read = self.screens
        self._files = self._list()
        self._settled = self._settle(dict(self._campaigns(problems)), problems)
        places = self._probe(self._settled, problems)
        silent: dict[str, str] = {}
        ordered = list(self._lines(self._settled, places, problems, silent))
        lines = [line for line in ordered if line.creatives]
        if not lines:
            problems.append(f"{self._folder}: no campaign plays; put *.toml files beside their media")
        paid = tuple(line for line in lines if not line.house)
        unplayable = tuple(line for line in ordered if not line.creatives and not line.house)
        version = sha256(msgspec.json.encode(lines, enc_hook=str)).hexdigest()[:16]
        self._forget()
        _write_cache(self._cache_path, _Cache(self._playing(), self._cache.media))
        house = tuple(line for line in lines if line.house)
        return Catalogue(paid, house, self._zone, version, tuple(problems), unplayable, silent)

    def _list(self) -> dict[str, Stamp]:
        """Return the stamps of campaign files, or without any those of the pictures in folders of the old layout."""
        names = sorted(name for name in os.listdir(self._folder) if not name.startswith("."))
        files = [f"{self._folder}/{name}" for name in names if name.lower().endswith(".toml")]
        if not files:
            below = [self._folder / name for name in names if folder_target(name) is not None]
            within = (path for place in below if place.is_dir() for path in listed(place))
            files = [str(path) for path in within if path.suffix.lower() != ".toml"]
        return {path: stamp_of(path) for path in files}

    def _forget(self) -> None:
        """Drop from the cache what is not in use."""
        self._cache.campaigns = {k: v for k, v in self._cache.campaigns.items() if k in self._files}
        self._cache.media = {k: v for k, v in self._cache.media.items() if k in self._media}

    def _playing(self) -> dict[str, tuple[Stamp, CampaignFile]]:
        """Return what plays of each file, for the next start. An older version has no stamp: the file is read again."""
        known = self._cache.campaigns
        return {
            path: (known[path][0] if campaign is known[path][1] else (0, 0, 0), campaign)
            for path, campaign in self._settled.items()
            if path in known
        }

    def _campaigns(self, problems: list[str]) -> Iterator[tuple[str, CampaignFile]]:
        """Yield each campaign file and its content, the last good one where the present one is broken."""
        for path, stamp in self._files.items():
            if not path.lower().endswith(".toml"):
                continue
            if not is_text(path):
                problems.append(f"{basename(path)!a}: {NOT_TEXT}")
                continue
            known = self._cache.campaigns.get(path)
            if known is not None and known[0] == stamp:
                yield path, known[1]
                continue
            try:
                campaign = parse(path, self._folder)
            except UserError as error:
                problems.append(f"{error}" + ("; its last good version plays on" if known else ""))
                if known is not None:
                    yield path, known[1]
                continue
            self._cache.campaigns[path] = (stamp, campaign)
            yield path, campaign
        if not any(path.lower().endswith(".toml") for path in self._files):
            layout = folder_campaign(self._folder, problems)
            if layout is not None:
                yield f"{self._folder}/folders", layout

    def _probe(self, campaigns: dict[str, CampaignFile], problems: list[str]) -> dict[tuple[str, str], str]:
        """Return the path of each (campaign file, medium). New media are examined; bad paths are problems."""
        inside = MediaFolder(self._folder)
        places: dict[tuple[str, str], str] = {}
        missing: list[str] = []
        for path, campaign in campaigns.items():
            for creative in (creative for line in campaign.lines for creative in line.creatives):
                try:
                    places[path, creative.file] = inside.find(creative.file)
                except UserError as error:
                    problems.append(f"{basename(path)}: creative {creative.id}: file: {error}")
                    missing.append(f"{self._folder}/{creative.file}")
        self._media = {place: stamp_of(place) for place in {*places.values(), *missing}}
        known = self._cache.media
        new = {place for place in places.values() if known.get(place, (None,))[0] != self._media[place]}
        for found_at, found in probe(map(Path, sorted(new))).items():
            known[str(found_at)] = (self._media[str(found_at)], found)
        return places

    def _settle(self, campaigns: dict[str, CampaignFile], problems: list[str]) -> dict[str, CampaignFile]:
        """Return the campaigns whose ids nobody else uses. Unchanged files go first.

        An edit that clashes keeps its last good version.
        """
        taken: dict[tuple[str, str], str] = {}
        settled: dict[str, CampaignFile] = {}
        for path in sorted(campaigns, key=lambda path: self._settled.get(path) != campaigns[path]):
            campaign, last_good = campaigns[path], self._settled.get(path)
            clash = _clash(campaign, taken)
            if clash is not None:
                kind, name = clash
                owner = taken.get(clash, basename(path))
                problem = f"{basename(path)}: {kind} id {name!r} is used twice (also in {owner}); rename one"
                if last_good is None or _clash(last_good, taken) is not None:
                    problems.append(problem)
                    continue
                problems.append(f"{problem}; its last good version plays on")
                campaign = last_good
            settled[path] = campaign
            taken.update((key, basename(path)) for key in _ids(campaign))
        return settled

    def _lines(
        self,
        campaigns: dict[str, CampaignFile],
        places: dict[tuple[str, str], str],
        problems: list[str],
        silent: dict[str, str],
    ) -> Iterator[Line]:
        """Yield every line. Those without a medium that can be shown get a reason in `silent`."""
        for path, campaign in campaigns.items():
            for table in campaign.lines:
                creatives = tuple(self._creatives(path, table, places, problems))
                if not creatives:
                    silent[table.id] = self._why_silent(path, table, places)
                yield line_of(campaign, table, creatives, self._screens_read)

    def _why_silent(self, path: str, line: LineTable, places: dict[tuple[str, str], str]) -> str:
        """Return why a line has no medium that can be shown: what is wrong with the first."""
        first = line.creatives[0].file
        place = places.get((path, first))
        why = "it is not there" if place is None else self._cache.media[place][1].get("problem", "it is left out")
        others = f", and so with {len(line.creatives) - 1} more" if len(line.creatives) > 1 else ""
        return f"none of its media can be shown: {first}: {why}{others}"

    def _creatives(
        self, path: str, line: LineTable, places: dict[tuple[str, str], str], problems: list[str]
    ) -> Iterator[Creative]:
        for table in line.creatives:
            place = places.get((path, table.file))
            if place is None:
                continue
            found = self._cache.media[place][1]
            if "problem" in found:
                problems.append(f"{basename(path)}: creative {table.id}: {table.file}: {found['problem']}")
                continue
            own_ms = found["duration_ms"] or self._default_ms
            duration_ms = own_ms if table.duration_s is None else round(table.duration_s * 1000)
            if found["kind"] == "video":
                duration_ms = min(duration_ms, own_ms)
            yield Creative(
                id=table.id,
                path=Path(place),
                sha256=found["sha256"],
                kind=found["kind"],
                duration_ms=duration_ms,
                width_px=found["width_px"],
                height_px=found["height_px"],
                codec=found["codec"],
                notes=tuple(found["notes"]),
                sound=table.sound,
                title=table.title,
                stamp=self._media[place],
            )


def _ids(campaign: CampaignFile) -> list[tuple[str, str]]:
    """Return every id of a campaign, as (kind, id)."""
    ids = [("campaign", campaign.campaign), *(("line", line.id) for line in campaign.lines)]
    return ids + [("creative", creative.id) for line in campaign.lines for creative in line.creatives]


def _clash(campaign: CampaignFile, taken: dict[tuple[str, str], str]) -> tuple[str, str] | None:
    """Return the first (kind, id) that another file has taken or the campaign uses twice; None where all are new."""
    seen: set[tuple[str, str]] = set()
    for key in _ids(campaign):
        if key in taken or key in seen:
            return key
        seen.add(key)
    return None


class MediaFolder:
    """A folder in which media are found; links and `..` may not lead out of it."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._folders: dict[str, tuple[str, bool]] = {}

    def find(self, file: str) -> str:
        """Return the absolute path of a medium. UserError where it is missing or outside."""
        if "\0" in file or os.path.isabs(file):
            raise UserError(f"{file!r} is not a path beside the campaign file; copy the medium there")
        folder, name = os.path.split(file)
        try:
            if folder not in self._folders:
                self._folders[folder] = self._really(self._root / folder)
            real, inside = self._folders[folder]
            path = f"{real}/{name}"
            mode = _mode(path)
            if stat.S_ISLNK(mode):
                path, inside = self._really(Path(path))
                mode = _mode(path)
        except (OSError, RuntimeError):
            text = f"{file!r} is a link that leads nowhere, or too long a name; copy the medium there"
            raise UserError(text) from None
        if not inside:
            raise UserError(f"{file!r} leads out of the folder of the campaigns; copy the medium into it")
        if not stat.S_ISREG(mode):
            raise UserError(f"there is no file {file!r}; add it or remove the creative")
        return path

    def _really(self, path: Path) -> tuple[str, bool]:
        """Return the path without links, and True where it is within the folder."""
        real = path.resolve()
        return str(real), real.is_relative_to(self._root)


def _mode(path: str) -> int:
    """Return the mode of the file itself, not of the file that it links to; 0 where there is none."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def stamp_of(path: Path | str) -> Stamp:
    """Return size, mtime and inode, which change with the file; zeros where there is none."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return (0, 0, 0)
    return (info.st_size, info.st_mtime_ns, info.st_ino)


def _read_cache(path: Path | None) -> _Cache:
    try:
        cache = msgspec.msgpack.decode(path.read_bytes(), type=_Cache) if path is not None else _Cache()
    except (OSError, msgspec.DecodeError):
        return _Cache()
    cache.campaigns = {path: entry for path, entry in cache.campaigns.items() if has_plain_amounts(entry[1])}
    return cache if cache.examiner == examiner() else _Cache(cache.campaigns)


def _write_cache(path: Path | None, cache: _Cache) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        examined = {path: entry for path, entry in cache.media.items() if "problem" not in entry[1]}
        draft.write_bytes(msgspec.msgpack.encode(_Cache(cache.campaigns, examined, examiner())))
        draft.replace(path)
    except OSError as error:
        skip("campaign_cache_not_written", error=error)
