"""Networks agree with what they were made of, and all of them can be trained and exported."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.training.checkpoints import load
from models.training.networks import (
    MobileNet,
    with_torch_batch_norms,
)
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


def test_batch_norms_of_torch_are_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    torch.manual_seed(0)
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(33, 33, 3), pooling="avg")
    ours = with_torch_batch_norms(plain)
    x = torch.rand(64, 33, 33, 3)
    for training in (True, False):  # the second answers by the means and variances that the first one moved
        with torch.no_grad():
            wanted, got = (model(x, training=training) for model in (plain, ours))
        assert torch.allclose(wanted, got, rtol=0.02, atol=0.01)
    moved = [(a, b) for a, b in zip(plain.weights, ours.weights, strict=True) if "moving" in a.path]
    assert moved and all(torch.allclose(a.value, b.value, rtol=1e-2, atol=1e-4) for a, b in moved)


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
