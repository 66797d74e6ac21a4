"""Smaller and faster copies of an exported model: INT8 for processors, FP16 for graphics cards."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cards import ModelError
from models.export.to_onnx import INPUT, quiet, session_of

CORRECTION_IMAGES = 128


def quantize_int8(source: Path, out: Path, images: NDArray[np.float32], batch: int = 32) -> None:
    """Write an INT8 copy (QDQ, static, a scale for each channel). Ranges come from `images`, float32 [n, 3, S, S].

    Weights get 7 bits: with 8, processors without VNNI instructions overflow silently and answer differently. The last
    layer stays float32. Biases are corrected for what rounding shifts, layer by layer (Nagel et al., ICCV 2019). The
    correction is kept only if the copy then answers more like the original on the last `CORRECTION_IMAGES` images.
    Most networks gain by it; a VGG16 answered at random. Raises ModelError if there is no last linear layer.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """Images in ranges of batches: what is computed for one range has to fit into memory."""

        def __init__(self) -> None:
            self._starts = iter(range(0))

        def __len__(self) -> int:
            return math.ceil(len(images) / batch)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._starts = iter(range(start_index, end_index))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            at = next(self._starts, None)
            return None if at is None else {INPUT: images[at * batch : (at + 1) * batch]}

    with tempfile.TemporaryDirectory(prefix="stationcast-quantize-") as folder, quiet():
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        plain = onnx.load(str(ready))
        last = next((node for node in reversed(plain.graph.node) if node.op_type == "Gemm"), None)
        if last is None or len(last.input) < 3:
            raise ModelError(
                f"{source}: has no last linear layer with a bias; export it with `stationcast models export`"
            )

        quantize_static(
            str(ready),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[last.name],
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibStridedMinMax": 1},
        )
        as_it_is, corrected = onnx.load(str(out)), onnx.load(str(out))
        _correct_biases(plain, corrected, images[:CORRECTION_IMAGES], batch)
        others = images[-CORRECTION_IMAGES:]
        wanted = list(_runs(plain, others, batch))
        if _apart(wanted, _runs(corrected, others, batch)) < _apart(wanted, _runs(as_it_is, others, batch)):
            onnx.save(corrected, str(out))


def convert_fp16(source: Path, out: Path) -> None:
    """Write an FP16 copy; inputs and outputs stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(out))


def _correct_biases(plain: Any, small: Any, images: NDArray[np.float32], batch: int) -> None:
    """Move each bias of `small`, layer by layer, so that each channel gets the mean that it has in `plain`."""
    import onnx

    tensors = {tensor.name: tensor for tensor in small.graph.initializer}
    made_by = {name: node for node in small.graph.node for name in node.output}
    # Layers are matched by the name of their bias: the quantizer may rename layers and change their order.
    layers, before = (
        [node for node in model.graph.node if node.op_type in ("Conv", "Gemm") and len(node.input) > 2]
        for model in (small, plain)
    )
    outputs = [node.output[0] for node in before]
    wanted = dict(zip((node.input[2] for node in before), _means(plain, outputs, images, batch), strict=True))
    for node in layers:
        rounded = node.input[2] not in tensors
        name, *scale = made_by[node.input[2]].input[:2] if rounded else [node.input[2]]
        shift = wanted[name.removesuffix("_quantized")] - _means(small, [node.output[0]], images, batch)[0]
        bias = tensors[name]
        if rounded:
            steps = np.rint(shift / onnx.numpy_helper.to_array(tensors[scale[0]]))
            corrected = (onnx.numpy_helper.to_array(bias) + steps).astype(np.int32)
        else:
            corrected = (onnx.numpy_helper.to_array(bias) + shift).astype(np.float32)
        bias.CopyFrom(onnx.numpy_helper.from_array(corrected, bias.name))


def _apart(wanted: Iterable[list[NDArray[np.float32]]], got: Iterable[list[NDArray[np.float32]]]) -> float:
    """Return the mean absolute difference of all outputs. Both arguments yield the outputs of a batch."""
    pairs = [pair for each in zip(wanted, got, strict=True) for pair in zip(*each, strict=True)]
    return float(np.mean([np.abs(w - g).mean() for w, g in pairs]))


def _means(model: Any, names: list[str], images: NDArray[np.float32], batch: int) -> list[NDArray[np.float64]]:
    """Return the mean of each channel, over images and pixels, of tensors [n, c] or [n, c, h, w] inside a model."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for name in names:
        copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    sums = [np.zeros(1)] * len(names)
    for outputs in _runs(copy, images, batch):
        for k, values in enumerate(outputs):
            over = tuple(range(2, values.ndim))
            sums[k] = sums[k] + values.mean(over, dtype=np.float64).sum(0)
    return [total / len(images) for total in sums]


def _runs(model: Any, images: NDArray[np.float32], batch: int) -> Iterator[list[NDArray[np.float32]]]:
    """Yield all outputs of a model, one batch of images at a time."""
    session = session_of(model.SerializeToString())
    for start in range(0, len(images), batch):
        yield session.run(None, {INPUT: images[start : start + batch]})
