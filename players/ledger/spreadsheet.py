"""CSV as spreadsheets of all countries open it: RFC 4180, with a mark, a separator and a decimal sign to choose."""

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import chain
from typing import Any, Literal, TextIO

from msgspec import Struct

from pipeline.errors import UserError

Separator = Literal[",", ";", "tab"]
_SIGNS: dict[Separator, str] = {",": ",", ";": ";", "tab": "\t"}
_MARK = "\ufeff"


class Csv(Struct, frozen=True):
    """Form of CSV. `mark` says whether a byte order mark begins it, by which Excel knows UTF-8."""

    separator: Separator = ","
    decimal: Literal[".", ","] = "."
    mark: bool = False


def write_csv(out: TextIO, columns: Iterable[str], rows: Iterable[Iterable[Any]], form: Csv) -> int:
    """Write a heading and rows, each line ended by CR LF, and return the number of rows.

    Numbers have the decimal sign of the form. A text that a spreadsheet would run as a formula begins with an
    apostrophe. UserError: the separator is the decimal sign too.
    """
    if form.separator == form.decimal:
        raise UserError("--decimal ,: the comma separates the columns too; add --separator ';'")
    out.write(_MARK if form.mark else "")
    count = -1
    for row in chain([columns], rows):
        out.write(_SIGNS[form.separator].join(_cell(value, form) for value in row) + "\r\n")
        count += 1
    return count


def _cell(value: Any, form: Csv) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal | float):
        number = format(value, "f") if isinstance(value, Decimal) else str(value)
        return number.replace(".", form.decimal)
    text = str(value)
    if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")):
        text = f"'{text}"
    # The signs of the other separators are quoted too: what opens the file may take one of them for its own.
    return '"' + text.replace('"', '""') + '"' if re.search(r'[,;\t"\r\n]|^\s|\s$', text) else text
