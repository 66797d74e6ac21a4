"""People who are there now, counted once each, until they leave. Their names stay in memory and go with them.

A person is counted when first told. What comes later is added to it: time, looks, and the answer about gender and age.
So the numbers of somebody who is still there are in the file too, as far as they are known.

Three minutes after the arrival they stay as they are, and so does the group. What is learned later is counted in the
minute in which it is learned. So an hour that reports have told does not change.
"""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

from pipeline.messages import OTS_NS, WATCHED_NS, Audience, Person
from players.audience.present import group_of
from players.statistics.counts import MEASURES, Basis, Cell, Pending
from players.statistics.times import MINUTE_S

OPEN_NS = 180_000_000_000
"""Time after an arrival for which its numbers may still change; reports tell an hour 5 minutes after its end."""
GAP_NS = 2_000_000_000
"""Time for which somebody who is told no more may be told again, or by another camera of his group."""
_MINUTE_NS = MINUTE_S * 1_000_000_000
_NOTHING = [0] * len(MEASURES)
_PRESENCE = MEASURES.index("presence_ms")


class Someone(Struct):
    """One person who is there, or was until a moment ago. Times are monotonic, in ns."""

    basis: Basis
    arrived_s: int
    """Minute of arrival (UTC epoch)."""
    arrived_ns: int
    until_ns: int
    """Time up to which the stay is counted."""
    left_ns: int
    """Time after which the person has left."""
    group: tuple[int, int]
    """Gender and decade as indices."""
    answers: int = 0
    there_ns: int = 0
    attention_ms: int = 0
    told_attention_ms: int = 0
    """Attention that the camera told last, from which the next is counted."""
    longest_look_ns: int = 0
    spent_ns: Counter[int] = field(default_factory=Counter)
    """Time by minute (UTC epoch), as far as it is not closed."""
    closed: list[int] | None = None
    """Numbers of the stay that are counted for good; None while those of the arrival are open."""
    newest_s: int = 0
    """Minute (UTC epoch) in which the person was last found."""
    written: dict[Cell, list[int]] = field(default_factory=dict)
    """Part of the numbers that was handed over already, as far as it is not closed."""

    def see(self, person: Person, left_ns: int, offset_ns: int) -> None:
        """Take in what is told of the person now. `offset_ns`: from monotonic times to those of the wall clock."""
        if self.closed is None and person.answers >= self.answers:
            self.group, self.answers = group_of(person), person.answers
        began_ns = self.until_ns - self.there_ns
        more_ms = person.attention_ms - self.told_attention_ms
        self.attention_ms += more_ms if more_ms >= 0 else person.attention_ms
        self.told_attention_ms = person.attention_ms
        if person.looking and person.looking_since_ns is not None and self.attention_ms:
            self.longest_look_ns = max(self.longest_look_ns, person.seen_ns - max(person.looking_since_ns, began_ns))
        for minute_s, part_ns in _by_minute(self.until_ns + offset_ns, person.seen_ns + offset_ns):
            self.spent_ns[minute_s] += part_ns
            self.there_ns += part_ns
        self.until_ns, self.left_ns = max(self.until_ns, person.seen_ns), left_ns
        self.newest_s = (self.until_ns + offset_ns) // _MINUTE_NS * MINUTE_S

    def write(self, pending: Pending, now_ns: int) -> None:
        """Hand over what is new. From OPEN_NS after the arrival on, what was handed over is closed."""
        parts = self._parts()
        for cell in parts.keys() | self.written.keys():
            now, before = parts.get(cell, _NOTHING), self.written.get(cell, _NOTHING)
            if now != before:
                pending.add(cell, [a - b for a, b in zip(now, before, strict=True)])
        self.written = parts
        if now_ns - self.arrived_ns >= OPEN_NS:
            self.closed, self.written = self._stay(), {}
            self.spent_ns.clear()

    def _stay(self) -> list[int]:
        """Return the numbers of the stay so far, without the time, which is counted by minute."""
        could_see, there_ms = self.there_ns >= OTS_NS, self.there_ns // 1_000_000
        watched = could_see and self.attention_ms > 0
        of_looks = [there_ms, min(self.attention_ms, there_ms)] if watched else [0, 0]
        return [1, int(could_see), int(watched), int(watched and self.longest_look_ns >= WATCHED_NS), 0, *of_looks]

    def _parts(self) -> dict[Cell, list[int]]:
        new = [now - before for now, before in zip(self._stay(), self.closed or _NOTHING, strict=True)]
        counted_s = self.arrived_s if self.closed is None else self.newest_s
        cells = {(counted_s, self.basis, *self.group): new}
        for minute_s, part_ns in self.spent_ns.items():
            cell = cells.setdefault((minute_s, self.basis, *self.group), list(_NOTHING))
            cell[_PRESENCE] += part_ns // 1_000_000
        return cells


class Place:
    """A camera, or a group of cameras that see the same people, of which the one that leads counts.

    When another camera leads, people have other names. Whom it tells then, and was not counted yet, goes on as
    somebody whom the former one told until a moment ago. Only those beyond their number are new.
    """

    def __init__(self, counted_until_ns: int) -> None:
        """Begin. Who came before `counted_until_ns` was counted by an earlier process, and is not counted again."""
        self._before_ns = counted_until_ns
        self._people: dict[tuple[str, str], Someone] = {}
        self._camera = ""
        self._leads_ns = 0
        self._last: tuple[int, int, Basis] | None = None

    def take(self, audience: Audience, basis: Basis, offset_ns: int, pending: Pending) -> None:
        """Take in who is there."""
        at_ns, lasts_ns = audience.captured_ns, audience.lasts_ms * 1_000_000
        if not audience.leads or (self._last and at_ns < self._last[0]):
            return
        if self._camera and audience.camera != self._camera:
            self._leads_ns = at_ns
        self._camera = audience.camera
        self._measure(audience, basis, offset_ns, pending)
        left_ns = at_ns + max(GAP_NS, lasts_ns)
        told = {(audience.camera, person.track): person for person in audience.people if person.track}
        for key, person in told.items():
            someone = self._people.get(key)
            if someone and person.since_ns > someone.until_ns:  # out of the zone and in again
                self._end(key, pending, at_ns)
                someone = None
            if someone is None:
                someone = self._continued(audience.camera, person, at_ns)
            if someone is None:
                someone = self._someone(person, basis, offset_ns, pending)
            someone.see(person, left_ns, offset_ns)
            self._people[key] = someone

    def write(self, pending: Pending, now_ns: int) -> None:
        """Hand over the numbers of everybody, and forget who has left."""
        for key, someone in list(self._people.items()):
            if now_ns > someone.left_ns:
                self._end(key, pending, now_ns)
            else:
                someone.write(pending, now_ns)

    def _measure(self, audience: Audience, basis: Basis, offset_ns: int, pending: Pending) -> None:
        """Count the time for which the word before this one held, in the minutes in which it lay."""
        at_ns, lasts_ns = audience.captured_ns, audience.lasts_ms * 1_000_000
        if self._last:
            then_ns, held_ns, before = self._last
            for minute_s, part_ns in _by_minute(then_ns + offset_ns, min(at_ns, then_ns + held_ns) + offset_ns):
                pending.add_measured(minute_s, before, part_ns, 0)
        if lasts_ns:
            pending.add_measured((at_ns + offset_ns) // _MINUTE_NS * MINUTE_S, basis, 0, len(audience.people))
        self._last = at_ns, lasts_ns, basis

    def _someone(self, person: Person, basis: Basis, offset_ns: int, pending: Pending) -> Someone:
        """Return somebody new. What a camera saw before it led counts for nobody."""
        since_ns = max(person.since_ns, self._leads_ns)
        someone = Someone(
            basis=basis,
            arrived_s=(since_ns + offset_ns) // _MINUTE_NS * MINUTE_S,
            arrived_ns=since_ns,
            until_ns=min(since_ns, person.seen_ns),
            left_ns=person.seen_ns,
            group=group_of(person),
            told_attention_ms=person.attention_ms if since_ns > person.since_ns else 0,
        )
        if self._before_ns and person.since_ns <= self._before_ns:
            someone.see(person, person.seen_ns, offset_ns)
            someone.spent_ns.clear()
            someone.write(Pending(), person.seen_ns)
        return someone

    def _continued(self, camera: str, person: Person, at_ns: int) -> Someone | None:
        """Return whom another camera of the group told until a moment ago; one of the same group of people first."""
        waiting = [key for key, someone in self._people.items() if key[0] != camera and at_ns <= someone.left_ns]
        if not waiting:
            return None
        key = min(waiting, key=lambda key: self._people[key].group != group_of(person))
        someone = self._people.pop(key)
        someone.told_attention_ms, someone.answers = person.attention_ms, 0
        return someone

    def _end(self, key: tuple[str, str], pending: Pending, now_ns: int) -> None:
        self._people.pop(key).write(pending, now_ns)


def _by_minute(from_ns: int, to_ns: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a span of the wall clock as (minute in s of UTC epoch, length in ns)."""
    while from_ns < to_ns:
        minute = from_ns // _MINUTE_NS
        end_ns = min(to_ns, (minute + 1) * _MINUTE_NS)
        yield minute * MINUTE_S, end_ns - from_ns
        from_ns = end_ns
