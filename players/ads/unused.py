"""Files and folders of a folder of campaigns that play no part, each with the reason."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.kinds import SUFFIXES
from players.ads.folders import EXAMPLES, folder_target
from players.ads.media import VIDEOS
from players.ads.places import as_seen, fails, ignored, is_campaign_file, is_text

NAMED_MAX = 200
"""Largest number of files and folders that are named."""
_DEEPEST = 8
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".egg", ".alz")
_UPLOADS = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".temp", ".!ut", ".aria2")
_FLAT = "it lies in a folder of its own; move it up"


def unused(folder: Path, used: set[str]) -> list[tuple[str, str]]:
    """Return (name, reason) of whatever plays no part: neither campaign file nor medium among the `used` paths.

    Names are relative to the folder. Hidden files and those of systems are left out. Of more than NAMED_MAX the last
    entry tells how many there are.
    """
    real = str(folder.resolve())
    found = list(_Walk(real, used).below(real, "", 0))
    if len(found) <= NAMED_MAX:
        return found
    return [*found[:NAMED_MAX], ("...", f"{len(found) - NAMED_MAX} more files and folders play no part")]


class _Walk:
    def __init__(self, folder: str, used: set[str]) -> None:
        self._folder = folder
        self._used = used
        self._looks = {os.path.join(os.path.dirname(path), as_seen(os.path.basename(path))) for path in used}
        self._places = {folder}
        """Folders with something used in them."""
        for path in used:
            above = os.path.dirname(path)
            while len(above) > len(folder) and above not in self._places:
                self._places.add(above)
                above = os.path.dirname(above)
        self._layout = not any(is_campaign_file(entry.name) for entry in _entries(folder))

    def below(self, place: str, name: str, depth: int) -> Iterator[tuple[str, str]]:
        """Yield (name, reason) for what lies in a folder; `name` is that of the folder from the root on."""
        for entry in _entries(place):
            own = f"{name}{entry.name}"
            try:
                mode = os.stat(entry.path).st_mode
            except OSError as error:
                gone = isinstance(error, FileNotFoundError) or entry.is_symlink()
                yield own, "it is a link that leads nowhere; put the file itself there" if gone else fails(error)
                continue
            if stat.S_ISDIR(mode):
                yield from self._of_folder(entry, own, depth)
            elif os.path.realpath(entry.path) in self._used or entry.path in self._used:
                continue
            elif name or not is_campaign_file(entry.name):
                yield own, self._why(entry, mode, inside=bool(name))

    def _of_folder(self, entry: os.DirEntry[str], own: str, depth: int) -> Iterator[tuple[str, str]]:
        real = os.path.realpath(entry.path)
        if not real.startswith(f"{self._folder}/"):
            yield own, "it is a link out of the folder of the campaigns; copy what it leads to"
        elif entry.is_symlink() and real not in self._places:
            yield own, "no line uses anything in it"
        elif entry.is_symlink() or depth >= _DEEPEST:
            return
        elif real in self._places:
            yield from self.below(entry.path, f"{own}/", depth + 1)
        else:
            yield from self._of_idle(entry, own, depth)

    def _of_idle(self, entry: os.DirEntry[str], own: str, depth: int) -> Iterator[tuple[str, str]]:
        """Tell why nothing in a folder is used: once for the folder, and for each campaign file in it."""
        names, failure = [], ""
        try:
            names = [name for name in os.listdir(entry.path) if not ignored(name)]
        except OSError as error:
            failure = fails(error)
        files = [name for name in names if is_campaign_file(name)]
        yield from ((f"{own}/{name}", _FLAT) for name in sorted(files))
        media = [name for name in names if is_medium(name)]
        if failure:
            yield own, failure
        elif not names:
            yield own, "it is empty"
        elif depth == 0 and self._layout:
            if folder_target(entry.name) is None:
                yield own, f"its name is no group of people; rename it such as {EXAMPLES}"
            elif not media:
                yield own, "there is no picture or film in it; add one"
            else:
                yield own, "none of its media can be used"
        elif depth == 0 and media and folder_target(entry.name) is not None:
            yield own, "a folder of a group is read only where there is no campaign file; name its media in lines"
        elif len(files) < len(names):
            yield own, "no line uses anything in it"

    def _why(self, entry: os.DirEntry[str], mode: int, *, inside: bool) -> str:
        name = entry.name
        plain = as_seen(name).lower()
        if not is_text(name):
            return "there are control characters in its name, or its name is not UTF-8; rename it"
        if not stat.S_ISREG(mode):
            return "it is not a regular file; remove it"
        if is_campaign_file(name):
            return _FLAT
        if ".toml" in plain:
            ending = plain[plain.index(".toml") :]
            return f"its name ends in {ending}; rename it to end in .toml if it is to play, else remove it"
        if os.path.join(os.path.dirname(os.path.realpath(entry.path)), as_seen(name)) in self._looks:
            return "its name looks the same as that of a medium that is used; remove or rename one"
        if plain.endswith(_ARCHIVES):
            return "it is packed; unpack it here"
        if plain.endswith(_UPLOADS):
            return "it looks like an upload that has not ended; wait for it, or copy the file anew"
        if not is_medium(name):
            return "it is neither a campaign file nor a picture or film"
        if self._layout and not inside:
            return f"it lies beside the folders of groups; move it into one such as {EXAMPLES}"
        return "no line uses it"


def is_medium(name: str) -> bool:
    """Return True for a name that ends as that of a picture or film does."""
    return os.path.splitext(as_seen(name))[1] in (*SUFFIXES, *VIDEOS)


def _entries(place: str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder by name, without what is ignored; nothing where it cannot be read."""
    try:
        with os.scandir(place) as entries:
            return sorted((entry for entry in entries if not ignored(entry.name)), key=lambda entry: entry.name)
    except OSError:
        return []
