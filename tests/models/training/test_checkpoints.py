"""Saved networks as starts of a run, and several of them blended into one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from models.cards import ModelError
from models.training.checkpoints import blend, load
from models.training.networks import (
    build,
)
from models.training.recipe import Recipe
from tests.models.helpers import invoke


def test_starts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mobilenet starts from"):
        build("mobilenet", 65, "imagenet")
    with pytest.raises(ModelError, match="no such file"):
        build("mobilenet", 65, str(tmp_path / "x.onnx"))
    (tmp_path / "wrong.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"wrong\.onnx: cannot be read as ONNX"):
        build("mobilenet", 65, str(tmp_path / "wrong.onnx"))
    with pytest.raises(ModelError, match=r"vgg16 from .*wrong\.onnx: "):
        build("vgg16", 65, str(tmp_path / "wrong.onnx"))
    for damage in (lambda path: path.write_bytes(b"no checkpoint"), lambda path: torch.save({"a": 1}, path)):
        damage(tmp_path / "best.pt")
        with pytest.raises(ModelError, match=r"best\.pt: is not what `stationcast models train` saves$"):
            load(tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"none\.pt: cannot be read: No such file"):
        load(tmp_path / "none.pt")


@pytest.mark.slow
def test_a_start_that_knows_the_held_out_photos_is_a_leak(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    arguments = ["train", "--data", str(faces), "--labels", str(tmp_path / "labels.csv"), "--detector", "none"]
    arguments += ["--size", "33", "--batch", "8", "--device", "cpu", "--epochs", "1"]
    for seed in ("3", "5"):
        invoke(*arguments, "--seed", seed, "--out", str(tmp_path / seed), *(("--force",) if seed == "3" else ()))
    again = [*arguments, "--init", str(tmp_path / "3" / "best.pt"), "--out", str(tmp_path / "again")]
    invoke(*again, "--seed", "3")
    again[-1] = str(tmp_path / "other")
    with pytest.raises(ModelError, match=r"the start leaks in \d+ cases: photo .*\.png of the split \w+ taught --init"):
        invoke(*again, "--seed", "5")
    assert "LEAKING SPLIT" in invoke(*again, "--seed", "5", "--force").splitlines()[0]
    said = invoke("export", str(tmp_path / "other"), "--out", str(tmp_path / "served"))
    assert said.startswith("LEAKING SPLIT")
    assert "leaking test split" in (tmp_path / "served" / "my-model.toml").read_text()


def test_a_run_and_one_that_it_went_on_from_are_served_as_one(tmp_path: Path) -> None:
    def saved(name: str, photos: range, hidden: int = 8, nudge: float = 0.0, seed: int = 0, **recipe: Any) -> Path:
        torch.manual_seed(seed)
        net = build("mobilenet", 33, "random", "years", hidden)
        with torch.no_grad():
            for weights in net.parameters():
                weights.add_(nudge * torch.randn_like(weights))
        what = {"weights": net.state_dict(), "recipe": msgspec.to_builtins(Recipe(size_px=33, **recipe))}
        torch.save(what | {"photos": torch.tensor(photos)}, tmp_path / name)
        return tmp_path / name

    first, last = saved("first.pt", range(5)), saved("last.pt", range(9), hidden=5)
    images = torch.randn(4, 3, 33, 33)
    both = blend(last, [first])
    assert len(both.photos) == 9
    with torch.inference_mode():
        alone = [load(path).net(images) for path in (first, last)]
        for mean, *each in zip(both.net(images), *alone, strict=True):
            assert torch.allclose(mean, torch.stack(each).mean(0), atol=1e-4)
    apart = saved("apart.pt", range(5), nudge=0.01)
    middle = blend(last, [apart]).net.backbone.state_dict()
    ends = [load(path).net.backbone.state_dict() for path in (last, apart)]
    assert all(torch.allclose(value, (ends[0][key] + ends[1][key]) / 2) for key, value in middle.items())
    further = saved("further.pt", range(9), nudge=0.001)
    as_one = blend(further, [first]).net.heads.state_dict()
    ends = [load(path).net.heads.state_dict() for path in (first, further)]
    assert all(torch.allclose(value, (ends[0][key] + ends[1][key]) / 2) for key, value in as_one.items())
    assert len(blend(further, [saved("strange.pt", range(5), seed=1)]).net.heads.hidden.bias) == 16
    for wrong in (saved("more.pt", range(10)), saved("wider.pt", range(5), scale=1.5)):
        with pytest.raises(
            ModelError, match=rf"{wrong.name}: is no run of the same kind whose photos taught .*last\.pt"
        ):
            blend(last, [wrong])
