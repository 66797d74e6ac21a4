"""Speed and recall of a station's detector, by both of its runtimes, and of its search far off, beside MTCNN.

All images are of 1920x1080 px.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.findings import Curve, Findings, Plan, Say, Table
from bench.peers.mtcnn import Mtcnn
from bench.rig.faces import Box, Scene, found, make_scene
from bench.rig.reaching import BUDGET, made_up, reach, street
from bench.timing import percentile
from models.assets import resolve
from models.cards import ModelError
from models.detector import FaceDetector, RuntimeName
from pipeline.errors import UserError

RUNTIMES: dict[str, RuntimeName] = {"LiteRT": "litert", "MediaPipe": "mediapipe"}
WIDTHS_PX = (200, 140, 100, 60, 40, 24)
REACH_GOALS = {60: 0.95, 40: 0.90, 32: 0.80, 24: None}
"""Least share of people with faces so wide that are found within a second at 10 frames a second; None: no promise."""
_MTCNN_MIN_FACE_PX = 40

Detect = Callable[[NDArray[np.uint8]], list[Box]]


def run(plan: Plan, say: Say) -> Findings:
    """Measure the rates, their ratio, and the recall by face width."""
    findings = Findings()
    with ExitStack() as stack:
        ways: dict[str, Detect] = {}
        for name, runtime in RUNTIMES.items():
            try:
                detector = stack.enter_context(FaceDetector(resolve("mediapipe-full-range", Path()), runtime=runtime))
            except ModelError as error:
                findings.notes.append(f"{name} was not measured: {error.message}.")
            else:
                ways[name] = partial(_boxes, detector)
        try:
            mtcnn = Mtcnn(_MTCNN_MIN_FACE_PX)
        except UserError as error:
            findings.notes.append(f"MTCNN was not measured: {error}.")
        else:
            ways["MTCNN"] = lambda image: [(a, b, c - a, d - b) for a, b, c, d, _ in mtcnn.detect(image).tolist()]
        _rates(ways, plan, findings, say)
        _recall(ways, plan, findings, say)
        _reach(stack.enter_context(FaceDetector(resolve("mediapipe-full-range", Path()))), ways, plan, findings, say)
    return findings


def _boxes(detector: FaceDetector, image: NDArray[np.uint8]) -> list[Box]:
    return [face.box_px for face in detector.detect(image)]


def _rates(ways: dict[str, Detect], plan: Plan, findings: Findings, say: Say) -> None:
    images = plan.pick(2, 20, 1000)
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    cpu_s = dict.fromkeys(ways, 0.0)
    for i in range(images):
        if i % 10 == 0:
            say(f"image {i} of {images}")
        scene = make_scene(160, i % 4, seed=i)
        for name, detect in ways.items():
            before_s = time.process_time()
            times_ms[name].append(time_ms(detect, scene))
            cpu_s[name] += time.process_time() - before_s
    rates = {}
    for name, times in times_ms.items():
        rates[name] = _by_parts(times, plan.repeats)
        findings.measure(f"{name}, 1080p images", "images/s", rates[name], "higher")
        findings.measure(f"{name}, p50", "ms", [percentile(times, 0.5)], "lower")
        findings.measure(f"{name}, p95", "ms", [percentile(times, 0.95)], "lower")
        findings.measure(f"{name}, processor time an image", "ms", [1e3 * cpu_s[name] / images], "lower")
        findings.notes.append(f"{name}: {images} images in {sum(times) / 1e3:.2f} s, one thread.")
    for fast, slow in (("LiteRT", "MediaPipe"), ("LiteRT", "MTCNN"), ("MediaPipe", "MTCNN")):
        if {fast, slow} <= ways.keys():
            ratio = np.sum(times_ms[slow]) / np.sum(times_ms[fast])
            findings.measure(f"{fast} over {slow}", "x", [float(ratio)], "higher")
    findings.notes.append("The original project reported 27.8 images/s on its own machine, about 3 x its MTCNN.")


def _by_parts(times_ms: list[float], parts: int) -> list[float]:
    """Return the calls per second of consecutive parts of the calls."""
    return [1e3 * len(part) / float(np.sum(part)) for part in np.array_split(times_ms, min(parts, len(times_ms)))]


def time_ms(detect: Detect, scene: Scene) -> float:
    """Return the time of one detection, ms."""
    started_s = time.perf_counter()
    detect(scene.image)
    return (time.perf_counter() - started_s) * 1e3


def _recall(ways: dict[str, Detect], plan: Plan, findings: Findings, say: Say) -> None:
    scenes = plan.pick(1, 4, 60)
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    rows = []
    for width_px in plan.pick(WIDTHS_PX[:1], WIDTHS_PX, WIDTHS_PX):
        hits, extra = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0)
        for i in range(scenes):
            say(f"faces {width_px} px wide, scene {i + 1} of {scenes}")
            scene = make_scene(width_px, 2, seed=1000 * width_px + i)
            for name, detect in ways.items():
                boxes = detect(scene.image)
                hits[name] += sum(found(face, boxes) for face in scene.faces)
                extra[name] += sum(not any(found(face, [box]) for face in scene.faces) for box in boxes)
        for name in ways:
            recall = hits[name] / (2 * scenes)
            findings.measure(f"{name}, recall at {width_px} px", "of faces", [recall], "higher", listed=False)
            lines[name].append((width_px, recall))
        shares = [f"{hits[name] / (2 * scenes):.2f} ({extra[name] / scenes:.2f})" for name in ways]
        rows.append((str(width_px), *shares))
    title = "recall on whole 1080p frames (and false faces a frame)"
    findings.tables.append(Table(title=title, columns=("face width, px", *ways), rows=rows))
    x, y = "face width, px", "recall"
    findings.curves.append(Curve(title="Faces found by their width", x=x, y=y, lines=lines, log_x=True))


def _reach(detector: FaceDetector, ways: dict[str, Detect], plan: Plan, findings: Findings, say: Say) -> None:
    """Measure the search of a far-reaching camera on scenes with up to three people, and on empty ones."""
    mtcnn = ways.get("MTCNN")
    rows: list[tuple[str, ...]] = []
    costs: list[float] = []
    for width_px, least in list(REACH_GOALS.items())[: plan.pick(1, 4, 4)]:
        say(f"people with faces of {width_px} px come and go")
        scenes = [street(width_px + seed, width_px, plan.pick(4, 10, 20)) for seed in range(plan.pick(1, 2, 8))]
        got = reach(detector, mtcnn, scenes)
        costs.append(got.calls)
        share = got.soon / max(1, got.people)
        findings.measure(f"reach far, found within 1 s at {width_px} px", "of people", [share], "higher", listed=False)
        if least is not None and plan.size == "full":
            findings.goal(f"reach far, people of {width_px} px found within 1 s", share, at_least=least)
        peer = "-" if got.peer_soon is None else f"{got.peer_soon / max(1, got.people):.2f}"
        rows.append((str(width_px), str(got.people), f"{share:.2f}", peer, f"{got.calls:.2f}"))
    title = "people found within 1 s, at 10 frames a second, with up to three people at once"
    columns = ("face width, px", "people", "reach far", "MTCNN on every frame", "calls a frame, reach far")
    findings.tables.append(Table(title=title, columns=columns, rows=rows))
    say("nobody is there")
    empty = [street(seed, None, plan.pick(1, 2, 10)) for seed in range(plan.pick(1, 4, 10))]
    false, people, *peers = made_up(detector, mtcnn, empty, peer_every=10)
    findings.measure("reach far, false faces on empty streets", "in 1,000 frames", [false], "lower")
    findings.measure("reach far, people made up on empty streets", "in 1,000 frames", [people], "lower")
    for peer_false in peers:
        findings.measure("MTCNN, false faces on empty streets", "in 1,000 frames", [peer_false], "lower")
    if plan.size == "full":
        findings.goal("reach far, calls a frame", max(costs), at_most=BUDGET + 0.05)
        findings.goal("reach far, false faces in 1,000 empty frames", false, at_most=1.0)
