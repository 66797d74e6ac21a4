"""Commands that are called in this process: to start another takes longer than most of them run."""

from typing import NamedTuple

import pytest

from pipeline.cli import main


class Called(NamedTuple):
    """End of a command: its exit code and what it wrote."""

    returncode: object
    stdout: str
    stderr: str


def called(words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Called:
    """Run `stationcast` with these words."""
    monkeypatch.setattr("sys.argv", ["stationcast", *words])
    capfd.readouterr()
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    return Called(code, *capfd.readouterr())
