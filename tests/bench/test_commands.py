"""The command `stationcast bench`: comparisons and mistakes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import report
from bench.commands import bench
from bench.findings import Measure


def test_the_command_writes_compares_and_fails_on_a_regression(tmp_path: Path) -> None:
    done = CliRunner().invoke(bench, ["ledger", "--tiny", "--out", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"ledger.json", "ledger.md"}
    [result] = report.load(tmp_path / "new")
    measures = result.findings.measures
    result.findings.measures = [
        Measure(name=x.name, unit=x.unit, better=x.better, values=tuple(v * 100 for v in x.values))
        for x in measures
        if x.better == "higher"
    ]
    (tmp_path / "old").mkdir()
    report.write(result, tmp_path / "old")
    done = CliRunner().invoke(
        bench, ["ledger", "--tiny", "--compare", str(tmp_path / "old"), "--out", str(tmp_path / "old")]
    )
    assert done.exit_code == 1, "the older results were read after they had been overwritten"
    assert "regressed" in done.output


@pytest.mark.parametrize("option", ["--threshold", "--soak-s"])
def test_a_number_that_is_none_is_refused(option: str) -> None:
    done = CliRunner().invoke(bench, ["gpu", option, "nan"])
    assert done.exit_code == 2 and f"'{option}': nan is no number." in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--compare", "empty"], "no results of gpu"),
        (["--compare", "odd"], "not a result"),
        (["--out", "odd", "--page", "page.md"], "not a result"),
        (["--page", "page.md"], "--out"),
        (["--out", "empty", "--page", "nowhere/page.md"], "a folder that is there"),
    ],
)
def test_a_mistake_in_an_option_is_told_before_anything_is_measured(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "summary.json").write_text("{}")
    done = CliRunner().invoke(bench, ["gpu", *arguments])
    assert done.exit_code == 2 and says in done.stderr
    assert "gpu" not in done.stdout


def test_an_error_is_one_line_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "[/no] [folder]"
    home.parent.mkdir()
    home.write_text("a file")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "500")
    done = CliRunner().invoke(bench, ["ledger", "--tiny"])
    assert done.exit_code == 1
    assert str(home) in done.output
    assert "Traceback" not in done.output


def test_a_benchmark_that_there_is_not_is_refused() -> None:
    done = CliRunner().invoke(bench, ["nonsense"])
    assert done.exit_code == 2 and "transport" in done.output
