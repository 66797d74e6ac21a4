"""One model and one step of `bench gpu`, in a process of its own, as a crash of CUDA spoils a whole process."""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.findings import Findings, Plan, Say, Table
from bench.report import number
from bench.rig.classifiers import noise, speeds_of
from bench.rig.load import under_load
from bench.timing import call_times_ms
from models.assets import resolve
from models.session import cuda_missing, session_options
from pipeline.errors import UserError

_FEEDERS = 8
_CAMERA_FACES_PER_S = 10
_BATCH = 64
_OFFERED = 1.3
_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"


def run(plan: Plan, say: Say, name: str, step: str) -> Findings:
    """Measure one step of STEPS. UserError: it cannot be done on this machine."""
    missing = cuda_missing()  # it also loads the libraries
    if missing:
        raise UserError(f"no CUDA: {missing}")
    findings = Findings()
    STEPS[step](name, plan, findings, say)
    return findings


def _batches(name: str, plan: Plan, findings: Findings, say: Say) -> None:
    rows: list[tuple[str, ...]] = []
    for x in speeds_of(name, 1, plan, say, "cuda"):
        label = f"{name}, batch {x.batch}"
        findings.measure(label, "ms a face", [x.ours_ms], "lower", listed=False)
        findings.measure(f"{label}, bare ONNX Runtime", "ms a face", [x.bare_ms], "lower", listed=False)
        rows.append((str(x.batch), number(x.ours_ms), number(x.bare_ms), f"{x.bare_ms / x.ours_ms:.2f}"))
    columns = ("batch", "ms a face", "bare ONNX Runtime", "share of bare")
    findings.tables.append(Table(title=f"{name}, CUDA", columns=columns, rows=rows))


def _served(name: str, plan: Plan, findings: Findings, say: Say) -> None:
    bare = max(1e3 / x.bare_ms for x in speeds_of(name, 1, plan, say, "cuda"))
    say(f"{name}: served to {_FEEDERS} feeding processes")
    run, sizes = under_load(
        _OFFERED * bare,
        5.0,
        plan.pick(1.0, 3.0, 10.0),
        model=name,
        sources=_FEEDERS,
        batch=_BATCH,
        device="cuda",
    )
    served, offered = run.roles["classify"].face_rate, run.roles["capture"].out_rate
    findings.measure(f"{name}, bare ONNX Runtime at its best batch", "faces/s", [bare], "higher")
    findings.measure(f"{name}, offered by {_FEEDERS} feeding processes", "faces/s", [offered])
    findings.measure(f"{name}, served to {_FEEDERS} feeding processes", "faces/s", [served], "higher")
    cameras = served / _CAMERA_FACES_PER_S
    findings.measure(f"{name}, cameras at {_CAMERA_FACES_PER_S} faces a second", "cameras", [cameras], "higher")
    findings.measure(f"{name}, largest batch", "faces", [float(max(sizes, default=0))])
    findings.goal(f"{name}: served over the bare batched rate", served / bare, at_least=0.9)


def _copy(name: str, plan: Plan, findings: Findings, _say: Say) -> None:
    _, tensor = _first_network(name, ["CPUExecutionProvider"])
    there = onnxruntime.OrtValue.ortvalue_from_numpy(tensor, "cuda", 0)
    times_ms = call_times_ms(partial(there.update_inplace, tensor), plan.pick(3, 20, 100))
    findings.measure(f"{name}, copy of a batch of {_BATCH} to the card", "ms", [statistics.median(times_ms)], "lower")


def _way(providers: list[Any], bound: bool, title: str) -> Callable[[str, Plan, Findings, Say], None]:
    """Return a step that runs a model's first network at batch 64. If `bound`, input and outputs stay on the card."""

    def measure(name: str, plan: Plan, findings: Findings, _say: Say) -> None:
        session, tensor = _first_network(name, providers)
        feed = session.get_inputs()[0].name
        call = bound_call(session, tensor, "cuda") if bound else partial(session.run, None, {feed: tensor})
        times_ms = call_times_ms(call, plan.pick(3, 20, 100))
        label = f"{name}, first network, batch {_BATCH}, {title}"
        findings.measure(label, "ms", [statistics.median(times_ms)], "lower")

    return measure


def _first_network(name: str, providers: list[Any]) -> tuple[onnxruntime.InferenceSession, NDArray[np.floating[Any]]]:
    """Return a session of exactly these providers and a batch of noise. UserError: the first one does not load."""
    model = resolve(name, Path())
    network = model.card.networks[0]
    try:
        session = onnxruntime.InferenceSession(
            model.read(network.file),
            session_options(network, 1),
            providers=providers,
            enable_fallback=0,  # otherwise another provider would be measured in its place
        )
    except Exception as error:  # ONNX Runtime raises a dozen classes of its own
        raise UserError(" ".join(str(error).split())) from error
    wanted = providers[0][0] if isinstance(providers[0], tuple) else providers[0]
    if session.get_providers()[0] != wanted:
        raise UserError(f"{wanted} does not load here")
    return session, noise(session, network.input, _BATCH)


def bound_call(
    session: onnxruntime.InferenceSession, tensor: NDArray[np.floating[Any]], device: str
) -> Callable[[], object]:
    """Return a call that runs the session on a tensor that is on the device already, and leaves the outputs there."""
    binding = session.io_binding()
    feed = session.get_inputs()[0].name
    binding.bind_ortvalue_input(feed, onnxruntime.OrtValue.ortvalue_from_numpy(tensor, device, 0))
    for head in session.get_outputs():
        shape = [axis if isinstance(axis, int) else len(tensor) for axis in head.shape]
        dtype = np.float16 if head.type == "tensor(float16)" else np.float32
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, device, 0)
        binding.bind_ortvalue_output(head.name, value)
    return lambda: session.run_with_iobinding(binding)


def _ways() -> dict[str, Callable[[str, Plan, Findings, Say], None]]:
    plain, graph = {"cudnn_conv_algo_search": "HEURISTIC"}, {"enable_cuda_graph": "1"}
    cpu = "CPUExecutionProvider"
    ways = {
        "copied each time": ([(_CUDA, plain), cpu], False),
        "kept on the card": ([(_CUDA, plain), cpu], True),
        "CUDA graph": ([(_CUDA, plain | graph), cpu], True),
        "TensorRT": ([_TENSORRT, (_CUDA, plain), cpu], True),
    }
    return {way: _way(providers, bound, way) for way, (providers, bound) in ways.items()}


STEPS: dict[str, Callable[[str, Plan, Findings, Say], None]] = {
    "batches": _batches,
    "served": _served,
    "copy to the card": _copy,
    **_ways(),
}
