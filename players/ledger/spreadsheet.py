"""CSV as spreadsheets of all countries open it: RFC 4180, with a mark, a separator and a decimal sign to choose."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal, TextIO

from msgspec import Struct

from pipeline.clean import clean
from pipeline.errors import UserError

Separator = Literal[",", ";", "tab"]
_SIGNS: dict[Separator, str] = {",": ",", ";": ";", "tab": "\t"}
_MARK = "\ufeff"
_WORD = re.compile(r"[\w.-]*")
"""Text that holds no sign that any program takes for a separator, and so needs no quotes."""
_FORMULA = re.compile(r"""(?:^|[,;|\s])[\s"']*(?=[=＝])|(?:^|[,;|])[\s"']*(?=[+\-@＋－＠])""")
"""Place before a sign by which a spreadsheet knows a formula: at the beginning of a text, and behind a separator.

Any sign that a spreadsheet may take for the separator counts, whatever quotes are around.
"""


class Csv(Struct, frozen=True):
    """Form of CSV. `mark` says whether a byte order mark begins it, by which Excel knows UTF-8."""

    separator: Separator = ","
    decimal: Literal[".", ","] = "."
    mark: bool = False


def write_csv(out: TextIO, columns: Iterable[str], rows: Iterable[Iterable[Any]], form: Csv) -> int:
    """Write a heading and rows, each line ended by CR LF, and return the number of rows.

    Numbers have the decimal sign of the form. Texts are clean, and quoted unless they are one word. An apostrophe
    stands before whatever a spreadsheet would run as a formula, also one that takes another sign for the separator.
    Raises UserError where the separator is the decimal sign too.
    """
    if form.separator == form.decimal:
        raise UserError("--decimal ,: the comma separates the columns too; add --separator ';'")
    out.write(_MARK if form.mark else "")
    between, count = _SIGNS[form.separator], 0
    out.write(between.join(columns) + "\r\n")
    for count, row in enumerate(rows, 1):  # noqa: B007
        out.write(between.join(_cell(value, form) for value in row) + "\r\n")
    return count


def _cell(value: Any, form: Csv) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal | float):
        number = format(value, "f") if isinstance(value, Decimal) else str(value)
        return number.replace(".", form.decimal)
    if not isinstance(value, str):
        return str(value)
    text = _FORMULA.sub(r"\g<0>'", clean(value.replace("\t", " ")))
    return text if _WORD.fullmatch(text) else '"' + text.replace('"', '""') + '"'
