"""Networks to train: four classics from Keras, and a MobileNet that can start from faceres_deep's weights.

Each takes float32 [N, 3, S, S], normalised as its `Preprocessing` says. It answers gender logits [N, 1] (positive is
male) and age logits [N, YEARS]. With the head of the original project it answers nine logits [N, 9].
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.cards import ModelError
from models.training.recipe import Arch

YEARS = 101
"""Classes of the age head: 0 to 100 years."""
HIDDEN = 512
"""Number of hidden units of new heads."""
ORIGINAL_LABELS = 9
"""Outputs of the original project's head: man, woman, and seven decades from 0-9 to 60+, a sigmoid each."""
ORIGINAL_EDGES = (0, 10, 20, 30, 40, 50, 60, 80)
"""Bounds of its decades in exported models. 60+ is taken as 60 to 79, as few people are older."""


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
    "efficientnet_b0": Preprocessing("RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Normalisation that Keras' ImageNet weights expect. EfficientNet normalises inside."""


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

    Features are the means of its last three blocks. Training changes the earlier blocks less than the last one
    (measured in docs/models-training.md). Padding is TensorFlow's `SAME`, as in faceres_deep: an even side gets its
    border at the end only.
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
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.convolutions = nn.ModuleList(convolutions)

    def _layers(self) -> Iterator[nn.Conv2d]:
        return (layer for layer in self.convolutions if isinstance(layer, nn.Conv2d))

    def forward(self, x: Tensor) -> Tensor:
        *_, last_but_two, _, last_but_one, _, last = deque(self._outputs(x), maxlen=5)
        return torch.cat([output.mean((2, 3)) for output in (last_but_two, last_but_one, last)], 1)

    def _outputs(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the output of each convolution."""
        learning_on_cpu = self.training and not x.is_cuda
        for layer in self._layers():
            learns = learning_on_cpu and layer.weight.requires_grad
            if learns and layer.groups > 1 and layer.stride == (2, 2):
                # The same numbers: in bfloat16 the gradient of the strided form takes a CPU four times as long.
                x = functional.conv2d(x, layer.weight, layer.bias, 1, 1, 1, layer.groups)
                first = 1 - x.shape[2] % 2
                x = x[:, :, first::2, first::2]
            else:
                x = self._convolved(layer, x)
            x = functional.relu6(x)
            yield x

    @staticmethod
    def _convolved(layer: nn.Conv2d, x: Tensor) -> Tensor:
        if layer.stride == (2, 2) and x.shape[2] % 2 == 0:
            x = functional.pad(x, (0, 1, 0, 1))
            return functional.conv2d(x, layer.weight, layer.bias, 2, 0, 1, layer.groups)
        return cast(Tensor, layer(x))

    def load_onnx(self, path: Path) -> Heads | None:
        """Load the weights of faceres_deep.onnx, or of an FP32 or FP16 file that `models export` made of a mobilenet.

        Return the heads that follow in the file, or None if they do not know years. Features agree with the file's to
        1e-4. The heads of faceres_deep read the last block only. Raises ModelError.
        """
        import onnx
        from onnx import numpy_helper

        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:  # protobuf and ONNX raise classes of their own
            raise ModelError(f"{path}: cannot be read as ONNX: {' '.join(str(error).split())}") from error
        values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
        layers, layer = deque(self._layers()), None
        nodes = iter(graph.node)
        for node in nodes:
            if node.op_type == "Conv":
                layer = layers.popleft() if layers else None
                weight = values.get(node.input[1])
                if weight is None or not weight.is_floating_point():
                    raise ModelError(f"{path}: its weights are rounded; give the FP32 or FP16 file of that model")
                if layer is None or weight.shape != layer.weight.shape:
                    raise ModelError(f"{path}: its layers are not those of a MobileNet 1.0")
                layer.weight.data.copy_(weight)
                if len(node.input) > 2:  # a file that we exported
                    assert layer.bias is not None
                    layer.bias.data.copy_(values[node.input[2]])
            elif node.op_type == "Mul" and layer is not None:
                layer.weight.data.mul_(values[node.input[1]][:, None, None, None])
            elif node.op_type == "Add" and layer is not None:
                assert layer.bias is not None
                layer.bias.data.copy_(values[node.input[1]])
            elif node.op_type == "ReduceMean" and not layers:
                break
        if layers:
            raise ModelError(f"{path}: its layers are not those of a MobileNet 1.0")
        return _heads_of(nodes, values)


def _heads_of(nodes: Iterable[Any], values: Mapping[str, Tensor]) -> Heads | None:
    """Make heads of the dense layers among ONNX nodes: a hidden layer, then outputs for a man and for years.

    A year that the file lacks (faceres_deep knows 0 to 99) starts as its last one, somewhat less likely. Return None
    for layers of another kind.
    """
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for node in nodes:
        named = [values.get(name) for name in node.input[1:]]
        if node.op_type in ("Gemm", "MatMul") and named[0] is not None:
            weights.append(named[0].float() if node.op_type == "Gemm" else named[0].float().T)
        if node.op_type in ("Gemm", "Add") and named[-1] is not None:
            biases.append(named[-1].float())
    # A file may have any heads: accept a hidden layer, and outputs that each read all of it.
    if len(weights) < 2 or [len(bias) for bias in biases] != [len(weight) for weight in weights]:
        return None
    hidden = biases[0]
    if any(weight.shape[1:] != hidden.shape for weight in weights[1:]):
        return None
    out, bias = torch.cat(weights[1:]), torch.cat(biases[1:])
    missing = 1 + YEARS - len(out)
    if missing not in (0, 1):
        return None
    heads = Heads(MobileNet.features, "years", len(hidden))
    state = {
        "hidden.weight": functional.pad(weights[0], (MobileNet.features - weights[0].shape[1], 0)),
        "hidden.bias": hidden,
        "out.weight": torch.cat([out, out[-1:].expand(missing, -1)]),
        "out.bias": torch.cat([bias, bias[-1:].expand(missing) - 1]),
    }
    heads.load_state_dict(state)
    return heads


class KerasBackbone(nn.Module):
    """A network of keras.applications on the torch backend, without its top: images [N, 3, S, S] to features [N, F]."""

    def __init__(self, arch: Arch, size_px: int, weights: str | None) -> None:
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
        try:
            model = classes[arch](include_top=False, weights=weights, input_shape=shape, pooling="avg")
        except Exception as error:  # a failed download and a file of another network raise classes of their own
            raise ModelError(f"{arch} from {weights or 'random'}: {' '.join(str(error).split())}") from error
        self.model = with_torch_batch_norms(model)
        self.features = int(self.model.output_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.permute(0, 2, 3, 1), training=self.training)


def with_torch_batch_norms(model: Any) -> Any:
    """Return the same Keras model with batch norms that are one operation each.

    Keras makes a dozen operations of each, which take a quarter of a step. No exporter folds them into convolutions.
    """
    import keras

    keras.utils.clear_session()  # else names of layers, and of saved weights, count on from model to model

    class BatchNorm(keras.layers.BatchNormalization):
        def call(self, inputs: Tensor, training: bool | None = None, mask: None = None) -> Tensor:
            if inputs.is_meta:  # Keras asks for the shape of the answer
                return inputs
            moving = self.moving_mean.value, self.moving_variance.value
            learned = self.gamma.value, self.beta.value
            x = inputs.movedim(-1, 1)
            x = functional.batch_norm(x, *moving, *learned, bool(training), 1 - self.momentum, self.epsilon)
            return x.movedim(1, -1)

    def cloned(layer: Any) -> Any:
        kind = BatchNorm if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    same = keras.models.clone_model(model, clone_function=cloned)
    for mine, theirs in zip(same.weights, model.weights, strict=True):
        mine.assign(theirs.value)
    return same


class FaceNet(nn.Module):
    """Backbone and the heads that read its features."""

    def __init__(self, backbone: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads

    def freeze(self, count: int) -> None:
        """Keep the first `count` convolutions as they are."""
        for layer in [module for module in self.backbone.modules() if isinstance(module, nn.Conv2d)][:count]:
            layer.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        return self.heads(self.backbone(x))


def build(
    arch: Arch,
    size_px: int,
    init: str = "random",
    head: Literal["years", "original"] = "years",
    hidden: int = HIDDEN,
) -> FaceNet:
    """Build a network to train.

    `init` is `random`, `imagenet` (downloaded by Keras; not for mobilenet) or a file of weights. For a mobilenet that
    is faceres_deep.onnx or an exported file, whose heads are taken if they are of the kind `head`. For the others it
    is a `.weights.h5`. New heads have `hidden` units. Raises ModelError, which names the remedy.
    """
    path = Path(init)
    if init not in ("random", "imagenet") and not path.is_file():
        raise ModelError(f"--init {init}: no such file; give `random`, `imagenet` or a weights file")
    if arch == "mobilenet":
        if init == "imagenet":
            raise ModelError("--init imagenet: mobilenet starts from `random` or from faceres_deep.onnx")
        mobilenet = MobileNet()
        known = mobilenet.load_onnx(path) if init != "random" else None
        return FaceNet(mobilenet, known if known and head == "years" else Heads(mobilenet.features, head, hidden))
    classic = KerasBackbone(arch, size_px, None if init == "random" else init)
    return FaceNet(classic, Heads(classic.features, head, hidden))


def placed(net: FaceNet, device: torch.device) -> FaceNet:
    """Move a network to a device, with kernels in the memory layout that is fastest there."""
    if isinstance(net.backbone, MobileNet):  # Keras lays out the kernels of the others itself
        for parameter in net.backbone.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net.to(device)


def autocast(device: torch.device) -> Any:
    """Compute in bfloat16 where the hardware has it. Emulated bfloat16 makes a step twenty times as long."""
    native = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(native))
