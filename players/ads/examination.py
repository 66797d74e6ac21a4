"""Examination of media beside all else: a thread that asks `media.probe`, pictures first, then film by film."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.log import skip
from players.ads.known import Answer
from players.ads.lines import Stamp
from players.ads.media import VIDEOS, probe
from players.ads.places import read_failure, stamp_of

_TOGETHER = 200
"""Largest number of pictures that are examined at once."""


def is_film(path: str) -> bool:
    """Return True for a medium whose name is that of a film."""
    return Path(path).suffix.lower() in VIDEOS


def examine(wanted: Mapping[str, Stamp], known: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return the answers about media of these paths and stamps; media that changed meanwhile are left out.

    A file of the same content as before keeps its `known` answer. An answer has the key `again` where it is to be asked
    for again, and also `place` where not the medium but its place failed.
    """
    answers = {path: (stamp, known[path][1]) for path, stamp in wanted.items() if _is_same(path, stamp, known)}
    for path in wanted.keys() & known.keys():
        if known[path][1].get("place") and (failure := read_failure(path)):
            answers[path] = (wanted[path], _of_place(failure))  # as before: no process is needed to tell
    for place, found in probe(map(Path, sorted(wanted.keys() - answers.keys()))).items():
        path = str(place)
        if "problem" in found and (failure := read_failure(path)):
            found = _of_place(failure)
        answers[path] = (wanted[path], found)
    return {path: answer for path, answer in answers.items() if _stamp_now(path) == answer[0]}


def _of_place(failure: str) -> dict[str, Any]:
    return {"problem": failure, "again": True, "place": True}


def _is_same(path: str, stamp: Stamp, known: Mapping[str, Answer]) -> bool:
    """Return True where a file has other times than when it was examined, and the same content."""
    before = known.get(path)
    if before is None or "sha256" not in before[1] or before[0][0] != stamp[0]:
        return False
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == before[1]["sha256"]
    except OSError:
        return False


def _stamp_now(path: str) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None


class Examination:
    """Thread that examines what is wanted, and calls `done` after each answer."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._changed = threading.Condition()
        self._wanted: dict[str, Stamp] = {}
        self._known: Mapping[str, Answer] = {}
        self._answers: dict[str, Answer] = {}
        self._closing = False
        self._current: dict[str, Stamp] = {}
        self._thread = threading.Thread(target=self._run, name="examination", daemon=True)
        self._thread.start()

    def want(self, wanted: Mapping[str, Stamp], known: Mapping[str, Answer]) -> None:
        """Replace what is to be examined next. `known` are answers from before."""
        with self._changed:
            done = {path: answer[0] for path, answer in self._answers.items()} | self._current
            self._wanted = {path: stamp for path, stamp in wanted.items() if done.get(path) != stamp}
            self._known = dict(known)
            self._changed.notify()

    def take(self) -> dict[str, Answer]:
        """Return the answers since the last call."""
        with self._changed:
            answers, self._answers = self._answers, {}
            return answers

    @property
    def busy(self) -> bool:
        """True while something is examined or is to be, or answers are not taken yet."""
        with self._changed:
            return bool(self._current or self._wanted or self._answers)

    def close(self, timeout_s: float) -> None:
        """Examine nothing more; wait so long for what is being examined."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._wanted and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                batch = self._current = self._next()
                known = self._known
            try:
                answers = examine(batch, known)
            except Exception as error:
                skip("examination_failed", error=f"{type(error).__name__}: {error}")
                late: dict[str, Any] = {"problem": "it cannot be examined now", "again": True}
                answers = {path: (stamp, late) for path, stamp in batch.items()}
            with self._changed:
                self._answers |= answers
                self._current = {}
            self._done()

    def _next(self) -> dict[str, Stamp]:
        """Take the next media from those that are wanted: pictures together, or one film, the smallest."""
        pictures = [path for path in self._wanted if not is_film(path)][:_TOGETHER]
        batch = pictures or [min(self._wanted, key=lambda path: self._wanted[path][0])]
        return {path: self._wanted.pop(path) for path in batch}
