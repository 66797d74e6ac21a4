"""Classification: every model by batch and threads beside bare ONNX Runtime, and micro-batching under load.

The load goes through a real broker and a real classification worker: faces of 64 cameras, one each.
"""

import os
import statistics
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from bench.harness import Curve, Findings, Plan, Say, Table, call_rate, call_times_ms, gpu_name, paired
from bench.peers import mosec
from bench.report import number
from bench.rig.station import Run, make_graph, make_station, run_station
from models.assets import Model, resolve
from models.cards import DEFAULT_CLASSIFIER, Input, ModelError, read_card, registry
from models.session import Classifier, Device, _providers, session_options
from pipeline.supervisor import Supervisor

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_WAIT_MS = 5.0
_BATCH = 16


class Speed(Struct, frozen=True):
    """ms a face of ours and of the bare call, at one batch size."""

    batch: int
    ours_ms: float
    bare_ms: float


def run(plan: Plan, say: Say) -> Findings:
    """Models by batch, then micro-batching at rising load, then the serving library."""
    findings = Findings()
    best: list[Speed] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    for name in classifiers(findings):
        for threads in plan.pick((1,), (1,), (1, 2)):
            speeds = speeds_of(name, threads, plan, say)
            _report_speeds(name, threads, speeds, findings)
            lines[f"{name}, {_threads(threads)}"] = [(float(x.batch), x.ours_ms) for x in speeds]
            if name == DEFAULT_CLASSIFIER and threads == 1:
                best = speeds
    title = "Classification by batch"
    findings.curves.append(Curve(title=title, x="faces a batch", y="ms a face", lines=lines, log_x=True))
    _micro_batching(best, plan, findings, say)
    if not gpu_name():
        findings.notes.append("No GPU here: the GPU figures are made by `stationcast bench gpu` where there is one.")
    return findings


def classifiers(findings: Findings) -> list[str]:
    """Names of the registry's classifiers whose files are here or can be fetched; of the others a note says why not."""
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
    """ms a face at each batch size, ours and bare taking turns."""
    model = resolve(name, Path())
    classifier = Classifier(model, device, threads)
    bare = BareCall(model, threads, providers_of(device))
    speeds = []
    for batch in plan.pick((1, 4), (1, 16), BATCHES):
        say(f"{name}, {_threads(threads)}, batch {batch}")
        crops = np.random.default_rng(batch).integers(0, 256, (batch, *2 * (classifier.size_px,), 3), np.uint8)
        calls = max(3, plan.pick(3, 12, 150) // batch)
        ours_ms, bare_ms = [], []
        for _ in range(2):
            ours_ms += call_times_ms(partial(classifier.classify, crops), calls // 2 + 1)
            bare_ms += call_times_ms(partial(bare, batch), calls // 2 + 1)
        speeds.append(Speed(batch, statistics.median(ours_ms) / batch, statistics.median(bare_ms) / batch))
    return speeds


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def providers_of(device: Device) -> list[Any]:
    """As ours asks for them, so that the bare call has the same options."""
    return _providers(device)[1]


class BareCall:
    """Run all networks of a model by ONNX Runtime alone, on noise that is ready."""

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
    """A batch of noise as this network takes it."""
    size = wanted.size_px
    pixels = np.random.default_rng(1).integers(0, 256, (batch, size, size, 3)).astype(np.float32)
    tensor = (pixels - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    if wanted.layout == "NCHW":
        tensor = tensor.transpose(0, 3, 1, 2)
    half = session.get_inputs()[0].type == "tensor(float16)"
    return np.ascontiguousarray(tensor, np.float16 if half else np.float32)


def _report_speeds(name: str, threads: int, speeds: list[Speed], findings: Findings) -> None:
    for speed in speeds:
        label = f"{name}, {_threads(threads)}, batch {speed.batch}"
        findings.measure(label, "ms a face", [speed.ours_ms], "lower", listed=False)
        findings.measure(f"{label}, bare ONNX Runtime", "ms a face", [speed.bare_ms], "lower", listed=False)
    rows: list[tuple[str, ...]] = [
        (str(x.batch), number(x.ours_ms), number(x.bare_ms), f"{x.bare_ms / x.ours_ms:.2f}", number(1e3 / x.ours_ms))
        for x in speeds
    ]
    columns = ("batch", "ms a face", "bare ONNX Runtime", "share of bare", "faces/s")
    findings.tables.append(Table(title=f"{name}, {_threads(threads)}, CPU", columns=columns, rows=rows))


def _micro_batching(speeds: list[Speed], plan: Plan, findings: Findings, say: Say) -> None:
    """Rising load; then at saturation beside the bare call and mosec, in turn; then one face at a time."""
    seconds = plan.pick(1.0, 1.2, 6.0)
    best = min(speeds, key=lambda speed: speed.bare_ms)
    bare_rate = 1e3 / best.bare_ms
    rows: list[tuple[str, ...]] = []
    rates, ages, histograms = [], [], {}
    for share in plan.pick((0.5,), (0.9,), (0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.5)):
        say(f"micro-batching at {share:.0%} of the bare rate")
        run, sizes = under_load(share * bare_rate, _WAIT_MS, seconds)
        classify = run.roles["classify"]
        batches = max(1, sum(sizes.values()))
        mean = sum(size * n for size, n in sizes.items()) / batches
        by_size = [(float(size), 100 * sizes.get(size, 0) / batches) for size in range(1, _BATCH + 1)]
        histograms[f"{share:g} x"] = by_size
        rates.append((share * bare_rate, classify.face_rate))
        ages.append((share * bare_rate, classify.age_out_ms[1]))
        figures = (share * bare_rate, classify.face_rate, classify.age_out_ms[1], mean)
        rows.append((f"{share:.1f}", *(number(x) for x in figures)))
    columns = ("load", "offered/s", "classified/s", "p95, ms", "mean batch")
    title = f"micro-batching, default model, wait {_WAIT_MS:g} ms"
    findings.tables.append(Table(title=title, columns=columns, rows=rows))
    lines = {"classified": rates, "offered": [(x, x) for x, _ in rates]}
    findings.curves.append(
        Curve(title="Micro-batching: faces classified", x="faces offered a second", y="faces/s", lines=lines)
    )
    latency = {"p95": ages}
    title = "Micro-batching: age of faces when classified"
    findings.curves.append(Curve(title=title, x="faces offered a second", y="p95, ms", lines=latency))
    title = "Batch sizes by load, in times the bare rate"
    findings.curves.append(Curve(title=title, x="faces in a batch", y="% of the batches", lines=histograms))
    _at_saturation(best.batch, bare_rate, seconds, plan, findings, say)
    say("one face at a time")
    with_wait, without = (under_load(10, wait_ms, seconds)[0].roles["classify"] for wait_ms in (_WAIT_MS, 0.0))
    added_ms = with_wait.age_out_ms[0] - without.age_out_ms[0]
    findings.measure("one face waiting, added by micro-batching, p50", "ms", [added_ms], "lower")
    findings.goal("one face waiting: added over the stated wait", added_ms / _WAIT_MS, at_most=1)


def _at_saturation(best_batch: int, bare_rate: float, seconds: float, plan: Plan, findings: Findings, say: Say) -> None:
    bare = BareCall(resolve(DEFAULT_CLASSIFIER, Path()), 1, providers_of("cpu"))
    wanted = resolve(DEFAULT_CLASSIFIER, Path()).card.crop
    assert wanted
    crop = np.random.default_rng(1).integers(0, 256, wanted.size_px**2 * 3, np.uint8).tobytes()
    ways: dict[str, Callable[[], float]] = {
        "bare ONNX Runtime at its best batch": lambda: best_batch * call_rate(partial(bare, best_batch), seconds),
        "micro-batching at saturation": lambda: (
            under_load(1.1 * bare_rate, _WAIT_MS, seconds)[0].roles["classify"].face_rate
        ),
    }
    if mosec.installed():
        ways["mosec at saturation"] = lambda: serve_and_drive(crop, seconds)
    else:
        findings.notes.append("mosec is not installed (pip install mosec): no serving library to compare with.")
    found = paired(ways, plan.pick(1, 1, 3), say)
    rates = {way: findings.measure(way, "faces/s", values, "higher").median for way, values in found.items()}
    ours = rates["micro-batching at saturation"]
    share = ours / rates["bare ONNX Runtime at its best batch"]
    findings.goal("micro-batching over the bare call at its best batch", share, at_least=0.95)
    if "mosec at saturation" in rates:
        findings.goal("micro-batching over mosec, faces a second", ours / rates["mosec at saturation"], at_least=1)


def serve_and_drive(crop: bytes, seconds: float) -> float:
    """Faces a second of the default model behind mosec, twice a batch of requests under way."""
    with mosec.server(DEFAULT_CLASSIFIER, _BATCH, _WAIT_MS) as port:
        return mosec.drive(port, crop, 2 * _BATCH, seconds)[0]


def under_load(
    rate: float,
    wait_ms: float,
    seconds: float,
    *,
    model: str = "default",
    sources: int = 2,
    workers: int = 1,
    batch: int = _BATCH,
    device: Device = "cpu",
) -> tuple[Run, dict[int, int]]:
    """Offer so many faces a second to classification workers -> (run, how many batches of each size)."""
    crop = resolve(model, Path()).card.crop
    assert crop
    os.environ |= {"BENCH_FACES_PER_S": str(rate / sources), "BENCH_CROP_PX": str(crop.size_px)}
    station = make_station(sources, 1, classify=workers, batch_wait_ms=wait_ms, model=model, batch=batch, device=device)
    sizes: dict[str, dict[int, int]] = {}

    def count(supervisor: Supervisor) -> None:
        for child in supervisor.children:
            if child.role == "classify":
                batches = child.cell.status().get("batches", {})
                sizes[child.worker] = {int(size): n for size, n in batches.items()} or sizes.get(child.worker, {})

    stages = {"capture": "bench.rig.stages:CropCamera", "classify": "bench.rig.stages:CountingClassify"}
    graph = make_graph(station, without=("player", "detect"), **stages)
    run = run_station(station, graph, settle_s=1.0, seconds=seconds, during=count)
    total: Counter[int] = Counter()
    for counted in sizes.values():
        total.update(counted)
    return run, dict(total)
