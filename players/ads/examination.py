"""Examination of media beside all else: two threads, of quick looks and of long ones, ask an examiner each, in turns.

What is known of a content, good or bad, is not examined again under another name or time.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.log import skip
from players.ads.examiner import Examiner
from players.ads.known import Answer, Known
from players.ads.media import VIDEOS
from players.ads.places import read_failure
from players.ads.quarantine import Quarantine
from players.ads.turns import Turns, Used, Wanted

_IDLE_S = 20.0
"""Time for which an examiner that has nothing to do is kept."""
_LOOKED_AT = 1000
"""Largest number of known contents that a file of the same size is compared with, the newest."""


def is_film(path: str) -> bool:
    """Return True for a medium whose name is that of a film."""
    return Path(path).suffix.lower() in VIDEOS


def examine(
    examiner: Examiner,
    path: str,
    wanted: Wanted,
    known: Known,
    quarantine: Quarantine,
    slow: Sequence[str] | None = None,
) -> tuple[Answer, float]:
    """Return the answer about one medium, and the time that it took, in s. The medium may have changed meanwhile.

    A `quick` look may find {slow}: nothing that is to be learnt. Contents that are `slow` are not looked at quickly.

    The time is that of the processor, or all of it where the examination did not finish. An answer has the key `again`
    where it is to be asked for again, and also `place` where not the medium but its place failed.
    """
    stamp, before = wanted.stamp, known.media.get(path)
    if before and before[1].get("place") and (failure := read_failure(path)):
        return (stamp, _of_place(failure)), 0.0  # as before: no process is needed to tell
    began_s = time.monotonic()
    seen = known.of_size(stamp[0])[-_LOOKED_AT:] + quarantine.of_size(stamp[0])[-_LOOKED_AT:]
    found = examiner.ask(Path(path), [*seen, *(slow or ())], quick=slow is not None)
    took_s = found.pop("cpu_s", time.monotonic() - began_s)
    if "slow" in found or (slow and found.get("sha256") in slow and found["sha256"] not in seen):
        return (stamp, found | {"slow": True}), took_s
    if "unfinished" in found:
        took_s = max(took_s, time.monotonic() - began_s)
    sha256 = found.get("sha256", "")
    if sha256 in seen:
        failed = quarantine.failure(sha256)
        problem = {"problem": failed.why, "unfinished": True} if failed else {"problem": "it changed", "again": True}
        found = known.contents.get(sha256) or found | problem
    elif "problem" in found and (failure := read_failure(path)):
        found = _of_place(failure)
    elif "unfinished" in found and sha256:
        quarantine.fail(sha256, found["problem"], found["bytes"])
    return (stamp, found), took_s


def _of_place(failure: str) -> dict[str, Any]:
    return {"problem": failure, "again": True, "place": True}


class Examination:
    """Threads that examine what is wanted, and call `done` after each answer.

    Each medium gets a quick look first. Those that take longer are examined by the other thread, so that a new medium
    waits for quick looks only.
    """

    def __init__(self, known: Known, quarantine: Quarantine, done: Callable[[], None]) -> None:
        self._known, self._quarantine, self._done = known, quarantine, done
        self._changed = threading.Condition()
        self._used = Used()
        self._slow: dict[str, Wanted] = {}
        self._slow_contents: dict[str, None] = {}
        self._lanes = {quick: Turns(self._used) for quick in (True, False)}
        self._current: dict[str, Wanted] = {}
        self._answers: dict[str, Answer] = {}
        self._closing = False
        self._examiners = {quick: Examiner() for quick in self._lanes}
        self._threads = [
            threading.Thread(target=self._run, args=(quick,), name="examination", daemon=True) for quick in self._lanes
        ]
        for thread in self._threads:
            thread.start()

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """Replace what is to be examined next."""
        with self._changed:
            done = {path: answer[0] for path, answer in self._answers.items()}
            done |= {path: medium.stamp for path, medium in self._current.items()}
            left = {path: medium for path, medium in wanted.items() if done.get(path) != medium.stamp}
            slow = {path for path, medium in left.items() if self._is_slow(path, medium)}
            self._slow = {path: medium for path, medium in self._slow.items() if path in slow or path in self._current}
            for quick in self._lanes:
                mine = {path: medium for path, medium in left.items() if (path in slow) != quick}
                self._lanes[quick] = Turns(self._used, mine)
            self._used.forget()
            self._changed.notify_all()

    def take(self) -> dict[str, Answer]:
        """Return the answers since the last call."""
        with self._changed:
            answers, self._answers = self._answers, {}
            return answers

    @property
    def busy(self) -> bool:
        """True while something is examined or is to be, or answers are not taken yet."""
        with self._changed:
            return bool(self._current or self._answers or any(lane.wanted for lane in self._lanes.values()))

    def close(self, timeout_s: float) -> None:
        """Examine nothing more, and end what is being examined."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for quick, thread in zip(self._examiners, self._threads, strict=True):
            self._examiners[quick].kill()
            thread.join(timeout_s)

    def _is_slow(self, path: str, medium: Wanted) -> bool:
        return path in self._slow and self._slow[path].stamp == medium.stamp

    def _run(self, quick: bool) -> None:
        with self._examiners[quick] as examiner:
            while (taken := self._next(quick)) is not None:
                path, wanted = taken
                try:
                    slow = list(self._slow_contents)[-_LOOKED_AT:] if quick else None
                    answer, took_s = examine(examiner, path, wanted, self._known, self._quarantine, slow)
                except Exception as error:
                    skip("examination_failed", error=f"{type(error).__name__}: {error}")
                    answer, took_s = (wanted.stamp, {"problem": "it cannot be examined now", "again": True}), 0.0
                with self._changed:
                    self._used.charge(wanted, took_s)
                    del self._current[path]
                    if "slow" in answer[1]:
                        self._slow[path] = wanted
                        self._slow_contents[answer[1].get("sha256", "")] = None
                        if len(self._slow_contents) > _LOOKED_AT:
                            del self._slow_contents[next(iter(self._slow_contents))]
                        self._lanes[False] = Turns(self._used, self._lanes[False].wanted | {path: wanted})
                        self._changed.notify_all()
                        continue
                    self._slow_contents.pop(answer[1].get("sha256", ""), None)
                    self._answers[path] = answer
                self._done()

    def _next(self, quick: bool) -> tuple[str, Wanted] | None:
        """Wait for the next medium, and take it; None at the end."""
        with self._changed:
            while not self._closing:
                if (taken := self._lanes[quick].take()) is not None:
                    self._current[taken[0]] = taken[1]
                    return taken
                wait_s = self._lanes[quick].wait_s()
                if not self._changed.wait(_IDLE_S if wait_s is None else min(wait_s, _IDLE_S)) and wait_s is None:
                    self._examiners[quick].rest()
            return None
