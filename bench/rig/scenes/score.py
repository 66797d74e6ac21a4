"""Scores of a chain that follows people, against the truth of a scene. Pure functions of lines and numbers."""

import itertools
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from bench.rig.scenes.film import Line
from bench.rig.scenes.scene import LOOKING_DEG, Box, Seen

FOUND_S = 1.0
"""Time within which a face in plain view has to be found; who is in plain view for less is not asked for."""
DWELL_S = 0.3
"""Largest error of a dwell time that counts as right."""
_UNCLEAR_DEG = 5.0
"""Distance from the limit of looking within which an answer is neither right nor wrong, degrees."""
_WIDTHS_PX = (24, 32, 40, 50, 60, 80, 120, 200)


class Followed(Struct, frozen=True):
    """Face that the chain has in one frame: the frame's time in s, its person's id, its box, and whether it looks."""

    t_s: float
    id: str
    box_px: Box
    looking: bool | None = None


class Told(Struct, frozen=True, kw_only=True):
    """Person as the chain tells at the end, as `stationcast people --json` does."""

    id: str
    first_s: float
    last_s: float
    face_px: float
    gender: Literal["M", "F", "unknown"] = "unknown"
    p_male: float | None = None
    age_years: float | None = None
    attention_s: float = 0.0
    calls: int = 0


class Outcome(Struct, kw_only=True):
    """Outcome for one true person who was in plain view for long enough."""

    width_px: int
    """Nearest of the usual widths."""
    away_deg: float
    """Angle between the head and the camera in the time in which the person should be found, degrees, the median."""
    found: bool
    """Found within FOUND_S of coming into plain view."""
    covered: float
    """Share of the frames in plain view in which the person was followed."""
    ids: tuple[str, ...]
    """Ids that the person had, in the order of time, each as often as it began."""
    dwell_error_s: float | None
    """Dwell told less the true one; None if nobody was told. So are the next three."""
    gender_right: bool | None
    """Truth of the more probable gender."""
    gender_answer: bool | None
    """Truth of the gender that was said; None if it is unknown."""
    age_error_years: float | None
    looking_right: int
    """Frames with the right answer to whether the person looks, of `looking_asked`."""
    looking_asked: int
    attention_error_s: float | None


class Score(Struct, kw_only=True):
    """Scores of scenes; those of several are added up by `joined`."""

    people: list[Outcome]
    ids: int
    """Ids that the chain gave out, but for those of people who are not asked for."""
    false_faces: int
    """Faces told, one a frame, where there is none."""
    frames: int
    classifier_calls: int
    detector_calls: float
    """Calls of the detector, in whole frames."""

    @property
    def ids_a_person(self) -> float:
        return _share(self.ids, len(self.people))

    @property
    def switches_of_20(self) -> float:
        """Times that a person's id changed, for 20 people."""
        return 20 * _share(sum(max(0, len(person.ids) - 1) for person in self.people), len(self.people))

    @property
    def dwell_right(self) -> float:
        """Share of the people whose dwell is right within DWELL_S; nobody told is wrong."""
        errors = [person.dwell_error_s for person in self.people]
        return _share(sum(error is not None and abs(error) <= DWELL_S + 1e-6 for error in errors), len(errors))

    @property
    def false_of_1000(self) -> float:
        """False faces in 1,000 frames."""
        return 1000 * _share(self.false_faces, self.frames)

    @property
    def calls_a_person(self) -> float:
        return _share(self.classifier_calls, len(self.people))

    @property
    def detector_calls_a_frame(self) -> float:
        return _share(self.detector_calls, self.frames)

    def of_width(self, *widths_px: int) -> list[Outcome]:
        """Return what became of the people of these widths; of all if none is given."""
        return [person for person in self.people if not widths_px or person.width_px in widths_px]


def recall(people: Sequence[Outcome]) -> float:
    """Return the share of people who were found in time."""
    return _share(sum(person.found for person in people), len(people))


def gender_right(people: Sequence[Outcome]) -> float:
    """Return the share of right genders among people of whom any was told."""
    told = [person.gender_right for person in people if person.gender_right is not None]
    return _share(sum(told), len(told))


def looking_right(people: Sequence[Outcome]) -> float:
    """Return the share of the time with the right answer to whether somebody looks."""
    return _share(sum(p.looking_right for p in people), sum(p.looking_asked for p in people))


def joined(scores: Iterable[Score]) -> Score:
    """Add scores up."""
    scores = list(scores)
    return Score(
        people=[person for score in scores for person in score.people],
        ids=sum(score.ids for score in scores),
        false_faces=sum(score.false_faces for score in scores),
        frames=sum(score.frames for score in scores),
        classifier_calls=sum(score.classifier_calls for score in scores),
        detector_calls=sum(score.detector_calls for score in scores),
    )


def score(
    truth: Sequence[Line],
    followed: Iterable[Followed],
    told: Iterable[Told],
    *,
    classifier_calls: int = 0,
    detector_calls: float = 0,
) -> Score:
    """Score what a chain followed, frame by frame, and told at the end of a scene."""
    matches, false_faces = _matched(truth, followed)
    owner = _owners(matches)
    answers = {each.id: each for each in told}
    views: dict[int, list[tuple[float, Seen]]] = defaultdict(list)
    for line in truth:
        for seen in line.truth:
            views[seen.person].append((line.t_s, seen))
    step_s = min((b.t_s - a.t_s for a, b in itertools.pairwise(truth)), default=0.0)
    asked = {person: view for person, view in views.items() if _since(view, step_s) is not None}
    people = [
        _outcome(view, matches[person], {answers[i] for i, p in owner.items() if p == person and i in answers}, step_s)
        for person, view in asked.items()
    ]
    others = sum(person not in asked for person in owner.values())
    given = {*owner, *answers, *(f.id for _, f in false_faces)}
    return Score(
        people=people,
        ids=len(given) - others,
        false_faces=len(false_faces),
        frames=len(truth),
        classifier_calls=classifier_calls,
        detector_calls=detector_calls,
    )


Matches = dict[int, dict[float, Followed]]


def _matched(truth: Sequence[Line], followed: Iterable[Followed]) -> tuple[Matches, list[tuple[float, Followed]]]:
    """Give each face told to the nearest true one. Return them by person and time, and those of nobody."""
    by_time: dict[float, list[Followed]] = defaultdict(list)
    for face in followed:
        by_time[round(face.t_s, 3)].append(face)
    matches: Matches = defaultdict(dict)
    false: list[tuple[float, Followed]] = []
    for line in truth:
        faces = by_time.get(round(line.t_s, 3), [])
        pairs = sorted(
            (distance(seen.box_px, face.box_px), seen.person, i)
            for seen in line.truth
            for i, face in enumerate(faces)
            if distance(seen.box_px, face.box_px) < 0.6
        )
        done: set[int] = set()
        near = {i for _, _, i in pairs}
        for _, person, i in pairs:
            if i not in done and line.t_s not in matches[person]:
                done.add(i)
                matches[person][line.t_s] = faces[i]
        false += [(line.t_s, face) for i, face in enumerate(faces) if i not in near]
    return matches, false


def distance(truth: Box, box: Box) -> float:
    """Return the distance of the middles of two boxes in true face widths; infinite if one is over twice as wide."""
    (x, y, w, h), (u, v, s, t) = truth, box
    if not 0.5 < s / w < 2:
        return math.inf
    return math.hypot(x + w / 2 - u - s / 2, y + h / 2 - v - t / 2) / w


def _owners(matches: Matches) -> dict[str, int]:
    """Return whose each id is: the person's who had it most often."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for person, faces in matches.items():
        for face in faces.values():
            counts[face.id][person] += 1
    return {name: count.most_common(1)[0][0] for name, count in counts.items()}


def _since(view: Sequence[tuple[float, Seen]], step_s: float) -> float | None:
    """Return when a person came into plain view for at least FOUND_S; None if never."""
    since = None
    for t_s, seen in view:
        since = (t_s if since is None else since) if seen.plain else None
        if since is not None and t_s - since + step_s >= FOUND_S - 1e-6:
            return since
    return None


def _outcome(
    view: Sequence[tuple[float, Seen]], faces: dict[float, Followed], told: set[Told], step_s: float
) -> Outcome:
    seen = view[0][1]
    plain_s = [t_s for t_s, each in view if each.plain]
    since_s = _since(view, step_s)
    assert since_s is not None
    names = [faces[t_s].id for t_s in sorted(faces)]
    main = max(told, key=lambda each: each.last_s - each.first_s, default=None)
    asked = [
        (face.looking, each.looking)
        for t_s, each in view
        if each.plain and abs(each.away_deg - LOOKING_DEG) > _UNCLEAR_DEG
        if (face := faces.get(t_s)) is not None and face.looking is not None
    ]
    looked_s = sum(step_s for _, each in view if each.looking and each.plain)
    return Outcome(
        away_deg=statistics.median(e.away_deg for t_s, e in view if since_s <= t_s <= since_s + FOUND_S + 1e-6),
        width_px=min(_WIDTHS_PX, key=lambda width: abs(math.log(width / seen.box_px[2]))),
        found=any(since_s - 1e-6 <= t_s <= since_s + FOUND_S + 1e-6 for t_s in faces),
        covered=_share(sum(t_s in faces for t_s in plain_s), len(plain_s)),
        ids=tuple(name for name, before in zip(names, [None, *names], strict=False) if name != before),
        dwell_error_s=main.last_s - main.first_s - (plain_s[-1] - plain_s[0]) if main else None,
        gender_right=(main.p_male >= 0.5) == (seen.gender == "M") if main and main.p_male is not None else None,
        gender_answer=main.gender == seen.gender if main and main.gender != "unknown" else None,
        age_error_years=_outside(main.age_years, *seen.age_years) if main and main.age_years is not None else None,
        looking_right=sum(said == true for said, true in asked),
        looking_asked=len(asked),
        attention_error_s=main.attention_s - looked_s if main else None,
    )


def _outside(age_years: float, first: float, last: float) -> float:
    """Return how far an age is outside the years that it may be."""
    return max(0.0, first - age_years, age_years - last - 1)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
