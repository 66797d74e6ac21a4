"""Exported weights as the start of a run, and what they knew kept in what it serves."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.cards import ModelError
from models.datasets.crops import CropCache
from models.training.checkpoints import initial_network, load
from models.training.distillation import keep
from models.training.export import export_onnx
from models.training.networks import (
    YEARS,
    build,
)
from models.training.recipe import Recipe
from models.training.teachers import (
    features_of,
)
from models.training.validation import predict
from tests.models.helpers import invoke


@pytest.mark.slow
def test_a_mobilenet_starts_from_what_was_exported_and_keeps_what_that_knew(faces: Path, tmp_path: Path) -> None:
    run, served = tmp_path / "run", tmp_path / "served"
    invoke("train", "--data", str(faces), "--out", str(run), "--detector", "none", "--size", "33", "--batch", "16",
           "--epochs", "1", "--device", "cpu")  # fmt: skip
    invoke("export", str(run), "--out", str(served), "--name", "tiny")
    trained = load(run / "best.pt").net.state_dict()
    for name, apart in (("tiny-fp32", 1e-6), ("tiny-fp16", 1e-2)):
        started = build("mobilenet", 33, str(served / f"{name}.onnx")).state_dict()
        for key, weights in trained.items():
            assert torch.allclose(started[key], weights, atol=apart), key
    start = str(served / "tiny-fp32.onnx")
    invoke("train", "--data", str(faces), "--out", str(tmp_path / "second"), "--detector", "none", "--size", "33",
           "--epochs", "1", "--device", "cpu", "--init", start, "--freeze", "5", "--warmup-epochs", "0")  # fmt: skip
    before = build("mobilenet", 33, start).backbone.state_dict()
    after = load(tmp_path / "second" / "best.pt").net.backbone.state_dict()
    moved = {key.split(".")[1] for key, weights in before.items() if not torch.equal(after[key], weights)}
    assert moved == {str(layer) for layer in range(5, 27)}
    third = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    third += [
        "--warmup-epochs",
        "0",
        "--no-augment",
        "--ema",
        "0",
        "--epochs",
        "10",
        "--seed",
        "1",
        "--learning-rate",
        "2e-3",
    ]
    invoke(*third, "--out", str(tmp_path / "alone"))
    invoke(*third, "--mimic", "33", "--mimic-of", start, "--cross-fit", "0.4", "--out", str(tmp_path / "third"))
    crops, small = CropCache(tmp_path / "third" / "crops"), Recipe(size_px=33)
    with ThreadPoolExecutor(1) as pool:
        mimicked, *others = (
            features_of(net, crops, np.arange(len(crops.rows)), small, pool)
            for net in (
                build("mobilenet", 33, start),
                load(tmp_path / "third" / "best.pt").net,
                load(tmp_path / "alone" / "best.pt").net,
            )
        )
    near, far = ((other - mimicked).square().mean() for other in others)
    assert near < 0.5 * far
    heads = initial_network(Recipe(heads=start, size_px=33), torch.device("cpu")).heads
    for key, weights in heads.state_dict().items():
        assert torch.allclose(weights, trained[f"heads.{key}"], atol=1e-6), key
    with pytest.raises(ModelError, match=r"tiny\.onnx: its weights are rounded; give the FP32 or FP16 file"):
        build("mobilenet", 33, str(served / "tiny.onnx"))
    for option, value, said in (("--name", "../Escaped", ""), ("--name", "n" * 62, "-fp32"), ("--licence", "", "")):
        with pytest.raises(ModelError, match=f"^{option} '{re.escape(value)}{said}': "):
            invoke("export", str(run), "--out", str(tmp_path / "none"), option, value)
    assert not (tmp_path / "none").exists()

    second, cache = load(tmp_path / "second" / "best.pt"), CropCache(tmp_path / "second" / "crops")
    torch.manual_seed(0)
    for layer in second.net.backbone.convolutions:  # so small a training leaves nothing of a photo but rounding errors
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    start = str(tmp_path / "alive.onnx")
    export_onnx(second, Path(start))
    rows = np.arange(len(cache.rows))
    alone = predict(second.net, cache, rows, second.recipe)
    none, half, whole = (
        predict(keep(second, Path(start), share, cache).net, cache, rows, second.recipe) for share in (0, 0.5, 1)
    )
    keep(load(tmp_path / "third" / "best.pt"), Path(start), 0.5, cache)  # whose recipe would be refused without --mimic
    with_kept = keep(second, Path(start), 0.5, cache)
    export_onnx(with_kept, tmp_path / "kept.onnx")
    again, images = build("mobilenet", 33, str(tmp_path / "kept.onnx")).eval(), 100 * torch.randn(3, 3, 33, 33)
    with torch.inference_mode():
        for wanted, got in zip(with_kept.net(images), again(images), strict=True):
            assert torch.allclose(wanted, got, rtol=1e-4, atol=1e-3)
    for was, *shares in zip(alone, none, half, whole, strict=True):
        assert np.allclose(shares[0], was, atol=0.05)
        assert np.allclose(shares[1], (shares[0] + shares[2]) / 2, atol=0.05)
    ages = np.array([((row.age_lo or 0) + (row.age_hi or 0)) / 2 for row in cache.rows])
    years = torch.arange(YEARS, dtype=torch.float32)
    then, now = (np.corrcoef(torch.tensor(age).softmax(1) @ years, ages)[0, 1] for age in (alone[1], whole[1]))
    assert now > then + 0.2
    headless = onnx.load(start)
    last = [node.op_type for node in headless.graph.node].index("ReduceMean")
    del headless.graph.node[last + 1 :]
    onnx.save(headless, tmp_path / "headless.onnx")
    with pytest.raises(ModelError, match=r"--keep .*headless\.onnx: has no heads that know a gender and years"):
        invoke("export", str(tmp_path / "second"), "--out", str(tmp_path), "--keep", str(tmp_path / "headless.onnx"))


def test_a_share_of_nothing_to_keep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^--keep-share needs --keep, the weights that count for so much$"):
        invoke("export", str(tmp_path), "--out", str(tmp_path), "--keep-share", "0.5")
