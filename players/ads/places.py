"""Names and places in a folder of campaigns: which names count, which look alike, and when a place fails.

A place is a folder, a share or a stick. That it fails says nothing about the media in it.
"""

import errno
import os
import re
import stat
import unicodedata
from pathlib import Path

from pipeline.errors import UserError
from pipeline.medium import MediumError, open_plain
from players.ads.lines import Stamp

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)
"""Errors that tell of a name, not of the place in which it is looked for."""
_OF_A_SYSTEM = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "recycler"}
    | {"system volume information", "lost+found", "#recycle", "#snapshot", "icon\r"}
)
_READ_BYTES_MAX = 64 << 20


class PlaceError(Exception):
    """A place fails; the text says how."""


def ignored(name: str) -> bool:
    """Return True for hidden names, and for those that systems leave behind, such as `._x` and `Thumbs.db`."""
    return name.startswith((".", "~$")) or name.lower() in _OF_A_SYSTEM


def as_seen(name: str) -> str:
    """Return a form that is the same for names that people cannot tell apart.

    Unicode normal forms, the case of the ending, blanks around and marks without width do not matter.
    """
    plain = name
    if not name.isascii():
        plain = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    plain = " ".join(unicodedata.normalize("NFC", plain).split())
    stem, dot, ending = plain.rpartition(".")
    return f"{stem.rstrip()}.{ending.lower()}" if dot else plain


def is_campaign_file(name: str) -> bool:
    """Return True for a name that ends in .toml, in any case and with blanks after it."""
    return as_seen(name).endswith(".toml")


def is_text(name: str) -> bool:
    """Return True for a name that is UTF-8 of one line. Names on old disks may be bytes that no TOML file can hold."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name) is None


def stamp_of(path: Path | str) -> Stamp:
    """Return size, mtime and ctime in ns, which change with the file; zeros where there is none.

    The inode is left out: sticks give new ones each time. Raises OSError where the place fails.
    """
    try:
        info = os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return (0, 0, 0)
        raise
    except ValueError:
        return (0, 0, 0)
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def fails(error: OSError) -> str:
    """Return what an error says of a place, in plain words."""
    words = {
        errno.ENOENT: "it is not there",
        errno.ENOTDIR: "it is not there",
        errno.ELOOP: "it is a link that leads to itself",
        errno.EACCES: "this user may not read it",
        errno.EPERM: "this user may not read it",
        errno.EIO: "the disk fails",
        errno.ESTALE: "the share was exchanged",
        errno.ENOTCONN: "the share is not connected",
        errno.ETIMEDOUT: "the share does not answer",
        errno.EHOSTDOWN: "the share does not answer",
        errno.EHOSTUNREACH: "the share does not answer",
        errno.ENODEV: "the disk is gone",
        errno.ENXIO: "the disk is gone",
    }
    return words.get(error.errno or 0) or f"it cannot be read ({error.strerror or type(error).__name__})"


def read_failure(path: Path | str) -> str:
    """Return why a file cannot be read at all, in plain words; empty where it can, as far as its first 64 MiB tell."""
    left = _READ_BYTES_MAX
    try:
        with os.fdopen(open_plain(Path(path), follow=True), "rb", buffering=0) as file:
            while left > 0 and (part := file.read(1 << 20)):
                left -= len(part)
    except OSError as error:
        return fails(error)
    except MediumError:  # a pipe or device in its place: not the place is to blame
        return ""
    return ""


class MediaFolder:
    """A folder in which media are found; links and `..` may not lead out of it."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._folders: dict[str, tuple[str, bool]] = {}
        self._listed: dict[str, dict[str, list[str]]] = {}

    def find(self, file: str) -> str:
        """Return the absolute path of a medium, by its name or by the only one that looks the same.

        Raises UserError where it is missing or outside, OSError where the place fails.
        """
        if "\0" in file or os.path.isabs(file):
            raise UserError(f"{file!r} is not a path beside the campaign file; copy the medium there")
        folder, name = os.path.split(file)
        try:
            real, inside = self._folder(folder)
            path = f"{real}/{name}"
            mode = _mode(path)
            if not mode and inside:
                path = f"{real}/{self._alike(real, name)}"
                mode = _mode(path)
            if stat.S_ISLNK(mode):
                path, inside = self._really(Path(path))
                mode = _mode(path)
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise
            text = f"{file!r} is a link that leads nowhere, or too long a name; copy the medium there"
            raise UserError(text) from None
        if not inside:
            raise UserError(f"{file!r} leads out of the folder of the campaigns; copy the medium into it")
        if not stat.S_ISREG(mode):
            raise UserError(f"there is no file {file!r}; add it or remove the creative")
        return path

    def _folder(self, folder: str) -> tuple[str, bool]:
        """Return the real path of a folder within the root, and True where it is inside."""
        if folder not in self._folders:
            place = self._root / folder
            if folder and not _mode(str(place)):
                above, own = os.path.split(folder)
                real, _ = self._folder(above)
                place = Path(real, self._alike(real, own))
            self._folders[folder] = self._really(place)
        return self._folders[folder]

    def _alike(self, folder: str, name: str) -> str:
        """Return the one name in a folder that looks like this one, or the name itself where there is none.

        Raises UserError where there are two.
        """
        if folder not in self._listed:
            by_look: dict[str, list[str]] = {}
            try:
                for other in os.listdir(folder):
                    by_look.setdefault(as_seen(other), []).append(other)
            except (FileNotFoundError, NotADirectoryError):
                pass
            self._listed[folder] = by_look
        found = self._listed[folder].get(as_seen(name), [name])
        if len(found) > 1:
            names = " and ".join(ascii(other) for other in sorted(found))
            raise UserError(f"there are files whose names look the same: {names}; remove or rename one")
        return found[0]

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
