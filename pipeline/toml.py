"""Words for what msgspec finds wrong with a TOML file: the key first, then the mistake and its remedy."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct


def explain(error: msgspec.ValidationError, file: type[Struct]) -> str:
    """Return `key: what is wrong; remedy` for an error of msgspec. `file` is the type of the whole file.

    A regular expression is named by the `description` in its field's Meta.
    """
    message, _, place = str(error).partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    kind = _kind_at(file, key)
    unknown = re.search(r"unknown field `(.+)`", message)
    if unknown:
        name = unknown.group(1)
        return f"{key + '.' if key else ''}{name}: unknown key; {_likely(name, _struct_in(kind))}"
    if " matching regex " in message:
        metas = (part for part in _parts(kind) if isinstance(part, Meta) and part.description)
        message = f"expected {next(metas).description}"
    return f"{key or 'file'}: {message[:1].lower()}{message[1:]}; {_remedy(message, key, kind)}"


def choices(kind: Any) -> tuple[str | int, ...]:
    """Return the values of the first Literal in a type; () where there is none."""
    return next((get_args(part) for part in _parts(kind) if get_origin(part) is Literal), ())


def _remedy(message: str, key: str, kind: Any) -> str:
    missing = re.search(r"missing required field `(.+)`", message)
    if missing:
        return f"add {missing.group(1)}"
    if message.startswith("Invalid enum value"):
        return f"write one of {', '.join(map(str, choices(kind)))}"
    if "xpected `array`, got `object`" in message and any(isinstance(part, type(Struct)) for part in _parts(kind)):
        return f"write [[{_without_indices(key)}]]"
    if "date" in message:
        return "write a day such as 2026-05-01"
    return "correct it"


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
