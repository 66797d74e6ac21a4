"""Examiner of media as those who ask see it: a program of its own (media.py), started when it is first asked."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta, Struct

from pipeline.system import plain
from players.ads import media
from players.ads.media import ANSWER_BYTES_MAX, DURATION_MS_MAX, SIDE_PX_MAX, read_until, wall_s_max

_LIBRARIES = ("av", "pi-heif", "pillow")
"""Packages that decode media; one that is not installed counts too."""
_READERS = ("colours", "film", "frames", "kinds", "matroska", "medium", "mp4", "pictures", "profiles")
"""Modules of `pipeline` that read media."""
_Side = Annotated[int, Meta(gt=0, le=SIDE_PX_MAX)]
_Word = Annotated[str, Meta(max_length=200)]


class Shows(Struct, frozen=True, kw_only=True):
    """Facts that must be told of a medium before it is shown, and their bounds; see `Examiner.ask`."""

    kind: Literal["image", "video"]
    width_px: _Side
    height_px: _Side
    duration_ms: Annotated[int, Meta(ge=0, le=DURATION_MS_MAX)]
    moves: bool
    container: _Word
    codec: _Word
    notes: Annotated[list[_Word], Meta(max_length=20)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Meta(ge=0)]
    blocks: str


def can_be_shown(found: dict[str, Any]) -> bool:
    """Return whether an answer tells all that is needed to show a medium."""
    try:
        msgspec.convert(found, Shows)
    except msgspec.ValidationError:
        return False
    return "problem" not in found


def examiner() -> str:
    """Return a hash of the files and libraries that examine. When one changes, every medium is examined again."""
    root = Path(__file__).parents[2]
    files = (Path(media.__file__), *(root / "pipeline" / f"{name}.py" for name in _READERS))
    libraries = " ".join(f"{name} {_installed(name)}" for name in _LIBRARIES)
    return hashlib.sha256(b"".join(path.read_bytes() for path in files) + libraries.encode()).hexdigest()


def _installed(package: str) -> str:
    """Return the version of an installed package; empty where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Examiner:
    """A program that examines media, one at a time. It is started when it is first asked, or asked after `rest`.

    One thread asks; any thread may call `kill`.
    """

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._killed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def ask(self, path: Path, known: Iterable[str] = (), *, quick: bool = False) -> dict[str, Any]:
        """Return what was found in a file, or {problem}: one line of text. Its path is absolute and without links.

        Found are kind, container and codec, width_px and height_px as seen, duration_ms and sound. `notes` say what is
        done to the medium, each in a few words. `blocks` (as in pipeline/medium.py, in Base64) are told where it can be
        shown; `sha256` and `bytes` wherever the file could be read. Of a problem, `unfinished` tells that the
        examination hit a limit or died, `again` that it could not begin. `cpu_s` is the time of the processor that it
        took. A file whose sha256 is in `known` is not examined: nothing else is told of it. A `quick` look may tell
        {slow} instead: it takes longer.
        """
        known = list(known)
        try:
            program = self._running()
            if program.stdin is None or program.stdout is None:
                raise BrokenPipeError
            program.stdin.write(json.dumps([str(path), known, quick]).encode() + b"\n")
            program.stdin.flush()
            until_s = time.monotonic() + wall_s_max(path) + 60
            answer, _ = read_until(program.stdout.fileno(), until_s, 2 * ANSWER_BYTES_MAX, b"\n")
            found = dict(json.loads(answer))
        except (OSError, ValueError) as error:
            self.rest()
            why = "its examination was cut off, or took too long" if isinstance(error, ValueError) else plain(error)
            return {"problem": f"it cannot be examined now: {why}", "again": True}
        if {"problem", "slow"} & found.keys() or found.get("sha256") in known or can_be_shown(found):
            return found
        facts = {name: found[name] for name in ("sha256", "bytes", "cpu_s") if name in found}
        return facts | {"problem": "what is said of it makes no sense; save it anew", "unfinished": True}

    def rest(self) -> None:
        """End the program, if it runs."""
        program, self._program = self._program, None
        if program is not None:
            program.kill()
            program.communicate()

    def kill(self) -> None:
        """End the program for good: who asks, or is waiting for an answer, learns that it cannot be examined now."""
        self._killed = True
        if program := self._program:
            program.kill()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._program is None:
            root = Path(__file__).parents[2]
            command = [sys.executable, "-I", str(Path(media.__file__).resolve()), str(os.getpid()), str(root)]
            pipe = subprocess.PIPE
            self._program = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        if self._killed:
            self._program.kill()
        return self._program


def probe(paths: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Return for each file what an examiner finds in it."""
    with Examiner() as examiner:
        return {path: examiner.ask(path) for path in dict.fromkeys(paths)}
