"""The same questions on a graphics card: batches, bare and served; copies to it; CUDA graphs; TensorRT; its cameras.

Without an NVIDIA card it says so and measures nothing.
"""

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench.classify import classifiers, noise, speeds_of, under_load
from bench.harness import Findings, Plan, Say, Table, call_times_ms, gpu_name
from bench.report import number
from models.assets import resolve
from models.cards import ModelError
from models.session import Classifier

_FEEDERS = 8
_CAMERA_FACES_PER_S = 10
_BATCH = 64


def run(plan: Plan, say: Say) -> Findings:
    """Every classifier on the card; nothing but a note where there is none."""
    findings = Findings()
    card = gpu_name()
    if not card:
        findings.notes.append("No NVIDIA card on this machine: nothing was measured.")
        return findings
    findings.notes.append(f"Card: {card}.")
    for name in classifiers():
        try:
            Classifier(resolve(name, Path()), "cuda")
        except ModelError as error:
            findings.notes.append(str(error))
            continue
        _batches(name, plan, findings, say)
        _ways_to_run(name, plan, findings, say)
        _served(name, plan, findings, say)
    return findings


def _batches(name: str, plan: Plan, findings: Findings, say: Say) -> None:
    speeds = speeds_of(name, 1, plan, say, "cuda")
    rows: list[tuple[str, ...]] = []
    for x in speeds:
        label = f"{name}, batch {x.batch}"
        findings.measure(label, "ms a face", [x.ours_ms], "lower", listed=False)
        findings.measure(f"{label}, bare ONNX Runtime", "ms a face", [x.bare_ms], "lower", listed=False)
        rows.append((str(x.batch), number(x.ours_ms), number(x.bare_ms), f"{x.bare_ms / x.ours_ms:.2f}"))
    columns = ("batch", "ms a face", "bare ONNX Runtime", "share of bare")
    findings.tables.append(Table(title=f"{name}, CUDA", columns=columns, rows=rows))


def _ways_to_run(name: str, plan: Plan, findings: Findings, say: Say) -> None:
    """The first network of a model at batch 64: copied each time, bound to the card, as a CUDA graph, by TensorRT."""
    calls = plan.pick(3, 20, 100)
    graph = ("CUDAExecutionProvider", {"enable_cuda_graph": "1"})
    ways: dict[str, tuple[Any, bool]] = {
        "copied each time": ("CUDAExecutionProvider", False),
        "kept on the card": ("CUDAExecutionProvider", True),
        "CUDA graph": (graph, True),
    }
    if "TensorrtExecutionProvider" in onnxruntime.get_available_providers():
        ways["TensorRT"] = ("TensorrtExecutionProvider", True)
    for way, (provider, bound) in ways.items():
        say(f"{name}: {way}")
        try:
            call = _call(name, provider, bound)
            times_ms = call_times_ms(call, calls)
        except Exception as error:  # each provider raises classes of its own where it cannot run a graph
            findings.notes.append(f"{name}, {way}: {' '.join(str(error).split())[:160]}")
            continue
        findings.measure(f"{name}, first network, batch {_BATCH}, {way}", "ms", [statistics.median(times_ms)], "lower")
    say(f"{name}: copy to the card")
    session, tensor = _session(name, "CUDAExecutionProvider")
    del session
    copy = partial(onnxruntime.OrtValue.ortvalue_from_numpy, tensor, "cuda", 0)
    copy_ms = statistics.median(call_times_ms(copy, calls))
    findings.measure(f"{name}, copy of a batch of {_BATCH} to the card", "ms", [copy_ms], "lower")


def _session(name: str, provider: Any) -> tuple[onnxruntime.InferenceSession, Any]:
    model = resolve(name, Path())
    network = model.card.networks[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    providers = [provider, "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.read(network.file), options, providers=providers)
    return session, noise(session, network.input, _BATCH)


def _call(name: str, provider: Any, bound: bool) -> Any:
    session, tensor = _session(name, provider)
    wanted = provider[0] if isinstance(provider, tuple) else provider
    if session.get_providers()[0] != wanted:
        raise ModelError(f"{wanted} does not load here")
    feed = session.get_inputs()[0].name
    if not bound:
        return partial(session.run, None, {feed: tensor})
    binding = session.io_binding()
    binding.bind_ortvalue_input(feed, onnxruntime.OrtValue.ortvalue_from_numpy(tensor, "cuda", 0))
    for head in session.get_outputs():
        shape = [_BATCH if not isinstance(axis, int) else axis for axis in head.shape]
        dtype = np.float16 if head.type == "tensor(float16)" else np.float32
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, "cuda", 0)
        binding.bind_ortvalue_output(head.name, value)
    return partial(session.run_with_iobinding, binding)


def _served(name: str, plan: Plan, findings: Findings, say: Say) -> None:
    say(f"{name}: served to {_FEEDERS} feeding processes")
    best = max(1e3 / x.bare_ms for x in speeds_of(name, 1, plan, say, "cuda"))
    run, sizes = under_load(1.3 * best, 5.0, plan.pick(1.0, 3.0, 10.0), model=name, sources=_FEEDERS)
    served = run.roles["classify"].face_rate
    findings.measure(f"{name}, served to {_FEEDERS} feeding processes", "faces/s", [served], "higher")
    findings.measure(f"{name}, cameras at {_CAMERA_FACES_PER_S} faces a second", "cameras", [served / 10], "higher")
    findings.measure(f"{name}, largest batch", "faces", [float(max(sizes, default=0))])
    findings.goal(f"{name}: served over the bare batched rate", served / best, at_least=0.9)
