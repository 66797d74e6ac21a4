"""Upkeep of what is known of a folder's media: which can be shown, and which are to be examined, now or again."""

import time
from collections.abc import Iterable, Mapping

from players.ads.examination import is_film
from players.ads.known import Answer, Known
from players.ads.lines import Stamp
from players.ads.quarantine import Quarantine
from players.ads.turns import Owner, Wanted

SETTLE_S = 2.0
"""Time for which a film must not change before it is examined: one that is still being copied may look whole."""
AGAIN_S, AGAIN_S_MAX = 2.0, 600.0
"""Time until a file that could not be read is tried again; doubled each time, up to the second, if it took too long."""
GROWS = "it is still being written; it plays when it is whole"
NEW = "it is being examined; it plays when that is done"


class Upkeep:
    """Keeper of what is known of the media of a folder, as of the last `look`. It examines nothing itself."""

    def __init__(self, known: Known, quarantine: Quarantine) -> None:
        self._known, self._quarantine = known, quarantine
        self._media: dict[str, Stamp] = {}
        self._first_seen: dict[str, tuple[Stamp, float]] = {}
        self._again: dict[str, tuple[float, float]] = {}
        self.wanted: dict[str, Wanted] = {}
        """Media that are to be examined."""
        self.growing: set[str] = set()
        """Films that may still be written."""

    @property
    def due(self) -> bool:
        """True where a medium may be examined now that could not be at the last look."""
        now_s = time.monotonic()
        again = (path for path, (due_s, _) in self._again.items() if due_s <= now_s)
        return bool(self.growing) or any(path not in self.wanted for path in again)

    def look(self, media: Mapping[str, Stamp], owners: Mapping[str, Iterable[tuple[str, str]]]) -> None:
        """Note which media are to be examined: new ones, those known from an older examiner, and those to try again.

        `media` are all, by path; `owners` are the advertiser and campaign of each that name it.
        """
        self._media = dict(media)
        self._again = {path: again for path, again in self._again.items() if path in owners}
        self._first_seen = {path: seen for path, seen in self._first_seen.items() if path in media}
        self.wanted, self.growing = {}, set()
        good = {path for path in media if self._can_be_shown(path)}
        established = {advertiser for path in good for advertiser, _ in owners.get(path, ())}
        now_s = time.monotonic()
        for path, whose in owners.items():
            stamp, known = media[path], self._known.media.get(path)
            is_new = known is None or known[0] != stamp
            was_so_long = known is not None and known[0][0] == stamp[0]
            if is_new and is_film(path) and not was_so_long and self._is_fresh(path):
                self.growing.add(path)
            elif is_new or self._again.get(path, (now_s + (not self._is_stale(path)), 0.0))[0] <= now_s:
                self.wanted[path] = Wanted(stamp, tuple(Owner(*owner, owner[0] in established) for owner in whose))

    def learn(self, answers: Mapping[str, Answer]) -> None:
        """Take answers about media, for the next look.

        What an older examiner found good stays so where this one could not look.
        """
        for path, (stamp, found) in answers.items():
            if not (found.get("again") and self._is_stale(path) and self._known.media[path][0] == stamp):
                self._known.learn(path, (stamp, found))
            if "unfinished" in found:
                pause_s = self._quarantine.left_s(found.get("sha256", ""))
                self._again[path] = (time.monotonic() + (pause_s or AGAIN_S_MAX), pause_s)
            elif found.get("again"):
                _, pause_s = self._again.get(path, (0.0, AGAIN_S / 2))
                pause_s = AGAIN_S if found.get("place") else min(2 * pause_s, AGAIN_S_MAX)
                self._again[path] = (time.monotonic() + pause_s, pause_s)
            else:
                self._again.pop(path, None)

    def forget(self, media: Iterable[str]) -> None:
        """Drop what was found in these media: they are not shown until they were examined anew."""
        for path in media:
            self._known.media.pop(path, None)
            self._again.pop(path, None)

    def found(self, path: str) -> tuple[str, Answer | None]:
        """Return ("", the answer) about a medium that can be shown, else the reason why it cannot, and None."""
        answer = self._known.media.get(path)
        if path in self.growing:
            return GROWS, None
        if answer is None or answer[0] != self._media[path]:
            return NEW, None
        return (answer[1]["problem"], None) if "problem" in answer[1] else ("", answer)

    def _can_be_shown(self, path: str) -> bool:
        return path in self._known.media and "problem" not in self._known.media[path][1]

    def _is_stale(self, path: str) -> bool:
        return path in self._known.media and "stale" in self._known.media[path][1]

    def _is_fresh(self, path: str) -> bool:
        """Return True where a file may still be written: it changed a moment ago by its clock, and as far as seen."""
        stamp = self._media[path]
        if self._first_seen.get(path, (None,))[0] != stamp:
            self._first_seen[path] = (stamp, time.monotonic())
        seen_s = time.monotonic() - self._first_seen[path][1]
        return time.time() - stamp[2] / 1e9 < SETTLE_S and seen_s < SETTLE_S
