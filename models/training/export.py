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
from numpy.typing import NDArray
from torch import Tensor, nn

from models.cards import ModelError
from models.training.checkpoints import Trained
from models.training.networks import PREPROCESSING, FaceNet
from models.training.views import to_tensor

INPUT, GENDER, AGE = "image", "gender", "age"
PARITY = 1e-3
"""Largest allowed difference of a logit between the network and its ONNX file."""


class _Served(nn.Module):
    """The network with two outputs: gender logit [n, 1] and age logits [n, classes].

    From the head of the original project it takes man minus woman, and the seven decades.
    """

    def __init__(self, net: FaceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        out = self.net(image)
        if isinstance(out, Tensor):
            return out[:, :1] - out[:, 1:2], out[:, 2:]
        return out


def export_onnx(trained: Trained, out: Path, rng_seed: int = 0) -> float:
    """Write the network to `out` as ONNX and return the largest difference of a logit at batch sizes 1 and 32.

    Raises ModelError if the difference reaches PARITY.
    """
    import onnx

    net, recipe = trained.net, trained.recipe
    served = _Served(net).eval()
    size = recipe.size_px
    example = torch.zeros(2, 3, size, size)
    with quiet():
        program = torch.onnx.export(
            served,
            (example,),
            input_names=[INPUT],
            output_names=[GENDER, AGE],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise ModelError(f"{out}: the exporter gave nothing")
    out.parent.mkdir(parents=True, exist_ok=True)
    model = program.model_proto
    # The exporter notes paths of this machine, which are of no use to anybody.
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(model, str(out))
    _simplify(out)
    rng = np.random.default_rng(rng_seed)
    worst = 0.0
    for batch in (1, 32):
        crops = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        images = to_tensor(crops, PREPROCESSING[recipe.arch]).contiguous()
        with torch.inference_mode():
            wanted = served(images)
        got = run_onnx(out, images.numpy())
        worst = max(worst, *(float(np.abs(w.numpy() - g).max()) for w, g in zip(wanted, got, strict=True)))
    if not worst < PARITY:
        raise ModelError(f"{out}: differs from the network by {worst:.2g} at batch 1 or 32; not to be used")
    return worst


def _simplify(path: Path) -> None:
    """Let ONNX Runtime fold batch norms into convolutions and drop the transposes that Keras needs.

    Left in, both would be rounded one by one in an INT8 copy. The result has standard ONNX operations only.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    simple = path.with_suffix(".simple")
    options.optimized_model_filepath = str(simple)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    simple.replace(path)


def run_onnx(
    path: Path, images: NDArray[np.float32], batch: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run an exported file on the CPU: images float32 [n, 3, S, S] to gender logits [n, 1], age logits [n, classes]."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    parts = [session.run([GENDER, AGE], {INPUT: images[i : i + batch]}) for i in range(0, len(images), batch)]
    gender, age = (np.concatenate([part[head] for part in parts]).astype(np.float32) for head in range(2))
    return gender, age


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence exporter and quantizer, which print advice and warn about their own internals."""
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
