"""The tally of one play: for each person how long he was there, and looked, while the ad was on the display.

Tracks are random names of people while they are in view. They are kept in memory for the time of the play.
"""

from collections.abc import Collection, Iterator
from itertools import pairwise

from msgspec import Struct, field

from pipeline.messages import BRIDGE_NS, LOOK_NS, Audience, Person
from players.audience.present import Place
from players.audience.spans import Span, common, length_ns, most_at_once, union

_MS = 1_000_000


class Seen(Struct, frozen=True):
    """One person of a play, as last told, with his time in it."""

    person: Person
    present_ns: int
    attention_ns: int = 0
    """Sum of his looks; 0 where none was as long as LOOK_NS."""
    longest_look_ns: int = 0
    times: tuple[Span, ...] = ()
    """Spans in which he was there."""


class Count(Struct, frozen=True):
    """Outcome of a tally."""

    measured_share: float | None
    """Share of the play in which cameras told who is there, the mean over the places; None without cameras."""
    people: tuple[Seen, ...] = ()
    most_people: int = 0
    """Largest number of people at once."""


class Tally:
    """Record of who was there while an ad was on the display, from the words of the cameras that count.

    What a word says is taken to go on until the next one, for as long as it holds. Time that no word covers is not
    measured: nobody counts then. Who is not followed has no time of his own and does not count either.
    """

    def __init__(self, places: Collection[Place] = ()) -> None:
        """Begin a play. `places` are those that the screen's cameras see, each of them measured or not."""
        self._scenes = {place: _Scene() for place in places}
        self._shown: list[list[int]] = []
        self._visible = False

    def show(self, mono_ns: int, *, visible: bool = True) -> None:
        """Note that the ad is on the display now, and was since the last call; or that nobody can see it."""
        if visible and self._visible:
            self._shown[-1][1] = mono_ns
        elif visible:
            self._shown.append([mono_ns, mono_ns])
        self._visible = visible

    def add(self, place: Place, word: Audience) -> None:
        """Take in a word of the camera that counts for a place."""
        self._scenes.setdefault(place, _Scene()).take(word)

    def count(self) -> Count:
        """Return what the tally comes to by now."""
        shown = union(self._shown)
        windows = [(scene, common(shown, scene.held())) for scene in self._scenes.values()]
        stays = [stay for scene, window in windows for stay in scene.stays(window)]
        share = None
        if windows:
            whole_ns = len(windows) * length_ns(shown)
            share = sum(length_ns(window) for _, window in windows) / whole_ns if whole_ns else 0.0
        people = tuple(_seen(person, times, looks) for person, times, looks in stays if times)
        return Count(share, people, most_at_once(times for _, times, _ in stays))


class _Someone(Struct, eq=False):
    """One person of a place: when he was there and looked, each span as [from, to] in ns."""

    camera: str
    person: Person
    times: list[list[int]] = field(default_factory=list)
    looks: list[list[int]] = field(default_factory=list)
    look_since_ns: int | None = None
    """Start of the present look."""
    before_ms: int = 0
    """Attention before the present look."""

    def take(self, person: Person, from_ns: int, *, known: bool) -> None:
        """Take in a word about him, which tells of the time from `from_ns` on. `known`: by the same track as before.

        A look is as long as his attention grew by it, which leaves out what is no confirmed look. Where he is met
        while he looks, the look is as long as its beginning says, but no longer than all attention.
        """
        since_ns = person.looking_since_ns if person.looking else None
        if self.look_since_ns is not None:
            if known and since_ns != self.look_since_ns:
                self._measure_look(person)
            if not known or since_ns != self.look_since_ns:
                self.look_since_ns = None
        if since_ns is not None and self.look_since_ns is None:
            earlier_ms = self.person.attention_ms
            if not known:
                earlier_ms = person.attention_ms - (person.seen_ns - since_ns) // _MS
            elif person.attention_ms < earlier_ms:  # another stay of the same track
                earlier_ms = 0
            self.look_since_ns, self.before_ms = since_ns, max(0, earlier_ms)
            self.looks.append([max(since_ns, from_ns)] * 2)
        if since_ns is not None:
            self._measure_look(person)
        self.person = person
        begin_ns = max(person.since_ns, from_ns)
        if self.times and self.times[-1][0] <= begin_ns <= self.times[-1][1]:
            self.times[-1][1] = max(self.times[-1][1], person.seen_ns)
        else:
            self.times.append([begin_ns, person.seen_ns])

    def _measure_look(self, person: Person) -> None:
        assert self.look_since_ns is not None
        grown_ns = max(0, person.attention_ms - self.before_ms) * _MS
        self.looks[-1][1] = max(self.looks[-1][0], min(self.look_since_ns + grown_ns, person.seen_ns))

    def after(self, until_ns: int) -> tuple[list[list[int]], list[list[int]]]:
        """Return the spans in which he was there and looked, where what the newest frame showed goes on until then.

        He looks on where that frame told the direction of his head; a millisecond may be lost by rounding.
        """
        seen_ns = self.person.seen_ns
        times, looks = [*self.times, [seen_ns, until_ns]], self.looks
        if self.look_since_ns is not None and looks[-1][0] < looks[-1][1] >= seen_ns - 2 * _MS:
            looks = [*looks, [looks[-1][1], until_ns]]
        return times, looks


class _Scene:
    """One place: the words of the camera that counts for it, and its people, who stay themselves if another counts."""

    def __init__(self) -> None:
        self._holds: list[tuple[int, int]] = []
        self._newest: Audience | None = None
        self._from_ns = -(2**62)
        self._people: list[_Someone] = []
        self._by_track: dict[str, _Someone] = {}

    def take(self, word: Audience) -> None:
        """Take in a word. Words of a camera that comes to count tell of the time after the last word before."""
        if self._newest and word.camera != self._newest.camera:
            self._from_ns = self._newest.captured_ns
        self._newest = word
        self._holds.append((word.captured_ns, _until_ns(word)))
        for person in sorted(word.people, key=lambda person: person.track not in self._by_track):
            if not person.track:
                continue
            someone = self._by_track.get(person.track)
            known = someone is not None and someone.camera == word.camera
            if someone is None:
                someone = self._by_track[person.track] = self._continued(person, word.camera)
            someone.camera = word.camera
            someone.take(person, self._from_ns, known=known)

    def _continued(self, person: Person, camera: str) -> _Someone:
        """Return who a person of a new track is.

        Another camera may have counted him. He then continues one of its people who was there when he was first seen,
        or was last found a moment before. Nobody continues two. Which one it is, is not known: the number is right.
        """
        theirs = [someone for someone in self._people if someone.camera != camera]
        there = [someone for someone in theirs if someone.times[-1][1] >= person.since_ns - BRIDGE_NS]
        if there:
            return max(there, key=lambda someone: (someone.times[-1][1], -someone.times[0][0]))
        self._people.append(_Someone(camera, person))
        return self._people[-1]

    def held(self) -> list[Span]:
        """Return when words held: each until the next one, and no longer than it says."""
        holds = sorted([*self._holds, (2**62, 2**62)])
        return union((begin, min(until, following)) for (begin, until), (following, _) in pairwise(holds))

    def stays(self, window: list[Span]) -> Iterator[tuple[Person, list[Span], list[Span]]]:
        """Yield each person with the spans of the window in which he was there, and looked."""
        newest = self._newest
        found = {person.track for person in newest.people if person.seen_ns >= newest.captured_ns} if newest else set()
        going_on = {id(self._by_track[track]) for track in found if track}
        for someone in self._people:
            times, looks = someone.times, someone.looks
            if newest and id(someone) in going_on:
                times, looks = someone.after(_until_ns(newest))
            there = common(union(times), window)
            yield someone.person, there, common(union(looks), there)


def _seen(person: Person, times: list[Span], looks: list[Span]) -> Seen:
    longest_ns = max((end - begin for begin, end in looks), default=0)
    attention_ns = length_ns(looks) if longest_ns >= LOOK_NS else 0
    return Seen(person, length_ns(times), attention_ns, longest_ns, tuple(times))


def _until_ns(word: Audience) -> int:
    return word.captured_ns + word.lasts_ms * _MS
