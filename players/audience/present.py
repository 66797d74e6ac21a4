"""The people in front of the screen now, as the people stage tells them camera by camera."""

import math
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.messages import DECADES, Audience, Person
from players.audience.groups import GENDERS, MAX_AGE_YEARS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER

_ADULT_YEARS = 10 * len(MINOR_DECADES)
_RATHER = 0.5
"""Probability from which somebody is rather a minor."""
_FULL_ATTENTION_MS, _LEAST_ATTENTION = 5000, 0.1
"""Attention after which somebody who looks counts for most, and the share of it that a first look counts for."""
_HALF_MAX = 65504.0
"""Largest number of half precision."""
Place = tuple[str, str]
"""Place that one camera sees, or a group of them: (group, "") or ("", camera)."""
_BINS = 3 * (UNKNOWN_AGE + 1)
_AGES = 3 * (MAX_AGE_YEARS + 1)


def _no_bins() -> NDArray[np.float64]:
    return np.zeros((3, UNKNOWN_AGE + 1))


@dataclass(frozen=True, eq=False)
class Present:
    """The people present. The arrays share them out by gender, unknown last, and by decade, unknown last."""

    people: int
    bins: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: people by gender and decade; their sum is `people`."""
    expected: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: the same, but every known gender and decade is shared out by its class probabilities."""
    nearness: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: mean height of the faces as a share of the frame's, 0 where nobody is."""
    ages: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, MAX_AGE_YEARS + 1)))
    """float [3, 121]: people by gender and year of age, without those of unknown age."""
    looking: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: those of `bins` who look at the screen."""
    appeal: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: `looking`, each weighted by his attention and nearness."""
    expected_appeal: NDArray[np.float64] = field(default_factory=_no_bins)
    """float [3, 10]: `appeal`, shared out by class probabilities as `expected` is."""
    minors: int = 0
    """People who are rather under 20, also where their age is unsure."""
    p_minor: float | None = None
    """Probability that anybody of those who were classified is under 20; None where nobody was."""
    measured: float | None = None
    """Share of the screen's cameras that tell who is there, a group of cameras as one; None without cameras."""
    model_sha256: str = ""
    """Hash of the classifier's model; empty where no frame told it."""
    persons: tuple[Person, ...] = ()
    """The people one by one. They are in no ledger."""

    def groups(self) -> dict[tuple[str, str], float]:
        """Return the number of people by (gender, decade) in words, `unknown` included, empty groups left out."""
        decades = (*DECADES, "unknown")
        return {(GENDERS[g], decades[d]): float(self.bins[g, d]) for g, d in zip(*np.nonzero(self.bins), strict=True)}


NOBODY = Present(0)
"""An empty place."""


class Cameras:
    """The newest word of each camera of a screen.

    A camera whose word does not hold any longer is not measured: it counts nobody, and lowers `Present.measured`. Of
    the cameras of a group one counts: the one that leads, else the one that sees most.
    """

    def __init__(self, groups: Mapping[str, str] | None = None) -> None:
        """Begin without a word. `groups` names the screen's cameras, each with its group, which may be empty."""
        self._groups: dict[str, str] = {}
        self._newest: dict[str, Audience] = {}
        self.update(groups or {})

    def update(self, groups: Mapping[str, str]) -> None:
        """Take in which cameras there are. Those that have gone count nobody any more."""
        for name in self._groups.keys() - groups.keys():
            self._newest.pop(name, None)
        self._groups = dict(groups)

    def add(self, audience: Audience) -> Place | None:
        """Take in who is there in one camera of the screen, but for what is older than the camera's last word.

        Return the place for which this word counts now, if it does.
        """
        if self._groups and audience.camera not in self._groups:
            return None
        before = self._newest.get(audience.camera)
        if before is not None and audience.captured_ns < before.captured_ns:
            return None
        self._newest[audience.camera] = audience
        place = _place(audience.camera, audience.group)
        return place if self.counting(audience.captured_ns).get(place) is audience else None

    @property
    def places(self) -> set[Place]:
        """Places that the screen's cameras see."""
        return {_place(*camera) for camera in self._groups.items()}

    def counting(self, now_ns: int) -> dict[Place, Audience]:
        """Return the word that counts at `now_ns` for each place that is measured then."""
        counting: dict[Place, Audience] = {}
        for audience in self._newest.values():
            if now_ns > _until_ns(audience):
                continue
            place = _place(audience.camera, audience.group)
            rival = counting.get(place)
            if rival is None or _precedence(audience) > _precedence(rival):
                counting[place] = audience
        return counting

    def present(self, now_ns: int) -> Present:
        """Return the people present at `now_ns` (CLOCK_MONOTONIC, in ns)."""
        counting = self.counting(now_ns)
        places = self.places | set(counting)
        return of(counting.values(), len(counting) / len(places) if places else None, now_ns)


def of(audiences: Collection[Audience], measured: float | None = None, now_ns: int = 0) -> Present:
    """Return the people of all these audiences, each of another place, without those who are gone at `now_ns`."""
    seen = [
        (person, person.box_px[3] / audience.height_px)
        for audience in audiences
        for person in audience.people
        if now_ns <= (person.seen_ns or audience.captured_ns) + audience.lasts_ms * 1_000_000
    ]
    model_sha256 = next((audience.model_sha256 for audience in audiences if audience.model_sha256), "")
    return _of_seen(seen, measured, model_sha256)


def of_people(people: Collection[Person]) -> Present:
    """Return these people as if they were present together; how near they were is not told."""
    return _of_seen([(person, 0.0) for person in people], None, "")


def _of_seen(seen: list[tuple[Person, float]], measured: float | None, model_sha256: str) -> Present:
    """Return people as arrays; each comes with the height of the face as a share of the frame's."""
    bins, expected, heights, looking, appeal, expected_appeal = (_no_bins() for _ in range(6))
    ages = np.zeros((3, MAX_AGE_YEARS + 1))
    nearest = max((near for person, near in seen if person.looking), default=0.0)
    minors = 0
    for person, near in seen:
        gender, decade = group_of(person)
        shares = _shares(person, gender, decade)
        bins[gender, decade] += 1
        expected += shares
        heights[gender, decade] += near
        if person.looking:
            weight = _attention(person) * (near / nearest if nearest else 1.0)
            looking[gender, decade] += 1
            appeal[gender, decade] += weight
            expected_appeal += weight * shares
        years = years_of(person, decade)
        if years is not None:
            ages[gender, years] += 1
        minors += decade in MINOR_DECADES or _p_minor(person) >= _RATHER
    known = [person.p_minor for person, _ in seen if person.p_minor is not None]
    return Present(
        people=len(seen),
        bins=bins,
        expected=expected,
        nearness=np.divide(heights, bins, out=_no_bins(), where=bins > 0),
        ages=ages,
        looking=looking,
        appeal=appeal,
        expected_appeal=expected_appeal,
        minors=minors,
        p_minor=1 - math.prod(1 - p for p in known) if known else None,
        measured=measured,
        model_sha256=model_sha256,
        persons=tuple(person for person, _ in seen),
    )


class _Packed(Struct, array_like=True):
    """Record of who was present, as it is kept. Older ledgers lack the last three."""

    people: int
    gaps: list[int]
    values: bytes
    minors: int | None = None
    p_minor: float | None = None
    measured: float | None = None


def pack(present: Present) -> bytes:
    """Return who is present in a compact form, for keeping: raw-deflated MessagePack of a list.

    It is [people, gaps, values, minors, p_minor, measured]. The arrays are laid end to end: bins, expected, nearness,
    ages, looking, appeal, expected appeal, 543 numbers. Those other than 0 are kept. `gaps`: how many zeros lie before
    each. `values`: their half-precision floats (IEEE 754, 16 bits), little-endian. The relative error is at most 1/2048
    from 6e-5 to 65504. Smaller numbers are off by at most 3e-8; larger ones are cut to 65504. Neither the model's hash
    nor the single persons are kept.
    """
    halves = np.minimum(np.concatenate([array.ravel() for array in _arrays(present)]), _HALF_MAX).astype("<f2")
    places = np.flatnonzero(halves)
    gaps = (np.diff(places, prepend=-1) - 1).tolist()
    more = present.minors, present.p_minor, present.measured
    plain = msgspec.msgpack.encode(_Packed(present.people, gaps, halves[places].tobytes(), *more))
    return zlib.compress(plain, 9, wbits=-zlib.MAX_WBITS)


def unpack(data: bytes, model_sha256: str = "") -> Present:
    """Return who was present when `pack` was called; ValueError where the data is not what it returns.

    What ledgers did not keep before people were followed is zero or None; minors are then those of known age.
    """
    numbers = np.zeros(6 * _BINS + _AGES)
    try:
        kept = msgspec.msgpack.decode(zlib.decompress(data, -zlib.MAX_WBITS), type=_Packed)
        numbers[np.cumsum(np.array(kept.gaps, np.int64) + 1) - 1] = np.frombuffer(kept.values, "<f2")
    except (zlib.error, msgspec.MsgspecError, LookupError, ValueError, OverflowError) as error:
        raise ValueError(f"who was present cannot be read: {error}") from None
    bins, expected, nearness = numbers[: 3 * _BINS].reshape(3, 3, UNKNOWN_AGE + 1)
    ages = numbers[3 * _BINS : 3 * _BINS + _AGES].reshape(3, MAX_AGE_YEARS + 1)
    looking, appeal, expected_appeal = numbers[3 * _BINS + _AGES :].reshape(3, 3, UNKNOWN_AGE + 1)
    sure_minors = round(float(bins[:, list(MINOR_DECADES)].sum()))
    return Present(
        people=kept.people,
        bins=bins,
        expected=expected,
        nearness=nearness,
        ages=ages,
        looking=looking,
        appeal=appeal,
        expected_appeal=expected_appeal,
        minors=sure_minors if kept.minors is None else kept.minors,
        p_minor=kept.p_minor,
        measured=kept.measured,
        model_sha256=model_sha256,
    )


def _arrays(present: Present) -> tuple[NDArray[np.float64], ...]:
    weighted = present.looking, present.appeal, present.expected_appeal
    return present.bins, present.expected, present.nearness, present.ages, *weighted


def _until_ns(audience: Audience) -> int:
    return audience.captured_ns + audience.lasts_ms * 1_000_000


def _place(camera: str, group: str) -> Place:
    """Return the place that a camera sees: its own, or that of its group."""
    return (group, "") if group else ("", camera)


def _precedence(audience: Audience) -> tuple[bool, int]:
    """Return what decides which camera of a group counts.

    Two may lead for a moment, when one takes over: the newer word holds. Where the one that leads is not of this
    screen, the one that sees most counts.
    """
    return audience.leads, audience.captured_ns if audience.leads else len(audience.people)


def _p_minor(person: Person) -> float:
    """Return the probability that a person is under 20; 0 where nothing is known."""
    if person.p_minor is not None:
        return person.p_minor
    return sum(person.p_decade[decade] for decade in MINOR_DECADES) if len(person.p_decade) == len(DECADES) else 0.0


def group_of(person: Person) -> tuple[int, int]:
    """Return a person's gender and decade as indices.

    Both are unknown of somebody who is rather a minor, and whose likeliest decade is not one of a minor.
    """
    decade = UNKNOWN_AGE if person.decade is None else person.decade
    if decade not in MINOR_DECADES and _p_minor(person) >= _RATHER:
        return UNKNOWN_GENDER, UNKNOWN_AGE
    return GENDERS.index(person.gender), decade


def _shares(person: Person, gender: int, decade: int) -> NDArray[np.float64]:
    """Share a person out by class probabilities, as far as gender and decade are known: float [3, 10] of sum 1."""
    by_gender, by_decade = np.zeros(3), np.zeros(UNKNOWN_AGE + 1)
    by_gender[gender] = by_decade[decade] = 1.0
    if gender != UNKNOWN_GENDER:
        by_gender[:2] = person.p_male, 1 - person.p_male
    total = sum(person.p_decade)
    if decade != UNKNOWN_AGE and len(person.p_decade) == len(DECADES) and total:
        by_decade[:UNKNOWN_AGE] = np.array(person.p_decade) / total
    return np.outer(by_gender, by_decade)


def _attention(person: Person) -> float:
    """Return the weight of somebody who looks by his attention so far: a tenth at first, 1 after 5 s."""
    return min(1.0, max(_LEAST_ATTENTION, person.attention_ms / _FULL_ATTENTION_MS))


def years_of(person: Person, decade: int) -> int | None:
    """Return whole years of age of a person of that decade; None where it is unknown.

    The likeliest decade and the mean age may lie on two sides of 20: the decade decides.
    """
    if person.age_years is None or decade == UNKNOWN_AGE:
        return None
    years = int(person.age_years)
    return min(years, _ADULT_YEARS - 1) if decade in MINOR_DECADES else max(years, _ADULT_YEARS)
