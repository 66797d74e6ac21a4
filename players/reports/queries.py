"""What an operator hands out: invoices, plays and audiences, as a table, csv or json. Money is exact to the cent.

People are estimated without telling anybody apart: visits are counted by the hour and shared out by person time. Cells
under 10 people are hidden, and others with them where a total would give them away.
"""

import csv
import io
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, combinations
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from rich.table import Table

from pipeline.errors import UserError
from pipeline.messages import DECADES
from players.ads.lines import WEEKDAYS, Line, money
from players.ads.money import to_cents
from players.audience.groups import GENDERS
from players.ledger.chain import no_formula

FEWEST_PEOPLE = 10
HIDDEN = "hidden"
AUDIENCE_BY = ("site", "screen", "day", "weekday", "hour", "gender", "decade")
PLAYS_BY = ("advertiser", "campaign", "line", "creative", "trigger", "screen", "day", "weekday", "hour")
_NUMBERS = (int, float, Decimal)


class Report(Struct, frozen=True, kw_only=True):
    """A finished report: rows by column name, the last `totals` of them totals, and notes that belong under it."""

    title: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    totals: int = 0
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The rows without the totals: a campaign, too, may be called "total"."""
        return self.rows[: len(self.rows) - self.totals]


Since = tuple[str | None, str | None]
"""From and up to but without, as the ledger writes times; None is open."""


def billing(db: sqlite3.Connection, contracts: Iterable[Line] = (), span: Since = (None, None)) -> Report:
    """An invoice line for each line and currency, with a total for each currency; house ads cost nobody anything.

    An amount is summed exactly and rounded once, to the smallest unit of its currency; totals add rounded amounts up.
    What is left is of the whole budget, which belongs to the line's id, whatever the span.
    """
    contracted = {(line.advertiser, line.campaign, line.id, line.currency): line for line in contracts}
    ever = dict(db.execute("SELECT line, SUM(price_micro) FROM plays WHERE billable = 1 GROUP BY line").fetchall())
    where, values = _span(span)
    groups: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for key in contracted:
        groups[key] = {"plays": 0, "billable": 0, "micro": 0, "watchers": 0, "why": Counter()}
    for row in db.execute(
        "SELECT advertiser, campaign, line, currency, billable, bill_reason, COUNT(*) AS plays, "  # noqa: S608
        "SUM(price_micro) AS micro, SUM(COALESCE(matched_watchers, 0)) AS watchers FROM plays "
        f"WHERE trigger != 'fallback'{where} GROUP BY 1, 2, 3, 4, 5, 6",
        values,
    ):
        key = row["advertiser"], row["campaign"], row["line"], row["currency"]
        group = groups.setdefault(key, {"plays": 0, "billable": 0, "micro": 0, "watchers": 0, "why": Counter()})
        group["plays"] += row["plays"]
        if row["billable"]:
            group["watchers"] += row["watchers"]
            group["billable"] += row["plays"]
            group["micro"] += row["micro"]
        else:
            group["why"][_why(row["bill_reason"])] += row["plays"]
    rows = [
        _invoice_line(key, group, contracted.get(key), ever.get(key[2], 0)) for key, group in sorted(groups.items())
    ]
    totals = [
        _invoice_total(currency, rows) for currency in sorted({row["currency"] for row in rows if row["currency"]})
    ]
    columns = ("advertiser", "campaign", "line", "contracted", "plays", "billable", "not billed", "watchers", "spend",
               "left", "currency")  # fmt: skip
    notes = ("What is left is of the whole budget, not of this period's spend alone.",) if any(span) else ()
    return Report(title="Billing", columns=columns, rows=rows + totals, totals=len(totals), notes=notes)


def plays(db: sqlite3.Connection, by: tuple[str, ...], zone: ZoneInfo, span: Since = (None, None)) -> Report:
    """What was shown, counted by any of PLAYS_BY; days and hours are the station's. Few watchers are hidden."""
    _known(by, PLAYS_BY)
    where, values = _span(span)
    groups: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in db.execute(f"SELECT * FROM plays WHERE 1{where}", values):  # noqa: S608
        local = datetime.fromisoformat(row["started_utc"]).astimezone(zone)
        group = groups[tuple(_value(name, row, local) for name in by)]
        group["plays"] += 1
        group["billable"] += row["billable"] or 0
        group[row["status"] or "playing"] += 1
        group["shown_ms"] += row["shown_ms"] or 0
        group["expected"] += row["frames_expected"] or 0
        group["presented"] += row["frames_presented"] or 0
        group["ots"] += row["ots"] or 0
    hidden = hide({key: group["ots"] for key, group in groups.items()}, len(by))
    rows = []
    for key in sorted(groups, key=_order(by)):
        rows.append(_plays_row(dict(zip(by, key, strict=True)), groups[key], key in hidden))
    if rows:
        total: Counter[str] = sum(groups.values(), Counter())
        rows.append(_plays_row(dict.fromkeys(by, "") | {by[0]: "total"}, total, total["ots"] < FEWEST_PEOPLE))
    counts = ("plays", "billable", "partial", "failed", "aborted", "shown_s", "frames_pct", "watchers")
    notes = _hidden_note(hidden)
    return Report(title="Plays", columns=(*by, *counts), rows=rows, totals=min(1, len(rows)), notes=notes)


def audience(db: sqlite3.Connection, by: tuple[str, ...], zone: ZoneInfo, span: Since = (None, None)) -> Report:
    """How many people came, estimated, by any of AUDIENCE_BY; hours and days are the station's."""
    _known(by, AUDIENCE_BY)
    hours = {}
    # Sums: of an hour in which a ledger was set aside and another begun, there are two rows.
    for row in db.execute(
        "SELECT station, screen, hour_utc, SUM(visits) AS visits FROM audience_hours GROUP BY station, screen, hour_utc"
    ):
        if _within(row["hour_utc"], span):
            hours[row["station"], row["screen"], row["hour_utc"]] = row
    people: Counter[tuple[Any, ...]] = Counter()
    person_ms: Counter[tuple[Any, ...]] = Counter()
    shares: dict[tuple[str, str, str], list[sqlite3.Row]] = defaultdict(list)
    for row in db.execute("SELECT * FROM audience_groups"):
        shares[row["station"], row["screen"], row["hour_utc"]].append(row)
    for place, hour in hours.items():
        local = datetime.strptime(hour["hour_utc"], "%Y-%m-%dT%H").replace(tzinfo=UTC).astimezone(zone)
        all_ms = sum(group["person_ms"] for group in shares[place])
        for group in shares[place]:
            named = {**group, "site": group["station"]}
            key = tuple(_value(name, named, local) for name in by)
            people[key] += hour["visits"] * group["person_ms"] / all_ms if all_ms else 0
            person_ms[key] += group["person_ms"]
    counts = {key: round(number) for key, number in people.items()}
    hidden = hide(counts, len(by))
    total, total_ms = sum(counts.values()), sum(person_ms.values())
    rows = []
    for key in sorted(counts, key=_order(by)):
        row = dict(zip(by, key, strict=True))
        rows.append(row | (_hidden_row() if key in hidden else _people_row(counts[key], person_ms[key], total)))
    if rows:
        last = _people_row(total, total_ms, total) if total >= FEWEST_PEOPLE else _hidden_row()
        rows.append({**dict.fromkeys(by, ""), by[0]: "total", **last})
    notes = [
        "Estimated without telling anybody apart: who leaves and comes back counts again; "
        "shares of groups are shares of person time."
    ]
    screens = {place[:2] for place in hours}
    if len(screens) > 1:
        notes.append(f"Counted at each of {len(screens)} screens: who is seen at two of them counts twice.")
    notes += _hidden_note(hidden)
    columns: tuple[str, ...] = (*by, "people", "share_pct", "person_hours")
    if not {"gender", "decade"} & {*by}:
        columns += ("mean_s",)
    return Report(title="Audience", columns=columns, rows=rows, totals=min(1, len(rows)), notes=tuple(notes))


def hide(counts: dict[tuple[Any, ...], int], dimensions: int, fewest: int = FEWEST_PEOPLE) -> set[tuple[Any, ...]]:
    """The cells to hide: all under `fewest`, and the smallest others until no total over any of the dimensions leaves
    a single hidden cell, or hidden cells of fewer people together, to be found by subtraction."""
    hidden = {key for key, number in counts.items() if number < fewest}
    margins = list(chain.from_iterable(combinations(range(dimensions), size) for size in range(dimensions)))
    changed = bool(hidden)
    while changed:
        changed = False
        for margin in margins:
            slices: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
            for key in counts:
                slices[tuple(key[i] for i in margin)].append(key)
            for keys in slices.values():
                secret = [key for key in keys if key in hidden]
                shown = [key for key in keys if key not in hidden]
                while secret and shown and (len(secret) == 1 or sum(counts[key] for key in secret) < fewest):
                    smallest = min(shown, key=lambda key: (counts[key], str(key)))
                    shown.remove(smallest)
                    secret.append(smallest)
                    hidden.add(smallest)
                    changed = True
    return hidden


def as_table(report: Report) -> Table:
    """The report for a terminal."""
    table = Table(title=report.title, caption="\n".join(report.notes) or None, header_style="bold")
    for name in report.columns:
        numeric = any(isinstance(row.get(name), _NUMBERS) for row in report.rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for number, row in enumerate(report.rows):
        style = "bold" if number >= len(report.parts) else None
        table.add_row(*(_text(row.get(name)) for name in report.columns), style=style)
    return table


def as_csv(report: Report) -> str:
    """The report as csv with a header; amounts as plain decimals, no text as a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(report.columns)
    writer.writerows([_text(no_formula(row.get(name))) for name in report.columns] for row in report.rows)
    return out.getvalue()


def as_json(report: Report) -> str:
    """{"title", "rows", "notes"}; amounts are strings, so that no reader rounds them."""
    rows = [{name: row.get(name) for name in report.columns} for row in report.rows]
    plain = {"title": report.title, "rows": rows, "notes": report.notes}
    return json.dumps(plain, indent=2, ensure_ascii=False, default=lambda amount: format(amount, "f"))


def _invoice_line(
    key: tuple[str, str, str, str], group: dict[str, Any], contract: Line | None, ever_micro: int
) -> dict[str, Any]:
    advertiser, campaign, line, currency = key
    spend = to_cents(money(group["micro"]), currency)
    budget = None if contract is None or contract.budget is None else to_cents(contract.budget, currency)
    return {
        "advertiser": advertiser,
        "campaign": campaign,
        "line": line,
        "contracted": budget,
        "plays": group["plays"],
        "billable": group["billable"],
        "not billed": ", ".join(f"{count} {why}" for why, count in sorted(group["why"].items())),
        "watchers": group["watchers"],
        "spend": spend if currency else Decimal(0),
        "left": None if budget is None else budget - to_cents(money(ever_micro), currency),
        "currency": currency,
    }


def _invoice_total(currency: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if row["currency"] == currency]
    sums = {name: sum(row[name] for row in mine) for name in ("plays", "billable", "watchers")}
    amounts: dict[str, Decimal | None] = {}
    for name in ("contracted", "spend", "left"):
        known = [row[name] for row in mine if row[name] is not None]
        amounts[name] = sum(known, to_cents(Decimal(0), currency)) if known else None
    return {
        "advertiser": "total",
        "campaign": "",
        "line": "",
        "not billed": "",
        **sums,
        **amounts,
        "currency": currency,
    }


def _why(reason: str | None) -> str:
    for start, short in (
        ("not billed: only", "cut short"),
        ("not billed: the target", "target not met"),
        ("not billed: it failed", "failed"),
        ("not billed: the play was aborted", "aborted"),
    ):
        if (reason or "").startswith(start):
            return short
    return "not ended"


def _plays_row(row: dict[str, Any], group: Counter[str], hidden: bool) -> dict[str, Any]:
    share = group["presented"] / group["expected"] if group["expected"] else 0.0
    counted = {name: group[name] for name in ("plays", "billable", "partial", "failed", "aborted")}
    measured = {"shown_s": round(group["shown_ms"] / 1000, 1), "frames_pct": round(100 * share, 1)}
    return {**row, **counted, **measured, "watchers": HIDDEN if hidden else group["ots"]}


def _people_row(people: int, person_ms: float, total: int) -> dict[str, Any]:
    return {
        "people": people,
        "share_pct": round(100 * people / total, 1) if total else 0.0,
        "person_hours": round(person_ms / 3.6e6, 2),
        "mean_s": round(person_ms / 1000 / people, 1) if people else 0.0,
    }


def _hidden_row() -> dict[str, Any]:
    return {"people": HIDDEN, "share_pct": HIDDEN, "person_hours": HIDDEN, "mean_s": HIDDEN}


def _hidden_note(hidden: set[tuple[Any, ...]]) -> tuple[str, ...]:
    if not hidden:
        return ()
    cells = "1 cell is" if len(hidden) == 1 else f"{len(hidden)} cells are"
    return (f"{cells} hidden: fewer than {FEWEST_PEOPLE} people, or telling by subtraction.",)


def _value(name: str, row: Any, local: datetime) -> Any:
    if name == "hour":
        return local.hour
    if name == "weekday":
        return WEEKDAYS[local.weekday()]
    if name == "day":
        return local.date().isoformat()
    return row[name]


_ORDERED = {"weekday": WEEKDAYS, "decade": (*DECADES, "unknown"), "gender": GENDERS}


def _order(by: tuple[str, ...]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A sorting key: days and groups in their own order, everything else by value."""
    return lambda key: tuple(
        _ORDERED[name].index(value) if name in _ORDERED else value for name, value in zip(by, key, strict=True)
    )


def _known(by: tuple[str, ...], names: tuple[str, ...]) -> None:
    if not by:
        raise UserError(f"--by: name at least one of {','.join(names)}")
    for name in by:
        if name not in names or by.count(name) > 1:
            raise UserError(f"--by: {name!r} is unknown or named twice; choose of {','.join(names)}")


def _span(span: Since) -> tuple[str, list[str]]:
    wanted = [(span[0], " AND started_utc >= ?"), (span[1], " AND started_utc < ?")]
    return "".join(text for value, text in wanted if value), [value for value, _ in wanted if value]


def _within(hour_utc: str, span: Since) -> bool:
    """Whether an hour begins in the span: it is of the day on which it begins, where days begin at half past, too."""
    begins = f"{hour_utc}:00:00.000Z"
    return (span[0] is None or begins >= span[0]) and (span[1] is None or begins < span[1])


def _text(value: Any) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)
