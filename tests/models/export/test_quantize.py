"""INT8 copies of small networks answer like the originals, whatever suits each network."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.export.quantize import quantize_int8
from models.export.to_onnx import INPUT


def ten_convolutions(path: Path, rare_and_loud: bool) -> None:
    """Random 3x3 convolutions with ReLU and no norms, whose neurons speak often, or rarely but loudly."""
    rng = np.random.default_rng(1)
    loudness, mean, bias = (2, -0.3, 0.3) if rare_and_loud else (1, 0, 0.1)
    nodes, tensors, channels, last = [], [], 3, INPUT
    for layer in range(10):
        weight = loudness * (2 / (9 * channels)) ** 0.5 * rng.normal(mean if layer else 0, 1, (16, channels, 3, 3))
        biases = rng.normal(bias if layer else 0, 0.1, 16)
        for name, values in ((f"w{layer}", weight), (f"b{layer}", biases)):
            tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        nodes.append(helper.make_node("Conv", [last, f"w{layer}", f"b{layer}"], [f"c{layer}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        channels, last = 16, f"r{layer}"
    nodes += [helper.make_node("GlobalAveragePool", [last], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["f"])]
    for name, values in (("w", rng.normal(0, 0.3, (16, 8))), ("b", np.zeros(8))):
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
    nodes.append(helper.make_node("Gemm", ["f", "w", "b"], ["answer"]))
    for node in nodes:
        node.name = f"make_{node.output[0]}"
    taken = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["n", 3, 16, 16])
    given = helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, ["n", 8])
    graph = helper.make_graph(nodes, "ten", [taken], [given], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


def answers(path: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {INPUT: images})[0])


@pytest.mark.parametrize("rare_and_loud", [False, True])
def test_int8_answers_like_the_original_where_moved_biases_help_and_where_they_harm(
    tmp_path: Path, rare_and_loud: bool
) -> None:
    rng = np.random.default_rng(1)
    shown = rng.normal(0, 1, (96, 3, 16, 16)) * rng.uniform(0, 2, (96, 1, 1, 1))
    images, others = np.split(shown.astype(np.float32), [64])
    full, small = tmp_path / "full.onnx", tmp_path / "small.onnx"
    ten_convolutions(full, rare_and_loud)
    quantize_int8(full, small, images)
    wanted = answers(full, others)
    assert np.abs(answers(small, others) - wanted).mean() < 0.1 * wanted.std(0).mean()
    kinds = {numpy_helper.to_array(tensor).dtype for tensor in onnx.load(str(small)).graph.initializer}
    assert np.dtype(np.int8) in kinds
