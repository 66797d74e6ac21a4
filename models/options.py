"""Option of the command line that click lacks."""

import math
from typing import Any

import click


class Number(click.FloatRange):
    """Number within bounds. It refuses nan and inf, which click accepts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not math.isfinite(number := super().convert(value, param, ctx)):
            self.fail(f"{number} is no number.", param, ctx)
        return number
