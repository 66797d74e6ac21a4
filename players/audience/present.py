"""The people in front of the screen now, counted from the frames of the last seconds."""

import zlib
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.messages import DECADES, Audience, Person
from players.audience.groups import GENDERS, MAX_AGE_YEARS, MINOR_DECADES, UNKNOWN_AGE, UNKNOWN_GENDER

_KEPT_MAX_NS = 60_000_000_000
"""Longest time for which a frame counts, however slow its camera is."""
_ADULT_YEARS = 10 * len(MINOR_DECADES)
_HALF_MAX = 65504.0
"""Largest number of half precision."""
_BINS = 3 * (UNKNOWN_AGE + 1)
_AGES = 3 * (MAX_AGE_YEARS + 1)


@dataclass(frozen=True, eq=False)
class Present:
    """The people present. The arrays share them out by gender, unknown last, and by decade, unknown last."""

    people: int
    bins: NDArray[np.float64]
    """float [3, 10]: people by gender and decade; their sum is `people`."""
    expected: NDArray[np.float64]
    """float [3, 10]: the same, but every known gender and decade is shared out by its class probabilities."""
    nearness: NDArray[np.float64]
    """float [3, 10]: mean height of the faces as a share of the frame's, 0 where nobody is."""
    ages: NDArray[np.float64]
    """float [3, 121]: people by gender and year of age, without those of unknown age."""
    model_sha256: str = ""
    """Hash of the classifier's model; empty where no frame told it."""

    def groups(self) -> dict[tuple[str, str], float]:
        """Return the number of people by (gender, decade) in words, `unknown` included, empty groups left out."""
        decades = (*DECADES, "unknown")
        return {(GENDERS[g], decades[d]): float(self.bins[g, d]) for g, d in zip(*np.nonzero(self.bins), strict=True)}


class AudienceWindow:
    """Window of the last `present_s` seconds, camera by camera, that counts people without tracking them.

    People of a camera are the most faces in any one frame. A group counts that number times its share of all faces. A
    missed face drops nobody then, and a label that flickers doubles nobody. A camera whose newest frame is older counts
    nobody. Where frames come further apart, the newest counts until the next is overdue.
    """

    def __init__(self, present_s: float) -> None:
        self.present_ns = round(present_s * 1e9)
        self._frames: dict[str, deque[tuple[int, int, NDArray[np.float64]]]] = {}
        self._apart_ns: dict[str, int] = {}
        self._kept_ns: dict[str, int] = {}
        self._model_sha256 = ""

    def add(self, audience: Audience) -> None:
        """Take in the people of one frame. Frames may come late, but those of one camera come in order."""
        row = np.zeros(3 * _BINS + _AGES)
        for person in audience.people:
            _count(row, person, audience.height_px)
        frames = self._frames.setdefault(audience.camera, deque())
        apart_ns = audience.captured_ns - frames[-1][0] if frames else 0
        slow_ns = min(
            apart_ns, self._apart_ns.get(audience.camera, 0)
        )  # the shorter of two pauses: a single long one is an outage
        self._apart_ns[audience.camera] = apart_ns
        self._kept_ns[audience.camera] = max(self.present_ns, min(3 * slow_ns // 2, _KEPT_MAX_NS))
        frames.append((audience.captured_ns, len(audience.people), row))
        while frames[0][0] < audience.captured_ns - self.present_ns:
            frames.popleft()
        self._model_sha256 = audience.model_sha256 or self._model_sha256

    def present(self, now_ns: int) -> Present:
        """Return the people present at `now_ns` (CLOCK_MONOTONIC, in ns)."""
        people, total = 0, np.zeros(3 * _BINS + _AGES)
        for camera, frames in self._frames.items():
            while len(frames) > 1 and frames[0][0] < now_ns - self.present_ns:
                frames.popleft()
            faces = sum(count for _, count, _ in frames)
            if faces and frames[-1][0] >= now_ns - self._kept_ns[camera]:
                most = max(count for _, count, _ in frames)
                people += most
                total += np.sum([row for _, _, row in frames], axis=0) * (most / faces)
        bins, expected, heights = total[: 3 * _BINS].reshape(3, 3, UNKNOWN_AGE + 1)
        nearness = np.divide(heights, bins, out=np.zeros_like(heights), where=bins > 0)
        ages = total[3 * _BINS :].reshape(3, MAX_AGE_YEARS + 1)
        return Present(people, bins, expected, nearness, ages, self._model_sha256)


NOBODY = AudienceWindow(1.0).present(0)
"""An empty place."""


def pack(present: Present) -> bytes:
    """Return who is present in a compact form, for keeping: MessagePack of [people, gaps, values], raw-deflated.

    The arrays are laid end to end: bins, expected, nearness, ages, 453 numbers. Those other than 0 are kept.
    `gaps`: how many zeros lie before each. `values`: their half-precision floats (IEEE 754, 16 bits), little-endian.
    The relative error is at most 1/2048 from 6e-5 to 65504. Smaller numbers are off by at most 3e-8; larger ones are
    cut to 65504. The model's hash is not kept.
    """
    arrays = (present.bins, present.expected, present.nearness, present.ages)
    halves = np.minimum(np.concatenate([array.ravel() for array in arrays]), _HALF_MAX).astype("<f2")
    places = np.flatnonzero(halves)
    gaps = np.diff(places, prepend=-1) - 1
    plain = msgspec.msgpack.encode((present.people, gaps.tolist(), halves[places].tobytes()))
    return zlib.compress(plain, 9, wbits=-zlib.MAX_WBITS)


def unpack(data: bytes, model_sha256: str = "") -> Present:
    """Return who was present when `pack` was called; ValueError where the data is not what it returns."""
    try:
        plain = zlib.decompress(data, -zlib.MAX_WBITS)
        people, gaps, halves = msgspec.msgpack.decode(plain, type=tuple[int, list[int], bytes])
        numbers = np.zeros(3 * _BINS + _AGES)
        numbers[np.cumsum(np.array(gaps, np.int64) + 1) - 1] = np.frombuffer(halves, "<f2")
    except (zlib.error, msgspec.MsgspecError, LookupError, ValueError, OverflowError) as error:
        raise ValueError(f"who was present cannot be read: {error}") from None
    bins, expected, nearness = numbers[: 3 * _BINS].reshape(3, 3, UNKNOWN_AGE + 1)
    ages = numbers[3 * _BINS :].reshape(3, MAX_AGE_YEARS + 1)
    return Present(people, bins, expected, nearness, ages, model_sha256)


def _count(row: NDArray[np.float64], person: Person, height_px: int) -> None:
    """Add one face to a frame's row, float [3 x 30 + 363]: bins, expected, heights, ages, each flat."""
    p_decade = np.array(person.p_decade) if len(person.p_decade) == len(DECADES) else None
    gender = GENDERS.index(person.gender)
    decade = UNKNOWN_AGE if person.decade is None else person.decade
    if decade == UNKNOWN_AGE and p_decade is not None and p_decade[list(MINOR_DECADES)].sum() >= 0.5:
        gender = UNKNOWN_GENDER
    bin_ = gender * (UNKNOWN_AGE + 1) + decade
    row[bin_] += 1
    row[2 * _BINS + bin_] += person.box_px[3] / height_px
    by_gender = np.zeros(3)
    by_gender[gender] = 1.0
    if gender != UNKNOWN_GENDER:
        by_gender[:2] = person.p_male, 1 - person.p_male
    by_decade = np.zeros(UNKNOWN_AGE + 1)
    if decade == UNKNOWN_AGE or p_decade is None or not p_decade.sum():
        by_decade[decade] = 1.0
    else:
        by_decade[:UNKNOWN_AGE] = p_decade / p_decade.sum()
    row[_BINS : 2 * _BINS] += np.outer(by_gender, by_decade).ravel()
    if person.age_years is not None:
        years = int(person.age_years)
        if decade != UNKNOWN_AGE:  # likeliest decade and mean age may lie on two sides of 20: the decade decides
            years = min(years, _ADULT_YEARS - 1) if decade in MINOR_DECADES else max(years, _ADULT_YEARS)
        row[3 * _BINS + gender * (MAX_AGE_YEARS + 1) + years] += 1
