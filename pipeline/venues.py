"""Venue types that a station file and a bid request may name."""

import tomllib
from functools import cache
from pathlib import Path


@cache
def venues() -> frozenset[str]:
    """Return all venues of the OpenOOH 1.1 taxonomy, such as `outdoor.bus_shelters`."""
    return frozenset(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["venues"])
