"""Classifiers in ONNX Runtime: calibrated gender and age of faces, and "unknown" where the card says so.

A graphics card is used only if it is really there. Otherwise nothing touches it, and nothing is printed on stderr.
"""

import contextlib
import ctypes
import io
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from models.assets import Model
from models.cards import (
    DECADE_EDGES,
    DECADES,
    FAIRFACE_EDGES,
    LAW_YEARS,
    AgeHead,
    GenderHead,
    Golden,
    Input,
    ModelError,
    Network,
    Younger,
)
from models.estimate import Estimate, estimate
from models.onnx_file import what_is_outside
from models.trial import ensure_tried

Device = Literal["auto", "cpu", "cuda"]
MAX_BATCH = 64
"""Largest number of faces in one run. More are run one batch after the other, which bounds the memory."""
_CPU_BATCH = 8
"""Largest batch for each CPU thread. Activations of larger ones do not fit the cache."""


class Outputs(Struct, frozen=True):
    """Calibrated answers of a model for n faces, before any of them becomes `unknown`."""

    p_male: NDArray[np.float32]
    """Probability of a man, float32 [n]."""
    age_years: NDArray[np.float32]
    """Expected age, float32 [n]."""
    p_decade: NDArray[np.float32]
    """Probabilities of the decades, float32 [n, 9]."""
    p_fairface: NDArray[np.float32]
    """Probabilities of FairFace's ranges of age, float32 [n, 9]."""
    p_younger: NDArray[np.float32]
    """Probabilities of being younger than each of LAW_YEARS, float32 [n, 6]."""


class Classifier:
    """Classifier ready to run. `device` is where it runs (`cpu` or `cuda`), `size_px` the side of its crops.

    Raises ModelError if files do not fit the card, the device is not there, or golden answers are wrong. It is raised,
    too, if a model that does not come with the program fails its trial.
    """

    def __init__(
        self, model: Model, device: Device = "auto", threads: int = 1, *, golden: bool = True, tried: bool = False
    ) -> None:
        """Load the model. `golden=False` skips the check of its answers, for a card that has none yet.

        `tried=True` skips its trial, for a model that this process makes itself or tries.
        """
        card = model.card
        if card.crop is None or card.unknown is None or card.golden is None:
            raise ModelError(f"{card.name} is a model that finds faces: give one that classifies them")
        self.card, self.sha256, self.size_px = card, model.card_sha256, card.crop.size_px
        self._card_path = model.card_path
        if golden and not tried:
            ensure_tried(model, f"onnxruntime {onnxruntime.__version__}")
        self._unknown = card.unknown
        self.device, providers = _providers(device)
        self._max_batch = MAX_BATCH if self.device == "cuda" else min(MAX_BATCH, _CPU_BATCH * threads)
        self._networks = [_Network(model, network, providers, threads) for network in card.networks]
        if golden:
            self._check_golden(card.golden)

    def run(self, crops: NDArray[np.uint8]) -> Outputs:
        """Run the model on crops, uint8 RGB [n, size_px, size_px, 3]. Raises ValueError for another shape."""
        if crops.dtype != np.uint8 or crops.shape[1:] != (self.size_px, self.size_px, 3):
            wanted = f"uint8 [n, {self.size_px}, {self.size_px}, 3]"
            raise ValueError(f"{self.card.name} takes crops {wanted}, not {crops.dtype} {list(crops.shape)}")
        heads: dict[str, list[NDArray[np.float32]]] = {name: [] for name in Outputs.__struct_fields__}
        for start in range(0, len(crops), self._max_batch):
            for network in self._networks:
                for name, values in network.run(crops[start : start + self._max_batch]).items():
                    heads[name].append(values)
        if not len(crops):
            none = np.zeros(0, np.float32)
            return Outputs(none, none, *(np.zeros((0, n), np.float32) for n in (len(DECADES), 9, len(LAW_YEARS))))
        return Outputs(**{name: np.concatenate(parts) for name, parts in heads.items()})

    def classify(self, crops: NDArray[np.uint8]) -> list[Estimate]:
        """Estimate gender and age for each of the crops, uint8 RGB [n, size_px, size_px, 3]."""
        return self.decide(self.run(crops))

    def decide(self, outputs: Outputs) -> list[Estimate]:
        """Turn outputs of `run` into one estimate each.

        Below the card's thresholds it is `unknown`; for numbers that are not finite it is NOTHING_KNOWN.
        """
        return [
            estimate(float(p_male), float(age), p_decade.tolist(), self._unknown, p_younger.tolist())
            for p_male, age, p_decade, p_younger in zip(
                outputs.p_male, outputs.age_years, outputs.p_decade, outputs.p_younger, strict=True
            )
        ]

    def _check_golden(self, golden: Golden) -> None:
        try:
            outputs = self.run(golden_crops(self.size_px))
        except Exception as error:  # ONNX Runtime raises a dozen classes of its own
            why = " ".join(str(error).split())
            raise ModelError(f"{self._card_path}: its model fails on the golden input: {why}") from error
        pairs = (
            ("p_male", outputs.p_male, golden.p_male, golden.tolerance),
            ("age_years", outputs.age_years, golden.age_years, golden.tolerance_years),
        )
        for key, got, wanted, tolerance in pairs:
            if len(wanted) != len(got) or not np.allclose(got, wanted, rtol=0, atol=tolerance):
                says = ", ".join(f"{value:.3f}" for value in got)
                raise ModelError(
                    f"{self._card_path}: golden.{key} is {list(wanted)}, the model says {says}; refused: "
                    "correct the card's input, labels and temperatures, or export the model again"
                )


def golden_crops(size_px: int) -> NDArray[np.uint8]:
    """Make two fixed pictures, uint8 [2, size_px, size_px, 3], by integers only: the same on every machine."""
    y, x, channel = np.indices((size_px, size_px, 3))
    waves = (x * x + 3 * y * y + 5 * x * y) * 64 // (size_px * size_px) + 50 * channel + 40 * (x * 8 // size_px % 2)
    picture = (waves % 256).astype(np.uint8)
    return np.stack([picture, 255 - picture[::-1]])


def session_options(network: Network, threads: int) -> onnxruntime.SessionOptions:
    """Return ONNX Runtime's options for a network that runs on `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")
    level = f"ORT_ENABLE_{network.optimization.upper()}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    # Threads that spin between runs would take processor time from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Arithmetic with denormal numbers is slow: 5.8 ms a face instead of 0.9 in age-v1.onnx.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


class _Network:
    """ONNX session with its heads."""

    def __init__(self, model: Model, network: Network, providers: list[Any], threads: int) -> None:
        where = f"{model.card_path}: {network.file}"
        options = session_options(network, threads)
        data = model.read(network.file)
        if outside := what_is_outside(data):
            raise ModelError(f"{where}: {outside}; refused: export the model again, all of it in one ONNX file")
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=providers)
        except Exception as error:  # ONNX Runtime raises a dozen classes of its own, all directly under Exception
            raise ModelError(f"{where}: ONNX Runtime refuses it: {' '.join(str(error).split())}") from error
        self._input = network.input
        self._heads: list[GenderHead | AgeHead] = [head for head in (network.gender, network.age) if head]
        self._batch = self._check_shapes(where)
        half = self._session.get_inputs()[0].type == "tensor(float16)"
        self._dtype: type[np.floating[Any]] = np.float16 if half else np.float32
        self._ages = AgeDecoder(network.age, model.card.younger) if network.age else None

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        names = [head.output for head in self._heads]
        tensor = _prepare(crops, self._input).astype(self._dtype, copy=False)
        step = self._batch or len(tensor)
        parts = [
            self._session.run(names, {self._input.name: tensor[start : start + step]})
            for start in range(0, len(tensor), step)
        ]
        decoded: dict[str, NDArray[np.float32]] = {}
        for head, *values in zip(self._heads, *parts, strict=True):
            raw = np.concatenate(values).astype(np.float32)
            if raw.shape[1:] != (head.classes,):
                raise ValueError(f"output {head.output!r} is {list(raw.shape)}, not [n, {head.classes}]")
            if isinstance(head, GenderHead):
                decoded["p_male"] = _p_male(raw, head)
            elif self._ages:
                decoded |= self._ages.decode(raw)
        return decoded

    def _check_shapes(self, where: str) -> int | None:
        """Check the graph against the card. Return the batch size if it is fixed at 1, or None for any."""
        size = self._input.size_px
        image = (3, size, size) if self._input.layout == "NCHW" else (size, size, 3)
        inputs = {tensor.name: tensor.shape for tensor in self._session.get_inputs()}
        if list(inputs) != [self._input.name]:
            raise ModelError(f"{where}: input.name is {self._input.name!r}, the file takes {', '.join(inputs)}")
        if len(inputs[self._input.name]) != 4:
            raise ModelError(f"{where}: the file takes no batch of pictures; export it with an input of four axes")
        batch, *found = inputs[self._input.name]
        if any(isinstance(axis, int) and axis != side for axis, side in zip(found, image, strict=False)):
            raise ModelError(
                f"{where}: input.layout and input.size_px say {self._input.layout} {list(image)}, "
                f"the file takes {found}"
            )
        if isinstance(batch, int) and batch != 1:
            raise ModelError(f"{where}: the file takes batches of {batch} only; export it with a free batch axis")
        outputs = {tensor.name: tensor.shape for tensor in self._session.get_outputs()}
        for head in self._heads:
            if head.output not in outputs:
                raise ModelError(f"{where}: there is no output {head.output!r}; the file gives {', '.join(outputs)}")
            given = outputs[head.output][-1] if outputs[head.output] else None
            if isinstance(given, int) and given != head.classes:
                key = "gender.order" if isinstance(head, GenderHead) else "age.years" if head.years else "age.edges"
                raise ModelError(f"{where}: output {head.output!r} has {given} classes, {key} names {head.classes}")
        return batch if isinstance(batch, int) else None


class AgeDecoder:
    """Decoder of an age head: from a distribution over its classes to ages, decades, FairFace's ranges, minors."""

    def __init__(self, head: AgeHead, younger: Younger | None = None) -> None:
        self._head, self._younger = head, younger
        low, high = np.array(head.ranges, dtype=np.float64).T
        self._middle = (low if head.years else (low + high - 1) / 2).astype(np.float32)
        self._shares = {}
        for name, bounds in (("p_decade", DECADE_EDGES), ("p_fairface", FAIRFACE_EDGES)):
            edges = np.array(bounds, np.float64)
            overlap = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
            self._shares[name] = (np.clip(overlap, 0, None) / (high - low)[:, None]).astype(np.float32)

        below = (np.array(LAW_YEARS) - low[:, None]) / (high - low)[:, None]
        self._shares["p_younger"] = np.clip(below, 0, 1).astype(np.float32)

    def decode(self, raw: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Decode the output [n, classes] of the head to all of `Outputs` but `p_male`."""
        p = _softmax(_logits(raw, self._head.values) / self._head.temperature)
        decoded = {"age_years": p @ self._middle} | {k: np.clip(p @ share, 0, 1) for k, share in self._shares.items()}
        if self._younger:
            decoded["p_younger"] = calibrated(decoded["p_younger"], self._younger)
        return decoded


def calibrated(p_younger: NDArray[np.float32], younger: Younger) -> NDArray[np.float32]:
    """Calibrate the probabilities [n, 6] of being younger than each of LAW_YEARS. They rise with the age."""
    clipped = np.clip(p_younger.astype(np.float64), 1e-6, 1 - 1e-6)
    logits = (np.log(clipped) - np.log1p(-clipped)) * np.array(younger.slope) + np.array(younger.offset)
    p: NDArray[np.float32] = np.maximum.accumulate(0.5 * (1 + np.tanh(logits / 2)), axis=1).astype(np.float32)
    return p


def _prepare(crops: NDArray[np.uint8], wanted: Input) -> NDArray[np.float32]:
    size = wanted.size_px
    if crops.shape[1] != size:
        smaller = cv2.INTER_AREA if crops.shape[1] > size else cv2.INTER_LINEAR
        crops = np.stack([cv2.resize(crop, (size, size), interpolation=smaller) for crop in crops])
    if wanted.channels == "BGR":
        crops = crops[..., ::-1]
    if wanted.layout == "NCHW":
        crops = crops.transpose(0, 3, 1, 2)
    shape = (3, 1, 1) if wanted.layout == "NCHW" else (3,)
    tensor = np.ascontiguousarray(crops, dtype=np.float32)
    tensor -= np.array(wanted.mean, np.float32).reshape(shape)
    tensor /= np.array(wanted.std, np.float32).reshape(shape)
    return tensor


def _logits(raw: NDArray[np.float32], values: Literal["logits", "probabilities"]) -> NDArray[np.float32]:
    return raw if values == "logits" else np.log(np.clip(raw, 1e-7, 1))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _p_male(raw: NDArray[np.float32], head: GenderHead) -> NDArray[np.float32]:
    if len(head.order) == 2:
        p = _softmax(_logits(raw, head.values) / head.temperature)[:, head.order.index("M")]
    else:
        logit = raw[:, 0]
        if head.values == "probabilities":
            clipped = np.clip(logit, 1e-7, 1 - 1e-7)
            logit = np.log(clipped) - np.log1p(-clipped)
        p = 1 / (1 + np.exp(-np.clip(logit / head.temperature, -60, 60)))
        if head.order == "F":
            p = 1 - p
    return p.astype(np.float32)


def _providers(device: Device) -> tuple[Literal["cpu", "cuda"], list[Any]]:
    cpu = ["CPUExecutionProvider"]
    if device == "cpu":
        return "cpu", cpu
    missing = cuda_missing()
    if missing is None:
        # By default every algorithm is timed for every new batch size, and sizes differ all the time here.
        return "cuda", [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}), *cpu]
    if device == "cuda":
        raise ModelError(f"device is 'cuda', but {missing}; set device to 'auto' or 'cpu'")
    return "cpu", cpu


def cuda_missing() -> str | None:
    """Return why ONNX Runtime cannot use CUDA, or None. ONNX Runtime itself is not asked: it would print an error."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this ONNX Runtime is built without it"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver finds no device"
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints to stdout which libraries are missing
            onnxruntime.preload_dlls()
        ctypes.CDLL(f"{folder}/libonnxruntime_providers_shared.so", mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(f"{folder}/libonnxruntime_providers_cuda.so")
    except OSError as error:
        return f"its libraries do not load: {error}"
    return None
