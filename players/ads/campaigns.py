"""A folder of campaign files and media, read into a Catalogue.

Each mistake is left out and said in one line (`Catalogue.problems`); the rest plays on. A folder without campaign files
is read as one of the original layout (folders.py).
"""

import base64
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from os.path import basename
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from pipeline.errors import UserError
from players.ads.campaign_file import CampaignFile, LineTable, line_of, parse
from players.ads.catalogue import Catalogue
from players.ads.examination import examine
from players.ads.examiner import Examiner
from players.ads.folders import NOT_TEXT, folder_campaign, folder_target, listed
from players.ads.holders import Holders, settle
from players.ads.known import read_known, write_known
from players.ads.lines import Creative, Line, Stamp
from players.ads.places import MediaFolder, PlaceError, fails, ignored, is_campaign_file, is_text, stamp_of
from players.ads.quarantine import Quarantine
from players.ads.unused import unused
from players.ads.upkeep import GROWS, NEW, SETTLE_S, Upkeep

DEMO = Path(__file__).parents[1] / "demo"
FILES_MAX = 20_000
"""Largest number of campaign files of a folder."""
PROBLEMS_A_FILE = 100
"""Largest number of problems that are told of the media of one campaign file."""


def open_folder(campaigns: str, folder: Path) -> Path:
    """Return the folder that `ads.campaigns` of a station file in `folder` names; `demo` is the built-in set."""
    return DEMO if campaigns == "demo" else folder / campaigns


def load_catalogue(
    folder: Path,
    zone: ZoneInfo,
    default_duration_s: float,
    cache: Path | None = None,
    screens: int = 1,
    holders: Callable[[Holders], None] | None = None,
) -> Catalogue:
    """Read a folder once, and examine its media. A bad file is a problem of the catalogue.

    Each of the station's `screens` keeps a ledger of its own, so each may spend an equal part of a budget.
    `holders` tells who held ids, where no cache does. Raises UserError where there is no folder, or where it cannot be
    read.
    """
    if not os.path.isdir(folder):
        raise UserError(f"ads.campaigns: no folder {folder}; name one, or 'demo' for the built-in ads")
    quarantine = Quarantine()
    reader = Reader(folder, zone, default_duration_s, cache, screens, quarantine, holders)
    try:
        catalogue = reader.read()
        if reader.upkeep.growing:
            time.sleep(SETTLE_S)
            catalogue = reader.read()
        if reader.upkeep.wanted:
            with Examiner() as examiner:
                for path, wanted in sorted(reader.upkeep.wanted.items()):
                    answer, _ = examine(examiner, path, wanted, reader.known, quarantine)
                    reader.upkeep.learn({path: answer})
            catalogue = reader.read()
        reader.keep()
        if not catalogue.waiting:
            return catalogue
        return replace(catalogue, problems=(*catalogue.problems, *catalogue.waiting))
    except PlaceError as error:
        raise UserError(f"ads.campaigns: {error}") from None


class Reader:
    """Reader of one folder, again and again. Unchanged files are not parsed twice. It examines no medium itself."""

    def __init__(
        self,
        folder: Path,
        zone: ZoneInfo,
        default_duration_s: float,
        cache: Path | None,
        screens: int,
        quarantine: Quarantine,
        holders: Callable[[Holders], None] | None = None,
    ) -> None:
        """Take what is known from before. The folder need not be there yet.

        `holders` tells who held ids, where that is not known from before.
        """
        self._folder = folder.absolute()
        self._groups = f"{self._folder}/folders"
        self.known = read_known(cache)
        if holders and not self.known.holders:
            holders(self.known.holders)
        self._zone = zone
        self._default_ms = round(default_duration_s * 1000)
        self._cache_path = cache
        self.screens = self._screens_read = screens
        """Number of the station's screens, each of which may spend an equal part of a budget; it may be set."""
        # Keys are paths as text: ten thousand Path objects take longer to make and compare than all the rest.
        self._names: list[str] = []
        self._files: dict[str, Stamp] = {}
        self._media: dict[str, Stamp] = {}
        self._places: dict[tuple[str, str], str] = {}
        self._settled = {path: campaign for path, (_, campaign) in self.known.campaigns.items()}
        self._identity: tuple[int, int] | None = None
        self.upkeep = Upkeep(self.known, quarantine)
        """Upkeep of what is known of the media; it says which are to be examined."""
        self._read_again = False
        self.trouble = ""
        """Reason why a part of the folder cannot be read; empty where all can."""

    def changed(self) -> bool:
        """Return True where a name, a campaign file, a medium or the number of screens has changed since `read`.

        Raises PlaceError where the folder fails.
        """
        self.trouble = ""
        names, files = self._list()
        if self.screens != self._screens_read or (names, files) != (self._names, self._files):
            return True
        return any(self._stamp(path, stamp) != stamp for path, stamp in self._media.items())

    @property
    def due(self) -> bool:
        """True where the folder is to be read again even without a change."""
        return self._read_again or self.upkeep.due

    def read(self) -> Catalogue:
        """Return the catalogue of the folder as it is now, with the media that were examined.

        Raises PlaceError where the folder fails.
        """
        problems: list[str] = []
        waiting: list[str] = []
        silent: dict[str, str] = {}
        self.trouble, self._read_again = "", False
        self._screens_read = self.screens
        self._names, self._files = self._list()
        campaigns = dict(self._campaigns(problems))
        self._settled = settle(campaigns, self._settled, self.known.holders, problems, self._groups)
        self._find(self._settled, problems)
        self.upkeep.look(self._media, self._owners())
        ordered = list(self._lines(self._settled, problems, waiting, silent))
        lines = [line for line in ordered if line.creatives]
        if not lines and not waiting:
            problems.append(f"{self._folder}: no campaign plays; put *.toml files beside their media")
        paid = tuple(line for line in lines if not line.house)
        unplayable = tuple(line for line in ordered if not line.creatives and not line.house)
        version = sha256(msgspec.json.encode(lines, enc_hook=str)).hexdigest()[:16]
        self._forget()
        return Catalogue(
            paid,
            tuple(line for line in lines if line.house),
            self._zone,
            version,
            tuple(_shortened(problems)),
            unplayable,
            silent,
            tuple(_shortened(waiting)),
            tuple(unused(self._folder, set(self._media))),
        )

    def keep(self) -> None:
        """Write what is known, for the next start."""
        write_known(self._cache_path, self.known, self._playing())

    def _list(self) -> tuple[list[str], dict[str, Stamp]]:
        """Return the names in the folder, and the stamps of its campaign files.

        Without campaign files, the stamps are those of the files in folders of the old layout.
        """
        try:
            info = os.stat(self._folder)
            names = sorted(name for name in os.listdir(self._folder) if not ignored(name))
        except OSError as error:
            raise PlaceError(f"{self._folder}: {fails(error)}") from None
        files = [f"{self._folder}/{name}" for name in names if is_campaign_file(name)]
        if not files:
            below = [self._folder / name for name in names if folder_target(name) is not None]
            within = (path for place in below if place.is_dir() for path in listed(place))
            files = [str(path) for path in within if not is_campaign_file(path.name)]
        identity = (info.st_dev, info.st_ino)
        if not files and self._files and identity != self._identity:
            raise PlaceError(f"{self._folder}: it is empty, and another folder than before; mount the disk or share")
        self._identity = identity
        return names, {path: self._stamp(path, self._files.get(path, (0, 0, 0))) for path in files}

    def _stamp(self, path: str, before: Stamp) -> Stamp:
        """Return the stamp of a file; that of `before` where its place fails, which is noted as `trouble`."""
        try:
            return stamp_of(path)
        except OSError as error:
            self.trouble = self.trouble or f"{path}: {fails(error)}"
            return before

    def _forget(self) -> None:
        """Drop from the cache what is not in use."""
        self.known.forget(set(self._files), set(self._media))

    def _playing(self) -> dict[str, tuple[Stamp, CampaignFile]]:
        """Return what plays of each file, for the next start. An older version has no stamp: the file is read again."""
        known = self.known.campaigns
        return {
            path: (known[path][0] if campaign is known[path][1] else (0, 0, 0), campaign)
            for path, campaign in self._settled.items()
            if path in known
        }

    def _campaigns(self, problems: list[str]) -> Iterator[tuple[str, CampaignFile]]:
        """Yield each campaign file and its content, the last good one where the present one is broken."""
        files = [(path, stamp) for path, stamp in self._files.items() if is_campaign_file(path)]
        if len(files) > FILES_MAX:
            files.sort(key=lambda file: file[0] not in self._settled)  # those that play go on
            left = len(files) - FILES_MAX
            problems.append(f"{self._folder}: {left} campaign files over {FILES_MAX} are left out; put them elsewhere")
        for path, stamp in files[:FILES_MAX]:
            if not is_text(path):
                problems.append(f"{basename(path)!a}: {NOT_TEXT}")
                continue
            known = self.known.campaigns.get(path)
            if known is not None and known[0] == stamp:
                yield path, known[1]
                continue
            try:
                campaign = parse(path, self._folder)
            except UserError as error:
                self._read_again |= isinstance(error.__context__, OSError)
                problems.append(f"{error}" + ("; its last good version plays on" if known else ""))
                if known is not None:
                    yield path, known[1]
                continue
            self.known.campaigns[path] = (stamp, campaign)
            yield path, campaign
        if not files:
            layout = folder_campaign(self._folder, problems)
            if layout is not None:
                yield self._groups, layout

    def _find(self, campaigns: dict[str, CampaignFile], problems: list[str]) -> None:
        """Find the path of each (campaign file, medium), and its stamp. Bad paths are problems."""
        inside = MediaFolder(self._folder)
        places: dict[tuple[str, str], str] = {}
        missing: list[str] = []
        for path, campaign in campaigns.items():
            for creative in (creative for line in campaign.lines for creative in line.creatives):
                key = path, creative.file
                try:
                    places[key] = inside.find(creative.file)
                except UserError as error:
                    problems.append(f"{basename(path)}: creative {creative.id}: file: {error}")
                    missing.append(f"{self._folder}/{creative.file}")
                except OSError as error:
                    self.trouble = self.trouble or f"{self._folder}/{creative.file}: {fails(error)}"
                    places[key] = self._places.get(key, f"{self._folder}/{creative.file}")
        self._places = places
        before = self._media
        self._media = {
            place: self._stamp(place, before.get(place, (0, 0, 0))) for place in {*places.values(), *missing}
        }

    def _owners(self) -> dict[str, list[tuple[str, str]]]:
        """Return the advertisers and campaigns that name each medium."""
        owners: dict[str, dict[tuple[str, str], None]] = {}
        for (path, _), place in self._places.items():
            campaign = self._settled[path]
            owners.setdefault(place, {})[campaign.advertiser, campaign.campaign] = None
        return {place: list(whose) for place, whose in owners.items()}

    def _lines(
        self, campaigns: dict[str, CampaignFile], problems: list[str], waiting: list[str], silent: dict[str, str]
    ) -> Iterator[Line]:
        """Yield every line. Those without a medium that can be shown get a reason in `silent`."""
        for path, campaign in campaigns.items():
            for table in campaign.lines:
                creatives = tuple(self._creatives(path, table, problems, waiting))
                if not creatives:
                    first = table.creatives[0].file
                    place = self._places.get((path, first))
                    why = "it is not there" if place is None else self.upkeep.found(place)[0]
                    others = f", and so with {len(table.creatives) - 1} more" if len(table.creatives) > 1 else ""
                    silent[table.id] = f"none of its media can be shown: {first}: {why}{others}"
                yield line_of(campaign, table, creatives, self._screens_read)

    def _creatives(self, path: str, line: LineTable, problems: list[str], waiting: list[str]) -> Iterator[Creative]:
        for table in line.creatives:
            place = self._places.get((path, table.file))
            if place is None:
                continue
            why, answer = self.upkeep.found(place)
            if answer is None:
                said = waiting if why in (GROWS, NEW) else problems
                said.append(f"{basename(path)}: creative {table.id}: {table.file}: {why}")
                continue
            stamp, found = answer
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
                blocks=base64.b64decode(found["blocks"]),
                moves=found["moves"],
                container=found["container"],
                codec=found["codec"],
                notes=tuple(found["notes"]),
                sound=table.sound,
                title=table.title,
                stamp=stamp,
            )


def _shortened(told: list[str]) -> Iterator[str]:
    """Yield what is told of media; of each campaign file the first PROBLEMS_A_FILE, then how many more there are."""
    counts: Counter[str] = Counter()
    for text in told:
        file, creative, _ = text.partition(": creative ")
        counts[file] += bool(creative)
        if not creative or counts[file] <= PROBLEMS_A_FILE:
            yield text
    for file, count in counts.items():
        if count > PROBLEMS_A_FILE:
            yield f"{file}: {count - PROBLEMS_A_FILE} more creatives of it cannot be shown; mend those named first"
