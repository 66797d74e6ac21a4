"""Counts by hand of an hour at a station: how many more or fewer people pass and look than it counts.

The factor is the ratio of the two sums over periods of five minutes. Its 95 % interval is Fieller's (The biological
standardization of insulin, Journal of the Royal Statistical Society, Supplement 7, 1940), with Student's t.
"""

import csv
import io
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import NormalDist, mean
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.private import own_folder, read_file, replacing
from pipeline.system import plain
from pipeline.text import decode
from players.audience.basis import are_those_of, by_camera
from players.reports.basis import Basis, parts_of
from players.statistics.times import FIVE_MINUTES_S

COLUMNS = ("begins", "passers", "lookers")
PERIODS, PERIODS_MIN = 12, 6
PEOPLE_MAX = 100_000
_MEASURED_MIN = 0.9
"""Share of a period that must have been measured for it to count."""
_FEWEST = 30
"""Fewest people whom the station must have counted in all."""
_SHAPES = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y/%m/%d %H:%M", "%d.%m.%Y %H:%M")


class Period(Struct, frozen=True):
    """Five minutes counted by hand. `lookers` is None where nobody counted them."""

    begins_s: int
    passers: int
    lookers: int | None


class Factor(Struct, frozen=True):
    """Number by which a count is to be multiplied, with its 95 % interval."""

    value: float
    low: float
    high: float


class HandCount(Struct, frozen=True, kw_only=True):
    """Result of a count by hand, and what the station's own counts rested on."""

    basis: Basis
    day: str
    periods: int
    people: Factor
    watchers: Factor | None = None


def form(begins: datetime) -> str:
    """Return a form to fill in, with a row for each five minutes of an hour."""
    rows = [f"{begins + i * timedelta(seconds=FIVE_MINUTES_S):%Y-%m-%d %H:%M},," for i in range(PERIODS)]
    return "\r\n".join([",".join(COLUMNS), *rows, ""])


def read_form(path: Path, zone: ZoneInfo) -> list[Period]:
    """Read a form that was filled in. UserError names file, line and remedy."""
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot read the form: {plain(error)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        lines = list(reader)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise UserError(f"{where}: it is no row of a form ({error}); `calibrate count --form` prints one") from None
    names = [name.strip().lower() for name in lines[0]] if lines else []
    if not {*COLUMNS} <= {*names}:
        raise UserError(
            f"{path}, line 1: the columns must be {', '.join(COLUMNS)}; `calibrate count --form` prints them"
        )
    periods: dict[int, Period] = {}
    for number, line in enumerate(lines[1:], 2):
        values = dict(zip(names, (value.strip() for value in line), strict=False))
        if not any(values.values()) or not (values.get("passers") or values.get("lookers")):
            continue  # a row that nobody filled in
        where = f"{path}, line {number}"
        begins_s = _begins_s(values.get("begins", ""), zone, where)
        if begins_s in periods:
            raise UserError(f"{where}: {values['begins']} is there twice; leave one of the two")
        lookers = _people(values["lookers"], "lookers", where) if values.get("lookers") else None
        periods[begins_s] = Period(begins_s, _people(values.get("passers", ""), "passers", where), lookers)
    if len(periods) < PERIODS_MIN:
        raise UserError(
            f"{path}: {len(periods)} rows are filled in; count for half an hour at least, {PERIODS_MIN} rows"
        )
    return [periods[begins_s] for begins_s in sorted(periods)]


def compare(db: sqlite3.Connection, periods: Sequence[Period], place: str | None, zone: ZoneInfo) -> HandCount:
    """Return the factors of a place by what the station counted in the same minutes.

    UserError: the place is not clear, the station did not count then, counted too few, or what it rests on changed.
    """
    first_s, stop_s = periods[0].begins_s, periods[-1].begins_s + FIVE_MINUTES_S
    when = f"{datetime.fromtimestamp(first_s, zone):%Y-%m-%d %H:%M}"
    parts = parts_of(db, (first_s, stop_s))
    places = sorted({basis.place for basis in parts})
    if not places:
        raise UserError(
            f"the station has no counts by the minute of {when}; count while it runs, and compare within days"
        )
    if place not in places and (place or len(places) > 1):
        raise UserError(f"--place: name the one where you counted: {', '.join(places)}")
    bases = [basis for basis in parts if basis.place == (place or places[0])]
    if len(bases) > 1:
        raise UserError(f"{when}: the model, the screen's place or the zone changed in that hour; count another one")
    [basis] = bases
    span = f"WHERE place = ? AND begins_s >= ? AND begins_s < ? AND length_s <= {FIVE_MINUTES_S}"
    values = basis.place, first_s, stop_s
    measured: Counter[int] = Counter()
    for row in db.execute(f"SELECT begins_s, measured_ms FROM audience_measured {span}", values):  # noqa: S608
        measured[row["begins_s"] // FIVE_MINUTES_S * FIVE_MINUTES_S] += row["measured_ms"]
    counted: dict[int, tuple[int, int]] = {}
    for row in db.execute(f"SELECT begins_s, visits, watchers FROM audience_counts {span}", values):  # noqa: S608
        begins_s = row["begins_s"] // FIVE_MINUTES_S * FIVE_MINUTES_S
        before = counted.get(begins_s, (0, 0))
        counted[begins_s] = before[0] + row["visits"], before[1] + row["watchers"]
    whole_ms = 1000 * FIVE_MINUTES_S * _MEASURED_MIN
    usable = [period for period in periods if measured[period.begins_s] >= whole_ms]
    if len(usable) < PERIODS_MIN:
        raise UserError(
            f"{when}: {basis.place} was measured in {len(usable)} of {len(periods)} rows; count another hour"
        )
    ours = [counted.get(period.begins_s, (0, 0)) for period in usable]
    if sum(mine[0] for mine in ours) < _FEWEST:
        raise UserError(f"{when}: the station counted fewer than {_FEWEST} people; count an hour with more")
    people = ratio([period.passers for period in usable], [mine[0] for mine in ours])
    if people is None:
        raise UserError(f"{when}: people come too unevenly to tell a factor; count an hour with more of them")
    looked = [
        (period.lookers, mine[1]) for period, mine in zip(usable, ours, strict=True) if period.lookers is not None
    ]
    watchers = ratio([theirs for theirs, _ in looked], [mine for _, mine in looked])
    return HandCount(basis=basis, day=when[:10], periods=len(usable), people=people, watchers=watchers)


def ratio(by_hand: Sequence[int], counted: Sequence[int]) -> Factor | None:
    """Return the ratio of two sums with Fieller's 95 % interval; None where it has no bounds."""
    n = len(counted)
    if n < PERIODS_MIN or not sum(counted):
        return None
    mean_hand, mean_counted = mean(by_hand), mean(counted)
    scale = n * (n - 1)
    var_hand = sum((x - mean_hand) ** 2 for x in by_hand) / scale
    var_counted = sum((x - mean_counted) ** 2 for x in counted) / scale
    both = sum((x - mean_hand) * (y - mean_counted) for x, y in zip(by_hand, counted, strict=True)) / scale
    t2 = student_t(n - 1) ** 2
    a = mean_counted**2 - t2 * var_counted
    b = mean_hand * mean_counted - t2 * both
    c = mean_hand**2 - t2 * var_hand
    if a <= 0:
        return None
    half = max(0.0, b * b - a * c) ** 0.5
    value, low, high = mean_hand / mean_counted, (b - half) / a, (b + half) / a
    return Factor(round(value, 3), round(max(0.0, low), 3), round(high, 3))


def student_t(degrees: int) -> float:
    """Return the .975 quantile of Student's t (Abramowitz and Stegun, 26.7.5), within .003 from 5 degrees on."""
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / degrees ** (i + 1) for i, term in enumerate(terms))


def kept_counts(state: Path) -> tuple[HandCount, ...]:
    """Return the counts by hand that a station keeps, oldest first. UserError: their file cannot be read."""
    path = _path(state)
    try:
        return msgspec.json.decode(read_file(path), type=tuple[HandCount, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"{path}: cannot be read ({error}); put it back, or delete it and count again") from None


def keep_count(state: Path, count: HandCount) -> None:
    """Keep a count by hand. UserError: the file cannot be written."""
    before = kept_counts(state)
    try:
        own_folder(state)
        with replacing(_path(state)) as stream:
            stream.write(msgspec.json.format(msgspec.json.encode((*before, count)), indent=1))
    except OSError as error:
        raise UserError(f"{_path(state)}: cannot be written: {plain(error)}") from None


def count_of(counts: Sequence[HandCount], basis: Basis) -> HandCount | None:
    """Return the newest count by hand that holds for what counts rest on; None without one."""
    return next((count for count in reversed(counts) if count.basis == basis), None)


def counts_of_play(
    counts: Sequence[HandCount],
    groups: Mapping[str, str],
    model_sha256: str,
    zone: str | None,
    calibration: str | None,
) -> tuple[HandCount, ...]:
    """Return the newest count by hand of each place that holds for what a play rests on, in words as its row has it.

    `groups` names the station's cameras, each with its group, which may be empty.
    """
    found: dict[str, HandCount] = {}
    for count in counts:
        basis = count.basis
        cameras = [camera for camera, group in groups.items() if basis.place == (group or camera)]
        zones, angles = by_camera(basis.zone_sha256, cameras), by_camera(basis.angles_deg, cameras)
        if basis.model_sha256 == model_sha256 and are_those_of(zone, calibration, zones, angles):
            found[basis.place] = count
    return tuple(found.values())


def in_words(count: HandCount) -> str:
    """Return a count by hand for a report: its day, factors with intervals, and how many periods it had."""
    said = [f"people x {_factor(count.people)}"]
    said += [f"watchers x {_factor(count.watchers)}"] if count.watchers else []
    return f"counted by hand on {count.day} ({count.periods} times 5 min): {', '.join(said)}"


def _factor(factor: Factor) -> str:
    return f"{factor.value:.2f} ({factor.low:.2f} to {factor.high:.2f})"


def _begins_s(text: str, zone: ZoneInfo, where: str) -> int:
    for shape in _SHAPES:
        try:
            begins_s = int(datetime.strptime(text, shape).replace(tzinfo=zone).timestamp())
        except (ValueError, OverflowError):
            continue
        if begins_s % FIVE_MINUTES_S:
            raise UserError(f"{where}: begins {text!r} is not on five minutes; write such as 2026-12-01 08:05")
        return begins_s
    raise UserError(f"{where}: begins {text!r} is no time; write such as 2026-12-01 08:05")


def _people(text: str, column: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= PEOPLE_MAX and len(text) < 9):
        raise UserError(
            f"{where}: {column} {text!r} is no whole number from 0 to {PEOPLE_MAX}; write how many there were"
        )
    return int(text)


def _path(state: Path) -> Path:
    return state / "counts-by-hand.json"
