"""Plan of a benchmark, and its findings: measures, goals, curves, tables and notes."""

import statistics
from collections.abc import Callable
from typing import Literal, TypeVar

from msgspec import Struct

Better = Literal["higher", "lower", "neither"]
Size = Literal["tiny", "quick", "full"]
Say = Callable[[str], None]
T = TypeVar("T")


class Measure(Struct, frozen=True, kw_only=True):
    """Quantity measured `len(values)` times. If not `listed`, a table of the benchmark's own shows it better."""

    name: str
    unit: str
    values: tuple[float, ...]
    better: Better = "neither"
    listed: bool = True

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half of the distance between the largest and the smallest value."""
        return (max(self.values) - min(self.values)) / 2


class Goal(Struct, frozen=True, kw_only=True):
    """Promised limit and measured value; the value must be at least, or at most, the limit."""

    text: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Curve(Struct, frozen=True, kw_only=True):
    """Plot of labelled lines of (x, y). `marks` are horizontal lines such as a limit."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    marks: dict[str, float] = {}
    log_x: bool = False
    log_y: bool = False


class Table(Struct, frozen=True, kw_only=True):
    """Table for people."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Findings(Struct, kw_only=True):
    """Everything that a benchmark found."""

    measures: list[Measure] = []
    goals: list[Goal] = []
    curves: list[Curve] = []
    tables: list[Table] = []
    notes: list[str] = []

    def measure(
        self, name: str, unit: str, values: list[float], better: Better = "neither", *, listed: bool = True
    ) -> Measure:
        """Add a measure of at least one value, and return it."""
        self.measures.append(Measure(name=name, unit=unit, values=tuple(values), better=better, listed=listed))
        return self.measures[-1]

    def goal(self, text: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """Add a goal with exactly one of the two limits."""
        limit = at_least if at_least is not None else at_most
        assert limit is not None
        self.goals.append(Goal(text=text, value=value, limit=limit, at_least=at_least is not None))


class Plan(Struct, frozen=True, kw_only=True):
    """Size of a benchmark. `tiny` is for tests: everything runs, no figure means anything."""

    size: Size = "full"
    soak_s: float | None = None
    """Duration of `soak`, s; None takes that of the size."""

    def pick(self, tiny: T, quick: T, full: T) -> T:
        """Return the value for this size."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.size]

    @property
    def repeats(self) -> int:
        return self.pick(1, 2, 5)

    def command(self, what: str) -> str:
        """Return the command line that measures WHAT in this size."""
        size = "" if self.size == "full" else f" --{self.size}"
        soak = f" --soak-s {self.soak_s:g}" if self.soak_s is not None and what == "soak" else ""
        return f"stationcast bench {what}{size}{soak}"


class Result(Struct, kw_only=True):
    """Findings of a benchmark, with the machine, the time and the command that made them.

    `busy_elsewhere` is the number of cores that other programs kept busy meanwhile.
    """

    what: str
    command: str
    size: Size
    started: str
    took_s: float
    busy_elsewhere: float
    machine: dict[str, str]
    findings: Findings
