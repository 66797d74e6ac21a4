"""A tiny training run all the way: train, export, quantize, evaluate, serve."""

import hashlib
import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.assets import resolve
from models.cards import ModelError
from models.datasets.crops import CropCache
from models.export.package import answers, logits_of, to_serve
from models.export.to_onnx import PARITY, export_onnx
from models.session import Classifier
from models.training.checkpoints import load
from models.training.networks import (
    YEARS,
)
from tests.models.helpers import invoke


def test_train_export_quantize_evaluate_and_serve(faces: Path, tmp_path: Path) -> None:
    run, served = tmp_path / "run", tmp_path / "served"
    arguments = ["train", "--data", str(faces), "--out", str(run), "--detector", "none", "--size", "65"]
    arguments += ["--batch", "16", "--device", "cpu"]
    said = invoke(*arguments, "--epochs", "2")
    assert "validation gender" in said
    record = json.loads((run / "record.json").read_text())
    assert record["data"]["train"] == 32
    assert record["recipe"]["seed"] == 0
    assert len(record["history"]) == 2
    with pytest.raises(ModelError, match="was made by another recipe"):
        invoke(*arguments, "--epochs", "2", "--set", "learning_rate=0.1")

    said = invoke("export", str(run), "--out", str(served), "--name", "tiny", "--research-only")
    assert said.count("held-out faces") == 3
    small, full = (served / f"{name}.onnx" for name in ("tiny", "tiny-fp32"))
    assert small.stat().st_size < full.stat().st_size / 3
    for name in ("tiny", "tiny-fp32", "tiny-fp16"):
        report = json.loads(
            invoke("evaluate", str(served / f"{name}.toml"), "--data", str(faces), "--detector", "none", "--json")
        )
        assert report["n"] == 48
        assert report["model"] == name
    classifier = Classifier(resolve("tiny.toml", served), "cpu")
    assert classifier.card.research_only
    assert classifier.card.confusion and "split of the training data" in classifier.card.confusion.data
    crops = np.zeros((3, classifier.size_px, classifier.size_px, 3), np.uint8)
    assert len(classifier.classify(crops)) == 3
    cache, recipe = CropCache(run / "crops"), load(run / "best.pt").recipe
    many = np.arange(3000) % 48
    tracemalloc.start()
    gender, age = logits_of(small, cache, many, recipe)
    said = answers(classifier, cache, many, recipe)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 60e6  # all photos at once are 152 MB
    assert (gender.shape, age.shape, said.p_male.shape) == ((3000, 1), (3000, YEARS), (3000,))
    assert np.allclose(gender[:48], gender[-72:-24], atol=1e-4)
    large = load(run / "best.pt")
    large.net.heads.out.weight.data *= 1e6  # what is rounded away grows with the logits
    assert 0 < export_onnx(large, tmp_path / "large.onnx") < PARITY
    before = {path.name: path.read_bytes() for path in served.iterdir()}
    best = torch.load(run / "best.pt", weights_only=True)
    best["weights"]["heads.out.bias"] *= np.nan
    torch.save(best, run / "best.pt")
    with pytest.raises(ModelError, match=r"tiny-fp32\.onnx: differs from the network by nan"):
        invoke("export", str(run), "--out", str(served), "--name", "tiny")
    assert {path.name: path.read_bytes() for path in served.iterdir()} == before
    _break_for_dark_pictures(served / "tiny-fp32.onnx", served / "tiny-fp32.toml")
    with pytest.raises(ModelError, match=r"tiny-fp32: gives no number for \d+ of 48 faces"):
        invoke("evaluate", str(served / "tiny-fp32.toml"), "--data", str(faces), "--detector", "none", "--json")


def _break_for_dark_pictures(path: Path, card: Path) -> None:
    """Have an exported model add 0 x sqrt(mean of the picture + 20) to its logits of years, and its card name that."""

    model = onnx.load(path)
    graph, make = model.graph, onnx.helper.make_node
    next(node for node in graph.node if "age" in node.output).output[:] = ["sound"]
    for name, value in (("axes", np.array([1, 2, 3])), ("twenty", np.float32(20)), ("zero", np.float32(0))):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    graph.node.extend(
        [
            make("ReduceMean", ["image", "axes"], ["of_picture"], keepdims=1),
            make("Flatten", ["of_picture"], ["light"]),
            make("Add", ["light", "twenty"], ["above"]),
            make("Sqrt", ["above"], ["root"]),
            make("Mul", ["root", "zero"], ["nothing"]),
            make("Add", ["sound", "nothing"], ["age"]),
        ]
    )
    onnx.save(model, path)
    data = path.read_bytes()
    text = re.sub('sha256 = ".*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', card.read_text())
    card.write_text(re.sub("size_bytes = .*", f"size_bytes = {len(data)}", text))


def test_words_that_no_card_can_hold_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^--licence: is no text in UTF-8"):
        invoke("export", str(tmp_path), "--out", str(tmp_path / "served"), "--licence", "caf\udce9")


@pytest.mark.parametrize(
    ("gender", "age", "served"), [(0.935, 5.4, "int8"), (0.91, 5.0, "fp32"), (0.94, 6.1, "fp32"), (None, None, "int8")]
)
def test_int8_that_answers_much_worse_is_not_the_one_to_serve(
    gender: float | None, age: float | None, served: str
) -> None:
    def report(gender: float | None, age: float | None) -> dict[str, dict[str, float] | None]:
        values = (("gender_accuracy", gender), ("age_mae", age))
        return {key: None if value is None else {"value": value} for key, value in values}

    full = report(None if gender is None else 0.94, None if age is None else 5.0)
    assert to_serve({"fp32": full, "int8": report(gender, age)}) == served
