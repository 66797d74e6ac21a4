"""Conditions spoil crops, always in the same way."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models.commands import models
from models.evaluation.conditions import CONDITIONS


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_spoil_every_face_in_the_same_way(condition: str, photos: Path) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (144, 144, 3), np.uint8)
    spoilt = CONDITIONS[condition](crop, 1.2)
    assert spoilt.shape == crop.shape
    assert spoilt.dtype == np.uint8
    assert (spoilt == CONDITIONS[condition](crop, 1.2)).all()
    assert np.abs(spoilt.astype(int) - crop).mean() > 10
    arguments = ["evaluate", "default", "--data", str(photos), "--detector", "none", "--json"]
    plain, report = (
        json.loads(CliRunner().invoke(models, [*arguments, *more]).stdout) for more in ([], ["--condition", condition])
    )
    assert (plain["condition"], report["condition"]) == ("as they are", condition)
    assert plain["n"] == report["n"]
    assert plain["age_mae"] != report["age_mae"]
