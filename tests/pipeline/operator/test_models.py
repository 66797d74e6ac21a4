"""Warnings about the models that a station names."""

import subprocess
import sys
from pathlib import Path

import pytest

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
