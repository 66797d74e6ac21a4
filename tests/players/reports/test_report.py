"""Reports as csv and json: they agree with the ledger, and no text is a formula."""

import csv
import io
import json
from decimal import Decimal

import msgspec

from players.ads.money import to_cents
from players.audience.present import NOBODY
from players.ledger.export import read_plays, write_plays
from players.ledger.snapshot import reading
from players.ledger.spreadsheet import Csv
from players.reports import queries
from players.reports.audience import audience
from players.reports.report import Report, as_csv, as_json
from tests.ads import BERLIN, F20, HOUSE, present
from tests.players.recording import MOKA, Record, at, crowd, some_plays


def _as_csv(report: Report) -> str:
    out = io.StringIO()
    as_csv(report, out, Csv())
    return out.getvalue()


def test_ledger_csv_json_and_invoice_agree_to_the_cent(record: Record) -> None:
    path = record(some_plays())
    with reading([path]) as db:
        made = queries.billing(db)
        text = io.StringIO()
        write_plays(read_plays(db), "csv", text)
        lines = io.StringIO()
        write_plays(read_plays(db), "jsonl", lines)
    from_csv = list(csv.DictReader(io.StringIO(text.getvalue())))
    from_json = [json.loads(row) for row in lines.getvalue().splitlines()]
    invoice_csv = list(csv.DictReader(io.StringIO(_as_csv(made))))
    invoice_json = json.loads(as_json(made))["rows"]
    for row in made.rows:
        if not row["line"]:
            continue
        for export in (from_csv, from_json):
            mine = [play for play in export if play["line"] == row["line"] and int(play["billable"])]
            assert len(mine) == row["billable"]
            assert to_cents(sum(Decimal(play["cost"]) for play in mine), row["currency"]) == row["spend"]
        for invoice in (invoice_csv, invoice_json):
            (same,) = (other for other in invoice if other["line"] == row["line"])
            assert same["spend"] == format(row["spend"], "f")


def test_no_text_of_a_csv_is_a_formula_and_every_number_stays_one(record: Record) -> None:
    ad = msgspec.structs.replace(MOKA, advertiser="=HYPERLINK(1)")
    small = msgspec.structs.replace(ad, budget=Decimal("0.1"))
    path = record([(at(4, 9, n), ad, present(F20), 1.0) for n in range(2)])
    with reading([path]) as db:
        invoice = csv.DictReader(io.StringIO(_as_csv(queries.billing(db, [small]))))
        text = io.StringIO()
        write_plays(read_plays(db), "csv", text)
    first = next(invoice)
    assert (first["advertiser"], first["spend"], first["left"]) == ("'=HYPERLINK(1)", "0.25", "-0.15")
    assert {row["advertiser"] for row in csv.DictReader(io.StringIO(text.getvalue()))} == {"'=HYPERLINK(1)"}


def test_json_has_the_columns_of_the_report(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with reading([path]) as db:
        for made in (audience(db, ("gender",), BERLIN), audience(db, ("hour",), BERLIN)):
            assert {tuple(row) for row in json.loads(as_json(made))["rows"]} == {made.columns}
