"""A kind of command line option that click lacks."""

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A number within bounds; nan, which click takes for one, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if math.isnan(number := super().convert(value, param, ctx)):
            self.fail("nan is no number.", param, ctx)
        return number
