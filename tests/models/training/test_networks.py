"""Networks agree with what they were made of, and all of them can be trained and exported."""

import os
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from models.cards import ModelError
from models.training.checkpoints import load
from models.training.networks import PREPROCESSING, KerasBackbone, MobileNet, build
from models.training.recipe import Arch, Recipe
from models.training.views import to_tensor
from tests.conftest import HANG_S
from tests.models.helpers import invoke


def test_mobilenet_takes_the_weights_of_faceres(shared_dir: Path) -> None:
    import onnxruntime

    path = shared_dir / "weights" / "faceres_deep.onnx"
    graph = onnx.load(str(path))
    for axis in graph.graph.input[0].type.tensor_type.shape.dim[1:3]:
        axis.dim_param = "side"
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    net = MobileNet().eval()
    heads = net.load_onnx(path)
    rng = np.random.default_rng(0)
    for side in (129, 144, 224):
        images = (rng.random((2, side, side, 3)) * 255 - 110).astype(np.float32)
        wanted = session.run(["global_pooling_Mean"], {"input_1": images})[0]
        with torch.inference_mode():
            got = net(torch.from_numpy(images.transpose(0, 3, 1, 2)))[:, -1024:].numpy()
        assert np.abs(got - wanted).max() < 1e-4
        net.train()
        with torch.no_grad():
            trained = net(torch.from_numpy(images.transpose(0, 3, 1, 2)))[:, -1024:].numpy()
        assert np.abs(trained - wanted).max() < 1e-4
        net.eval()
    assert heads
    heads.eval()
    man, ages = session.run(["gender_pred_Sigmoid", "age_pred_Softmax"], {"input_1": images})
    with torch.inference_mode():
        gender, years = heads(net(torch.from_numpy(images.transpose(0, 3, 1, 2))))
        assert np.abs(gender.sigmoid().numpy() - man).max() < 1e-4
        assert np.abs(years[:, :100].softmax(1).numpy() - ages).max() < 1e-4
        assert (years[:, 100] < years[:, 99]).all()


def test_constants_that_are_texts_or_rounded_are_no_weights(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    for kind, said in ((TensorProto.BFLOAT16, "its weights are rounded"), (TensorProto.FLOAT, "its layers are not")):
        constants = [
            helper.make_tensor("w", kind, [1, 1, 1, 1], [0.5]),
            helper.make_tensor("t", TensorProto.STRING, [1], [b"text"]),
        ]
        graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [], [], constants)
        onnx.save(helper.make_model(graph), tmp_path / "a.onnx")
        with pytest.raises(ModelError, match=rf"a\.onnx: {said}"):
            MobileNet().load_onnx(tmp_path / "a.onnx")


def test_batch_norms_of_torch_are_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    torch.manual_seed(0)
    ours = KerasBackbone("resnet50", 33, "random").model
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(33, 33, 3), pooling="avg")
    for mine, theirs in zip(plain.weights, ours.weights, strict=True):
        mine.assign(theirs.value)
    x = torch.rand(64, 33, 33, 3)
    for training in (True, False):  # the second answers by the means and variances that the first one moved
        with torch.no_grad():
            wanted, got = (model(x, training=training) for model in (plain, ours))
        assert torch.allclose(wanted, got, rtol=0.02, atol=0.01)
    moved = [(a, b) for a, b in zip(plain.weights, ours.weights, strict=True) if "moving" in a.path]
    assert moved and all(torch.allclose(a.value, b.value, rtol=1e-2, atol=1e-4) for a, b in moved)


def numbers(model: Any) -> np.ndarray:
    return torch.cat([weight.value.detach().ravel() for weight in model.weights]).numpy()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, which saves by NumPy
@pytest.mark.parametrize("arch", ["densenet121", "resnet50", "vgg16", "efficientnet_b0"])
def test_a_classic_starts_from_a_file_that_the_user_has_and_from_what_keras_fetches(
    arch: Arch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    import keras
    from keras.src.applications.efficientnet import IMAGENET_STDDEV_RGB
    from keras.src.utils import file_utils

    make, theirs = {
        "densenet121": (keras.applications.DenseNet121, keras.applications.densenet),
        "resnet50": (keras.applications.ResNet50, keras.applications.resnet50),
        "vgg16": (keras.applications.VGG16, keras.applications.vgg16),
        "efficientnet_b0": (keras.applications.EfficientNetB0, keras.applications.efficientnet),
    }[arch]
    keras.utils.clear_session()
    known = make(include_top=False, weights=None, input_shape=(65, 65, 3), pooling="avg")
    for weight in known.weights:
        weight.assign(weight.value + 0.01 * torch.rand(weight.shape))
    if arch == "efficientnet_b0":  # what Keras' own weights have there
        for weight, value in zip(known.weights, ((0.485, 0.456, 0.406), IMAGENET_STDDEV_RGB), strict=False):
            weight.assign(value)
    keras.Sequential([known, keras.layers.Dense(9)]).save(tmp_path / "whole.keras")
    known.save(tmp_path / "plain.h5")
    known.save_weights(tmp_path / "own.weights.h5")

    def begun(init: str) -> Any:
        return build(Recipe(arch=arch, size_px=65, init=init)).backbone.eval()

    wanted = numbers(begun(str(tmp_path / "whole.keras")).model)
    assert np.array_equal(wanted, numbers(known)[-len(wanted) :]) and len(wanted) > 0.99 * len(numbers(known))
    for name in ("plain.h5", "own.weights.h5"):
        assert np.array_equal(numbers(begun(str(tmp_path / name)).model), wanted), name
    other: Arch = "vgg16" if arch != "vgg16" else "resnet50"
    with pytest.raises(ModelError, match=rf"--init .*plain\.h5: no weights for a {other} \(.*\); give a \.keras or"):
        build(Recipe(arch=other, size_px=65, init=str(tmp_path / "plain.h5")))

    asked: list[str] = []
    fetch = file_utils.get_file
    (tmp_path / "cache").mkdir()  # else Keras takes a folder of everybody's

    def from_here(name: str, origin: str, **_: object) -> str:
        asked.append(origin)
        return str(fetch(name, f"http://127.0.0.1:{server.server_port}/plain.h5", cache_dir=str(tmp_path / "cache")))

    monkeypatch.setattr(file_utils, "get_file", from_here)  # the same from another address: the real one is far away
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            fetched = begun("imagenet")
            reference = make(include_top=False, weights="imagenet", input_shape=(65, 65, 3), pooling="avg")
        finally:
            server.shutdown()
            thread.join()
    assert np.array_equal(numbers(fetched.model), wanted)
    assert all(origin.startswith("https://storage.googleapis.com/") for origin in asked) and len(asked) == 2
    photos = np.random.default_rng(0).integers(0, 256, (2, 65, 65, 3), dtype=np.uint8)
    with torch.inference_mode():
        ours = fetched(to_tensor(photos, PREPROCESSING[arch])).numpy()
        expected = reference(theirs.preprocess_input(photos.astype(np.float32)), training=False).numpy()
    assert np.allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_without_a_network_imagenet_says_what_to_give_instead(faces: Path, tmp_path: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    command = ["models", "train", "--data", str(faces), "--arch", "vgg16", "--init", "imagenet", "--size", "65"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *command, "--out", str(tmp_path / "run")],
        env=os.environ | nowhere, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "--init imagenet: Keras cannot fetch the weights of vgg16 (" in line
    assert line.endswith("; try again with a network, or give --init a .keras or .h5 file")
    assert not (tmp_path / "run").exists()


def test_a_mobilenet_that_starts_from_nothing_tells_photos_apart() -> None:
    torch.manual_seed(0)
    photos = 255 * torch.rand(16, 3, 65, 65) - 110
    with torch.inference_mode():
        features = MobileNet().eval()(photos)
    assert features.std(0).mean() > 0.01 * features.mean()


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["densenet121", "resnet50", "vgg16", "efficientnet_b0"])
def test_the_four_classics_train_and_export(arch: str, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    invoke("train", "--data", str(faces), "--out", str(run), "--arch", arch, "--detector", "none", "--size", "65",
           "--epochs", "1", "--batch", "16", "--device", "cpu",
           "--head", "original")  # fmt: skip
    recipe = load(run / "best.pt").recipe
    assert recipe.arch == arch
    assert "held-out faces" in invoke("export", str(run), "--out", str(tmp_path / "served"), "--name", "classic")
