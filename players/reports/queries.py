"""Reports from ledgers: invoices and plays. Money is exact to the cent.

Numbers of people are rounded, and small ones hidden (measures.py, pipeline/people.py).
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.people import HIDDEN
from players.ads.lines import Line, money
from players.ads.money import as_text, to_cents
from players.ledger.billing import IN_SHORT
from players.ledger.past import read_spend
from players.reports.dimensions import known_dimensions, longer_hours, longer_note, order_of, value_of
from players.reports.invoice_basis import InvoiceBasis
from players.reports.measures import SCREEN, Sums
from players.reports.periods import Span, span_in_words
from players.reports.report import Report
from players.reports.rests_on import LEVEL, RestsOn, changed, plays_rest_on

PLAYS_BY = ("advertiser", "campaign", "line", "creative", "trigger", "screen", "day", "weekday", "hour")

_Order = tuple[str, str, str, str]
"""Advertiser, campaign, line and currency."""
_ROUNDED = "Numbers of people are in tens, as they come together hour by hour; fewer than 10 are hidden."
_WHOLE_HOURS = "People are told for whole hours of the station, a quarter of an hour after they end."
_TOLD_BY_MONEY = "What is billed by people tells how many were billed, also where their number is hidden."


def billing(
    db: sqlite3.Connection,
    contracts: Iterable[Line] = (),
    span: Span = (None, None),
    zone: ZoneInfo = ZoneInfo("UTC"),  # noqa: B008
    basis: InvoiceBasis | None = None,
) -> Report:
    """Return an invoice line for each line of a campaign and currency, and a total for each currency.

    House ads are left out: nobody pays for them. `contracts` are the lines whose budgets the invoice states.
    An amount is summed exactly and rounded once, to the smallest unit of its currency. Totals add rounded amounts.
    "left" is what remains of the whole budget of the line's id and currency, whatever the span. Money spent in another
    currency, before the line changed it, has a row of its own. People are those of the target in billed plays, told by
    the hours of `zone`. `basis`, without plays yet, tells what they rest on.
    """
    contracted = {(line.advertiser, line.campaign, line.id, line.currency): line for line in contracts}
    basis = basis or InvoiceBasis("model {:.12}".format)
    ever = read_spend(db)
    where, values = _span(span)
    buckets = _counted(db, contracted, where, values)
    names = {"matched_ots": "ots", "matched_looked": "watchers"}
    own, billed = ("advertiser", "campaign", "line", "currency"), "trigger != 'fallback' AND billable = 1"
    people = Sums(db, names, "matched_attention_ms", "matched_watchers", zone, span, apart=(*SCREEN, *own), only=billed)
    people.count(lambda cell, _: tuple(cell[name] for name in own))
    for row in db.execute(
        "SELECT advertiser, campaign, line, currency, station, screen, started_utc, schema, shown_ms, measured_share, "  # noqa: S608
        "matched_ots, matched_looked, matched_attention_ms, matched_watchers, price_per, rate_micro, bill_on, "
        "cost_micro, measure_level, model_sha256, exposure_zone, calibration, clock_synced "
        f"FROM plays WHERE {billed}{where}",
        values,
    ):
        people.add(tuple(row)[:4], row)
        basis.add(tuple(row)[:4], row)
    rows = []
    for key, bucket in sorted(buckets.items()):
        contract = contracted.get(key)
        rests_on = people.row(key) | basis.row(key, contract)
        rows.append(_invoice_line(key, bucket, rests_on, contract, ever.get(key, 0)))
    totals = [
        _invoice_total(currency, rows) for currency in sorted({row["currency"] for row in rows if row["currency"]})
    ]
    columns = ("advertiser", "campaign", "line", "contracted", "plays", "billable", "not billed", *people.columns,
               "spend", "left", "currency", *basis.columns)  # fmt: skip
    notes = ["What is left is of the whole budget, not of this period's spend alone."] if any(span) else []
    notes += [*([_ROUNDED] if people else []), *([_WHOLE_HOURS] if people.cuts_hours else []), *people.not_yet]
    by_people = any(row["billable"] and row["per"] not in ("", "play") for row in rows)
    notes += [*basis.notes(), *([_TOLD_BY_MONEY] if by_people else [])]
    title, rows = f"Billing{span_in_words(span, zone)}", rows + totals
    notes += _other_clocks(db, span, zone)
    return Report(title=title, columns=columns, brief=_BRIEF, rows=rows, totals=len(totals), notes=tuple(notes))


_BRIEF = ("whose line", "plays", "billed", "not billed", "price and unit", "owed", "budget left")
"""Columns of an invoice in a terminal; some are made of several of the others."""


def _counted(
    db: sqlite3.Connection, contracted: Iterable[_Order], where: str, values: list[str]
) -> dict[_Order, dict[str, Any]]:
    """Return plays, billable plays, what they cost in millionths, and why others were not billed, by order."""
    buckets: dict[_Order, dict[str, Any]] = {}
    for key in contracted:
        buckets[key] = {"plays": 0, "billable": 0, "micro": 0, "why": Counter()}
    for row in db.execute(
        "SELECT advertiser, campaign, line, currency, billable, bill_code, COUNT(*) AS plays, "  # noqa: S608
        "SUM(cost_micro) AS micro FROM plays "
        f"WHERE trigger != 'fallback'{where} GROUP BY 1, 2, 3, 4, 5, 6",
        values,
    ):
        key = row["advertiser"], row["campaign"], row["line"], row["currency"]
        bucket = buckets.setdefault(key, {"plays": 0, "billable": 0, "micro": 0, "why": Counter()})
        bucket["plays"] += row["plays"]
        if row["billable"]:
            bucket["billable"] += row["plays"]
            bucket["micro"] += row["micro"]
        else:
            bucket["why"]["not ended" if row["bill_code"] is None else IN_SHORT[row["bill_code"]]] += row["plays"]
    return buckets


def written_in(db: sqlite3.Connection, span: Span = (None, None)) -> list[str]:
    """Return the time zones of the stations that wrote the plays of a span."""
    where, values = _span(span)
    return sorted(row[0] for row in db.execute(f"SELECT DISTINCT time_zone FROM plays WHERE 1{where}", values))  # noqa: S608


def _other_clocks(db: sqlite3.Connection, span: Span, zone: ZoneInfo) -> list[str]:
    """Return a note where plays of a span were written by the clocks of another zone than that of the report."""
    others = [name for name in written_in(db, span) if name != zone.key]
    told = f"{', '.join(others)}; days and hours are told by the clocks of {zone.key}."
    return [f"Plays were written by the clocks of {told}"] if others else []


def billed_by_model(db: sqlite3.Connection, span: Span = (None, None)) -> dict[str, int]:
    """Return the numbers of billed plays that cost something, by the sha256 of the card of the model."""
    where, values = _span(span)
    found = db.execute(
        "SELECT model_sha256, COUNT(*) FROM plays "  # noqa: S608
        f"WHERE billable = 1 AND cost_micro > 0 AND model_sha256 != '' AND trigger != 'fallback'{where} GROUP BY 1",
        values,
    )
    return dict(map(tuple, found))


def plays(
    db: sqlite3.Connection,
    by: tuple[str, ...],
    zone: ZoneInfo,
    span: Span = (None, None),
    model_in_words: Callable[[str], str] = "model {:.12}".format,
) -> Report:
    """Return what was shown, counted by some of PLAYS_BY. Days and hours are those of `zone`.

    Numbers of watchers are rounded, and small ones hidden. An id that several had is told with their names. Notes say
    what people rest on. Raises UserError for an unknown dimension.
    """
    known_dimensions(by, PLAYS_BY)
    where, values = _span(span)
    shared = {name: _shared(db, name) for name in by if name in _OWNERS}
    buckets: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    longer: set[tuple[str, int]] = set()
    bases: dict[tuple[str, str], dict[RestsOn, None]] = defaultdict(dict)
    names = {"ots_1s": "ots", "watchers_looked": "watchers", "watchers_2s": "watchers_2s"}
    people = Sums(db, names, "attention_ms", "ots", zone, span)

    def key_of(row: Any, local: datetime) -> tuple[Any, ...]:
        return tuple(
            "/".join(row[part] for part in (*_OWNERS[name], name))
            if name in shared and row[name] in shared[name]
            else value_of(name, row, local)
            for name in by
        )

    people.count(key_of)
    needed = "started_utc, advertiser, campaign, line, creative, trigger, station, screen, billable, status, shown_ms, "
    needed += "frames_expected, frames_presented, schema, measured_share, attention_ms, ots, model_sha256, "
    needed += "exposure_zone, calibration, " + ", ".join(names)
    for row in db.execute(f"SELECT {needed} FROM plays WHERE 1{where}", values):  # noqa: S608
        local = datetime.fromisoformat(row["started_utc"]).astimezone(zone)
        longer |= longer_hours(local)
        key = key_of(row, local)
        bucket = buckets[key]
        bucket["plays"] += 1
        bucket["billable"] += row["billable"] or 0
        bucket[row["status"] or "playing"] += 1
        bucket["shown_ms"] += row["shown_ms"] or 0
        bucket["expected"] += row["frames_expected"] or 0
        bucket["presented"] += row["frames_presented"] or 0
        people.add(key, row)
        if row["measured_share"]:
            rests_on = row["model_sha256"], row["exposure_zone"], row["calibration"]
            bases[row["station"], row["screen"]][rests_on] = None
    rows = []
    for key in sorted(buckets, key=order_of(by)):
        rows.append(_plays_row(dict(zip(by, key, strict=True)), buckets[key]) | people.row(key))
    if rows:
        total: Counter[str] = sum(buckets.values(), Counter())
        rows.append(_plays_row(dict.fromkeys(by, "") | {by[0]: "total"}, total) | people.row(None))
    counts = ("plays", "billable", "partial", "failed", "aborted", "shown_s", "frames_pct", *people.columns)
    notes = (*longer_note(longer, by), _ROUNDED, *([_WHOLE_HOURS] if people.cuts_hours else []), *people.not_yet)
    notes += (*_measured_by(bases, model_in_words), *_other_clocks(db, span, zone))
    brief = (*by, "plays", "billable", "shown_s", "ots", "watchers", "attention_s")
    return Report(title="Plays", columns=(*by, *counts), brief=brief, rows=rows, totals=min(1, len(rows)), notes=notes)


def _measured_by(
    bases: dict[tuple[str, str], dict[RestsOn, None]], model_in_words: Callable[[str], str]
) -> Iterator[str]:
    """Yield notes on what the people of plays rest on, by station and screen."""
    every = {one: None for mine in bases.values() for one in mine}
    yield from plays_rest_on(every, model_in_words)
    of_one = len({station for station, _ in bases}) == 1
    for (station, screen), mine in bases.items():
        if different := changed(mine):
            place = screen if of_one else f"{station}/{screen}"
            yield f"{place}: {', '.join(different)} changed between plays; counts before and after are not alike."
    if every:
        yield LEVEL


_OWNERS = {
    "campaign": ("advertiser",),
    "line": ("advertiser", "campaign"),
    "creative": ("advertiser",),
    "screen": ("station",),
}
"""Owners of each kind of id, within whom it is told apart."""


def _shared(db: sqlite3.Connection, name: str) -> set[str]:
    """Return the ids of a kind that more than one owner has had."""
    query = f"SELECT DISTINCT {name}, {', '.join(_OWNERS[name])} FROM plays"  # noqa: S608
    counts = Counter(row[0] for row in db.execute(query))
    return {value for value, count in counts.items() if count > 1}


def _invoice_line(
    key: _Order,
    bucket: dict[str, Any],
    rests_on: dict[str, Any],
    contract: Line | None,
    ever_micro: int,
) -> dict[str, Any]:
    advertiser, campaign, line, currency = key
    spend = to_cents(money(bucket["micro"]), currency) if currency else Decimal(0)
    budget = None if contract is None or contract.budget is None else to_cents(contract.budget, currency)
    left = None if budget is None else budget - to_cents(money(ever_micro), currency)
    return {
        "advertiser": advertiser,
        "campaign": campaign,
        "line": line,
        "contracted": budget,
        "plays": bucket["plays"],
        "billable": bucket["billable"],
        "not billed": ", ".join(f"{count} {why}" for why, count in sorted(bucket["why"].items())),
        **rests_on,
        "spend": spend,
        "left": left,
        "currency": currency,
        **_in_brief(f"{advertiser}: {line}", bucket["billable"], spend, left, currency),
    }


def _in_brief(whose: str, billed: int, spend: Decimal, left: Decimal | None, currency: str) -> dict[str, Any]:
    """Return those columns of _BRIEF that csv and JSON do not have."""
    budget_left = "" if left is None else as_text(left, currency)
    return {"whose line": whose, "billed": billed, "owed": as_text(spend, currency), "budget left": budget_left}


def _invoice_total(currency: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if row["currency"] == currency]
    sums: dict[str, Any] = {name: sum(row[name] for row in mine) for name in ("plays", "billable")}
    for name in ("ots", "watchers", "attention_s", "old_matched_watchers"):
        if any(name in row for row in mine):
            known = [row[name] for row in mine if row[name] is not None]
            sums[name] = (round(sum(number for number in known if number != HIDDEN), 1) or HIDDEN) if known else None
    amounts: dict[str, Decimal | None] = {}
    for name in ("contracted", "spend", "left"):
        known = [row[name] for row in mine if row[name] is not None]
        amounts[name] = sum(known, to_cents(Decimal(0), currency)) if known else None
    spend = amounts["spend"] or Decimal(0)
    return {
        "advertiser": "total",
        "campaign": "",
        "line": "",
        "not billed": "",
        **sums,
        "measured_pct": None,
        **amounts,
        "currency": currency,
        **dict.fromkeys(InvoiceBasis.columns, ""),
        **_in_brief("total", sums["billable"], spend, amounts["left"], currency),
    }


def _plays_row(row: dict[str, Any], bucket: Counter[str]) -> dict[str, Any]:
    share = bucket["presented"] / bucket["expected"] if bucket["expected"] else 0.0
    counted = {name: bucket[name] for name in ("plays", "billable", "partial", "failed", "aborted")}
    measured = {"shown_s": round(bucket["shown_ms"] / 1000, 1), "frames_pct": round(100 * share, 1)}
    return {**row, **counted, **measured}


def _span(span: Span) -> tuple[str, list[str]]:
    wanted = [(span[0], " AND started_utc >= ?"), (span[1], " AND started_utc < ?")]
    return "".join(text for value, text in wanted if value), [value for value, _ in wanted if value]
