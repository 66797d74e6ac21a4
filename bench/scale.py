"""Gain of more workers, and the number of cameras that this machine carries: the sizing table."""

import math
import os
import tempfile
from pathlib import Path

from bench.findings import Curve, Findings, Plan, Say, Table
from bench.report import number
from bench.rig.load import under_load
from bench.rig.scenes.film import write_film
from bench.rig.scenes.scene import Scene
from bench.rig.station import SCENE_CAMERA, Run, make_station, make_table, run_station

WORKERS = (1, 2, 4)
FPS = (5, 10, 15)
_FRAMES_OFFERED, _FACES_OFFERED = 240.0, 4000.0
_OVER = 1.5
"""Smallest load offered, in times what the workers could do if each had a core."""
_CAMERAS_MAX = 32
_FIRST = 3
"""Factor by which the run of one camera, the yardstick, is longer: few frames have no steady median."""
_DROPS_MAX = 0.01
FAR_FPS, FAR_CAMERAS = 10, (1, 2, 3, 4, 5, 6, 8)
_FAR_ROLES = ("capture", "detect", "classify", "broker")


def run(plan: Plan, say: Say) -> Findings:
    """Measure throughput by workers of each stage, and the age of results by cameras until it doubles."""
    findings = Findings()
    seconds = plan.pick(1.0, 1.0, 5.0)
    lines = {}
    for stage, unit, rate_of, least in (
        ("detect", "frames/s", detect_rate, _FRAMES_OFFERED),
        ("classify", "faces/s", classify_rate, _FACES_OFFERED),
    ):
        points: list[tuple[float, float]] = []
        for workers in plan.pick(WORKERS[:1], WORKERS[:2], WORKERS):
            say(f"{workers} x {stage}")
            at_once = min(workers, len(os.sched_getaffinity(0)))
            offered = max(least, _OVER * at_once * points[0][1]) if points else least
            rate = rate_of(workers, offered, seconds)
            findings.measure(f"{stage}, {workers} workers", unit, [rate], "higher")
            if rate > 0.95 * offered:
                findings.notes.append(f"{stage}, {workers} workers: all that was offered; they can do more.")
            points.append((workers, rate))
        lines[f"{stage}, {unit}"] = points
    title = "Throughput by workers"
    findings.curves.append(Curve(title=title, x="workers", y="a second", lines=lines, log_x=True))
    _sizing(plan, findings, say)
    _far(plan, findings, say)
    return findings


def detect_rate(workers: int, offered: float, seconds: float) -> float:
    """Return the frames per second that so many detection workers process of those offered."""
    cameras = max(4, math.ceil(offered / 60))
    station = make_station(cameras, offered / cameras, detect=workers)
    table = make_table(SCENE_CAMERA, without=("player", "classify"))
    return run_station(station, table, settle_s=1.0, seconds=seconds).roles["detect"].out_rate


def classify_rate(workers: int, offered: float, seconds: float) -> float:
    """Return the faces per second that so many classification workers process of those offered."""
    run, _ = under_load(offered, 5.0, seconds, sources=4, workers=workers, device="auto")
    return run.roles["classify"].face_rate


def _sizing(plan: Plan, findings: Findings, say: Say) -> None:
    cores = len(os.sched_getaffinity(0))
    rows: list[tuple[str, ...]] = []
    lines: dict[str, list[tuple[float, float]]] = {}
    for fps in plan.pick(FPS[1:2], FPS[1:2], FPS):
        points = ages_by_cameras(fps, plan, cores, say)
        carried, busy, shown = most_carried(points)
        used = sum(role.cores for role in busy.roles.values())
        lines[f"{fps} fps"] = [(cameras, at.roles["classify"].age_out_ms[0]) for cameras, at, _ in points]
        findings.measure(f"cameras carried at {fps} fps", "cameras", [carried], "higher")
        age_ms = busy.roles["classify"].age_out_ms
        rows.append((str(fps), shown, f"{carried / cores:.1f}", number(age_ms[0]), number(age_ms[1]), f"{used:.2f}"))
    columns = ("fps", "cameras", "cameras a core", "age p50, ms", "age p95, ms", "cores used")
    title = f"cameras (720p, one face in the mean) on {cores} cores until the age of results doubles or 1 % is dropped"
    findings.tables.append(Table(title=title, columns=columns, rows=rows))
    title = "Age of results by cameras"
    findings.curves.append(Curve(title=title, x="cameras", y="p50, ms", lines=lines, log_x=True))


def ages_by_cameras(fps: float, plan: Plan, cores: int, say: Say) -> list[tuple[int, Run, bool]]:
    """Run with more and more cameras. Return (cameras, run, whether it is fine), up to the first that is not fine."""
    points: list[tuple[int, Run, bool]] = []
    settle_s, seconds, at_most = plan.pick((1.0, 1.0, 1), (1.5, 1.0, 2), (2.5, 3.5, _CAMERAS_MAX))
    cameras = 1
    while cameras <= at_most:
        say(f"{cameras} cameras at {fps} fps")
        station = make_station(cameras, fps, detect=cores)
        table = make_table(SCENE_CAMERA, without=("player",))
        for _ in range(3):  # a frame or two dropped in one run of three is chance
            run = run_station(station, table, settle_s=settle_s, seconds=seconds if points else _FIRST * seconds)
            first = points[0][1] if points else run
            if is_fine(run, first):
                break
        fine = is_fine(run, first)
        points.append((cameras, run, fine))
        if not fine:
            break
        cameras += max(1, cameras // 2)
    return points


def _far(plan: Plan, findings: Findings, say: Say) -> None:
    """Measure far-reaching cameras that read a film of three people, with more and more of them."""
    cores = len(os.sched_getaffinity(0))
    rows: list[tuple[str, ...]] = []
    points: list[tuple[int, Run, bool]] = []
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        film = Path(folder) / "street.mp4"
        say("a film of three people")
        write_film(street(plan.pick(10.0, 10.0, 30.0)), film)
        for cameras in plan.pick(FAR_CAMERAS[:1], FAR_CAMERAS[:2], FAR_CAMERAS):
            say(f"{cameras} far-reaching cameras")
            station = make_station(cameras, FAR_FPS, source=str(film), detect=cores, max_px=(1920, 1080), reach="far")
            table = make_table({}, without=("player",))
            run = run_station(station, table, settle_s=plan.pick(1.0, 2.0, 5.0), seconds=plan.pick(1.5, 3.0, 10.0))
            points.append((cameras, run, is_fine(run, points[0][1] if points else run)))
            rows.append(_far_row(cameras, run))
    carried, _, shown = most_carried(points)
    findings.measure("far-reaching cameras carried at 10 fps", "cameras", [carried], "higher")
    shares = (f"{role}, % of a core" for role in _FAR_ROLES)
    columns = ("cameras", "frames/s", "searched, %", "age p50, ms", "age p95, ms", *shares)
    title = f"far-reaching cameras (1080p film, three people, 10 fps) on {cores} cores: {shown} carried"
    findings.tables.append(Table(title=title, columns=columns, rows=rows))


def _far_row(cameras: int, run: Run) -> tuple[str, ...]:
    roles = run.roles
    captured, searched = roles["capture"].out_rate, roles["detect"].out_rate
    ages_ms = roles["classify"].age_out_ms
    shares = (number(100 * roles[role].cores) for role in _FAR_ROLES)
    return (
        str(cameras),
        number(captured),
        number(100 * searched / captured),
        number(ages_ms[0]),
        number(ages_ms[1]),
        *shares,
    )


def street(seconds: float) -> Scene:
    """Return a street of 1080p with three people who come, stand and leave, with faces of 40 to 100 px."""
    return Scene(
        seed=30,
        seconds=seconds,
        fps=FAR_FPS,
        faces_px=(40.0, 60.0, 100.0),
        people=3,
        kinds=("stop", "two stop"),
        place="real",
    )


def most_carried(points: list[tuple[int, Run, bool]]) -> tuple[int, Run, str]:
    """Return the largest number of cameras that is fine (0: not even one), its run, and the number for people.

    `points` are (cameras, run, whether it is fine), with ever more cameras.
    """
    cameras, run = next(((n, at) for n, at, fine in reversed(points) if fine), (0, points[0][1]))
    return cameras, run, f"{cameras} or more" if points[-1][2] else str(cameras)


def is_fine(run: Run, first: Run) -> bool:
    """Return whether results are at most twice as old as with one camera, and at most 1 % (or one) dropped."""
    age_ms, first_ms = run.roles["classify"].age_out_ms[0], first.roles["classify"].age_out_ms[0]
    captured, dropped = (run.seconds * rate for rate in (run.roles["capture"].out_rate, run.roles["broker"].drop_rate))
    return age_ms <= 2 * first_ms and dropped <= max(1.5, _DROPS_MAX * captured)
