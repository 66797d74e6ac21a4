"""One snapshot tells everything of a running station, and is what `stationcast status` answers."""

import os
import signal
import subprocess
import sys
from io import StringIO
from typing import Any

import msgspec
import psutil
import pytest
from rich.console import Console

from pipeline.cells import Cells
from pipeline.control import Status, ask
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.operator.snapshot import Ages, Snapshot, TodayPeople
from pipeline.operator.terminal import render
from pipeline.process import Child
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.supervisor import Supervisor
from pipeline.wanted import Order
from tests.conftest import RunningStation, wait_for


def _asked() -> Snapshot:
    return msgspec.json.decode(ask("toys", Status()), type=Snapshot)


def _status(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pipeline.cli", "status", *arguments]
    environment = os.environ | {"COLUMNS": str(columns)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_running_station_answers_with_everything(running: RunningStation) -> None:
    with running(cameras=2, workers={"detect": 2}) as supervisor:
        wait_for(lambda: supervisor.snapshot().stage("player").counters["in"] > 10, "results")
        snapshot = _asked()
        assert (snapshot.station, snapshot.mode, snapshot.ready) == ("toys", "target", True)
        assert 0 < snapshot.measured_s < 600 and 0 <= snapshot.at_ms - snapshot.started_ms < 600_000
        names = ["broker", "player.main", "capture.c0", "capture.c1", "detect.0", "detect.1", "classify.0", "people"]
        assert sorted(process.name for process in snapshot.processes) == sorted(names)
        for process in snapshot.processes:
            assert process.state == "ready" and process.pid and psutil.Process(process.pid).is_running()
            assert process.restarts == process.failures == 0 and process.silent_s < 5
        assert [stage.name for stage in snapshot.stages] == [
            "capture",
            "detect",
            "classify",
            "people",
            "player",
            "broker",
        ]
        detect = snapshot.stage("detect")
        assert (detect.takes, detect.gives, detect.processes, detect.ready) == ("Frame", "Faces", 2, 2)
        assert detect.counters["out"] > 10 and detect.since_ready["out"] > 0
        ages = detect.age_out
        assert ages.p50_ms and ages.p95_ms and ages.max_ms and 0 < ages.p50_ms <= ages.p95_ms <= ages.max_ms
        assert sum(ages.counts.values()) == detect.counters["out"] + detect.counters["dropped"]
        assert {camera.name for camera in snapshot.cameras} == {"c0", "c1"}
        assert [screen.name for screen in snapshot.screens] == ["main"] and snapshot.plays.total == 1
        assert set(snapshot.dropped) == {"frame>detect", "faces>classify", "answered>people", "audience>player.main"}
        assert snapshot.alerts == ()
    ended = supervisor.snapshot()
    assert {process.state for process in ended.processes} == {"ended"} and ended.alerts == ()


def test_a_process_that_hangs_or_waits_for_its_next_life_is_an_alert(running: RunningStation) -> None:
    with running(cameras=2) as supervisor:
        first, second = (child for child in supervisor.children if child.role == "capture")
        assert first.process and second.process
        first.failures = 12  # it will not be started again for half a minute
        first.process.send_signal(signal.SIGKILL)
        second.process.send_signal(signal.SIGSTOP)

        def alerts() -> set[tuple[str, str, str]]:
            return {(alert.event, alert.subject, alert.severity) for alert in _asked().alerts}

        wait_for(lambda: ("process_restarting", first.worker, "err") in alerts(), "the alert of the one that died")
        wait_for(lambda: ("process_silent", second.worker, "warning") in alerts(), "the alert of the one that hangs")
        assert {p.name: p.state for p in _asked().processes}[first.worker] == "restarting"
        second.process.send_signal(signal.SIGCONT)


def _snapshot_of(statuses: dict[str, dict[str, Any]]) -> Snapshot:
    """Return the snapshot of a station whose processes say so of themselves."""
    station = Station(
        station=StationTable(name="said"),
        cameras=(Camera(name="c0", source="sample"), Camera(name="c1", source="sample")),
        screens=(Screen(name="left"), Screen(name="right")),
    )
    supervisor = Supervisor(station)
    cells = Cells.create()
    for i, (name, status) in enumerate(statuses.items()):
        child = Child(name, Order(group=supervisor.graph.group(name), job=Job(station=station)), i, cells.cell(i))
        child.cell.publish(status)
        supervisor.children.append(child)
    snapshot = supervisor.snapshot()
    os.close(cells.fd)
    return snapshot


def test_cameras_and_screens_in_trouble_are_alerts() -> None:
    snapshot = _snapshot_of(
        {
            "capture.c0": {"state": "live", "source": "sample"},
            "capture.c1": {"state": "retrying", "source": "rtsp://gate", "skipped": {"unreadable_image": 3}},
            "player.left": {"ad": "shoes", "display_lost": True, "plays": {"total": 2, "by_ad": {"shoes": 2}}},
            "player.right": {"ledger_problem": "disk is full", "plays": {"total": 1, "by_ad": {"shoes": 1}}},
        }
    )
    told = [(alert.event, alert.subject, alert.severity) for alert in snapshot.alerts]
    assert told == [
        ("camera_lost", "c1", "warning"),
        ("display_lost", "left", "err"),
        ("ledger_trouble", "right", "err"),
    ]
    assert "rtsp://gate" in snapshot.alerts[0].text and "disk is full" in snapshot.alerts[2].text
    assert snapshot.plays.total == 3 and snapshot.plays.by_ad == {"shoes": 3}
    assert snapshot.stage("capture").skipped == {"unreadable_image": 3}


def test_an_alert_says_why_a_camera_is_dark_and_how_faces_lie() -> None:
    why = "the camera has no stream of that path (404); look up the path in its manual"
    snapshot = _snapshot_of(
        {
            "capture.c0": {"state": "retrying", "source": "rtsp://gate", "problem": why, "rotation_wanted_deg": 90},
            "capture.c1": {"state": "live", "source": "rtsp://hall", "turned_deg": 90, "rotation_wanted_deg": 270},
        }
    )
    assert [(alert.event, alert.subject, alert.text) for alert in snapshot.alerts] == [
        ("camera_lost", "c0", f"no picture from rtsp://gate: {why}"),
        ("faces_lie", "c1", "faces lie upside down: set rotation_deg = 270 in the camera's table"),
    ]
    console = Console(width=80, file=StringIO())
    console.print(render(snapshot, width=80))
    shown = " ".join(console.file.getvalue().replace("│", " ").split())  # type: ignore[attr-defined]
    assert why in shown and "faces lie upside down" in shown
    (alert,) = _snapshot_of({"capture.c0": {"state": "live", "dark": True, "rotation_wanted_deg": 90}}).alerts
    assert alert.event == "camera_dark" and "not measured" in alert.text
    (alert,) = _snapshot_of({"capture.c0": {"state": "live", "rotation_wanted_deg": 90}}).alerts
    assert alert.text == "faces lie on their side: set rotation_deg = 90 in the camera's table"


def test_people_of_today_and_trouble_with_their_file_are_told() -> None:
    snapshot = _snapshot_of({"statistics": {"today": {"people": 40, "watchers": 10}, "counts_problem": "it is full"}})
    assert snapshot.today == TodayPeople(people=40, watchers=10)
    assert [(alert.event, alert.severity) for alert in snapshot.alerts] == [("statistics_trouble", "err")]
    for people, words in ((40, "40 people watched 10"), (0, "fewer than 10 people")):
        console = Console(width=80, file=StringIO())
        today = TodayPeople(people=people, watchers=people // 4)
        console.print(render(msgspec.structs.replace(snapshot, today=today), width=80))
        assert words in " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_the_ages_since_an_earlier_snapshot_are_only_the_new_ones() -> None:
    recent = Ages(counts={3: 5, 7: 2}).since(Ages(counts={3: 4}))
    assert (recent.sum(), recent[3], recent[7]) == (3, 1, 2)


@pytest.mark.parametrize("columns", [80, 120])
def test_status_fits_the_terminal(running: RunningStation, columns: int) -> None:
    with running(cameras=1) as supervisor:
        wait_for(lambda: supervisor.snapshot().stage("player").counters["in"] > 5, "results")
        shown = _status("toys", columns=columns)
        assert shown.returncode == 0, shown.stderr
        lines = shown.stdout.splitlines()
        assert max(map(len, lines)) <= columns and "…" not in shown.stdout
        assert "stationcast - toys" in shown.stdout and "plays  1, billable 0" in shown.stdout
        told = msgspec.json.decode(_status("--json").stdout, type=Snapshot)
        assert told.station == "toys"


def test_status_of_a_station_that_does_not_run_is_one_line_and_exit_code_2() -> None:
    for arguments, complaint in (((), "no station is running in "), (("moon",), "STATION moon: is not running; ")):
        done = _status(*arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith(f"stationcast: error: {complaint}") and done.stderr.count("\n") == 1


def test_a_station_that_does_not_run_answers_nothing() -> None:
    with pytest.raises(UserError, match="does not answer"):
        ask("nobody", Status(), timeout_ms=100)
