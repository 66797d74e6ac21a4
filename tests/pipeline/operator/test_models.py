"""Warnings about the models that a station names."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import TemporaryError
from pipeline.operator.models import pull_models
from pipeline.settings import Station, StationTable
from tests.conftest import HANG_S


@pytest.mark.parametrize(
    ("model", "campaigns", "warned"),
    [("stationcast-research", "ads", True), ("stationcast-research", "demo", False), ("default", "ads", False)],
)
def test_a_model_for_research_is_named_where_money_is_made(
    model: str, campaigns: str, warned: bool, tmp_path: Path
) -> None:
    (tmp_path / "ads").mkdir()
    station = tmp_path / "station.toml"
    station.write_text(
        f'[station]\nname = "x"\nmode = "target"\n[[cameras]]\nname = "door"\nsource = "sample"\n'
        f'[classify]\nmodel = "{model}"\n[ads]\ncampaigns = "{campaigns}"\n'
    )
    for command, code in (("check", 0), ("reload", 2))[: 1 + warned]:  # (the station does not run)
        words = [sys.executable, "-P", "-m", "pipeline.cli", command, str(station)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert done.returncode == code, done.stderr
        said = "classify.model 'stationcast-research' may not be used where money is made: "
        assert (said in done.stderr) == warned


def test_models_that_cannot_be_fetched_now_may_be_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("NO_INDEX", "1"), ("CONFIG_FILE", "/dev/null"), ("FIND_LINKS", "")):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path))
    with pytest.raises(TemporaryError, match="the models are not there; see the message above"):
        pull_models(Station(station=StationTable(mode="count")))
    assert "pip cannot download" in capfd.readouterr().err
