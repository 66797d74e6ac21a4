"""Creatives that are not shown for a while because they failed, and the catalogue without them."""

import time

import msgspec

from pipeline.log import log
from pipeline.medium import CHANGED, UNREADABLE
from players.ads.catalogue import Catalogue
from players.ads.lines import Creative, Line
from players.ads.places import fails, read_failure, stamp_of
from players.ads.quarantine import FIRST_S, Quarantine
from players.choice.held import Held
from players.choice.slow import LEAD_S, Slow

RETRY_S = 2.0
"""Time for which a creative is not shown where not the medium but its disk, share or stick failed.

Where it was late, or failed on the screen, it is doubled each time, up to quarantine.FIRST_S.
"""
_CHANGED = "it has changed since it was examined"


class Failures:
    """Memory of what failed, or was slow, on one screen: in quarantine where the medium is to blame, else away."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._until_s: dict[Creative, float] = {}
        self._pause_s: dict[str, float] = {}
        self._slow = Slow()
        self._unreadable = False
        self._rest: tuple[Catalogue, frozenset[str], Catalogue] | None = None
        self.held: dict[str, str] = {}
        """Reason of each creative that is in quarantine, or slow, by its id; as of the last `rest`."""

    def fail(
        self, creative: Creative, line: Line, why: str, *, late: bool = False, shown: bool = False, took_s: float = 0.0
    ) -> None:
        """Keep a creative away: for moments where its place failed or it was late, else as long as its quarantine.

        `shown`: it failed while it was on the screen. A file that only changed meanwhile is no excuse then. It is one
        where the decoder saw other bytes than those that were examined: these may be another's medium too. `took_s` is
        the time that it took to find that it fails.
        """
        if took_s > LEAD_S:
            self._note_slow(creative, line, took_s)
        place = _place_failure(creative)
        if place == _CHANGED and shown and CHANGED not in why:
            place = ""
        if not place and UNREADABLE in why:  # the decoder's read failed, and the place is well again
            place = UNREADABLE
        if place or late:
            off_s = self._pause_s.get(creative.id, RETRY_S)
            if late or shown:
                self._pause_s[creative.id] = min(2 * off_s, FIRST_S)
            self._until_s[creative] = time.monotonic() + off_s
        else:
            off_s = self._quarantine.fail(creative.sha256, why, creative.stamp[0], line.advertiser)
        if not place:
            log("creative_failed", severity="warning", creative=creative.id, error=why, off_s=off_s)
        elif not self._unreadable:  # one is enough: its place fails, and so all that is there
            self._unreadable = True
            log("creative_unreadable", severity="warning", creative=creative.id, error=place)

    def loaded(self, creative: Creative, line: Line, took_s: float) -> None:
        """Note that a creative could be loaded, in so many s; a slow one is away for a while after it was shown.

        The place of the media is well.
        """
        self._unreadable = False
        self._note_slow(creative, line, took_s)

    def _note_slow(self, creative: Creative, line: Line, took_s: float) -> None:
        if off_s := self._slow.loaded(creative, line, took_s):
            log("creative_slow", severity="warning", creative=creative.id, took_s=took_s, off_s=off_s)

    def shown_whole(self, creative: Creative) -> None:
        """Note that a creative was shown to its end."""
        self._pause_s.pop(creative.id, None)
        self._quarantine.shown_whole(creative.sha256)

    def rest(self, newest: Catalogue) -> Catalogue:
        """Return the catalogue without the creatives that are kept away now, and without lines that have no other."""
        lines = (*newest.lines, *newest.house)
        away = self._quarantine.held((ad.sha256, line.advertiser) for line in lines for ad in line.creatives)
        now_s = time.monotonic()
        self._until_s = {creative: until_s for creative, until_s in self._until_s.items() if until_s > now_s}
        gone = {creative.id for creative in self._until_s}
        self.held = {}
        if away:
            owned = ((ad.id, (ad.sha256, line.advertiser)) for line in lines for ad in line.creatives)
            self.held = {name: away[medium] for name, medium in owned if medium in away}
        if self._slow.any and len({line.advertiser for line in newest.lines}) > 1:  # else nobody has to wait for it
            told = ((ad.id, self._slow.why_away(ad, line)) for line in lines for ad in line.creatives)
            self.held = {name: why for name, why in told if why} | self.held
        without = frozenset(gone | self.held.keys())
        if self._rest is None or self._rest[0] is not newest or self._rest[1] != without:
            self._rest = newest, without, _without(newest, without) if without else newest
        return self._rest[2]

    def lines_held(self, newest: Catalogue) -> dict[str, Held]:
        """Return the paid lines whose media are all in quarantine, or slow, by id, and why."""
        return {
            line.id: Held("failed", f"none of its media may play: {(ad := line.creatives[0].id)}: {self.held[ad]}")
            for line in (newest.lines if self.held else ())
            if all(creative.id in self.held for creative in line.creatives)
        }


def _place_failure(creative: Creative) -> str:
    """Return why a file cannot be read, or is not the one that was examined; empty where the medium is to blame."""
    try:
        stamp = stamp_of(creative.path)
    except OSError as error:
        return fails(error)
    if stamp != creative.stamp:
        return _CHANGED if any(stamp) else "it is not there"
    return read_failure(creative.path)


def _without(catalogue: Catalogue, gone: frozenset[str]) -> Catalogue:
    """Return the catalogue without the creatives of these ids, and without lines that have no other."""

    def rest(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        kept = [(line, tuple(c for c in line.creatives if c.id not in gone)) for line in lines]
        return tuple(
            line if creatives == line.creatives else msgspec.structs.replace(line, creatives=creatives)
            for line, creatives in kept
            if creatives
        )

    return Catalogue(rest(catalogue.lines), rest(catalogue.house), catalogue.zone, catalogue.version)
