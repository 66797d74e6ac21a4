"""Networks to train: four classics from Keras, and a MobileNet that can start from faceres_deep's weights.

Each takes float32 [N, 3, S, S], normalised as its `Preprocessing` says. It answers gender logits [N, 1] (positive is
male) and age logits [N, YEARS]. With the head of the original project it answers nine logits [N, 9].
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.cards import ModelError
from models.training.recipe import Arch, Recipe

YEARS = 101
"""Classes of the age head: 0 to 100 years."""
HIDDEN = 512
"""Number of hidden units of new heads."""
ORIGINAL_LABELS = 9
"""Outputs of the original project's head: man, woman, and seven decades from 0-9 to 60+, a sigmoid each."""
ORIGINAL_EDGES = (0, 10, 20, 30, 40, 50, 60, 80)
"""Bounds of its decades in exported models. 60+ is taken as 60 to 79, as few people are older."""
_STARTS = "faceres_deep.onnx, or the FP32 or FP16 file of an exported mobilenet"


class Preprocessing(msgspec.Struct, frozen=True):
    """Normalisation of photos: (pixel - mean) / std for each channel, pixels 0..255, in the order of `channels`."""

    channels: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_CAFFE = Preprocessing("BGR", (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
_TORCH = Preprocessing("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
PREPROCESSING: dict[Arch, Preprocessing] = {
    "mobilenet": _CAFFE,
    "densenet121": _TORCH,
    "resnet50": _CAFFE,
    "vgg16": _CAFFE,
    "efficientnet_b0": _TORCH,
}
"""Normalisation that Keras' ImageNet weights expect."""


class Heads(nn.Module):
    """Heads: features [N, F] to (gender logits [N, 1], age logits [N, YEARS]), or to nine logits [N, 9]."""

    def __init__(self, features: int, head: Literal["years", "original"], hidden: int = HIDDEN) -> None:
        super().__init__()
        self.head = head
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(features, hidden)
        self.out = nn.Linear(hidden, 1 + YEARS if head == "years" else ORIGINAL_LABELS)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        out = self.out(functional.relu(self.hidden(self.drop(features))))
        return (out[:, :1], out[:, 1:]) if self.head == "years" else out


class MobileNet(nn.Module):
    """MobileNet 1.0 with batch norms folded into its weights: images [N, 3, S, S] to features [N, 2560].

    Features are the means of its last three blocks, as training changes the earlier ones less than the last. Padding is
    TensorFlow's `SAME`, as in faceres_deep: an even side gets its border at the end only.
    """

    layout = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    features = 512 + 1024 + 1024

    def __init__(self) -> None:
        super().__init__()
        convolutions: list[nn.Conv2d] = [nn.Conv2d(3, 32, 3, 2, 1)]
        channels = 32
        for out, stride in self.layout:
            convolutions += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.Conv2d(channels, out, 1)]
            channels = out
        for layer in convolutions:  # He et al., ICCV 2015: PyTorch's own start dies away over 27 layers without norms
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, layer.bias))
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x: Tensor) -> Tensor:
        means = []
        for number, layer in enumerate(self.convolutions):
            x = functional.relu6(self._convolved(cast(nn.Conv2d, layer), x))
            if number in (22, 24, 26):
                means.append(x.mean((2, 3)))
        return torch.cat(means, 1)

    def _convolved(self, layer: nn.Conv2d, x: Tensor) -> Tensor:
        if layer.stride == (1, 1):
            return cast(Tensor, layer(x))
        weights = layer.weight, layer.bias
        if self.training and not x.is_cuda and layer.groups > 1:
            # The same numbers: in bfloat16 the gradient of the strided form takes a CPU four times as long.
            first = 1 - x.shape[2] % 2
            return functional.conv2d(x, *weights, 1, 1, 1, layer.groups)[:, :, first::2, first::2]
        odd = x.shape[2] % 2
        x = x if odd else functional.pad(x, (0, 1, 0, 1))
        return functional.conv2d(x, *weights, 2, odd, 1, layer.groups)

    def load_onnx(self, path: Path) -> Heads | None:
        """Load the weights of faceres_deep.onnx, or of an FP32 or FP16 file that `models export` made of a mobilenet.

        Return the heads that follow in the file, or None if they do not know years. Features agree with the file's to
        1e-4. The heads of faceres_deep read the last block only. Raises ModelError.
        """
        layers = _layers_of(path)
        count = len(self.convolutions)
        if [weight.shape for weight, _ in layers[:count]] != [layer.weight.shape for layer in self.convolutions]:
            raise ModelError(f"{path}: its layers are not those of a MobileNet 1.0; give {_STARTS}")
        for layer, (weight, bias) in zip(self.convolutions, layers[:count], strict=True):
            layer.load_state_dict({"weight": weight, "bias": bias})
        return _heads_of(layers[count:])


Layer = tuple[Tensor, Tensor]
"""Weight and bias of a convolution or a dense layer."""


def _layers_of(path: Path) -> list[Layer]:
    """Return the convolutions and dense layers of an ONNX file, with the norms that follow them. Raises ModelError."""
    import onnx

    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    try:
        graph = onnx.load(str(path)).graph
        values = {
            tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)).float()
            for tensor in graph.initializer
            if tensor.data_type in floats
        }
    except Exception as error:  # protobuf and ONNX raise classes of their own
        why = " ".join(str(error).split())
        raise ModelError(f"{path}: cannot be read as ONNX: {why}; give {_STARTS}") from error
    layers: list[Layer] = []
    for node in graph.node:
        known = [values[name] for name in node.input[1:] if name in values]
        if node.op_type == "Conv" and not known:
            raise ModelError(f"{path}: its weights are rounded; give the FP32 or FP16 file of that model")
        if node.op_type in ("Conv", "Gemm", "MatMul") and known:
            weight = known[0].T if node.op_type == "MatMul" else known[0]
            layers.append((weight, known[1] if len(known) > 1 else torch.zeros(len(weight))))
        elif node.op_type in ("Mul", "Add") and layers and known and known[0].shape == layers[-1][1].shape:
            weight, bias = layers.pop()
            if node.op_type == "Mul":
                layers.append((weight * known[0].reshape(-1, *[1] * (weight.ndim - 1)), bias * known[0]))
            else:
                layers.append((weight, bias + known[0]))
    return layers


def _heads_of(layers: list[Layer]) -> Heads | None:
    """Make heads of a hidden layer, and of outputs for a man and for years that read it.

    A year that the file lacks (faceres_deep knows 0 to 99) starts as its last one, somewhat less likely. Return None
    for layers of another kind.
    """
    if len(layers) < 2 or any(weight.shape[1:] != layers[0][1].shape for weight, _ in layers[1:]):
        return None
    hidden, hidden_bias = layers[0]
    out, bias = (torch.cat(tensors) for tensors in zip(*layers[1:], strict=True))
    missing = 1 + YEARS - len(out)
    if missing not in (0, 1):
        return None
    heads = Heads(MobileNet.features, "years", len(hidden))
    state = {
        "hidden.weight": functional.pad(hidden, (MobileNet.features - hidden.shape[1], 0)),
        "hidden.bias": hidden_bias,
        "out.weight": torch.cat([out, out[-1:].expand(missing, -1)]),
        "out.bias": torch.cat([bias, bias[-1:].expand(missing) - 1]),
    }
    heads.load_state_dict(state)
    return heads


class KerasBackbone(nn.Module):
    """A network of keras.applications on the torch backend, without its top: images [N, 3, S, S] to features [N, F].

    It starts with the weights of `init`: `random`, `imagenet`, or a file of Keras (a whole model, with any top, or the
    weights alone). Raises ModelError, which names the remedy.
    """

    def __init__(self, arch: Arch, size_px: int, init: str) -> None:
        super().__init__()
        if os.environ.setdefault("KERAS_BACKEND", "torch") != "torch":
            raise ModelError(f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}: unset it, training runs on torch")
        import keras

        classes = {
            "densenet121": keras.applications.DenseNet121,
            "resnet50": keras.applications.ResNet50,
            "vgg16": keras.applications.VGG16,
            "efficientnet_b0": keras.applications.EfficientNetB0,
        }
        shape = (size_px, size_px, 3)
        keras.utils.clear_session()  # else names of layers, and of saved weights, count on from model to model
        fetched = "imagenet" if init == "imagenet" else None
        try:
            model = classes[arch](include_top=False, weights=fetched, input_shape=shape, pooling="avg")
            if init not in ("random", "imagenet"):
                _load_keras(model, Path(init))
        except Exception as error:  # a failed download and a file of another network raise classes of their own
            why = " ".join(str(error).split())[:300]
            if fetched:
                raise ModelError(
                    f"--init imagenet: Keras cannot fetch the weights of {arch} ({why}); "
                    "try again with a network, or give --init a .keras or .h5 file"
                ) from error
            raise ModelError(f"--init {init}: no weights for a {arch} ({why}); give a .keras or .h5 file") from error
        if arch == "efficientnet_b0":  # which normalises inside, and otherwise with Keras' own weights than without
            model = keras.Model(model.get_layer("stem_conv_pad").input, model.output)
        self.model = model
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.call = partial(_batch_norm, layer)
        self.features = int(self.model.output_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.permute(0, 2, 3, 1), training=self.training)


def _load_keras(model: Any, path: Path) -> None:
    """Load the weights of a `.keras` or `.h5` file into a Keras model. A saved model may have further layers behind."""
    import keras

    try:
        saved = keras.saving.load_model(path, compile=False).weights
    except (ValueError, KeyError):  # no model, but weights alone
        model.load_weights(path)
        return
    if [theirs.shape for theirs in saved[: len(model.weights)]] != [mine.shape for mine in model.weights]:
        raise ValueError("its layers are others")
    for mine, theirs in zip(model.weights, saved, strict=False):
        mine.assign(theirs.value)


def _batch_norm(layer: Any, inputs: Tensor, training: bool | None = None, mask: None = None) -> Tensor:
    """Compute what a batch norm of Keras does, in one operation.

    Keras makes a dozen operations of it, which take a quarter of a step. No exporter folds them into convolutions.
    """
    moving = layer.moving_mean.value, layer.moving_variance.value
    x = inputs.movedim(-1, 1)
    learned = layer.gamma.value, layer.beta.value
    return functional.batch_norm(x, *moving, *learned, bool(training), 1 - layer.momentum, layer.epsilon).movedim(1, -1)


class FaceNet(nn.Module):
    """Backbone and the heads that read its features."""

    def __init__(self, backbone: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        return self.heads(self.backbone(x))

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gender logits [N, 1] and age logits [N, classes] of images [N, 3, S, S].

        The nine outputs of the original head become man minus woman, and its seven decades.
        """
        out = self(x)
        return (out[:, :1] - out[:, 1:2], out[:, 2:]) if isinstance(out, Tensor) else out


def build(recipe: Recipe, hidden: int = HIDDEN) -> FaceNet:
    """Build the network with which a run begins, on the CPU. New heads have `hidden` units. Raises ModelError.

    `init` is `random`, `imagenet` (fetched by Keras; not for a mobilenet) or a file of weights. For a mobilenet that
    is faceres_deep.onnx or an exported file, whose heads are taken if they are of the kind `head`. For the others it
    is a `.keras` or `.h5` file.
    """
    torch.manual_seed(recipe.seed)
    if recipe.arch != "mobilenet":
        classic = KerasBackbone(recipe.arch, recipe.size_px, recipe.init)
        return FaceNet(classic, Heads(classic.features, recipe.head, hidden))
    if recipe.init == "imagenet":
        raise ModelError("--init imagenet: mobilenet starts from `random` or from faceres_deep.onnx")
    mobilenet = MobileNet()
    known = mobilenet.load_onnx(Path(recipe.init)) if recipe.knows else None
    heads = known if known and recipe.head == "years" else Heads(mobilenet.features, recipe.head, hidden)
    return FaceNet(mobilenet, heads)


def device_of(name: str) -> torch.device:
    """Return the device `cpu` or `cuda`, or the better one for `auto`. Raises ModelError."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ModelError("--device cuda: PyTorch finds none; give `auto` or `cpu`")
    return torch.device(("cuda" if found else "cpu") if name == "auto" else name)


def placed(net: FaceNet, device: torch.device) -> FaceNet:
    """Move a network to a device, with kernels in the memory layout that is fastest there."""
    if isinstance(net.backbone, MobileNet):  # Keras lays out the kernels of the others itself
        for parameter in net.backbone.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net.to(device)


def autocast(device: torch.device, arch: Arch) -> Any:
    """Compute in bfloat16 where the hardware has it and is quicker with it.

    Emulated bfloat16 makes a step twenty times as long. Steps of an EfficientNetB0 take a CPU .7 of the time without it
    (66 faces/s instead of 49). Its gradients of depthwise convolutions are slow.
    """
    quicker = device.type != "cpu" or (arch != "efficientnet_b0" and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(quicker))
