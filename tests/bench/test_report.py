"""Reports and comparisons of results."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.findings import Better, Curve, Findings, Result, Table


def made(values: list[float], better: Better = "lower", name: str = "x") -> Result:
    findings = Findings()
    findings.measure(name, "ms", values, better)
    return Result(
        what="toy",
        command="stationcast bench toy",
        size="tiny",
        started="2026-01-01T00:00:00Z",
        took_s=1.0,
        busy_elsewhere=0.0,
        machine={"processor": "toy", "cores": "2", "gpu": "none", "python": "3.11"},
        findings=findings,
    )


def test_worse_is_worse_in_either_direction(tmp_path: Path) -> None:
    [slower] = report.compare([made([10.0, 10.2])], [made([15.0, 15.1])])
    assert slower.worse == pytest.approx(1.49, abs=0.01)
    assert slower.regressed(1.25)
    assert not slower.regressed(1.6)
    [faster] = report.compare([made([100.0], "higher")], [made([50.0], "higher")])
    assert faster.worse == 2
    [noisy] = report.compare([made([10.0, 30.0])], [made([20.0, 36.0])])
    assert not noisy.regressed(1.25)
    assert report.compare([made([1.0], "neither")], [made([2.0], "neither")]) == []
    assert report.compare([made([1.0], name="a")], [made([2.0], name="b")]) == []
    report.write(made([10.0, 10.2]), tmp_path)
    assert report.show_comparison(report.load(tmp_path), [made([15.0])], 1.25, Console(quiet=True)) == 1
    assert report.show_comparison(report.load(tmp_path), [made([10.5])], 1.25, Console(quiet=True)) == 0


def test_nothing_and_less_than_nothing_compare() -> None:
    def worse(then: float, now: float, better: Better) -> float:
        return report.compare([made([then], better)], [made([now], better)])[0].worse

    assert worse(0, 0, "lower") == worse(0, 0, "higher") == 1
    assert worse(0, 1, "lower") == worse(-1, 1, "lower") == worse(-2, -1, "lower") == math.inf
    assert worse(0, -1, "lower") == worse(-1, -2, "lower") == worse(1, 0, "lower") == worse(0, 1, "higher") == 0
    assert worse(1, 0, "higher") == math.inf


def test_a_comparison_says_what_it_cannot_show() -> None:
    then, now = made([1.0]), made([1.0])
    assert report.unlike([then], [now]) == []
    assert report.unlike([], [now]) == ["toy: there are no older results"]
    then.machine = then.machine | {"cores": "8"}
    then.size = "full"
    then.findings.measure("gone", "ms", [1.0], "lower")
    then.findings.measure("in other units", "ms", [1.0], "lower")
    now.findings.measure("in other units", "s", [1.0], "lower")
    machine, size, gone = report.unlike([then], [now])
    assert "another machine then: 8 x toy" in machine
    assert "a full run then, a tiny one now" in size
    assert "2 of 3, such as gone" in gone


def test_results_for_machines_and_people(tmp_path: Path) -> None:
    result = made([1.5, 2.5])
    result.findings.goal("fast enough", 0.7, at_least=0.75)
    result.findings.tables.append(Table(title="t", columns=("a", "b"), rows=[("1", "2")]))
    lines: dict[str, list[tuple[float, float]]] = {"a": [(1, 1), (2, 4)], "b": []}
    result.findings.curves.append(Curve(title="c", x="x", y="y", lines=lines, marks={"limit": 3}, log_x=True))
    report.write(result, tmp_path)
    assert report.load(tmp_path) == [result]
    page = tmp_path / "page.md"
    page.write_text(f"by hand\n{report.FIGURES}\nold figures\n")
    report.fill_page(page, tmp_path)
    assert page.read_text().startswith(f"by hand\n{report.FIGURES}\n\n## Goals")
    assert "old figures" not in page.read_text()
    assert "| toy | fast enough | >= 0.750 | 0.700 | **missed** |" in page.read_text()
    assert "![c](./toy.png)" in page.read_text()
    text = (tmp_path / "toy.md").read_text()
    assert "| x | 2.00 | 0.500 | ms |" in text
    assert "**missed**" in text
    assert "![c](toy.png)" in text
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
    console = Console(record=True, width=100, file=io.StringIO())
    report.show(result, console)
    assert "missed fast enough" in console.export_text()


def test_what_was_measured_once_has_no_spread_and_a_busy_machine_is_told_of() -> None:
    once, console = made([1.5]), Console(record=True, width=100, file=io.StringIO())
    assert "| x | 1.50 | - | ms |" in report.markdown(once)
    assert [report.figure(made(values).findings.measures[0]) for values in ([1.5], [1, 2])] == ["1.50", "1.50 +- 0.500"]
    report.show(once, console)
    once.busy_elsewhere = 1.2
    report.show(once, console)
    first, second = console.export_text().split(": stationcast bench toy")[1:]
    assert "other programs" not in first and "│  - │" in first
    assert "other programs used 1.2 cores meanwhile; measure again when they rest" in second


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0")])
def test_numbers_for_people(value: float, text: str) -> None:
    assert report.number(value) == text
