"""Tracks: which face of a frame is whose of the frames before, by place, motion and size. Nothing of how a face looks
is kept.

Distances are in widths of the person's own face. A walker moves about one from frame to frame at 10 frames a second, so
his boxes need not overlap.
"""

import math
import secrets
from collections.abc import Sequence

from models.detector import DetectedFace
from pipeline.messages import BRIDGE_NS
from stages.detect.motion import Habit, Motion

_BELIEVED = 1.6
"""Sum of the scores of a person's faces from which he is believed in: two good ones, or three poor ones."""
_DOUBT = 0.4
"""Loss of that sum by a frame in which the face is not found. A face is found in nearly every frame, and what
only looks like one now and then."""
_LIKELY, _CERTAIN = 0.7, 0.8
"""Scores of a person's best face. Below the first nobody is believed in, as backs of heads pass for faces again and
again. Below the second it takes three times as many faces."""
_SELDOM_S = 0.45
"""Time from frame to frame from which a person is believed in at once: there may be no second look. Two frames a second
are as seldom, also where they come a little unevenly."""
_GUIDED_S = 1.0
"""Longest time from frame to frame over which a speed tells a place. After a longer one, who stood is where he was."""
_STOOD_WIDTHS, _STOOD_SIZE = 0.7, 0.15
_ACROSS, _UPWARDS = Habit(0.12, 7.0, 18.0), Habit(0.1, 3.0, 4.0)
"""Motion of a head, in face widths. People walk at 9 widths a second and stop within half a second."""
_SIZE = Habit(0.07, 0.2, 0.3)
"""Change of the logarithm of a face's width."""
_GATE, _GATE_OUTSIDE = 30.0, 6.0
"""Squared standard deviations by which a face may be off from where a person's is expected, inside the picture and
outside. Who has left is not whoever comes in there."""
_UNCLEAR = 4.0
"""Two people whose costs would differ by less if they changed places cannot be told apart now."""
_UNCLEAR_S = 0.65
"""Time after the last clear sight for which one waits for a clearer one, as where people pass each other."""
_NEARER = 1.1
"""Ratio of the widths of two people's faces from which the larger one is in front. Where two are at one place, it is
he who is seen."""
_TWIN_WIDTHS = 0.4
_POOR, _POOR_NS = 0.6, 350_000_000
"""Score below which a face must be where it is expected, and of the size, if the person was not found for so long.
While his own face is turned away, a fold of his coat may look like a poor one."""
_THERE_WIDTHS, _THERE_SIZE = 0.5, 0.3
_SHARP = 0.7
"""Score from which the box of a face is as good as any. Those of heads that turn away are too small by up to half."""

Box = tuple[float, float, float, float]


class Track:
    """Somebody who is being followed."""

    def __init__(self, face: DetectedFace, t_ns: int) -> None:
        x, y, w, h = face.box_px
        self.id = secrets.token_hex(8)
        """16 hexadecimal digits, which say nothing of the person."""
        self.since_ns = self.seen_ns = self._at_ns = t_ns
        self.believed = False
        """True once there are enough faces to tell that somebody is there."""
        self._belief, self._best = 0.0, 0.0
        self._shape = h / w
        self._middle_px, self._unit_px = (x + w / 2, y + h / 2), w
        self._x, self._y = Motion(0.0, _ACROSS), Motion(0.0, _UPWARDS)
        self._size = Motion(math.log(w), _SIZE)

    @property
    def width_px(self) -> float:
        """Width of the face that is expected now."""
        return math.exp(self._size.value)

    @property
    def middle_px(self) -> tuple[float, float]:
        """Middle of the face that is expected now."""
        x_px, y_px = self._middle_px
        return x_px + self._x.value * self._unit_px, y_px + self._y.value * self._unit_px

    @property
    def box_px(self) -> Box:
        """Box (x, y, w, h) of the face that is expected now."""
        (x, y), w = self.middle_px, self.width_px
        return x - w / 2, y - w * self._shape / 2, w, w * self._shape

    def move(self, t_ns: int) -> None:
        """Move on to a time."""
        s = (t_ns - self._at_ns) / 1e9
        if s <= 0:
            return
        self._at_ns = t_ns
        if s > _GUIDED_S:
            self._x.rest(_STOOD_WIDTHS)
            self._y.rest(_STOOD_WIDTHS)
            self._size.rest(_STOOD_SIZE)
            return
        for motion in (self._x, self._y, self._size):
            motion.move(s)

    def cost(self, face: DetectedFace, gate: float, lost_ns: float) -> float:
        """Return how unlike the person a face is now, as a negative log likelihood; infinite past the gate.

        Who was not found for more than `lost_ns` has no poor face but where his is expected.
        """
        offs = self._off(face)
        if face.score < _POOR and self._at_ns - self.seen_ns > lost_ns and not _is_there(*offs):
            return math.inf
        away, spread = 0.0, 1.0
        for off, motion in zip(offs, (self._x, self._y, self._size), strict=True):
            var = motion.var(_blur(face))
            away += off**2 / var
            spread *= var
        return away + math.log(spread) if away < gate else math.inf

    def see(self, face: DetectedFace, believe_at: float) -> None:
        """Take in the face that was found for the person now."""
        for off, motion in zip(self._off(face), (self._x, self._y, self._size), strict=True):
            motion.see(off, _blur(face))
        self._middle_px, before_px, self._unit_px = self.middle_px, self._unit_px, self.width_px
        for motion in (self._x, self._y):  # in face widths, from the middle
            motion.value = 0.0
            motion.speed_s *= before_px / self._unit_px
        self.noticed(face, believe_at)

    def noticed(self, face: DetectedFace, believe_at: float) -> None:
        """Count a face towards believing in the person."""
        self.seen_ns = self._at_ns
        self._belief += face.score
        self._best = max(self._best, face.score)
        needed = believe_at if self._best >= _CERTAIN else 3 * believe_at
        self.believed = self.believed or (self._belief >= needed and self._best >= _LIKELY)

    def missed(self) -> None:
        """Doubt the person, who was not found in a frame, until he is believed in."""
        self._belief = max(0.0, self._belief - _DOUBT)

    def is_twin(self, face: DetectedFace) -> bool:
        """Tell whether a face is but a second box of the person's face."""
        dx, dy, size = self._off(face)
        return abs(dx) < _TWIN_WIDTHS and abs(dy) < _TWIN_WIDTHS and abs(size) < 0.5

    def _off(self, face: DetectedFace) -> tuple[float, float, float]:
        """Return by how much a face is off from what is expected: across, downwards, in size."""
        x, y, w, h = face.box_px
        middle_x, middle_y = self.middle_px
        return (
            (x + w / 2 - middle_x) / self._unit_px,
            (y + h / 2 - middle_y) / self._unit_px,
            math.log(w) - self._size.value,
        )


class Tracks:
    """Everybody who is being followed in one camera's frames, which may come at any rate."""

    def __init__(self, fps: float = 10.0) -> None:
        """Begin with nobody. `fps` is the rate at which frames are expected; their times tell the real one."""
        self._people: list[Track] = []
        self._period_s = 1 / fps
        self._pauses_s = 1 / fps, 1 / fps
        self._last_ns = 0

    @property
    def people(self) -> int:
        """Number of people who are followed and believed in."""
        return sum(track.believed for track in self._people)

    @property
    def seldom(self) -> bool:
        """True where frames come so seldom that people may be seen but once."""
        return self._period_s >= _SELDOM_S

    def expected(self, t_ns: int) -> list[Track]:
        """Move everybody on to the time of a frame, and return whoever may be found in it."""
        if t_ns > self._last_ns:
            if self._last_ns:
                self._pauses_s = self._pauses_s[1], (t_ns - self._last_ns) / 1e9
                self._period_s += 0.2 * (min(self._pauses_s) - self._period_s)  # a single long one is an outage
            self._last_ns = t_ns
        bridge_ns = max(BRIDGE_NS, 1.5e9 * self._period_s)
        self._people = [track for track in self._people if t_ns - track.seen_ns <= bridge_ns]
        for track in self._people:
            track.move(t_ns)
        return list(self._people)

    def follow(self, found: Sequence[DetectedFace], t_ns: int, size_px: tuple[int, int]) -> list[Track | None]:
        """Take in the faces of a frame of (width, height). Return whose each is.

        None stands for a second box of one face, and for the face of one of two people who pass each other.
        """
        people = self.expected(t_ns)
        lost_ns = max(_POOR_NS, 1.5e9 * self._period_s)
        costs = [[track.cost(face, _gate(track, size_px), lost_ns) for face in found] for track in people]
        pairs = _assigned(costs)
        unclear = {j for i, j in pairs.items() if self._is_unclear(people, costs, pairs, i)}
        believe_at = 0.0 if self.seldom else _BELIEVED
        whose: list[Track | None] = [None] * len(found)
        for i, j in pairs.items():
            if j not in unclear:
                whose[j] = people[i]
                people[i].see(found[j], believe_at)
        taken = [track for track in whose if track]
        for i, track in enumerate(people):
            if track.seen_ns != t_ns and pairs.get(i) not in unclear:
                track.missed()
        for j, face in enumerate(found):
            if whose[j] is None and j not in unclear and not any(track.is_twin(face) for track in taken):
                track = whose[j] = Track(face, t_ns)
                track.noticed(face, believe_at)
                self._people.append(track)
                taken.append(track)
        self._people = [track for track in self._people if track.seen_ns == t_ns or _in_view(track, size_px)]
        return whose

    def _is_unclear(self, people: list[Track], costs: list[list[float]], pairs: dict[int, int], i: int) -> bool:
        """Tell whether the face of person `i` may as well be that of another, who has another face or none now.

        One of them covers the other then, and a frame later they are apart again. If there is but one face for two,
        and the likelier one is nearer, it is clear: he covers the other.
        """
        mine = pairs[i]
        for k, other in enumerate(people):
            if not self._rivals(people, i, k):
                continue
            more = costs[k][mine] - costs[i][mine]
            if k in pairs:
                more += costs[i][pairs[k]] - costs[k][pairs[k]]
            elif people[i].width_px > _NEARER * other.width_px:
                continue
            if more < _UNCLEAR:
                return True
        return False

    def _rivals(self, people: list[Track], i: int, k: int) -> bool:
        """Tell whether two are believed in and both were seen a moment ago."""
        one, other = people[i], people[k]
        seen_ns = min(one.seen_ns, other.seen_ns)
        return i != k and one.believed and other.believed and self._last_ns - seen_ns <= _UNCLEAR_S * 1e9


def _assigned(costs: list[list[float]]) -> dict[int, int]:
    """Return the number of each person's face by that of the person, the likeliest pairs first."""
    pairs: dict[int, int] = {}
    faces: set[int] = set()
    for cost, i, j in sorted((cost, i, j) for i, row in enumerate(costs) for j, cost in enumerate(row)):
        if math.isinf(cost):
            break
        if i not in pairs and j not in faces:
            pairs[i] = j
            faces.add(j)
    return pairs


def _blur(face: DetectedFace) -> float:
    """Return the error of a face's box, in errors of a good one."""
    return max(1.0, (_SHARP / max(face.score, 0.1)) ** 2)


def _is_there(dx: float, dy: float, size: float) -> bool:
    """Tell whether a face that is off by so much is where it is expected, and of the size."""
    return max(abs(dx), abs(dy)) < _THERE_WIDTHS and abs(size) < _THERE_SIZE


def _gate(track: Track, size_px: tuple[int, int]) -> float:
    return _GATE if _in_view(track, size_px) else _GATE_OUTSIDE


def _in_view(track: Track, size_px: tuple[int, int]) -> bool:
    """Tell whether the middle of the face that is expected is inside the picture."""
    return all(0 <= at_px < most_px for at_px, most_px in zip(track.middle_px, size_px, strict=True))
