"""TOML files as people write them: what is wrong with one is told by line or key, with the remedy."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import rtoml
from msgspec import Meta, Struct

from pipeline.errors import UserError
from pipeline.text import describe

_STRINGS_AND_COMMENTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:[^"\\\n]|\\.)*"?|\'[^\'\n]*\'?|#[^\n]*', re.DOTALL
)
"""Strings and comments. One that is not closed ends with its line or the text, so that no sign is looked at twice."""
BYTES_MAX = 4 << 20
"""Largest TOML file."""
_SMART_QUOTES = re.compile("[“”„‟«»‘’‚‛「」＂]")
_HINTS = (
    ("duplicate key", "the key or table is there twice; remove one"),
    ("string values must be quoted", 'put text in straight quotes: "..."'),
    ("key with no value", 'a line is such as key = "value"; mend it'),
    ("invalid unquoted key", 'a line is such as key = "value"; mend it'),
    ("leading zero", "a number has no zero before it, and text has quotes; mend it"),
    ("escape", "a backslash in a path is written twice, or the path in single quotes: 'C:\\ads'"),
    ("unicode", "a backslash in a path is written twice, or the path in single quotes: 'C:\\ads'"),
    ("array table", "a table that repeats is headed such as [[lines]]; mend it"),
    ("array", "a list is such as [1, 2]; close it with ]"),
    ("inline table", "a table in one line is such as {a = 1, b = 2}; mend it"),
    ("string", "close the text with a straight quote"),
    ("table", "a table is headed such as [target]; mend it"),
    ("boolean", "write true or false, in small letters"),
    ("date", "a day is written such as 2026-05-01"),
    ("time", "a time is written such as 07:30:00"),
    ("unexpected key or value", "write one key = value a line, and 1.5 instead of 1,5; mend the line"),
)
"""Words in what the parser says, and what they mean for the person who wrote the file; the first that is found is told.
"""
_NOT_TOML = "not TOML: "


def parse_toml(text: str) -> dict[str, Any]:
    """Return the keys and values of a TOML text. UserError, without a file's name: line, mistake and remedy."""
    if len(text) > BYTES_MAX:
        raise UserError(f"it is larger than {BYTES_MAX >> 20} MiB; split it")
    try:  # not tomllib: that takes eight times as long, and minutes for a file that is meant to keep it busy
        values = dict(rtoml.loads(text))
    except rtoml.TomlParsingError as error:
        raise UserError(_syntax(text, str(error))) from None
    except (ValueError, RecursionError, RuntimeError):
        raise UserError(f"{_NOT_TOML}its values are nested too deep, or too large; write it more simply") from None
    if re.search(r"\\(u0000|U00000000|x00)", text) and "\0" in str(rtoml.dumps(values)).replace("\\u0000", "\0"):
        raise UserError("a text holds a zero byte (\\u0000); remove it")
    return values


def _syntax(text: str, message: str) -> str:
    """Return what the parser's message means: `line 3: not TOML: what is wrong; remedy`."""
    at = re.search(r" at line (\d+) column \d+$", message)
    number = int(at[1]) if at else text.rstrip().count("\n") + 1
    bare = _STRINGS_AND_COMMENTS.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    lines, bare_lines = text.split("\n"), bare.split("\n")
    for place, line in enumerate(bare_lines[:number], 1):
        foreign = re.search(r"[^\x09\x20-\x7e]", line)
        if foreign:
            smart = _SMART_QUOTES.search(line)
            return f"line {place}: {_NOT_TOML}{describe((smart or foreign)[0])}"
    line = lines[number - 1] if number <= len(lines) else ""
    smart = _SMART_QUOTES.search(line)
    if smart and "string" in message:
        return f"line {number}: {_NOT_TOML}{describe(smart[0])}"
    why = next((meaning for word, meaning in _HINTS if word in message), "it is no line of TOML; mend it")
    key = re.match(r"\s*([\w.-]{1,60})\s*=|\s*(\[+[\w. -]{1,60})", line)  # not the value, which may hold a password
    return f"line {number}: {_NOT_TOML}{f'{key[1] or key[2]}: ' if key else ''}{why}"


def explain(error: msgspec.ValidationError, file: type[Struct]) -> str:
    """Return `key: what is wrong; remedy` for an error of msgspec. `file` is the type of the whole file.

    The words of msgspec are put into plain ones.
    """
    message, _, place = re.sub(" - at `key` in `", " - at `", str(error)).partition(" - at `$")
    key = place.rstrip("`").lstrip(".").replace("[...]", "")
    kind = _kind_at(file, key)
    unknown = re.search(r"unknown field `(.+)`", message)
    if unknown:
        name = unknown.group(1)
        return f"{key + '.' if key else ''}{name}: unknown key; {_likely(name, _struct_in(kind))}"
    missing = re.search(r"missing required field `(.+)`", message)
    if missing:
        return f"{key or 'file'}: {missing.group(1)} is missing; add {missing.group(1)}"
    return f"{key or 'file'}: {_in_words(message, kind)}; {_remedy(message, key, kind)}"


def choices(kind: Any) -> tuple[str | int, ...]:
    """Return the values of the first Literal in a type; () where there is none."""
    return next((get_args(part) for part in _parts(kind) if get_origin(part) is Literal), ())


_TYPES = {
    "float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "object": "a table",
    "array": "a list", "null": "nothing", "date": "a day", "datetime": "a day with a time", "time": "a time",
    "decimal": "an amount",
}  # fmt: skip


def _in_words(message: str, kind: Any) -> str:
    """Return a message of msgspec in plain words; a regular expression by the `description` in its field's Meta."""
    if " matching regex " in message:
        metas = (part for part in _parts(kind) if isinstance(part, Meta) and part.description)
        return f"expected {next(metas).description}"
    value = re.fullmatch(r"Invalid enum value (.+)", message)
    if value:
        return f"{value[1]} is not known"
    for pattern, words in (
        (r"Invalid RFC3339 encoded date", "it is no day of the calendar"),
        (r"Invalid RFC3339 encoded .*", "it is no time"),
        (r"Invalid decimal string", "it is no amount"),
        (r"(Number|Integer).* out of range", "it is too large a number"),
        (r"`str` of length >= (\d+)", r"text of \1 letters or more"),
        (r"`str` of length <= (\d+)", r"text of at most \1 letters"),
        (r"`(?:array|object)` of length >= (\d+)", r"\1 or more of them"),
        (r"`(?:array|object)` of length <= (\d+)", r"at most \1 of them"),
        (r"`(?:array|object)` of (?:at most )?length (\d+), got (\d+)", r"\1 of them, got \2"),
        (r"(>=) (\S+?)(?:\.0)?\b$", r"of at least \2"),
        (r"(<=) (\S+?)(?:\.0)?\b$", r"of at most \2"),
        (r"(>) (\S+?)(?:\.0)?\b$", r"above \2"),
        (r"(<) (\S+?)(?:\.0)?\b$", r"below \2"),
    ):
        message = re.sub(pattern, words, message)
    message = re.sub(r"`([\w| ]+)`", lambda match: _types(match[1]), message)
    return f"{message[:1].lower()}{message[1:]}"


def _types(names: str) -> str:
    parts = [name.strip() for name in names.split("|")]
    if not set(parts) <= set(_TYPES):
        return f"`{names}`"
    return " or ".join(_TYPES[name] for name in parts if name != "null" or len(parts) == 1)


def _remedy(message: str, key: str, kind: Any) -> str:
    if message.startswith("Invalid enum value"):
        return f"write one of {', '.join(map(str, choices(kind)))}"
    if "xpected `array`, got `object`" in message and any(isinstance(part, type(Struct)) for part in _parts(kind)):
        return f"write [[{_without_indices(key)}]]"
    if "date" in message:
        return "write a day such as 2026-05-01"
    if re.match("Expected `(float|int|bool|decimal)", message) and message.endswith("got `str`"):
        return "write it without quotes"
    if message.startswith("Expected `str") and re.search("got `(int|float|bool|date)", message):
        return "write it in quotes"
    examples = [part.examples[0] for part in _parts(kind) if isinstance(part, Meta) and part.examples]
    return f"write such as {examples[-1]}" if examples else "correct it"


def _likely(name: str, table: type[Struct]) -> str:
    """Return the key that was probably meant, or all keys of the table. A field of type Path is no key of a file."""
    names = [field.name for field in msgspec.structs.fields(table) if field.type is not Path]
    near = [known for known in names if known.startswith(name)] or difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def _kind_at(file: type[Struct], key: str) -> Any:
    """Return the type of the value at a key such as `lines[0].target.ages[1]`."""
    kind: Any = file
    for name in filter(None, _without_indices(key).split(".")):
        kind = next(field.type for field in msgspec.structs.fields(_struct_in(kind)) if field.encode_name == name)
    return kind


def _without_indices(key: str) -> str:
    return re.sub(r"\[[^]]*]", "", key)


def _struct_in(kind: Any) -> type[Struct]:
    return next(part for part in _parts(kind) if isinstance(part, type) and issubclass(part, Struct))


def _parts(kind: Any) -> Iterator[Any]:
    """Yield a type and, recursively, what it is made of: arguments, members of unions, metadata."""
    yield kind
    for part in get_args(kind):
        yield from _parts(part)
