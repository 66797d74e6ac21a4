"""Speed of classification: every model by batch and threads beside bare ONNX Runtime, and micro-batching under load.

The load goes through a real broker and a real classification worker: faces of 64 cameras, one each.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bench.findings import Curve, Findings, Plan, Say, Table
from bench.peers import mosec
from bench.report import number
from bench.rig.classifiers import BareCall, Speed, classifiers, providers_of, speeds_of, threads_text
from bench.rig.load import BATCH, under_load
from bench.rig.machine import gpu_name
from bench.timing import call_rate, paired
from models.assets import resolve
from models.cards import DEFAULT_CLASSIFIER

_WAIT_MS = 5.0


def run(plan: Plan, say: Say) -> Findings:
    """Measure models by batch, then micro-batching at rising load, then the serving library."""
    findings = Findings()
    best: list[Speed] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    for name in classifiers(findings):
        for threads in plan.pick((1,), (1,), (1, 2)):
            speeds = speeds_of(name, threads, plan, say)
            _report_speeds(name, threads, speeds, findings)
            lines[f"{name}, {threads_text(threads)}"] = [(float(x.batch), x.ours_ms) for x in speeds]
            if name == DEFAULT_CLASSIFIER and threads == 1:
                best = speeds
    title = "Classification by batch"
    findings.curves.append(Curve(title=title, x="faces a batch", y="ms a face", lines=lines, log_x=True))
    _micro_batching(best, plan, findings, say)
    if not gpu_name():
        findings.notes.append("No GPU here: the GPU figures are made by `stationcast bench gpu` where there is one.")
    return findings


def _report_speeds(name: str, threads: int, speeds: list[Speed], findings: Findings) -> None:
    for speed in speeds:
        label = f"{name}, {threads_text(threads)}, batch {speed.batch}"
        findings.measure(label, "ms a face", [speed.ours_ms], "lower", listed=False)
        findings.measure(f"{label}, bare ONNX Runtime", "ms a face", [speed.bare_ms], "lower", listed=False)
    rows: list[tuple[str, ...]] = [
        (str(x.batch), number(x.ours_ms), number(x.bare_ms), f"{x.bare_ms / x.ours_ms:.2f}", number(1e3 / x.ours_ms))
        for x in speeds
    ]
    columns = ("batch", "ms a face", "bare ONNX Runtime", "share of bare", "faces/s")
    findings.tables.append(Table(title=f"{name}, {threads_text(threads)}, CPU", columns=columns, rows=rows))


def _micro_batching(speeds: list[Speed], plan: Plan, findings: Findings, say: Say) -> None:
    """Measure rising load; then saturation beside the bare call and mosec in turns; then one face at a time."""
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
        by_size = [(float(size), 100 * sizes.get(size, 0) / batches) for size in range(1, BATCH + 1)]
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
        findings.notes.append("mosec is not installed (.ci/setup bench): no serving library to compare with.")
    found = paired(ways, plan.pick(1, 1, 3), say)
    rates = {way: findings.measure(way, "faces/s", values, "higher").median for way, values in found.items()}
    ours = rates["micro-batching at saturation"]
    share = ours / rates["bare ONNX Runtime at its best batch"]
    findings.goal("micro-batching over the bare call at its best batch", share, at_least=0.95)
    if "mosec at saturation" in rates:
        findings.goal("micro-batching over mosec, faces a second", ours / rates["mosec at saturation"], at_least=1)


def serve_and_drive(crop: bytes, seconds: float) -> float:
    """Return the faces per second of the default model behind mosec, with two batches of requests under way."""
    with mosec.server(DEFAULT_CLASSIFIER, BATCH, _WAIT_MS) as port:
        return mosec.drive(port, crop, 2 * BATCH, seconds)[0]
