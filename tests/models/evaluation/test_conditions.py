"""Conditions spoil crops, always in the same way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from models.commands import models
from models.evaluation.conditions import CONDITIONS


def report_of(photos: Path, *more: str) -> dict[str, Any]:
    """Evaluate the default model on photos that are the crops themselves."""
    arguments = ["evaluate", "default", "--data", str(photos), "--detector", "none", "--json", *more]
    report: dict[str, Any] = json.loads(CliRunner().invoke(models, arguments).stdout)
    return report


@pytest.fixture(scope="module")
def plain(photos: Path) -> dict[str, Any]:
    return report_of(photos)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_spoil_every_face_in_the_same_way(condition: str, photos: Path, plain: dict[str, Any]) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (144, 144, 3), np.uint8)
    spoilt = CONDITIONS[condition](crop, 1.2)
    assert spoilt.shape == crop.shape
    assert spoilt.dtype == np.uint8
    assert (spoilt == CONDITIONS[condition](crop, 1.2)).all()
    assert np.abs(spoilt.astype(int) - crop).mean() > 10
    report = report_of(photos, "--condition", condition)
    assert (plain["condition"], report["condition"]) == ("as they are", condition)
    assert plain["n"] == report["n"]
    assert plain["age_mae"] != report["age_mae"]
