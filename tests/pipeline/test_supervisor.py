"""A whole station of toy stages: kills, hangs, overload, scaling, and nothing left behind."""

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from rich.console import Console
from rich.live import Live

from pipeline.cells import READY, Cells
from pipeline.control import request_scale
from pipeline.errors import TemporaryError, UserError
from pipeline.graph import Row
from pipeline.job import Job
from pipeline.log import skipped
from pipeline.messages import Faces
from pipeline.operator.summary import summarise
from pipeline.operator.terminal import View, line, render
from pipeline.process import Child
from pipeline.ring import Rings
from pipeline.runtime import running_stations, runtime_root
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.supervisor import Supervisor
from pipeline.wanted import Order
from tests.conftest import HANG_S, RunningStation, lives, replaced, wait_for
from tests.toys import TOYS


def _child(supervisor: Supervisor, worker: str) -> Child:
    return next(child for child in supervisor.children if child.worker == worker)


def _order(supervisor: Supervisor, name: str) -> Order:
    return Order(group=supervisor.graph.group(name), job=Job(station=supervisor.station))


def _shown(supervisor: Supervisor) -> dict[str, int]:
    return dict(_child(supervisor, "player.main").cell.status().get("seen", {}))


def _flows(supervisor: Supervisor, cameras: int = 2) -> None:
    """Wait until every camera's results move on."""
    before = _shown(supervisor)
    wait_for(lambda: len(now := _shown(supervisor)) == cameras and all(now[c] != before.get(c) for c in now), "results")


def test_every_frame_goes_through_every_stage(running: RunningStation) -> None:
    with running(cameras=3) as supervisor:
        wait_for(lambda: _child(supervisor, "detect.0").cell["out"] > 40, "forty frames")
    summary = summarise(supervisor.snapshot())
    frames = summary["frames"]
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 1
    assert summary["faces"]["detected"] == frames["processed"] > 40
    assert summary["restarts"] == {"capture": 0, "detect": 0, "classify": 0, "people": 0, "player": 0, "broker": 0}
    assert summary["plays"] == {"total": 1, "billable": 0, "by_ad": {"toy": 1}}
    for hop in ("capture_to_detect", "capture_to_audience"):
        latency = summary["latency_ms"][hop]
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert set(summary["stages"]) == {"capture", "detect", "classify", "people", "player", "broker"}


def test_a_stage_between_two_others_is_one_row(running: RunningStation) -> None:
    row = Row(name="pass", stage="tests.toys:Passer", takes=Faces, gives=Faces, sticky=True)
    table = (*TOYS[:2], row, *TOYS[2:])
    with running(table=table, workers={"pass": 2}) as supervisor:
        _flows(supervisor)
        assert request_scale("toys", "pass", 3) == "pass: 2 -> 3 workers"
        wait_for(lambda: supervisor.snapshot().stage("pass").counters["out"] > 20, "twenty messages through it")
    summary = summarise(supervisor.snapshot())
    assert list(summary["stages"]) == ["capture", "detect", "pass", "classify", "people", "player", "broker"]
    passed = summary["stages"]["pass"]
    assert passed["out"] == passed["in"] > 10 and summary["stages"]["classify"]["in"] <= passed["out"]
    assert summary["restarts"]["pass"] == 0 and summary["frames"]["processed"] > 10


def test_a_killed_process_is_replaced_its_count_goes_on_and_results_flow_again(running: RunningStation) -> None:
    workers = ("capture.c0", "detect.0", "classify.0", "people", "player.main", "broker")
    with running() as supervisor:
        for worker in workers:
            _flows(supervisor)
            child = _child(supervisor, worker)
            before = child.cell["out"]
            assert child.process
            child.process.kill()
            wait_for(lambda child=child: child.restarts == 1 and child.ready, f"{worker} to be back")
            assert child.cell["out"] >= before
        _flows(supervisor)
    assert summarise(supervisor.snapshot())["restarts"] == {worker.partition(".")[0]: 1 for worker in workers}


def test_a_killed_worker_costs_no_other_its_cameras_and_the_station_says_how_many_were_followed_anew(
    running: RunningStation,
) -> None:
    def got(worker: str) -> tuple[str, ...]:
        """Cameras of the process that the worker is now."""
        child = _child(supervisor, worker)
        status = child.cell.status()
        return tuple(status["got"]) if child.process and status.get("pid") == child.process.pid else ()

    table = replaced(TOYS, "detect", "tests.toys:Noting")
    with running(cameras=4, table=table, workers={"detect": 2}) as supervisor:
        wait_for(lambda: len(got("detect.0")) == len(got("detect.1")) == 2, "two cameras for each worker")
        before = got("detect.0"), got("detect.1")
        assert set(before[0]).isdisjoint(before[1])
        moved = supervisor.snapshot().moved.get("frame>detect", 0)
        killed = _child(supervisor, "detect.1")
        assert killed.process
        killed.process.kill()
        wait_for(lambda: killed.restarts == 1 and len(got("detect.1")) == 2, "the killed worker's cameras")
        _flows(supervisor, cameras=4)
        assert (got("detect.0"), got("detect.1")) == before
        wait_for(lambda: supervisor.snapshot().moved == {"frame>detect": moved + 2}, "the count of them")


def _slots(supervisor: Supervisor, camera: str) -> bytes:
    """All pixels in a camera's ring."""
    ref = supervisor._wanted.rings[camera]
    return os.pread(ref.fd, ref.slots * ref.slot_bytes, 4096)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_frames_of_a_camera_that_is_gone_or_hangs_are_blanked(
    running: RunningStation, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = replaced(TOYS, "capture", "tests.toys:BrightCamera")
    monkeypatch.setattr("pipeline.supervisor._SILENT_S", HANG_S)
    with running(cameras=1, table=table) as supervisor:
        child = _child(supervisor, "capture.c0")
        wait_for(lambda: b"\xff" in _slots(supervisor, "c0"), "a frame")
        child.failures = 12  # it is started again half a minute later, and draws over what was there
        assert child.process
        child.process.send_signal(number)
        wait_for(lambda: b"\xff" not in _slots(supervisor, "c0"), "the blanking", timeout_s=25)
        if number == signal.SIGSTOP:
            assert child.restarts == 0
            child.process.send_signal(signal.SIGCONT)


def _bright_station() -> Station:
    return Station(cameras=(Camera(name="c0", source="sample"),))


def test_what_a_retired_worker_did_is_counted_and_its_place_is_free(running: RunningStation) -> None:
    with running() as supervisor:
        supervisor.scale("detect", 2)
        wait_for(lambda: supervisor.settled, "the second worker")
        second = _child(supervisor, "detect.1")
        wait_for(lambda: second.rss_mb > 1 and second.cell["out"] > 5, "its work to be seen")
        supervisor.scale("detect", 1)
        wait_for(lambda: supervisor.settled, "its end")
        past = _child(supervisor, "detect.past")
        done = past.cell["out"]
        assert second not in supervisor.children and done > 5 and past.rss_mb == 0 and past.cpu_s > 0
        assert supervisor.cells.cell(second.cell_index)["out"] == 0, "the next process begins at nothing"
        supervisor.scale("detect", 2)
        wait_for(lambda: supervisor.settled, "another second worker")
        assert _child(supervisor, "detect.1").cell_index == second.cell_index
    frames = summarise(supervisor.snapshot())["frames"]
    assert frames["processed"] == sum(child.cell["out"] for child in supervisor.children if child.role == "detect")
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 1


def test_rates_are_those_of_the_ready_station(running: RunningStation) -> None:
    with running(cameras=1) as supervisor:
        child = _child(supervisor, "capture.c0")
        wait_for(lambda: child.cell["out"] > 20, "twenty frames")
        child.at_ready["out"], child.cpu_at_ready_s = child.cell["out"] - 10, 0.0
    summary = summarise(supervisor.snapshot())
    after = child.cell["out"] - child.at_ready["out"]
    assert summary["stages"]["capture"]["fps"] == pytest.approx(after / summary["duration_s"], abs=0.2)
    assert summary["stages"]["capture"]["out"] == child.cell["out"]


def test_the_live_view_fits_the_terminal(running: RunningStation) -> None:
    with running(cameras=2) as supervisor:
        _flows(supervisor)
        for width in (80, 120):
            screen = io.StringIO()
            console = Console(file=screen, force_terminal=True, width=width)
            with Live(console=console, auto_refresh=False) as live:
                View(live).tick(supervisor.snapshot)
                wait_for(lambda screen=screen: "broker" in screen.getvalue(), "the view")
            assert "restarts" in screen.getvalue() and "…" not in screen.getvalue()
            # The terminal echoes ^C where the cursor is: on a line of its own it pushes nothing away.
            assert live.get_renderable().renderables[-1] == ""


def _told_of(names: tuple[str, str], statuses: list[dict[str, object]]) -> tuple[str, dict[str, object]]:
    """Return what the live view and the log line tell of two processes with these statuses."""
    station = Station(
        cameras=(Camera(name="c0", source="sample"), Camera(name="c1", source="sample")),
        screens=(Screen(name="left"), Screen(name="right")),
    )
    supervisor = Supervisor(station)
    cells = Cells.create()
    for i, (name, status) in enumerate(zip(names, statuses, strict=True)):
        child = Child(name, _order(supervisor, name), i, cells.cell(i))
        child.cell.publish(status)
        supervisor.children.append(child)
    console = Console(file=io.StringIO(), width=120)
    snapshot = supervisor.snapshot()
    console.print(render(snapshot, snapshot))
    os.close(cells.fd)
    return console.file.getvalue(), line(snapshot, snapshot)


def test_the_live_view_tells_of_every_screen() -> None:
    plays = {"total": 3, "billable": 1, "by_ad": {}}
    said = [{"ad": f"shoes-{name}", "plays": plays} for name in ("left", "right")]
    shown, logged = _told_of(("player.left", "player.right"), said)
    assert "on screen left  shoes-left" in shown and "on screen right  shoes-right" in shown
    assert "plays  6, billable 2" in shown and logged["plays"] == 6


def test_the_live_view_names_the_camera_that_gives_no_picture() -> None:
    said = [{"source": "sample", "state": "live"}, {"source": "rtsp://gate", "state": "retrying"}]
    shown, logged = _told_of(("capture.c0", "capture.c1"), said)
    assert "camera c1  retrying: rtsp://gate" in shown and "camera c0" not in shown
    assert logged["camera_c1"] == "retrying" and "camera_c0" not in logged


def test_an_ad_whose_title_looks_like_markup_is_shown_as_it_is(running: RunningStation) -> None:
    table = replaced(TOYS, "player", "tests.toys:Headline")
    console = Console(file=io.StringIO(), width=120)
    with running(cameras=1, table=table) as supervisor:
        wait_for(lambda: "title" in _child(supervisor, "player.main").cell.status(), "the title")
        console.print(render(supervisor.snapshot()))
    assert "[/b] all [red] shoes" in console.file.getvalue()


def test_memory_that_cannot_be_had_is_a_mistake_of_the_station_file(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.ring.os.posix_fallocate", full)
    station = Station(cameras=(Camera(name="c0", source="sample"),), folder=tmp_path)
    with pytest.raises(UserError, match=r"cameras\.c0: no 37 MB of memory .* lower max_width_px"):
        Rings().for_cameras(station.cameras, {})


def test_a_station_whose_sockets_were_removed_makes_new_ones(running: RunningStation) -> None:
    with running() as supervisor:
        _flows(supervisor)
        for times, place in enumerate((supervisor.runtime_dir, runtime_root()), 1):
            before = [child.process for child in supervisor.children]
            shutil.rmtree(place)
            wait_for(
                lambda before=before: all(c.ready and c.process not in before for c in supervisor.children),
                "new processes",
            )
            _flows(supervisor)
            assert request_scale("toys", "detect", times + 1) == f"detect: {times} -> {times + 1} workers"
            child = _child(supervisor, "detect.0")
            assert child.process
            child.process.kill()
            wait_for(lambda child=child, times=times: child.restarts == times and child.ready, "the restart")
            _flows(supervisor)
    assert list(runtime_root().iterdir()) == []


def test_a_station_waits_for_a_place_for_its_sockets(
    running: RunningStation,
) -> None:
    with running(cameras=1) as supervisor:
        _flows(supervisor, cameras=1)
        root = runtime_root()
        shutil.rmtree(root)
        root.write_text("in the way")
        wait_for(lambda: skipped["sockets_gone"], "the loss to be noticed")
        _flows(supervisor, cameras=1)
        root.unlink()
        wait_for(lambda: running_stations() == ["toys"], "the new sockets")


@pytest.mark.slow
def test_a_station_waits_for_room_for_its_sockets(running: RunningStation) -> None:
    skipped.clear()
    with running(cameras=1) as supervisor:
        _flows(supervisor, cameras=1)
        folder = supervisor.runtime_dir
        folder.rename(folder.with_name("away"))
        folder.symlink_to("/proc/self/fdinfo")  # where nothing can be made, as on a full disk
        wait_for(lambda: skipped["sockets_gone"], "a try in vain")
        _flows(supervisor, cameras=1)
        folder.unlink()
        wait_for(lambda: running_stations() == ["toys"], "the new sockets")
        wait_for(lambda: all(child.ready for child in supervisor.children), "the new processes")
        _flows(supervisor, cameras=1)
        shutil.rmtree(folder.with_name("away"))


def test_a_process_that_cannot_be_started_now_is_started_later(running: RunningStation) -> None:
    with running(cameras=1) as supervisor:
        _flows(supervisor, cameras=1)
        child = _child(supervisor, "detect.0")
        assert child.process
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            child.process.kill()
            wait_for(lambda: child.failures >= 3, "tries in vain")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        _flows(supervisor, cameras=1)
    assert summarise(supervisor.snapshot())["restarts"]["detect"] == 1


def test_a_stage_that_hangs_is_killed_and_replaced(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_HANG_AT", "30")
    monkeypatch.setattr("pipeline.supervisor._SILENT_S", 2.0)
    with running(cameras=1) as supervisor:
        child = _child(supervisor, "detect.0")
        wait_for(lambda: child.restarts, "the silence to be noticed")
        wait_for(lambda: child.ready, "the new one")
        _flows(supervisor, cameras=1)


def test_a_batch_that_takes_long_is_no_hang(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_PONDER_MS", "500")
    monkeypatch.setattr("pipeline.supervisor._SILENT_S", 2.5)
    with running(cameras=6) as supervisor:
        child = _child(supervisor, "classify.0")
        wait_for(lambda: child.cell.status().get("largest_batch") == 6, "a batch longer than a silence may be")
        assert child.restarts == 0


def test_a_long_search_of_one_frame_is_no_hang(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SWEEP_S", "3")
    monkeypatch.setattr("pipeline.supervisor._SILENT_S", 2.0)
    with running(cameras=1, table=replaced(TOYS, "detect", "tests.toys:SlowFinder")) as supervisor:
        child = _child(supervisor, "detect.0")
        wait_for(lambda: child.cell["out"] or child.restarts, "a search longer than a silence may be")
        assert child.restarts == 0


def test_results_of_a_slow_model_still_reach_the_screen(
    running: RunningStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_PONDER_MS", "900")
    with running(cameras=1) as supervisor:
        for _ in range(3):
            _flows(supervisor, cameras=1)
    # No older than the step, the frame that waited for it, and the delay of a busy machine; two steps would be too old.
    assert summarise(supervisor.snapshot())["latency_ms"]["capture_to_audience"]["p50"] < 1800


def test_a_stopped_process_is_noticed_too(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.supervisor._SILENT_S", 2.0)
    with running() as supervisor:
        child = _child(supervisor, "classify.0")
        assert child.process
        child.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: child.restarts, "the silence to be noticed")
        _flows(supervisor)


class _InADriver:
    """A process that no signal reaches, as one in a driver that hangs."""

    pid, kills = 0, 0

    def poll(self) -> None:
        pass

    def kill(self) -> None:
        self.kills += 1


def test_a_silent_process_that_does_not_die_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    station = _bright_station()
    supervisor = Supervisor(station)
    cells = Cells.create()
    child = Child("detect.0", _order(supervisor, "detect"), 0, cells.cell(0))
    child.process = process = _InADriver()  # type: ignore[assignment]
    for second in range(40):
        supervisor._look_after(child, second)
    assert process.kills == 1 and capsys.readouterr().err.count(" silent ") == 1
    os.close(cells.fd)


@pytest.mark.parametrize(("load_s", "allowed_s"), [(10, 5), (30, 5), (120, 20)])
def test_a_machine_that_loads_slowly_may_be_silent_for_longer(load_s: float, allowed_s: float) -> None:
    station = _bright_station()
    slow = replace(station, station=replace(station.station, load_s=load_s))
    supervisor = Supervisor(slow)
    cells = Cells.create()
    child = Child("detect.0", _order(supervisor, "detect"), 0, cells.cell(0))
    child.cell["state"] = READY
    child.process = process = _InADriver()  # type: ignore[assignment]
    supervisor._look_after(child, allowed_s - 0.1)
    assert process.kills == 0
    supervisor._look_after(child, allowed_s + 0.1)
    assert process.kills == 1
    os.close(cells.fd)


def test_no_process_is_left_off_for_longer_than_half_a_minute() -> None:
    supervisor = Supervisor(_bright_station())
    cells = Cells.create()
    child = Child("detect.0", _order(supervisor, "detect"), 0, cells.cell(0))
    for _ in range(50):
        child.again_later("exit 1")
        assert child.restart_at_s <= time.monotonic() + 30
    os.close(cells.fd)


@pytest.mark.slow
def test_a_machine_that_stood_still_costs_no_process(tmp_path: Path) -> None:
    summary_file = tmp_path / "restarts.json"
    supervisor = subprocess.Popen([sys.executable, "-c", _STATION, str(summary_file)], cwd=Path(__file__).parents[2])
    parent = psutil.Process(supervisor.pid)
    wait_for(lambda: len(parent.children()) == 7, "the children")
    time.sleep(1)
    everybody = [parent, *parent.children()]
    for process in everybody:
        process.suspend()
    time.sleep(6)
    for process in everybody:
        process.resume()
    time.sleep(2)
    supervisor.terminate()
    assert supervisor.wait(timeout=HANG_S) == 0
    assert json.loads(summary_file.read_text()) == [0] * 7


@pytest.mark.slow
def test_a_run_of_a_given_length_ends_though_a_stage_never_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.supervisor._SAY_FIRST_S", 6.0)
    station = Station(
        station=StationTable(name="broken", load_s=10),
        cameras=(Camera(name="c0", source="sample"),),
        folder=tmp_path,
    )
    table = replaced(TOYS, "classify", "tests.toys:NoSuchStage")
    with pytest.raises(UserError, match=r"classify\.0: not ready within 2\d s"):
        Supervisor(station, table).run(0.5)
    assert capsys.readouterr().err.count("not_ready station=broken waits_for=classify.0\n") == 1


def test_one_process_that_never_starts_holds_up_no_other(running: RunningStation) -> None:
    table = replaced(TOYS, "classify", "tests.toys:OnlyOne")
    table = replaced(table, "player", "tests.toys:OnlyLeft")
    with running(cameras=1, table=table, workers={"classify": 2}, screens=("left", "right")) as supervisor:
        wait_for(lambda: _child(supervisor, "player.left").cell["in"] > 5, "results")
        assert not any(child.role == "detect" and child.restarts for child in supervisor.children)
        assert sum(child.ready for child in supervisor.children if child.role == "classify") == 1
    assert summarise(supervisor.snapshot())["frames"]["processed"] > 5


def test_a_bad_frame_is_counted_and_the_stage_goes_on(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_RAISE_AT", "5")
    with running(cameras=1) as supervisor:
        child = _child(supervisor, "detect.0")
        wait_for(lambda: child.cell["skipped"] == 1, "the bad frame")
        _flows(supervisor, cameras=1)
        assert child.restarts == 0


def test_overload_drops_frames_instead_of_queueing_them(
    running: RunningStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall_ms, fps = 150, 5.0
    monkeypatch.setenv("TOY_STALL_MS", str(stall_ms))
    with running(cameras=4, fps=fps) as supervisor:
        wait_for(lambda: _child(supervisor, "detect.0").cell["out"] >= 40, "forty frames")
    summary = summarise(supervisor.snapshot())
    frames, latency = summary["frames"], summary["latency_ms"]["capture_to_detect"]
    assert frames["dropped"] > 40
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 1
    # A frame is at most one period old when its turn comes; in a queue it would be as old as the link allows, 500 ms.
    assert latency["p95"] <= 2 * 1000 / fps + stall_ms, "frames waited longer than two periods"


def test_scaling_up_and_down_while_it_runs(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_STALL_MS", "100")
    with running(cameras=3) as supervisor:
        assert running_stations() == ["toys"]
        assert request_scale("toys", "detect", 3) == "detect: 1 -> 3 workers"
        wait_for(lambda: sum(c.ready for c in supervisor.children if c.role == "detect") == 3, "three workers")
        counts = {c.worker: c.cell["out"] for c in supervisor.children if c.role == "detect" and not c.past}
        wait_for(lambda: all(_child(supervisor, w).cell["out"] > n for w, n in counts.items()), "all three at work")
        assert request_scale("toys", "detect", 1) == "detect: 3 -> 1 workers"
        wait_for(lambda: supervisor.settled, "one")
        assert sum(c.process is not None for c in supervisor.children if c.role == "detect") == 1
        _flows(supervisor, cameras=3)
        assert request_scale("toys", "detect", 2) == "detect: 1 -> 2 workers"
        wait_for(lambda: sum(c.ready for c in supervisor.children if c.role == "detect") == 2, "two workers")
        for group, complaint in (("player.main", "one process"), ("nobody", "no stage")):
            with pytest.raises(UserError, match=complaint):
                request_scale("toys", group, 2)
    assert summarise(supervisor.snapshot())["restarts"]["detect"] == 0


def test_a_worker_wanted_again_while_it_ends_is_no_failure(
    running: RunningStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_STALL_MS", "200")
    with running(cameras=1, workers={"detect": 2}) as supervisor:
        request_scale("toys", "detect", 1)
        request_scale("toys", "detect", 2)
        wait_for(lambda: supervisor.settled, "two workers")
        assert sum(child.ready for child in supervisor.children if child.role == "detect") == 2
    assert summarise(supervisor.snapshot())["restarts"]["detect"] == 0


def test_worker_counts_come_from_the_file(running: RunningStation) -> None:
    with running(workers={"detect": 2, "classify": 2}) as supervisor:
        names = sorted(child.worker for child in supervisor.children)
    assert names == [
        "broker", "capture.c0", "capture.c1", "classify.0", "classify.1", "detect.0", "detect.1", "people",
        "player.main",
    ]  # fmt: skip


def test_two_stations_of_one_name_do_not_run(running: RunningStation) -> None:
    with running() as supervisor:
        for lock_is_there in (True, False):
            if not lock_is_there:
                (runtime_root() / "toys.lock").unlink()
            twin = Supervisor(supervisor.station, TOYS)
            with pytest.raises(TemporaryError, match="runs already"):  # a service tries again: the other one may end
                twin.run()
            _flows(supervisor)


def test_a_place_for_sockets_that_cannot_be_had_at_the_start_may_be_had_later(tmp_path: Path) -> None:
    (runtime_root() / "station.lock").mkdir()  # so that nothing can be made there, as on a full disk
    with pytest.raises(TemporaryError, match=r"station\.lock: it is a folder"):
        Supervisor(Station(station=StationTable(mode="off"), folder=tmp_path)).run()


def test_a_stage_that_refuses_its_settings_ends_the_start(running: RunningStation, capfd) -> None:
    table = replaced(TOYS, "classify", "tests.toys:Broken")
    with pytest.raises(UserError, match=r"classify\.0: does not start"), running(cameras=1, table=table):
        pass
    assert "stationcast: error: classify.model: no such thing" in capfd.readouterr().err


def test_the_supervisor_loads_none_of_the_heavy_parts() -> None:
    script = (
        "import sys, pipeline.supervisor, pipeline.operator.summary, pipeline.operator.terminal, pipeline.cli\n"
        "heavy = {'cv2', 'ai_edge_litert', 'mediapipe', 'onnxruntime', 'pygame', 'av', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


_STATION = """
import json, signal, sys
from pathlib import Path
from pipeline.settings import Camera, Station, StationTable
from pipeline.supervisor import Supervisor
from pipeline.wanted import Order
from tests.toys import TOYS
cameras = tuple(Camera(name=f"c{i}", source="sample", max_width_px=320, max_height_px=240) for i in range(2))
station = Station(station=StationTable(name="orphan"), cameras=cameras, folder=Path("."))
supervisor = Supervisor(station, TOYS)
signal.signal(signal.SIGTERM, supervisor.stop)
supervisor.run()
Path(sys.argv[1]).write_text(json.dumps([child.restarts for child in supervisor.children]))
"""


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_cleans_up() -> None:
    for _ in range(2):
        command = [sys.executable, "-c", _STATION, os.devnull]
        supervisor = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
        with supervisor:
            assert supervisor.stderr and any(" ready " in line for line in iter(supervisor.stderr.readline, ""))
            children = psutil.Process(supervisor.pid).children(recursive=True)
            assert len(children) == 7
            supervisor.kill()
        wait_for(lambda children=children: not any(map(lives, children)), "the children's end")


def test_children_that_are_still_loading_do_not_outlive_the_supervisor() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", _STATION, os.devnull], cwd=Path(__file__).parents[2])
    parent = psutil.Process(supervisor.pid)
    wait_for(lambda: len(parent.children()) == 5, "the broker, the player and the workers")
    children = parent.children()
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(map(lives, children)), "the children's end")
    assert running_stations() == [], "nobody listens there any more"


def test_a_signal_to_all_processes_at_once_is_a_stop(tmp_path: Path) -> None:
    summary_file = tmp_path / "restarts.json"
    command = [sys.executable, "-c", _STATION, str(summary_file)]
    supervisor = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    with supervisor:
        assert supervisor.stderr and any(" ready " in line for line in iter(supervisor.stderr.readline, ""))
        supervisor.send_signal(signal.SIGSTOP)  # it looks again when all of them have gone
        children = psutil.Process(supervisor.pid).children()
        for process in children:
            process.terminate()
        wait_for(lambda: not any(map(lives, children)), "the children's end")
        supervisor.terminate()
        supervisor.send_signal(signal.SIGCONT)
        assert " restarting " not in supervisor.stderr.read()
    assert supervisor.returncode == 0 and json.loads(summary_file.read_text()) == [0] * 7


def test_a_stopped_station_leaves_nothing(running: RunningStation) -> None:
    with running() as supervisor:
        _flows(supervisor)
        runtime_dir = supervisor.runtime_dir
        assert oct(runtime_dir.stat().st_mode & 0o777) == "0o700"
        assert oct(runtime_root().stat().st_mode & 0o777) == "0o700"
        pids = [child.process.pid for child in supervisor.children if child.process]
    assert not runtime_dir.exists() and list(runtime_root().iterdir()) == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_login_looks_for_stations_where_a_service_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.runtime._LOGIN", Path(os.environ["XDG_RUNTIME_DIR"]))
    at_login = runtime_root()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert at_login == runtime_root()
    assert re.fullmatch(rf"/tmp/stationcast-{os.getuid()}-[0-9a-f]{{12}}", str(at_login))
    at_login.rmdir()


def test_only_players_know_of_a_display(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":77")
    with running() as supervisor:
        _flows(supervisor)
        of = {child.role: child.cell.status().get("display") for child in supervisor.children}
    assert of["player"] == ":77" and of["classify"] == ""


def test_what_is_half_done_goes_before_what_is_new(running: RunningStation) -> None:
    with running() as supervisor:
        of = {child.role: psutil.Process(child.process.pid).nice() for child in supervisor.children if child.process}
    assert of["capture"] == of["detect"] > of["classify"] == of["player"] == of["broker"]
