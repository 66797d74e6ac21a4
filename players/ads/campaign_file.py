"""Campaign files: the tables of one, its checks, and the lines it makes.

Every mistake is a UserError of one line: file, key, remedy.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import rtoml
from msgspec import Meta, Struct

from pipeline.clean import clean, first_unseen
from pipeline.errors import UserError
from pipeline.medium import MediumError, open_plain
from pipeline.system import plain
from pipeline.text import decode, describe
from pipeline.toml import BYTES_MAX, explain, parse_toml
from players.ads.lines import MINUTES_A_DAY, WEEKDAYS, BillOn, Creative, Line, Per, Target, budget_part
from players.ads.money import check_currency, parse_amount
from players.ads.names import MAY_DECEIVE, foreign_letter
from players.audience.groups import MAX_AGE_YEARS

_ID_WORDS = "a name of 1 to 64 lower-case letters, digits, -, _ and ., the first a letter or digit"
Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}\Z", description=_ID_WORDS)]
Money = Annotated[Decimal, Meta(description="an amount such as 12.50")]
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
"""Pattern of text without control characters, which move a terminal's cursor or break a row of a table."""
_ONE_LINE_WORDS = "text of one line, without control characters"
Text = Annotated[str, Meta(max_length=200, pattern=_ONE_LINE, description=_ONE_LINE_WORDS)]
CREATIVES_MAX = 10_000
"""Largest number of creatives of a campaign file."""
_NAMES = ("advertiser", "separation", "title")
"""Keys of the names that people read."""
_AMOUNTS = ("budget", "price")
_OF_WATCHERS: tuple[Per, ...] = ("1000 watchers", "1000 attentive seconds")
"""Things priced that only people who look bring about."""
_BARE_AMOUNT = re.compile(rf"(?:^|[{{,])[ \t]*({'|'.join(_AMOUNTS)})[ \t]*=[ \t]*([+-]?\d[\d_]*[.eE][\d_.eE+-]*)", re.M)
"""Amount that is written without quotes, as TOML's floats are, and its key."""


class CampaignTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every table of a campaign file."""


class CreativeTable(CampaignTable, frozen=True, kw_only=True):
    """`[[lines.creatives]]`: one picture or film; `file` is a path beside the campaign file."""

    id: Id
    file: Annotated[str, Meta(min_length=1, max_length=500, pattern=_ONE_LINE, description=_ONE_LINE_WORDS)]
    duration_s: Annotated[float, Meta(ge=1, le=600)] | None = None
    sound: bool = False
    title: Text = ""


class TargetTable(CampaignTable, frozen=True, kw_only=True):
    """`target`: the people for whom the line is. `ages` are ranges of years such as "20-29", "18-34" and "65+"."""

    gender: Literal["M", "F", "any"] = "any"
    ages: Annotated[tuple[str, ...], Meta(max_length=20)] = ()
    family: bool = False
    min_watchers: Annotated[int, Meta(ge=0, le=100)] = 1
    min_share_pct: Annotated[float, Meta(ge=0, le=100)] = 0.0


ANYONE = TargetTable()
"""Target of a line that says nothing of it."""


class LineTable(CampaignTable, frozen=True, kw_only=True):
    """`[[lines]]`: one order. Days and times are local; `starts` and `ends` are both included."""

    id: Id
    target: TargetTable = ANYONE
    house: bool = False
    starts: date | None = None
    ends: date | None = None
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = WEEKDAYS  # type: ignore[assignment]
    dayparts: Annotated[tuple[str, ...], Meta(max_length=48)] = ()
    priority: Annotated[int, Meta(ge=0, le=100)] = 50
    weight: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    max_plays_per_hour: Annotated[int, Meta(ge=1, le=3600)] | None = None
    min_gap_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    separation: Text = ""
    budget: Money | None = None
    price: Money | None = None
    per: Per = "play"
    bill_on: BillOn | None = None
    pacing: Literal["even", "asap"] = "asap"
    creatives: Annotated[tuple[CreativeTable, ...], Meta(min_length=1, max_length=10_000)]


class CampaignFile(CampaignTable, frozen=True, kw_only=True):
    """One campaign file. `currency` is an ISO 4217 code, needed where there is money."""

    advertiser: Annotated[str, Meta(min_length=1, max_length=200, pattern=_ONE_LINE, description=_ONE_LINE_WORDS)]
    campaign: Id
    currency: str = ""
    lines: Annotated[tuple[LineTable, ...], Meta(min_length=1, max_length=10_000)]


def parse(path: str, inside: Path) -> CampaignFile:
    """Read and check one campaign file. It must be a regular file, or a link that stays `inside` its folder.

    Raises UserError: file, key and remedy in one line.
    """
    name = clean(os.path.basename(path))
    try:
        real = Path(path).resolve(strict=True)
        if not real.is_relative_to(inside.resolve()):
            raise UserError(f"{name}: it is a link out of {inside.name}; put the file itself there")
        with os.fdopen(open_plain(real), "rb", buffering=0) as file:  # whatever is put there after the look
            data = file.read(min(os.fstat(file.fileno()).st_size, BYTES_MAX) + 1) or b""
        if len(data) > BYTES_MAX:
            raise UserError(f"{name}: it is larger than {BYTES_MAX >> 20} MiB; split the campaign")
        text = decode(data)
        tables = parse_toml(text)
        _check_signs(tables, text)
        _check_renamed(tables)
        _read_amounts(tables, text)
        campaign = msgspec.convert(tables, CampaignFile)
        if sum(len(line.creatives) for line in campaign.lines) > CREATIVES_MAX:
            raise UserError(f"{name}: lines: more than {CREATIVES_MAX} creatives; split the campaign")
        for i, line in enumerate(campaign.lines):
            _check_line(f"lines[{i}]", line)
    except UserError as error:
        problem = str(error)
        raise UserError(problem if problem.startswith(name) else f"{name}: {problem}") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: {explain(error, CampaignFile)}") from None
    except MediumError:
        raise UserError(f"{name}: it is not a regular file; put a text file there") from None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise UserError(f"{name}: it cannot be read: {plain(error)}") from None
    return campaign


def _check_signs(tables: dict[str, Any], text: str) -> None:
    """Check that every key and text is seen as it is. `text` is that of the file.

    Raises UserError, with the line: for a sign that is not seen, or a letter that passes for one of another script.
    """
    if "\\" not in text and not MAY_DECEIVE.search(text) and not first_unseen(text.replace("\n", " ")):
        return  # nearly every file
    for key, value, is_key in _texts("", tables):
        letter, why = first_unseen(value), ""
        if letter and not is_key and unicodedata.category(letter) == "Cc":
            why = f"expected {_ONE_LINE_WORDS}; correct it"
        elif letter:
            why = describe(letter) if first_unseen(letter) else "it holds too many marks on one letter; remove them"
            why = f"a key of it: {why}" if is_key else why
        elif key.rpartition(".")[2] in _NAMES and not is_key and (letter := foreign_letter(value)):
            why = f"its {value!r} holds {unicodedata.name(letter).lower()} (U+{ord(letter):04X}) within a Latin word"
            why += "; write the letter in its place that it looks like"
        if why:
            raise UserError(f"{_line_with(letter, text)}{key or 'file'}: {why}")


def _check_renamed(tables: dict[str, Any]) -> None:
    """Raise UserError for a key of older versions: nobody saw the watchers of a `cpm` look."""
    lines = tables.get("lines")
    for i, line in enumerate(lines if isinstance(lines, list) else ()):
        if isinstance(line, dict) and "cpm" in line:
            amount = str(line["cpm"])[:20]
            raise UserError(
                f'lines[{i}].cpm: it is not told whom it counts; write price = "{amount}" with per = "1000 ots" '
                '(people who were there) or per = "1000 watchers" (people who looked)'
            )


def _texts(key: str, value: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield (key, text, False) for each text in a value, and (key of the table, key, True) for each key of a table."""
    if isinstance(value, str):
        yield key, value, False
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield key, name, True
            yield from _texts(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(f"{key}[{number}]", inner)


def _line_with(letter: str, text: str) -> str:
    """Return `line 3: ` for the first line that holds a letter as it is or as an escape; empty where there is none."""
    code = ord(letter)
    found = re.search(rf"{re.escape(letter)}|\\(?:u{code:04x}|U{code:08x}|x{code:02x})", text, re.IGNORECASE)
    return f"line {text.count(chr(10), 0, found.start()) + 1}: " if found else ""


def _read_amounts(tables: dict[str, Any], text: str) -> None:
    """Replace the amounts of money in a campaign file's tables by Decimals; `text` has them as they were written.

    Values of other types are left as they are. Raises UserError, with the key, for an amount that is none.
    """
    currency, lines = tables.get("currency", ""), tables.get("lines")
    if isinstance(currency, str) and currency:
        _keyed("currency", check_currency, currency)
    for i, line in enumerate(lines if isinstance(lines, list) else ()):
        for name in _AMOUNTS if isinstance(line, dict) else ():
            written = line.get(name)
            if isinstance(written, str | int | float) and not isinstance(written, bool):
                key = f"lines[{i}].{name}"
                if not currency or not isinstance(currency, str):
                    raise UserError(f'{key}: needs a currency; add currency = "EUR" at the top of the file')
                line[name] = _keyed(key, parse_amount, written, currency)
    if isinstance(currency, str) and currency:  # 10.000 is ten for TOML, and ten thousand for many people
        for found in _BARE_AMOUNT.finditer(text):
            if "#" in text[text.rfind("\n", 0, found.start(1)) + 1 : found.start(1)]:
                continue  # a comment
            number = text.count("\n", 0, found.start(1)) + 1
            _keyed(f"{found[1]} in line {number}", parse_amount, found[2].replace("_", ""), currency)


def has_plain_amounts(campaign: CampaignFile) -> bool:
    """Return whether every amount is taken today. An older version took 1.200 KRW for little more than 1."""
    try:
        for line in campaign.lines:
            for name in _AMOUNTS:
                if (amount := getattr(line, name)) is not None:
                    parse_amount(str(amount), campaign.currency)
    except (UserError, LookupError):
        return False
    return True


def _keyed(key: str, check: Callable[..., Any], *values: Any) -> Any:
    """Return what `check` returns for the values; a UserError gets the key before it."""
    try:
        return check(*values)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None


def _check_line(key: str, line: LineTable) -> None:
    """Raise UserError, with the key, for what one line's types cannot forbid."""
    if line.per != "play" and not line.price:
        raise UserError(f'{key}.per: there is no price for {line.per}; add price = "9.50", or remove per')
    if line.bill_on == "present" and line.per in _OF_WATCHERS:
        raise UserError(f"{key}.bill_on: {line.per} are of people who watched; remove bill_on")
    if line.budget is not None and not line.price:
        raise UserError(f"{key}.budget: a budget needs a price; add one")
    if line.starts and line.ends and line.ends < line.starts:
        raise UserError(f"{key}.ends: {line.ends} is before starts = {line.starts}; swap them")
    if line.pacing == "even" and not (line.starts and line.ends and line.budget):
        raise UserError(f"{key}.pacing: even pacing needs starts, ends and budget; add them, or use asap")
    if line.house and (line.target != ANYONE or line.price or line.budget):
        raise UserError(f"{key}.house: a house line has no target and no money; remove them, or house = true")
    if not line.weekdays:
        raise UserError(f"{key}.weekdays: a line needs at least one day; remove the key for every day")
    if line.target.family and line.target.ages:
        raise UserError(f"{key}.target.ages: a family is of all ages; remove ages, or family = true")
    _ages(f"{key}.target.ages", line.target.ages)
    _dayparts(f"{key}.dayparts", line.dayparts)


@lru_cache(4096)
def _ages(key: str, ages: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return inclusive ranges of years: ("20-29", "65+") becomes ((20, 29), (65, 120)). UserError names the key."""
    ranges = []
    for text in ages:
        match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})|(\+))\s*", text)
        low, high = (int(match[1]), int(match[2] or MAX_AGE_YEARS)) if match else (1, 0)
        if not low <= high <= MAX_AGE_YEARS:
            raise UserError(f'{key}: {text!r} is no range of ages; write such as "20-29" or "65+"')
        ranges.append((low, high))
    return tuple(ranges)


@lru_cache(4096)
def _dayparts(key: str, dayparts: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return minutes of the day: ("07:00-10:00",) becomes ((420, 600),), nothing the whole day.

    An end before its start runs over midnight. UserError names the key.
    """
    parts = []
    for text in dayparts:
        match = re.fullmatch(r"\s*(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)\s*", text)
        first, stop = (60 * int(match[1]) + int(match[2]), 60 * int(match[3]) + int(match[4])) if match else (0, 0)
        if not match or first == stop or max(int(match[2]), int(match[4])) > 59 or first >= MINUTES_A_DAY:
            raise UserError(f'{key}: {text!r} is no daypart; write such as "07:00-10:00" or "22:00-02:00"')
        if stop > MINUTES_A_DAY:
            raise UserError(f'{key}: {text!r} ends after 24:00; write such as "22:00-02:00" to run over midnight')
        parts.append((first, stop))
    return tuple(parts) or ((0, MINUTES_A_DAY),)


@lru_cache(256)
def _weekdays(names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(WEEKDAYS.index(day) for day in dict.fromkeys(names))


def to_toml(campaign: CampaignFile) -> str:
    """Return the text of a campaign file, without what is as the defaults have it."""
    return rtoml.dumps(msgspec.to_builtins(campaign))


def line_of(campaign: CampaignFile, table: LineTable, creatives: tuple[Creative, ...], screens: int = 1) -> Line:
    """Return a checked line for one of `screens`, with its part of the budget."""
    target = Target(
        gender=None if table.target.gender == "any" else table.target.gender,
        ages=_ages("", table.target.ages),
        family=table.target.family,
        min_watchers=table.target.min_watchers,
        min_share=table.target.min_share_pct / 100,
    )
    return Line(
        id=table.id,
        campaign=campaign.campaign,
        advertiser=campaign.advertiser,
        creatives=creatives,
        target=target,
        house=table.house,
        starts=table.starts,
        ends=table.ends,
        weekdays=_weekdays(table.weekdays),
        dayparts=_dayparts("", table.dayparts),
        priority=table.priority,
        weight=table.weight,
        max_plays_per_hour=table.max_plays_per_hour,
        min_gap_s=table.min_gap_s,
        separation=table.separation,
        currency=campaign.currency,
        budget=None if table.budget is None else budget_part(table.budget, screens),
        price=table.price or Decimal(0),
        per=table.per,
        bill_on=table.bill_on or ("watched" if table.per in _OF_WATCHERS else "present"),
        pacing=table.pacing,
    )
