"""Options of a training that cannot be are refused, and they are few."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from models.cards import ModelError
from models.commands import models
from tests.models.helpers import invoke

ROUNDED = Path(__file__).parents[3] / "models" / "weights" / "stationcast-open.onnx"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (f"--init {ROUNDED}", f"{ROUNDED}: its weights are rounded; give the FP32 or FP16 file of that model"),
        ("--init none.onnx", "--init none.onnx: no such file"),
        ("--set spoil=2", "--set spoil=2: Expected `float` <= 1.0"),
        ("--set spoil", "--set spoil: "),
        ("--set spoil=.9e1", "--set spoil=.9e1: Expected `float` <= 1.0"),
        ("--set scale=2", "--set scale=2: Expected `float` <= 1.95"),
        ("--set remember_px=4096", "--set remember_px=4096: Expected `int` <= 511"),
        ("--set batch=3", "--set batch=3: give NAME=VALUE, where NAME is one of balance_power, ema, "),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_photo_is_opened(
    options: str, said: str, faces: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(said)}"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path / "run"), *options.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics card")
def test_a_missing_graphics_card_is_told_before_any_photo_is_opened(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^--device cuda: PyTorch finds none; give `auto` or `cpu`$"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path / "run"), "--device", "cuda")
    assert not (tmp_path / "run").exists()


def test_a_seed_is_no_negative_number(faces: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(models, ["train", "--data", str(faces), "--out", str(tmp_path), "--seed", "-1"])
    assert result.exit_code == 2
    assert "'--seed': -1" in result.output


def test_the_options_are_few() -> None:
    assert len(models.commands["train"].params) <= 15
