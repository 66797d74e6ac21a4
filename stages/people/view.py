"""The people in view of one camera: since when each is there, and what is known of each."""

from msgspec import Struct, field

from models.cards import Unknown
from pipeline.messages import BRIDGE_NS, MAX_FACES, Answered, Face, Person
from pipeline.polygons import inside
from pipeline.settings import Camera
from stages.people.attention import Attention, Window
from stages.people.fusion import Fused

_LASTS_MIN_NS, _LASTS_MAX_NS = 2_000_000_000, 60_000_000_000
"""Shortest and longest time for which what a camera has shown holds, however fast or slow its frames come."""


class Visit(Struct, frozen=True, kw_only=True):
    """The stay of one person who has left, from `person.since_ns` to `person.seen_ns`."""

    camera: str
    person: Person
    """The person as last told."""
    face_px: float
    """Mean width of the face."""
    found: int
    """Number of frames in which the face was found."""
    longest_look_ms: int = 0
    """Length of the longest confirmed look; 0 without one."""


class Stay(Struct):
    """The time of one person in the zone, so far."""

    since_ns: int
    seen_ns: int
    attention: Attention
    found: int = 0
    widths_px: float = 0.0
    """Sum of the face's widths."""


class Someone(Struct):
    """Somebody who is followed, also where he does not count: `stay` is None while he is not in the zone."""

    face: Face
    found_ns: int
    stay: Stay | None = None
    told: bool = False
    """True once a frame has told of the person, in the zone or not."""
    fused: Fused = field(default_factory=Fused)

    def person(self, stay: Stay, unknown: Unknown | None) -> Person:
        """Return what is known. `unknown` holds the thresholds of the classifier's card; None where there is none."""
        known, look = self.fused.estimate(unknown), stay.attention
        return Person(
            box_px=self.face.box_px,
            score=self.face.score,
            gender=known.gender,
            p_male=known.p_male,
            age_years=known.age_years,
            decade=known.decade,
            p_decade=known.p_decade,
            track=self.face.track,
            since_ns=stay.since_ns,
            seen_ns=stay.seen_ns,
            p_minor=self.fused.p_minor,
            answers=self.fused.answers,
            looking=look.looking,
            looking_since_ns=look.since_ns if look.looking else None,
            attention_ms=look.attention_ns // 1_000_000,
            watched=look.watched,
        )


class View:
    """The people in view of one camera.

    A person is a track. Faces that nobody follows are people of their frame alone.
    """

    def __init__(self, camera: Camera, unknown: Unknown | None) -> None:
        self.camera = camera
        self.at_ns = -1
        """Time of the newest frame; -1 before the first."""
        self._unknown = unknown
        self._people: dict[str, Someone] = {}
        self._loose: list[Someone] = []
        self._pauses_ns: tuple[int, int] = (0, 0)
        self._light_ns = -1
        self._late_ns = 0
        """Time from the capture of the newest frame to its answers."""
        self._left: list[Visit] = []

    @property
    def until_ns(self) -> int:
        """Time until which the newest frame holds. Where frames come further apart, until the next is overdue by half.

        Of the last two pauses the shorter one tells how far: a single long one is an outage. Where a search takes long,
        the next frame is told as late as this one. A camera that has been dark for longer than people are bridged tells
        nothing.
        """
        if self.at_ns - self._light_ns > BRIDGE_NS:
            return self.at_ns - 1
        pause_ns = max(round(1e9 / self.camera.fps), min(self._pauses_ns))
        return self.at_ns + min(max(_LASTS_MIN_NS, 3 * pause_ns // 2 + self._late_ns), _LASTS_MAX_NS)

    def take(self, message: Answered) -> bool:
        """Take in a frame. Return whether it is newer than all before it.

        One that comes late still tells of who was there and what was answered. One that is older than what is bridged
        tells nothing.
        """
        at_ns = message.captured_ns
        newest = at_ns > self.at_ns
        if newest:
            if self.at_ns >= 0:
                self._pauses_ns = self._pauses_ns[1], at_ns - self.at_ns
            if not message.dark:
                self._light_ns = at_ns
            self.at_ns, self._loose = at_ns, []
            self._late_ns = max(0, message.classified_ns - at_ns)
        elif at_ns < self.at_ns - BRIDGE_NS:
            return False
        answers = {answer.face: answer for answer in message.answers}
        for number, face in enumerate(message.faces):
            someone = self._someone(face, at_ns)
            if number in answers:
                someone.fused.add(answers[number], face.quality)
            self._saw(someone, face, at_ns, self._is_inside(face, message))
            if not face.track and newest:
                self._loose.append(someone)
        self._forget()
        return newest

    def present(self) -> tuple[Person, ...]:
        """Return who is present at the time of the newest frame: 64 people at most, those found last."""
        everybody = [*self._loose, *self._people.values()]
        there = [(one, one.stay) for one in everybody if one.stay and self._is_bridged(one.stay.seen_ns, self.at_ns)]
        there.sort(key=lambda pair: -pair[1].seen_ns)
        return tuple(someone.person(stay, self._unknown) for someone, stay in there[:MAX_FACES])

    def left(self) -> list[Visit]:
        """Return the stays that have ended since this was last asked."""
        left, self._left = self._left, []
        return left

    def close(self) -> None:
        """End all stays."""
        for someone in self._people.values():
            self._end(someone)
        self._people.clear()

    def _someone(self, face: Face, at_ns: int) -> Someone:
        known = self._people.get(face.track) if face.track else None
        if known is None:
            known = Someone(face=face, found_ns=at_ns)
            if face.track:
                self._people[face.track] = known
        return known

    def _saw(self, someone: Someone, face: Face, at_ns: int, is_inside: bool) -> None:
        """Note that somebody was found, and begin or end his stay where he came into the zone or has left it."""
        if at_ns >= someone.found_ns:
            someone.face, someone.found_ns = face, at_ns
        if not is_inside:
            someone.told = True
            if someone.stay and not self._is_bridged(someone.stay.seen_ns, at_ns):
                self._end(someone)
            return
        stay = someone.stay = someone.stay or self._begin(someone, at_ns)
        stay.since_ns, stay.seen_ns = min(stay.since_ns, at_ns), max(stay.seen_ns, at_ns)
        stay.attention.window = Window.of(self.camera)  # a reload may have changed it
        stay.attention.update(at_ns, face.yaw_deg, face.pitch_deg)
        stay.found += 1
        stay.widths_px += face.box_px[2]

    def _begin(self, someone: Someone, at_ns: int) -> Stay:
        """Return a stay that begins now.

        Of somebody of whom nobody told before, detection knows since when he is in view, but not where he was then.
        """
        in_view_ns = someone.face.since_ns
        known = in_view_ns and (not self.camera.zone or self._is_bridged(in_view_ns, at_ns))
        since_ns = min(in_view_ns, at_ns) if known and not someone.told else at_ns
        someone.told = True
        return Stay(since_ns=since_ns, seen_ns=at_ns, attention=Attention(Window.of(self.camera)))

    def _is_inside(self, face: Face, message: Answered) -> bool:
        """Return whether the middle of a face is in the zone, where the camera has one."""
        x, y, width_px, height_px = face.box_px
        middle = (x + width_px / 2) / message.width_px, (y + height_px / 2) / message.height_px
        return not self.camera.zone or inside(self.camera.zone, *middle)

    @staticmethod
    def _is_bridged(seen_ns: int, at_ns: int) -> bool:
        return seen_ns >= at_ns - BRIDGE_NS

    def _forget(self) -> None:
        """Forget who was not found for longer than is bridged, and all but the 64 who were found last."""
        gone = [track for track, someone in self._people.items() if not self._is_bridged(someone.found_ns, self.at_ns)]
        kept = len(self._people) - len(gone)
        if kept > MAX_FACES:
            oldest = sorted(self._people, key=lambda track: self._people[track].found_ns)
            gone = oldest[: len(self._people) - MAX_FACES]
        for track in gone:
            self._end(self._people.pop(track))

    def _end(self, someone: Someone) -> None:
        """End somebody's stay, if there is one."""
        stay, someone.stay = someone.stay, None
        if stay:
            person, face_px = someone.person(stay, self._unknown), stay.widths_px / stay.found
            longest_look_ms = stay.attention.longest_ns // 1_000_000
            self._left.append(
                Visit(
                    camera=self.camera.name,
                    person=person,
                    face_px=face_px,
                    found=stay.found,
                    longest_look_ms=longest_look_ms,
                )
            )
