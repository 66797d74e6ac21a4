"""Mistakes that msgspec finds are told in plain words, the key first."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from pipeline.toml import choices, explain

Id = Annotated[str, Meta(pattern="^[a-z]+$", description="a name of lower-case letters")]


class Inner(Struct, forbid_unknown_fields=True):
    name: Id
    first_day: date | None = None
    days: tuple[Literal["mon", "tue"], ...] = ()
    weight: Annotated[float, Meta(ge=0)] = 1.0


class Outer(Struct, forbid_unknown_fields=True):
    rows: tuple[Inner, ...] = ()
    tags: tuple[str, ...] = ()
    folder: Path = Path()
    corners: Annotated[tuple[Annotated[float, Meta(le=1)], ...], Meta(examples=[[0.1, 0.9]])] = ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rows": [{"name": "A"}]}, "rows[0].name: expected a name of lower-case letters; correct it"),
        ({"rows": [{}]}, "rows[0]: name is missing; add name"),
        ({"rows": [{"name": "a", "days": ["mon", "sun"]}]},
            "rows[0].days[1]: 'sun' is not known; write one of mon, tue"),
        ({"rows": [{"name": "a", "weight": -1}]}, "rows[0].weight: expected a number of at least 0; correct it"),
        ({"rows": [{"name": "a", "first_day": "May"}]},
            "rows[0].first_day: it is no day of the calendar; write a day such as 2026-05-01"),
        ({"rows": [{"name": "a", "first": 1}]}, "rows[0].first: unknown key; did you mean first_day?"),
        ({"rows": [{"name": "a", "wieght": 1}]}, "rows[0].wieght: unknown key; did you mean weight?"),
        ({"qqq": 1}, "qqq: unknown key; known here: rows, tags, corners"),
        ({"rows": {"name": "a"}}, "rows: expected a list, got a table; write [[rows]]"),
        ({"tags": {"name": "a"}}, "tags: expected a list, got a table; correct it"),
        ([], "file: expected a table, got a list; correct it"),
        ({"corners": [640]}, "corners[0]: expected a number of at most 1; write such as [0.1, 0.9]"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained_key_first_and_with_a_remedy(given: object, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Outer)
    assert explain(caught.value, Outer) == words


def test_choices_are_those_of_the_first_literal() -> None:
    assert choices(tuple[Literal["a", "b"], ...] | None) == ("a", "b") and choices(int) == ()
