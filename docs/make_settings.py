"""Writes docs/settings.md from the tables of pipeline/settings.py: `make docs`.

The texts are the docstrings there. The first sentence of a key's docstring goes into the table, the rest below it.
"""

import ast
import inspect
import re
import textwrap
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from pipeline import settings

HEAD = f"""\
# The station file

<!-- Written by `make docs` from pipeline/settings.py: edit the docstrings there. -->

One TOML file describes a station. Units are in the names of the keys. Relative paths start at the file's own folder,
and `~/` stands for the user's home. [The demo's file](../pipeline/demo.toml) is a good start.

`stationcast check STATION.toml` reads a station file without running it. A mistake is answered by one line that names
the file, the key and the remedy. These are mistakes:

- a key that is not on this page, or a value out of its bounds;
- two cameras of one name, or two screens of one name;
- more than {settings._CAMERAS_MAX} cameras, or more than {settings._SCREENS_MAX} screens;
- no camera, unless `mode = "off"`; a screen whose `cameras` names a camera that is not there;
- mode `target` with a screen whose `notice` is `false`;
- two full screens on one display, or two screens with one `screenshot`; a `screenshot` that does not end in `.png`;
- a time zone, a venue type, a model or a campaign folder that does not exist.

A *name* has 1 to 32 lower-case letters, digits, `-` and `_`, and begins with a letter or digit.
"""


def page() -> str:
    """Return the whole text of docs/settings.md."""
    texts = _docstrings()
    parts = [HEAD]
    for table in msgspec.structs.fields(settings.Station):
        repeated = get_origin(table.type) is tuple
        kind = get_args(table.type)[0] if repeated else table.type
        if isinstance(kind, type) and issubclass(kind, settings.Section):
            parts.append(_section(f"[[{table.name}]]" if repeated else f"[{table.name}]", kind, texts))
        elif get_origin(table.type) is dict:
            parts.append(f"## `[{table.name}]`\n\n{_wrapped(texts['Station', table.name])}\n")
    return "\n".join(parts)


def _section(title: str, kind: type[settings.Section], texts: dict[tuple[str, str], str]) -> str:
    """Return one table of the station file as Markdown: what it is, a row a key, and what is left to say of a key."""
    rows, details = ["| key | value | default | meaning |", "|---|---|---|---|"], []
    for key in msgspec.structs.fields(kind):
        first, dot, rest = texts[kind.__name__, key.name].partition(". ")
        rows.append(f"| `{key.name}` | {_values(key.type)} | {_default(key.default)} | {first + dot.strip()} |")
        if rest:
            details.append(_wrapped(f"- `{key.name}`: {rest}", indent="  "))
    intro = _wrapped(texts[kind.__name__, ""])
    return "\n\n".join([f"## `{title}`", intro, "\n".join(rows), *(["\n".join(details)] if details else [])]) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    """Break text into lines of up to 120 characters, never within backticks; later lines begin with `indent`."""
    kept = re.sub("`[^`]+`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(kept, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


_PLAIN: dict[Any, str] = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number"}


def _values(kind: Any) -> str:
    """Say in words which values a key takes."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind == settings.Name:
        return "name"
    if kind == settings.Polygon:
        return "list of corners `[x, y]`"
    if origin is Annotated:
        [bounds] = [x for x in arguments[1:] if isinstance(x, msgspec.Meta)]
        if bounds.max_length is not None:
            return f"text of up to {bounds.max_length} characters"
        return f"{bounds.ge} to {bounds.le}" if bounds.ge is not None else _values(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_values(x) for x in arguments if x is not NoneType)
    if origin is tuple:
        return "list of such lists" if arguments[0] == settings.Polygon else f"list of {_values(arguments[0])}s"
    return _PLAIN[kind]


def _default(value: Any) -> str:
    """Say in words what holds for a key that is left out."""
    if value is msgspec.NODEFAULT:
        return "must be given"
    if value is None:
        return "none"
    if value in ("", ()):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _docstrings() -> dict[tuple[str, str], str]:
    """Read pipeline/settings.py -> (class, key) -> docstring, in one line; a class's own has the key ""."""
    found = {}
    for node in ast.parse(inspect.getsource(settings)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name, ""] = ast.get_docstring(node) or ""
            for line, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    match text:
                        case ast.Expr(value=ast.Constant(value=str(words))):
                            found[node.name, line.target.id] = words
    return {key: " ".join(text.split()) for key, text in found.items()}


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(page(), encoding="utf-8")
