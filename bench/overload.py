"""Age of frames when detection begins, while detection has 1, 3 and 6 times the work it can do."""

import os

from bench.findings import Curve, Findings, Plan, Say
from bench.rig.station import SCENE_CAMERA, Run, make_station, make_table, run_station

LOADS = (1, 3, 6)
_CAMERAS, _FPS = 2, 15


def run(plan: Plan, say: Say) -> Findings:
    """Measure ages over time, with two cameras at 15 fps and a worker whose time is known."""
    findings = Findings()
    period_ms = 1000 / _FPS
    lines: dict[str, list[tuple[float, float]]] = {}
    for load in plan.pick((3,), LOADS[-1:], LOADS):
        say(f"{load} x")
        run = overloaded(load, plan.pick(1.0, 3.0, 15.0), 0.5)
        detect = run.roles["detect"]
        findings.measure(f"{load} x, processed", "frames/s", [detect.out_rate], "higher")
        findings.measure(f"{load} x, dropped", "frames/s", [run.roles["broker"].drop_rate])
        for name, age_ms in zip(("p50", "p95", "largest"), detect.age_in_ms, strict=True):
            findings.measure(f"{load} x, age at detection, {name}", "ms", [age_ms], "lower")
        lines[f"{load} x"] = [(at_s, roles["detect"].age_in_ms[1]) for at_s, roles in run.pieces]
        if load == max(LOADS):
            findings.goal("largest age at detection at 6 x, frame periods", detect.age_in_ms[2] / period_ms, at_most=2)
            findings.goal("its p95 in the second half over the first half", growth(run), at_most=1.1)
    findings.curves.append(
        Curve(
            title="Age of frames when detection begins",
            x="s",
            y="p95, ms",
            lines=lines,
            marks={"two frame periods": 2 * period_ms},
        )
    )
    return findings


def overloaded(load: float, seconds: float, piece_s: float) -> Run:
    """Run a station whose detection worker needs `load` times the time there is for each frame."""
    os.environ["BENCH_DETECT_MS"] = str(load * 1000 / (_CAMERAS * _FPS))
    os.environ["BENCH_CLASSIFY_MS"] = "0"
    station = make_station(_CAMERAS, _FPS)
    stages = {"detect": "bench.rig.stages:KnownDetect", "classify": "bench.rig.stages:KnownClassify"}
    table = make_table(SCENE_CAMERA | stages, without=("player",))
    return run_station(station, table, settle_s=1.0, seconds=seconds, piece_s=piece_s)


def growth(run: Run) -> float:
    """Return the p95 of the ages in the second half of the run over that in the first half."""
    first, second = (half["detect"].age_in_ms[1] for half in run.halves)
    return second / max(1e-9, first)
