"""Quarantine of media: what failed on the screen, or was never examined to the end, is kept away for a while.

A medium is known by its sha256, so no other name, time or campaign frees it. Each failure keeps it away twice as long.
What is known outlives a restart, in a file of state beside the ledger.
"""

import threading
import time
from collections.abc import Iterable
from math import ceil
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from pipeline.log import skip
from pipeline.private import make_folders, read_file, replacing

FIRST_S, MOST_S = 600.0, 86_400.0
"""Time for which a medium is kept away after its first failure, and the most; it is doubled each time."""
REMEMBERED_S = 7 * 86_400.0
"""Time after its last quarantine for which a failure is remembered."""
FAILED_MAX = 3
"""Number of media of one advertiser that may fail before his new ones have to wait too."""
WHOLE_MAX = 20_000
"""Largest number of media that are remembered to have been shown whole."""


class Failure(Struct, frozen=True, array_like=True):
    """Record of a medium that failed: how often, when last (UTC, s), why, and whose it is.

    Without an advertiser it failed while it was examined.
    """

    count: int
    at_s: float
    why: str
    advertiser: str
    bytes: int

    @property
    def left_s(self) -> float:
        """Time for which the medium is still kept away, in s."""
        return _left_s(self.at_s, self.count)


class _File(Struct):
    failed: dict[str, Failure] = {}
    whole: list[str] = []


class Quarantine:
    """Media that are kept away, by sha256; thread-safe.

    A medium that was never shown whole waits also where FAILED_MAX others of its advertiser failed on the screen. So to
    change a byte of a medium frees nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Take what is known from before; without a path nothing is kept."""
        self._path = path
        self._lock = threading.Lock()
        file = _read(path)
        self._failed = file.failed
        self._whole = dict.fromkeys(file.whole)

    def fail(self, sha256: str, why: str, size: int, advertiser: str = "") -> float:
        """Keep a medium of so many bytes away. Return for how long, in s."""
        with self._lock:
            before = self._failed.get(sha256)
            failure = Failure(before.count + 1 if before else 1, time.time(), why, advertiser, size)
            oldest_s = failure.at_s - MOST_S - REMEMBERED_S
            self._failed = {k: v for k, v in self._failed.items() if v.at_s > oldest_s} | {sha256: failure}
            self._whole.pop(sha256, None)
            self._write()
            return failure.left_s

    def shown_whole(self, sha256: str) -> None:
        """Note that a medium was shown from its first frame to its last."""
        with self._lock:
            if sha256 not in self._whole:
                self._whole[sha256] = None
                while len(self._whole) > WHOLE_MAX:
                    del self._whole[next(iter(self._whole))]
                self._write()

    def failure(self, sha256: str) -> Failure | None:
        """Return how a medium failed that is kept away now because of that; None where it is not."""
        failure = self._known().get(sha256)
        return failure if failure is not None and failure.left_s else None

    def left_s(self, sha256: str) -> float:
        """Return for how long a medium is kept away because it failed itself, in s; 0 where it is not."""
        failure = self.failure(sha256)
        return failure.left_s if failure else 0.0

    def of_size(self, size: int) -> list[str]:
        """Return the media of so many bytes that failed and are kept away now."""
        return [name for name, failure in self._known().items() if failure.bytes == size and failure.left_s]

    def held(self, media: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return which of the media, each as (sha256, advertiser), are kept away now, and why in words."""
        held: dict[tuple[str, str], str] = {}
        failed = {sha256: failure for sha256, failure in self._known().items() if failure.left_s}
        late = self._advertisers_held_s()
        for sha256, advertiser in media if failed or late else ():
            if failure := failed.get(sha256):
                held[sha256, advertiser] = f"it failed ({failure.why}); it is tried again in {in_words(failure.left_s)}"
            elif sha256 not in self._whole and (left_s := late.get(advertiser)):
                held[sha256, advertiser] = f"other media of {advertiser} failed; new ones wait for {in_words(left_s)}"
        return held

    def _known(self) -> dict[str, Failure]:
        """Return what failed, by sha256. What the clock, set back, puts into the future is as if of now."""
        now_s = time.time()
        if any(failure.at_s > now_s for failure in self._failed.values()):
            with self._lock:
                self._failed = {k: structs.replace(v, at_s=min(v.at_s, now_s)) for k, v in self._failed.items()}
                self._write()
        return self._failed

    def _advertisers_held_s(self) -> dict[str, float]:
        """Return for how long new media of advertisers are kept away, in s; each failure over a few doubles it."""
        times_s: dict[str, list[float]] = {}
        for failure in self._known().values():
            if failure.advertiser:
                times_s.setdefault(failure.advertiser, []).append(failure.at_s)
        left_s = {name: _left_s(max(at_s), len(at_s) - FAILED_MAX + 1) for name, at_s in times_s.items()}
        return {name: left for name, left in left_s.items() if left}

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            make_folders(self._path.parent)
            with replacing(self._path, durable=False) as draft:
                draft.write(msgspec.msgpack.encode(_File(self._failed, list(self._whole))))
        except OSError as error:
            skip("quarantine_not_written", error=error)


def in_words(seconds: float) -> str:
    """Return a time in whole minutes or hours, rounded up."""
    minutes = ceil(seconds / 60)
    return f"{minutes} min" if minutes < 2 * 60 else f"{ceil(minutes / 60)} h"


def _left_s(at_s: float, count: int) -> float:
    """Return what is left of the time after that failure; nothing before the first."""
    if count < 1:
        return 0.0
    pause_s = min(FIRST_S * 2.0 ** min(count - 1, 10), MOST_S)
    return max(0.0, at_s + pause_s - time.time())


def _read(path: Path | None) -> _File:
    try:
        return _File() if path is None else msgspec.msgpack.decode(read_file(path), type=_File)
    except (OSError, msgspec.DecodeError):
        return _File()
