"""A finished report, and its three shapes: table, csv and json."""

from decimal import Decimal
from typing import Any, Literal, TextIO

from msgspec import Struct, structs
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.clean import clean
from pipeline.streams import json_text
from players.ads.names import alike, in_words
from players.ledger.spreadsheet import Csv, write_csv

_NUMBERS = (int, float, Decimal)


class Report(Struct, frozen=True, kw_only=True):
    """Rows of values by column name. The last `totals` rows are totals; the notes belong under the table."""

    title: str
    columns: tuple[str, ...]
    brief: tuple[str, ...] = ()
    """Columns of the table in a terminal where all are too many; rows have them too."""
    rows: list[dict[str, Any]]
    totals: int = 0
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> list[dict[str, Any]]:
        """Rows without the totals. A name cannot tell them apart: a campaign, too, may be called "total"."""
        return self.rows[: len(self.rows) - self.totals]


def cleaned(report: Report) -> Report:
    """Return the report with clean texts, and with a note on each advertiser whose name looks like another one."""
    rows = [
        {name: clean(value) if isinstance(value, str) else value for name, value in row.items()} for row in report.rows
    ]
    names = [row["advertiser"] for row in report.parts if isinstance(row.get("advertiser"), str)]
    alikes = (f"advertiser {in_words(name)} looks like {in_words(other)}, another" for name, other in alike(names))
    notes = dict.fromkeys((*report.notes, *alikes))
    return structs.replace(report, title=clean(report.title), rows=rows, notes=tuple(map(clean, notes)))


def as_table(report: Report) -> RenderableType:
    """Return the report for a terminal, in brief where it has a brief form."""
    columns = report.brief or report.columns
    table = Table(title=report.title, header_style="bold")
    if report.brief:
        table.box, table.show_edge, table.padding = box.SIMPLE_HEAD, False, (0, 1, 0, 0)
    else:
        table.caption = "\n".join(report.notes) or None
    for name in columns:
        numeric = any(isinstance(row.get(name), _NUMBERS) for row in report.rows)
        overflow: Literal["fold", "ellipsis"] = "fold" if report.brief else "ellipsis"
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow=overflow)
    for number, row in enumerate(report.rows):
        style = "bold" if number >= len(report.parts) else None
        table.add_row(*(_text(row.get(name)) for name in columns), style=style)
    if not report.brief:
        return table
    notes = (*report.notes, "All columns: add --format csv or --format json.")
    return Group(table, Text("\n".join(f"- {note}" for note in notes)))


def as_csv(report: Report, out: TextIO, form: Csv) -> None:
    """Write the report as csv with a heading. Amounts are plain decimals."""
    write_csv(out, report.columns, ([row.get(name) for name in report.columns] for row in report.rows), form)


def as_json(report: Report) -> str:
    """Return the report as JSON: {"title", "rows", "notes"}. Amounts are strings, so that no reader rounds them."""
    rows = [{name: row.get(name) for name in report.columns} for row in report.rows]
    plain = {"title": report.title, "rows": rows, "notes": report.notes}
    return json_text(plain, indent=2, default=lambda amount: format(amount, "f"))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else clean(str(value))
