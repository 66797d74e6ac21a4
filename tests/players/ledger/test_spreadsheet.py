"""CSV opens as it is in the spreadsheets of different countries."""

import csv
import io
import re
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clean import clean
from pipeline.errors import UserError
from players.ledger.spreadsheet import Csv, Separator, write_csv

SIGNS: dict[Separator, str] = {",": ",", ";": ";", "tab": "\t"}


def written(rows: list[list[object]], form: Csv) -> str:
    out = io.StringIO(newline="")
    assert write_csv(out, ("name", "amount", "share", "plays"), rows, form) == len(rows)
    return out.getvalue()


def test_a_korean_excel_gets_a_mark_and_commas() -> None:
    text = written([["모카, 서울", Decimal("1200"), 0.5, 3]], Csv(mark=True))
    assert text.encode() == (
        b"\xef\xbb\xbfname,amount,share,plays\r\n"
        + b'"\xeb\xaa\xa8\xec\xb9\xb4, \xec\x84\x9c\xec\x9a\xb8",1200,0.5,3\r\n'
    )


def test_a_german_excel_gets_semicolons_and_decimal_commas() -> None:
    text = written([["Café; Mitte", Decimal("1234.50"), -0.25, None]], Csv(separator=";", decimal=",", mark=True))
    assert text == '\ufeffname;amount;share;plays\r\n"Café; Mitte";1234,50;-0,25;\r\n'


def no_formula_for_any_separator(text: str) -> None:
    """Check that no spreadsheet runs a cell, whichever sign it takes for the separator and whether it knows quotes."""
    for other in ",;|\t":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=other, quoting=quoting):
                for cell in row:
                    begin = cell.lstrip("\"' ")[:1] if not cell.lstrip('" ').startswith("'") else ""
                    number = re.fullmatch(r"-?[\d.,E-]*", cell)
                    assert begin not in tuple("=+-@＝＋－＠") or number or not begin, (cell, other)


FORMULAS = st.lists(
    st.sampled_from(("=1+1", "+1", "\n", "-A1", "@SUM(A1)", "＝A1", '=HYPERLINK("http://x")', "a", '"', "'", " "))
    | st.sampled_from(tuple(",;|\t")),
    max_size=8,
).map("".join)


@given(FORMULAS, FORMULAS, st.sampled_from(tuple(SIGNS)))
def test_no_text_of_separators_quotes_and_formulas_becomes_a_formula(a: str, b: str, separator: Separator) -> None:
    no_formula_for_any_separator(written([[a, Decimal(1), 0.5, 2], [b, Decimal(1), 0.5, 2]], Csv(separator)))


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs",))), st.decimals(-(10**9), 10**9, places=6))),
    st.sampled_from(tuple(SIGNS)),
    st.sampled_from((".", ",")),
)
def test_every_value_is_read_back_and_no_text_is_a_formula_for_any_separator(
    rows: list[tuple[str, Decimal]], separator: Separator, decimal: Literal[".", ","]
) -> None:
    if separator == decimal:
        return
    text = written([[name, amount, 1.5, 7] for name, amount in rows], Csv(separator, decimal))
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=SIGNS[separator], strict=True))[1:]
    for (name, amount), (name_read, amount_read, share, plays) in zip(rows, read, strict=True):
        assert name_read.replace("'", "") == clean(name.replace("\t", " ")).replace("'", "")
        assert Decimal(amount_read.replace(",", ".")) == amount
        assert not name_read.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert (share, plays) == (f"1{decimal}5", "7")
    no_formula_for_any_separator(text)


def test_a_comma_does_not_separate_columns_and_decimals() -> None:
    with pytest.raises(UserError, match="--decimal ,: the comma separates the columns too; add --separator ';'"):
        written([], Csv(decimal=","))
