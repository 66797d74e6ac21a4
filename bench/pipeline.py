"""Rates, latencies, CPU and memory of a whole station, beside bare calls and the sequential way."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
import psutil

from bench.findings import Findings, Plan, Say, Table
from bench.peers.sequential import Pace, run_loops
from bench.report import number
from bench.rig.processes import tied
from bench.rig.station import ROLES, SCENE_CAMERA, Run, make_station, make_table, run_station
from bench.timing import percentile
from pipeline.control import Status, ask
from pipeline.errors import UserError
from pipeline.operator.snapshot import Snapshot
from pipeline.settings import Station

_FPS, _CAMERAS_MAX = 15, 24
_WAIT_MS = 5.0
_SETTLE_S = 3.0


def run(plan: Plan, say: Say) -> Findings:
    """Measure efficiency at saturation, latency at half load, the sequential ways, and the cost of an idle station."""
    findings = Findings()
    seconds = plan.pick(1.0, 2.0, 13.0)
    cores = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {"bare": [], "station": [], "loop": []}
    for i in range(plan.pick(1, 1, 3)):
        say(f"bare calls on every core ({i + 1})")
        bare = run_loops("bare", seconds, processes=cores)
        rates["bare"].append(bare.rate)
        say(f"station at saturation ({i + 1})")
        saturated = saturate(max(rates["bare"]), cores, seconds)
        rates["station"].append(saturated.roles["classify"].out_rate)
        say(f"sequential loop ({i + 1})")
        rates["loop"].append(max(run_loops("loop", seconds / 2, threads=n).rate for n in sorted({1, cores})))
    say("sequential loop with the original habits")
    habits = run_loops("habits", seconds / 2)
    names = {"bare": "bare calls on every core", "station": "station at saturation", "loop": "sequential loop"}
    ratio = {key: [ours / other for ours, other in zip(rates["station"], rates[key], strict=True)] for key in rates}
    medians = {key: findings.measure(names[key], "frames/s", values, "higher").median for key, values in rates.items()}
    findings.measure("sequential loop, original habits", "frames/s", [habits.rate], "higher")
    findings.measure("faces a frame", "faces", [bare.faces])
    findings.measure("station over bare calls, round by round", "x", ratio["bare"], "higher")
    findings.goal("efficiency at saturation", median(ratio["bare"]), at_least=0.85)
    findings.goal("station over sequential loop", median(ratio["loop"]), at_least=1.5)
    findings.goal("station over loop with the original habits", medians["station"] / habits.rate, at_least=100)
    findings.tables.append(_by_process("station at saturation, by stage", saturated))
    _profile(saturated, bare, findings)
    for cameras in plan.pick((2,), (2,), (2, cameras_for(0.5 * medians["bare"]))):
        say(f"station at half load, {cameras} cameras")
        half = run_at(0.5 * medians["bare"], cameras, cores, seconds)
        _latency(cameras, half, run_loops("bare", seconds / 2), findings)
    findings.tables.append(_by_process("station at half load, by stage", half))
    say("idle station")
    _idle(plan.pick(2.0, 2.0, 20.0), findings)
    return findings


def saturate(rate: float, cores: int, seconds: float) -> Run:
    """Offer so many frames per second to a station without a screen."""
    station = _station(rate, cameras_for(rate), cores)
    table = make_table(SCENE_CAMERA, without=("player",))
    return run_station(station, table, settle_s=1.5, seconds=seconds)


def run_at(rate: float, cameras: int, cores: int, seconds: float) -> Run:
    """Offer so many frames per second to a whole station."""
    station = _station(rate, cameras, cores)
    return run_station(station, make_table(SCENE_CAMERA), settle_s=2.0, seconds=seconds)


def cameras_for(rate: float) -> int:
    """Return the number of cameras (1..24) that give so many frames per second at 15 fps each."""
    return min(_CAMERAS_MAX, max(1, round(rate / _FPS)))


def _station(rate: float, cameras: int, cores: int) -> Station:
    return make_station(cameras, min(120.0, rate / cameras), detect=cores, batch_wait_ms=_WAIT_MS)


def _latency(cameras: int, half: Run, bare: Pace, findings: Findings) -> None:
    hops = {
        "capture to detection's begin": half.roles["detect"].age_in_ms,
        "capture to faces": half.roles["detect"].age_out_ms,
        "capture to classification's begin": half.roles["classify"].age_in_ms,
        "capture to answers": half.roles["classify"].age_out_ms,
        "capture to audience": half.roles["people"].age_out_ms,
        "capture to player (60 ticks a second)": half.roles["player"].age_in_ms,
    }
    rows = [(hop, *(f"{age_ms:.1f}" for age_ms in ages_ms)) for hop, ages_ms in hops.items()]
    name = f"half load, {cameras} cameras"
    findings.tables.append(Table(title=f"age at {name}, ms", columns=("hop", "p50", "p95", "largest"), rows=rows))
    for hop, ages_ms in hops.items():
        findings.measure(f"{name}, {hop}, p95", "ms", [ages_ms[1]], "lower", listed=False)
    bare_ms = percentile(bare.times_ms, 0.95)
    findings.measure(f"{name}, bare calls of one frame, p95", "ms", [bare_ms], "lower")
    limit_ms = 1.5 * bare_ms + 5 + _WAIT_MS
    text = f"{name}: capture to audience, p95, over 1.5 x bare calls + 5 ms + batch wait"
    findings.goal(text, half.roles["people"].age_out_ms[1] / limit_ms, at_most=1)


def _profile(saturated: Run, bare: Pace, findings: Findings) -> None:
    """Add the CPU time of a frame by stage, beside the bare calls of the same round."""
    frames = saturated.roles["classify"].out_rate
    roles = ("capture", "detect", "classify", "people", "broker")
    station_ms = {role: 1e3 * saturated.roles[role].cores / frames for role in roles}
    bare_ms = {"detect": bare.detect_cpu_ms, "classify": bare.classify_cpu_ms, "people": 0.0, "broker": 0.0}
    bare_ms["capture"] = bare.cpu_ms - sum(bare_ms.values())
    rows = [(role, *map(number, (bare_ms[role], ms, ms - bare_ms[role]))) for role, ms in station_ms.items()]
    rows.append(("all", *map(number, (bare.cpu_ms, sum(station_ms.values()), sum(station_ms.values()) - bare.cpu_ms))))
    title = "CPU of a processed frame at saturation, ms (frames captured in vain are in it)"
    findings.tables.append(Table(title=title, columns=("stage", "bare calls", "station", "more"), rows=rows))
    findings.measure("CPU of a frame, bare calls", "ms", [bare.cpu_ms], "lower")
    findings.measure("CPU of a frame, station", "ms", [sum(station_ms.values())], "lower")
    captured = saturated.roles["capture"].out_rate
    findings.measure("frames captured for one that is processed", "frames", [captured / frames], "lower")


def _by_process(title: str, run: Run) -> Table:
    rows = []
    for role in ROLES:
        x = run.roles[role]
        if x.rss_mb:
            figures = (x.in_rate, x.out_rate, x.drop_rate, 100 * x.cores, x.rss_mb)
            rows.append((role, *(number(value) for value in figures)))
    return Table(title=title, columns=("stage", "in/s", "out/s", "dropped/s", "% of a core", "MB"), rows=rows)


def _idle(seconds: float, findings: Findings) -> None:
    """Measure a station whose camera takes a frame every 10 s: its workers wait, its screen plays on."""
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        path, name = Path(folder) / "idle.toml", f"bench-idle-{os.getpid()}"
        path.write_text(
            f'[station]\nname = "{name}"\nmode = "measure"\nstate_dir = "{folder}"\n'
            '[[cameras]]\nname = "door"\nsource = "sample"\nfps = 0.1\nreach = "near"\n'
            "[[screens]]\nheadless = true\ntick_hz = 5\n"
        )
        duration = str(seconds + 2 * _SETTLE_S)
        command = tied(sys.executable, "-m", "pipeline.cli", "run", str(path), "--duration", duration)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as station:
            try:
                assert station.stderr
                if not any(" ready " in line for line in station.stderr):
                    raise UserError("the idle station did not start")
                time.sleep(_SETTLE_S)
                roles = _roles(name, station.pid)
                family = {pid: psutil.Process(pid) for pid in roles}
                before = {pid: _cpu_s(process) for pid, process in family.items()}
                time.sleep(seconds)
                cpu = {pid: 100 * (_cpu_s(process) - before[pid]) / seconds for pid, process in family.items()}
                memory = {pid: process.memory_full_info().uss / 1e6 for pid, process in family.items()}
            finally:
                station.terminate()
    machinery = [pid for pid, role in roles.items() if role in ("supervisor", "broker")]
    waiting = sum(cpu[pid] for pid, role in roles.items() if role != "player")
    findings.goal("idle: CPU of supervisor, broker and waiting stages, % of a core", waiting, at_most=2)
    findings.goal("idle: memory of supervisor and broker, MB", sum(memory[pid] for pid in machinery), at_most=150)
    for pid, role in sorted(roles.items(), key=lambda item: item[1]):
        findings.measure(f"idle, {role}, CPU", "% of a core", [cpu[pid]], "lower")
        findings.measure(f"idle, {role}, memory of its own", "MB", [memory[pid]], "lower")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _roles(name: str, supervisor: int) -> dict[int, str]:
    """Return the role of each process of a running station by its number, as the station itself tells."""
    snapshot = msgspec.json.decode(ask(name, Status()), type=Snapshot)
    return {supervisor: "supervisor"} | {process.pid: process.role for process in snapshot.processes if process.pid}
