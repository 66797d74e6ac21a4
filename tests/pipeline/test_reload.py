"""A running station follows its changed station file; what is not concerned plays on."""

import contextlib
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from pipeline.errors import UserError
from pipeline.hangup import Reloader
from pipeline.log import skipped
from pipeline.operator.summary import summarise
from pipeline.process import Child
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.supervisor import Supervisor
from tests.conftest import HANG_S, RunningStation, wait_for

NEW = Camera(name="new", source="sample", fps=20, max_width_px=320, max_height_px=240)


def _changed(before: Station, **changes: Any) -> Station:
    return msgspec.structs.replace(before, **changes)


def _reload(supervisor: Supervisor, station: Station) -> str:
    """Reload, and wait until what runs is what is wanted."""
    text = supervisor.reload(station)
    wait_for(lambda: supervisor.settled, "the station to settle")
    return text


def _running(supervisor: Supervisor) -> dict[str, Child]:
    return {child.worker: child for child in supervisor.children if not child.past}


def _pids(supervisor: Supervisor) -> dict[str, int]:
    return {name: child.process.pid for name, child in _running(supervisor).items() if child.process}


def _seen(supervisor: Supervisor, screen: str = "main") -> dict[str, int]:
    return dict(_running(supervisor)[f"player.{screen}"].cell.status().get("seen", {}))


def _moves_on(supervisor: Supervisor, *cameras: str, screen: str = "main") -> None:
    before = _seen(supervisor, screen)
    wait_for(
        lambda: all(_seen(supervisor, screen).get(name, -1) != before.get(name, -1) for name in cameras),
        f"people of {cameras}",
    )


@contextlib.contextmanager
def _nothing_lost(supervisor: Supervisor) -> Iterator[None]:
    """Check that no process was started again, and that every frame that was captured is accounted for."""
    yield
    assert not any(child.restarts for child in supervisor.children)
    assert not any(child.cell["skipped"] for child in supervisor.children)


def _accounted_for(supervisor: Supervisor) -> None:
    """Check, after the end, that captured frames were processed or dropped, but for what a process had in hand."""
    frames = summarise(supervisor.snapshot())["frames"]
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 1


def test_a_camera_is_added_and_removed_and_the_others_go_on(running: RunningStation) -> None:
    with running(cameras=2) as supervisor, _nothing_lost(supervisor):
        _moves_on(supervisor, "c0", "c1")
        first, before = supervisor.station, _pids(supervisor)
        text = _reload(supervisor, _changed(first, cameras=(*first.cameras, NEW)))
        assert text == "toys: adds capture.new; replaces detect"
        _moves_on(supervisor, "c0", "c1", "new")
        after = _pids(supervisor)
        stays = ("broker", "capture.c0", "capture.c1", "classify.0", "people", "player.main")
        assert {name: after.get(name) for name in stays} == {name: before[name] for name in stays}
        assert set(after) - set(stays) == {"capture.new", "detect.1"}, "the new worker has a socket of its own"
        assert _reload(supervisor, first) == "toys: removes capture.new; replaces detect"
        _moves_on(supervisor, "c0", "c1")
        assert set(_pids(supervisor)) == {*stays, "detect.0"}
    _accounted_for(supervisor)


def test_a_changed_threshold_replaces_workers_one_at_a_time(running: RunningStation) -> None:
    with running(cameras=2, workers={"detect": 2}) as supervisor, _nothing_lost(supervisor):
        _moves_on(supervisor, "c0", "c1")
        before, station = _pids(supervisor), supervisor.station
        supervisor.reload(_changed(station, detect=msgspec.structs.replace(station.detect, min_score=0.7)))
        at_work = []
        while not supervisor.settled:
            workers = [child for child in supervisor.children if child.role == "detect" and not child.retired]
            at_work.append((sum(child.ready for child in workers), len(workers)))
            time.sleep(0.005)
        assert min(at_work)[0] >= 2 and max(n for _, n in at_work) == 3, "never fewer at work, never two more"
        after = _pids(supervisor)
        assert not {before["detect.0"], before["detect.1"]} & set(after.values())
        assert {name: pid for name, pid in after.items() if "detect" not in name} == {
            name: pid for name, pid in before.items() if "detect" not in name
        }
        _moves_on(supervisor, "c0", "c1")
    _accounted_for(supervisor)


def test_a_file_that_changes_again_while_a_worker_loads_leaves_one_at_work(running: RunningStation) -> None:
    with running(cameras=2) as supervisor, _nothing_lost(supervisor):
        _moves_on(supervisor, "c0", "c1")
        station = supervisor.station

        def detectors() -> list[Child]:
            return [child for child in supervisor.children if child.role == "detect" and not child.retired]

        for score in (0.6, 0.7, 0.8):
            supervisor.reload(_changed(station, detect=msgspec.structs.replace(station.detect, min_score=score)))
            wait_for(lambda: len(detectors()) == 2, "the next worker to load")
        at_work = []
        while not supervisor.settled:
            at_work.append(sum(child.ready for child in detectors()))
            time.sleep(0.005)
        assert min(at_work) >= 1, "no moment without a worker"
        _moves_on(supervisor, "c0", "c1")
    _accounted_for(supervisor)


def test_plays_of_a_replaced_screen_are_counted_once(running: RunningStation) -> None:
    """Its next process counts those of the whole run, as the ledger tells them."""
    with running(cameras=1) as supervisor, _nothing_lost(supervisor):
        _moves_on(supervisor, "c0")
        screens = (msgspec.structs.replace(supervisor.station.screens[0], tick_hz=30),)
        assert _reload(supervisor, _changed(supervisor.station, screens=screens)) == "toys: replaces player.main"
        assert supervisor.snapshot().plays.total == 1, "what the process said that has left"
        _moves_on(supervisor, "c0")
    assert summarise(supervisor.snapshot())["plays"] == {"total": 1, "billable": 0, "by_ad": {"toy": 1}}


def test_a_screen_is_added_and_removed_and_the_other_plays_on(running: RunningStation) -> None:
    with running(cameras=2) as supervisor, _nothing_lost(supervisor):
        first, before = supervisor.station, _pids(supervisor)
        more = _changed(first, screens=(*first.screens, Screen(name="side", cameras=("c1",))))
        assert _reload(supervisor, more) == "toys: adds player.side; changes links"
        _moves_on(supervisor, "c1", screen="side")
        assert set(_seen(supervisor, "side")) == {"c1"}
        main = _running(supervisor)["player.main"]
        wait_for(lambda: main.cell.status()["screens"] == 2, "the other screen to know that there are two")
        assert _reload(supervisor, first) == "toys: removes player.side; changes links"
        wait_for(lambda: main.cell.status()["screens"] == 1, "the other screen to know that it is alone")
        _moves_on(supervisor, "c0", "c1")
        assert _pids(supervisor) == before
    plays = summarise(supervisor.snapshot())["plays"]
    assert plays == {"total": 2, "billable": 0, "by_ad": {"toy": 2}}, "those of the removed screen are still counted"
    _accounted_for(supervisor)


def test_a_changed_camera_is_opened_anew_and_the_others_go_on(running: RunningStation) -> None:
    """Another rate needs no other ring, another size does."""
    with running(cameras=2) as supervisor:
        for change in ({"fps": 10.0}, {"max_height_px": 200}):
            _moves_on(supervisor, "c0", "c1")
            station, before = supervisor.station, _pids(supervisor)
            rings = dict(supervisor._wanted.rings)
            cameras = (station.cameras[0], msgspec.structs.replace(station.cameras[1], **change))
            _reload(supervisor, _changed(station, cameras=cameras))
            after = _pids(supervisor)
            assert after["capture.c1"] != before["capture.c1"] and after["capture.c0"] == before["capture.c0"]
            same_ring = supervisor._wanted.rings["c1"] == rings["c1"]
            assert same_ring == ("fps" in change) and supervisor._wanted.rings["c0"] == rings["c0"]
            if not same_ring:
                with pytest.raises(OSError):
                    os.fstat(rings["c1"].fd)
        _moves_on(supervisor, "c0", "c1")
        assert not any(child.restarts for child in supervisor.children)


def test_workers_and_mode_follow_the_file(running: RunningStation) -> None:
    with running(cameras=1) as supervisor, _nothing_lost(supervisor):
        first = supervisor.station
        assert _reload(supervisor, _changed(first, workers={"classify": 2})) == "toys: scales classify 1 -> 2"
        assert {"classify.0", "classify.1"} <= set(_running(supervisor))
        off = _changed(first, station=msgspec.structs.replace(first.station, mode="off"))
        _reload(supervisor, off)
        assert set(_running(supervisor)) == {"broker", "player.main"}
        _reload(supervisor, first)
        _moves_on(supervisor, "c0")
        assert _reload(supervisor, first) == "toys: nothing to do"


def test_what_cannot_change_is_refused_by_name_with_the_remedy(running: RunningStation) -> None:
    with running(cameras=1) as supervisor:
        before = _pids(supervisor)
        for key, value in (("name", "other"), ("state_dir", "elsewhere")):
            table = msgspec.structs.replace(supervisor.station.station, **{key: value})
            with pytest.raises(UserError, match=rf"station\.{key}: .*stop and start"):
                supervisor.reload(_changed(supervisor.station, station=table))
            assert _pids(supervisor) == before and supervisor.settled


def test_a_relative_state_folder_does_not_move_with_the_station_file(tmp_path: Path) -> None:
    def at(folder: Path, state_dir: str) -> Station:
        return Station(station=StationTable(mode="off", state_dir=state_dir), folder=folder)

    supervisor = Supervisor(at(tmp_path, "state"))
    supervisor._want(supervisor.station, supervisor.graph)
    with pytest.raises(UserError, match=r"station\.state_dir: is '.*/state' while .*, not '.*/next/state'; stop and"):
        supervisor.reload(at(tmp_path / "next", "state"))
    assert supervisor.reload(at(tmp_path / "next", "../state")) == "station: replaces player.main"


def test_a_hang_up_that_finds_no_room_for_a_process_is_heeded_later(tmp_path: Path) -> None:
    station = Station(station=StationTable(name="nobody"), folder=tmp_path)
    supervisor = Supervisor(station, station_file=str(tmp_path / "none.toml"))
    with Path(os.devnull).open("w") as nothing, contextlib.closing(Reloader(supervisor, nothing.fileno())) as reloader:
        reloader._had_terminal = False
        reloader.hang_up(signal.SIGHUP)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            reloader.tick()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert skipped["reload_not_started"] and reloader._command is None
        reloader.tick()
        assert reloader._command


def test_memory_that_cannot_be_had_changes_nothing(running: RunningStation, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(cameras=1) as supervisor:
        fds = len(_fds())
        station = supervisor.station
        huge = msgspec.structs.replace(NEW, name="huge", max_width_px=7680, max_height_px=4320)

        allocate = os.posix_fallocate

        def full(fd: int, offset: int, n_bytes: int) -> None:
            if n_bytes > 10**8:
                raise OSError(28, "No space left on device")
            allocate(fd, offset, n_bytes)

        monkeypatch.setattr("pipeline.ring.os.posix_fallocate", full)
        with pytest.raises(UserError, match=r"cameras\.huge: no 597 MB"):
            supervisor.reload(_changed(station, cameras=(*station.cameras, NEW, huge)))
        assert supervisor.station is station and len(_fds()) == fds
        _moves_on(supervisor, "c0")


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_adding_and_removing_a_camera_leaves_nothing_behind(running: RunningStation, times: int) -> None:
    with running(cameras=1) as supervisor, _nothing_lost(supervisor):
        first = supervisor.station
        broker = psutil.Process(_pids(supervisor)["broker"])
        mine = psutil.Process()

        def once(number: int) -> None:
            camera = msgspec.structs.replace(NEW, name=f"new{number}")
            _reload(supervisor, _changed(first, cameras=(*first.cameras, camera)))
            wait_for(lambda: f"new{number}" in _seen(supervisor), "its people")
            _reload(supervisor, first)

        def held() -> tuple[int, int, int, int]:
            free = len(supervisor.cells._free)
            fds = _fds()
            return len(fds), broker.num_fds(), free, sum("memfd:stationcast-new" in fd for fd in fds)

        for number in range(3):
            once(number)
        time.sleep(0.5)
        before, memory_mb = held(), (mine.memory_info().rss / 1e6, broker.memory_info().rss / 1e6)
        for number in range(3, times):
            once(number)

        def nothing_more() -> bool:
            (mine_now, its_now, *others_now), (mine_then, its_then, *others_then) = held(), before
            return mine_now <= mine_then and its_now <= its_then and others_now == others_then

        wait_for(nothing_more, f"no more than {before}, not {held()}", timeout_s=10)
        after_mb = (mine.memory_info().rss / 1e6, broker.memory_info().rss / 1e6)
        assert after_mb[0] < memory_mb[0] + 4 and after_mb[1] < memory_mb[1] + 2, (memory_mb, after_mb)
        assert len(supervisor.children) == 6 + 2, "one past of cameras, one of detection"
        _moves_on(supervisor, "c0")
    _accounted_for(supervisor)


def _fds() -> list[str]:
    """Return what the file descriptors of this process are."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))  # noqa: PTH115 (a Path would drop what follows "(deleted)")
    return found


FILE = """
[station]
name = "toys"
[[cameras]]
name = "c0"
source = "sample"
fps = 20
max_width_px = 320
max_height_px = 240
"""
MORE = '[[cameras]]\nname = "c1"\nsource = "sample"\nmax_width_px = 320\nmax_height_px = 240\n'


def _stationcast(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)


def test_the_command_checks_the_file_first(running: RunningStation, tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.symlink_to("first.toml")
    with running(cameras=1) as supervisor:
        before = _pids(supervisor)
        for text, says in (
            (FILE.replace("fps", "fsp"), "station.toml: cameras[0].fsp: unknown key"),
            (FILE.replace('"sample"', '"lost.mp4"'), "station.toml: cameras.c0.source: no such file"),
            (FILE + '[detect]\nmodel = "yolo"\n', "station.toml: detect.model: no model 'yolo'"),
            (FILE.replace('"toys"', '"others"'), "station.name others: is not running"),
        ):
            file.write_text(text)
            done = _stationcast("reload", file)
            assert done.returncode == 2 and says in done.stderr, done.stderr
            assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
        done = _stationcast("reload")
        assert done.returncode == 2 and "which has no file" in done.stderr
        assert _pids(supervisor) == before
        file.write_text(FILE + MORE)
        done = _stationcast("reload", file)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "toys: adds capture.c1; replaces detect")
        _moves_on(supervisor, "c0", "c1")
        (tmp_path / "second.toml").write_text(FILE)
        _lead(file, "second.toml")
        done = _stationcast("reload")
        assert done.stdout.splitlines()[-1] == "toys: removes capture.c1; replaces detect", done.stderr


def _lead(link: Path, to: str) -> None:
    """Let a link lead elsewhere, as many a deployment does; the station follows the link, not the file of the start."""
    link.unlink()
    link.symlink_to(to)


ADS_ONLY = '[station]\nname = "ads"\nmode = "off"\nstate_dir = "state"\n[[screens]]\nname = "main"\nheadless = true\n'


def test_a_hang_up_has_a_service_follow_its_station_file(tmp_path: Path) -> None:
    file = tmp_path / "ads.toml"
    file.symlink_to("first.toml")
    file.write_text(ADS_ONLY)
    command = [sys.executable, "-P", "-m", "pipeline.cli", "run", str(file), "--headless"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        lines: list[str] = []

        def wait_for_line(part: str) -> None:
            assert run.stderr
            for line in iter(run.stderr.readline, ""):
                lines.append(line)
                if part in line:
                    return
            pytest.fail(f"{part!r} was never said: {lines}")

        try:
            wait_for_line(" ready ")
            main = next(p for p in _status()["processes"] if p["name"] == "player.main")
            file.write_text(ADS_ONLY.replace("headless", "headles"))
            run.send_signal(signal.SIGHUP)
            wait_for_line("ads.toml: screens[0].headles: unknown key")
            (tmp_path / "second.toml").write_text(ADS_ONLY + '[[screens]]\nname = "side"\n')
            _lead(file, "second.toml")  # a window: the option --headless is kept
            run.send_signal(signal.SIGHUP)
            wait_for_line(" settled ")
            status = _status()
            assert {p["name"] for p in status["processes"]} == {"broker", "player.main", "player.side"}
            assert next(p for p in status["processes"] if p["name"] == "player.main")["pid"] == main["pid"]
            assert all(p["restarts"] == 0 for p in status["processes"])
            wait_for(lambda: all(s["screen"] == "headless" for s in _status()["screens"]), "both to be headless")
        finally:
            run.terminate()
    assert run.returncode == 0


_IN_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_terminal_that_closes_stops_a_station_that_has_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ads.toml"
    file.write_text(ADS_ONLY)
    terminal, end = pty.openpty()
    command = [sys.executable, "-c", _IN_ITS_TERMINAL, "-P", "-m", "pipeline.cli", "run", str(file)]
    with subprocess.Popen(
        command, stdin=end, stdout=end, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        os.close(end)
        assert run.stderr and any(" ready " in line for line in iter(run.stderr.readline, ""))
        os.close(terminal)
        assert run.wait(timeout=HANG_S) == 0
        assert "reloaded" not in run.stderr.read()


def _status() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_stationcast("status", "--json").stdout)
    return answer
