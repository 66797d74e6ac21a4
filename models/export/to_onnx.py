"""Export of a trained network to one ONNX file, which is checked against the network."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.cards import ModelError
from models.training.checkpoints import Trained
from models.training.networks import PREPROCESSING, FaceNet
from models.training.views import to_tensor

INPUT, GENDER, AGE = "image", "gender", "age"
PARITY = 1e-3
"""Largest allowed difference of a logit between the network and its ONNX file; a share of the largest above 1."""


class _Served(nn.Module):
    """The network with two outputs: gender logit [n, 1] and age logits [n, classes]."""

    def __init__(self, net: FaceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.answer(image)


def export_onnx(trained: Trained, out: Path) -> float:
    """Write the network to `out` as ONNX and return the largest difference of a logit at batch sizes 1 and 32.

    Raises ModelError if the difference reaches PARITY.
    """
    import onnx

    recipe = trained.recipe
    served = _Served(trained.net).eval()
    size = recipe.size_px
    with quiet():
        program = torch.onnx.export(
            served,
            (torch.zeros(2, 3, size, size),),
            input_names=[INPUT],
            output_names=[GENDER, AGE],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{out}: the exporter gave nothing")
    model = program.model_proto
    # The exporter notes paths of this machine, which are of no use to anybody.
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(model, str(out))
    # Batch norms are folded into convolutions, and the transposes that Keras needs are dropped. Left in, both would be
    # rounded one by one in an INT8 copy. The result has standard ONNX operations only.
    simple = out.with_suffix(".simple")
    session_of(out, optimized=simple)
    simple.replace(out)
    rng, session, apart = np.random.default_rng(0), session_of(out), []
    for batch in (1, 32):
        crops = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        images = to_tensor(crops, PREPROCESSING[recipe.arch]).contiguous()
        with torch.inference_mode():
            wanted = served(images)
        got = session.run([GENDER, AGE], {INPUT: images.numpy()})
        for logits, theirs in zip((w.numpy() for w in wanted), got, strict=True):
            apart.append(np.abs(logits - theirs).max() / np.maximum(1, np.abs(logits).max()))
    worst = float(np.max(apart))  # which is nan if one is; the larger of two numbers is not
    if not worst < PARITY:
        raise ModelError(f"{out}: differs from the network by {worst:.2g} at batch 1 or 32; not to be used")
    return worst


def session_of(model: Path | bytes, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX model on the processor; also write it to `optimized` as it is after the basic optimizations."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized)
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence exporter and quantizer, which print advice and warn about their own internals."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
