"""The registry's classifiers, each timed beside bare ONNX Runtime."""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from bench.findings import Findings, Plan, Say
from bench.timing import call_times_ms
from models.assets import Model, resolve
from models.cards import Input, ModelError, read_card, registry
from models.session import Classifier, Device, _providers, session_options

BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Speed(Struct, frozen=True):
    """Time of one face, ms, by our classifier and by the bare call, at one batch size."""

    batch: int
    ours_ms: float
    bare_ms: float


def classifiers(findings: Findings) -> list[str]:
    """Return the names of the registry's classifiers that can be loaded; a note says why another cannot."""
    names = []
    for name, path in registry().items():
        if read_card(path)[0].task == "classify":
            try:
                resolve(name, Path())
            except ModelError as error:
                findings.notes.append(f"{name} was not measured: {error}.")
            else:
                names.append(name)
    return names


def speeds_of(name: str, threads: int, plan: Plan, say: Say, device: Device = "cpu") -> list[Speed]:
    """Time a model at each batch size, ours and the bare call in turns."""
    model = resolve(name, Path())
    classifier = Classifier(model, device, threads)
    bare = BareCall(model, threads, providers_of(device))
    speeds = []
    for batch in plan.pick((1, 4), (1, 16), BATCHES):
        say(f"{name}, {threads_text(threads)}, batch {batch}")
        crops = np.random.default_rng(batch).integers(0, 256, (batch, *2 * (classifier.size_px,), 3), np.uint8)
        calls = max(3, plan.pick(3, 12, 150) // batch)
        ours_ms, bare_ms = [], []
        for _ in range(2):
            ours_ms += call_times_ms(partial(classifier.classify, crops), calls // 2 + 1)
            bare_ms += call_times_ms(partial(bare, batch), calls // 2 + 1)
        speeds.append(Speed(batch, statistics.median(ours_ms) / batch, statistics.median(bare_ms) / batch))
    return speeds


def threads_text(count: int) -> str:
    """Return `1 thread` or `N threads`."""
    return "1 thread" if count == 1 else f"{count} threads"


def providers_of(device: Device) -> list[Any]:
    """Return the execution providers that our classifier asks for, so that the bare call has the same."""
    return _providers(device)[1]


class BareCall:
    """Call that runs all networks of a model by ONNX Runtime alone, on noise made beforehand."""

    def __init__(self, model: Model, threads: int, providers: list[str]) -> None:
        self._runs = [
            (
                onnxruntime.InferenceSession(
                    model.read(network.file), session_options(network, threads), providers=providers
                ),
                network.input,
            )
            for network in model.card.networks
        ]
        self._ready: dict[int, list[NDArray[np.floating[Any]]]] = {}

    def __call__(self, batch: int) -> None:
        tensors = self._ready.setdefault(batch, [])
        if not tensors:
            tensors += [noise(session, wanted, batch) for session, wanted in self._runs]
        for (session, wanted), tensor in zip(self._runs, tensors, strict=True):
            fixed = session.get_inputs()[0].shape[0]
            step = fixed if isinstance(fixed, int) else batch
            for start in range(0, batch, step):
                session.run(None, {wanted.name: tensor[start : start + step]})


def noise(session: onnxruntime.InferenceSession, wanted: Input, batch: int) -> NDArray[np.floating[Any]]:
    """Return a batch of noise in the shape and dtype that this network takes."""
    size = wanted.size_px
    pixels = np.random.default_rng(1).integers(0, 256, (batch, size, size, 3)).astype(np.float32)
    tensor = (pixels - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    if wanted.layout == "NCHW":
        tensor = tensor.transpose(0, 3, 1, 2)
    half = session.get_inputs()[0].type == "tensor(float16)"
    return np.ascontiguousarray(tensor, np.float16 if half else np.float32)
