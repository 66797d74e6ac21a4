"""The command line as a user meets it: real processes, their output and exit codes."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import pytest

from pipeline import graph as graphs
from pipeline.control import ControlSocket, Scale, request_scale
from pipeline.errors import UserError
from pipeline.log import skipped
from pipeline.messages import Faces
from pipeline.operator.drawing import draw
from pipeline.runtime import runtime_root
from pipeline.settings import Camera, Station
from pipeline.streams import Stream
from tests.conftest import HANG_S, RunningStation, wait_for
from tests.pipeline.called import called
from tests.players.campaign_files import one_ad

ADS_ONLY = (
    '[station]\nname = "ads"\nmode = "off"\nstate_dir = "state"\n[ads]\ncampaigns = "ads"\n'
    "[[screens]]\nheadless = true\nwidth_px = 320\nheight_px = 180\n"
)
WEIGHTS = Path(__file__).parents[2] / "models" / "weights" / "stationcast-open.toml"
STATION = '[station]\nname = "cli"\n[[cameras]]\nname = "door"\nsource = "sample"\n[workers]\ndetect = 2\n'


def stationcast(*arguments: object, timeout_s: float = HANG_S, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, **more)


@pytest.fixture
def ads_only(tmp_path: Path) -> Path:
    """A station without cameras, which starts fast."""
    one_ad(tmp_path / "ads")
    path = tmp_path / "ads.toml"
    path.write_text(ADS_ONLY)
    return path


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(STATION)
    return path


def test_help_names_every_command() -> None:
    done = stationcast("--help")
    assert done.returncode == 0
    for command in ("run", "check", "graph", "scale", "tap", "doctor", "detect", "classify", "models", "campaigns"):
        assert f"\n  {command} " in done.stdout
    assert stationcast("--version").stdout.startswith("stationcast, version 0.")


def test_check_prints_the_graph(station_file: Path) -> None:
    done = stationcast("check", station_file)
    assert done.returncode == 0
    for word in ("capture.door", "Frame (latest, batch 1)", "Audience -> player.main", "mode target"):
        assert word in done.stdout
    detect = next(line for line in done.stdout.splitlines() if line.startswith("│ detect "))
    assert "│ 2 " in detect


def test_check_says_in_plain_words_that_children_are_targeted(station_file: Path) -> None:
    station_file.write_text(STATION + '[choose]\nminors = "target"\n')
    assert "aimed at children" in stationcast("check", station_file).stdout


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_graph_is_drawn(station_file: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"graph.{suffix}"
    assert stationcast("graph", station_file, "--out", out).returncode == 0
    assert out.stat().st_size > 2000
    if suffix == "svg":
        assert out.read_text().lstrip().startswith("<?xml")


def test_check_and_graph_without_a_file_take_the_demo(tmp_path: Path) -> None:
    checked = stationcast("check", cwd=tmp_path)
    assert checked.returncode == 0 and checked.stdout.startswith("demo: mode target")
    assert stationcast("graph", "--out", tmp_path / "demo.svg").returncode == 0
    assert "shelter" in (tmp_path / "demo.svg").read_text()


def test_a_stage_more_is_drawn(tmp_path: Path) -> None:
    track = graphs.Row(name="track", stage="stages.track:Track", takes=Faces)
    graph = graphs.build(Station(cameras=(Camera(name="door", source="sample"),)), (*graphs.TABLE, track))
    draw(graph, str(tmp_path / "graph.svg"))
    assert "track" in (tmp_path / "graph.svg").read_text()


MISTAKES = {
    "no file": (["check", "none.toml"], "none.toml: there is no such file"),
    "run no file": (["run", "none.toml"], "none.toml: there is no such file"),
    "a source that is not there": (["check", "lost.toml"], "lost.toml: cameras.door.source: no such file"),
    "a picture format": (["graph", "good.toml", "--out", "g.bmp"], "--out g.bmp: unknown picture format"),
    "a folder for the picture": (["graph", "good.toml", "--out", "none/g.svg"], "--out none/g.svg: no folder"),
    "a folder for the summary": (["run", "good.toml", "--summary", "none/s.json"], "--summary none/s.json: no folder"),
    "a summary that is a folder": (["run", "good.toml", "--summary", "."], "--summary .: cannot be written"),
    "a detector that is none": (["check", "blind.toml"], "blind.toml: detect.model: no model 'yolo' that can detect"),
    "a detector that classifies": (["check", "wrong.toml"], "detect.model: no model 'age-and-gender' that can detect"),
    "a card that is none": (["check", "carded.toml"], "carded.toml: classify.model: "),
    "a detector whose card classifies": (["check", "crossed.toml"], "crossed.toml: detect.model: no model "),
    "workers of no stage": (["check", "crew.toml"], "crew.toml: workers.detct: no such stage; known here: detect, cl"),
    "no workers at all": (["check", "idle.toml"], "idle.toml: workers.detect: 0 processes; write 1 to 32"),
    "a venue that is none": (["check", "moon.toml"], "moon.toml: station.venue_type: no venue 'outdoor.moon' in Open"),
    "a venue that is none, report": (
        ["report", "plays", "--station", "moon.toml"],
        "moon.toml: station.venue_type: no venue 'outdoor.moon' in",
    ),
    "too many workers": (
        ["scale", "detect", "99"],
        "'WORKERS': 99 is out of reach; write 1 to 32; see `stationcast sc",
    ),
    "workers of no number": (["scale", "detect", "x"], "'WORKERS': 'x' is no whole number; see `stationcast scale"),
    "no messages": (
        ["tap", "--count", "0"],
        "'--count': 0 is too small; write 1 or more; see",
    ),
    "a time of no number": (["run", "--duration", "soon"], "'--duration': 'soon' is no number; see `stationcast run"),
    "no campaigns": (["check", "away.toml"], "away.toml: ads.campaigns: no folder "),
    "nothing to scale": (["scale", "detect", "2"], "no station is running"),
    "nothing to tap": (["tap"], "no station is running"),
    "a station of no name": (["tap", "--station", "x"], "--station x: is not running"),
}


@pytest.mark.parametrize(("arguments", "complaint"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "good.toml").write_text(STATION)
    (tmp_path / "lost.toml").write_text(STATION.replace('"sample"', '"lost.mp4"'))
    (tmp_path / "blind.toml").write_text(STATION + '[detect]\nmodel = "yolo"\n')
    (tmp_path / "wrong.toml").write_text(STATION + '[detect]\nmodel = "age-and-gender"\n')
    (tmp_path / "card.toml").write_text('name = "x"')
    (tmp_path / "carded.toml").write_text(STATION + '[classify]\nmodel = "card.toml"\n')
    (tmp_path / "crossed.toml").write_text(STATION + f'[detect]\nmodel = "{WEIGHTS}"\n')
    (tmp_path / "crew.toml").write_text(STATION.replace("detect", "detct"))
    (tmp_path / "idle.toml").write_text(STATION.replace("detect = 2", "detect = 0"))
    (tmp_path / "away.toml").write_text(STATION + '[ads]\ncampaigns = "stick"\n')
    (tmp_path / "moon.toml").write_text(STATION.replace("[station]", '[station]\nvenue_type = "outdoor.moon"'))
    monkeypatch.chdir(tmp_path)
    done = called(arguments, monkeypatch, capfd)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("stationcast: error: ") and complaint in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_runtime_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "stationcast").touch()
    done = stationcast("tap", env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 75  # a service tries again
    assert done.stderr == (
        f"stationcast: error: {tmp_path}/stationcast: it is no folder; set XDG_RUNTIME_DIR to a folder of your own\n"
    )


def test_a_folder_that_was_removed_around_the_user_is_named(tmp_path: Path) -> None:
    words = 'cd "$1" && rmdir "$1" && exec "$2" -P -m pipeline.cli check'
    command = ["sh", "-c", words, "sh", tmp_path / "gone", sys.executable]
    (tmp_path / "gone").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 2
    assert done.stderr == "stationcast: error: the folder that this was started in is gone: change to another one\n"


def test_a_mistaken_option_is_exit_code_2() -> None:
    for value in ("-3", "nan"):
        done = stationcast("run", "--duration", value)
        assert done.returncode == 2 and "--duration" in done.stderr and "Traceback" not in done.stderr


def test_a_full_disk_behind_the_output_is_one_line_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "pipeline.cli", "models", "list"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no room left on the disk" in done.stderr


def _run(ads_only: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "pipeline.cli", "run", str(ads_only), *map(str, arguments)]


def _read_until(fd: int, word: bytes) -> None:
    """Read a terminal until it shows a word."""
    seen = b""
    while word not in seen:
        seen += os.read(fd, 4096)


def test_a_station_runs_with_its_standard_streams_closed(ads_only: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *_run(ads_only, "--duration", 0.5, "--summary", summary)]
    assert subprocess.run(command, timeout=HANG_S).returncode == 0
    assert json.loads(summary.read_text())["restarts"] == {"player": 0, "broker": 0}


def test_a_station_outlives_its_terminal(ads_only: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    terminal, end = pty.openpty()
    command = _run(ads_only, "--duration", 1, "--summary", summary)
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, start_new_session=True) as run:
        os.close(end)
        _read_until(terminal, b"stationcast - ads")
        os.close(terminal)
    assert run.returncode == 0 and json.loads(summary.read_text())["duration_s"] >= 1


def test_a_terminal_that_stands_still_and_a_log_that_nobody_reads_hold_nothing_up(
    ads_only: Path, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    terminal, end = pty.openpty()
    termios.tcflow(end, termios.TCOOFF)  # as Ctrl-S does
    unread, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    os.write(log, bytes(4096))
    command = _run(ads_only, "--duration", 1, "--summary", summary)
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=log, start_new_session=True) as run:
        try:
            assert run.wait(timeout=HANG_S) == 0
        finally:
            run.kill()
    for fd in (terminal, end, unread, log):
        os.close(fd)
    assert json.loads(summary.read_text())["duration_s"] >= 1


def test_a_log_goes_on_once_there_is_room_again() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    full = os.write(write_end, bytes(1 << 20))
    with os.fdopen(write_end, "w") as out:
        stream = Stream(out)
        stream.write("lost\n")
        wait_for(stream._waiting.empty, "the line to be tried")
        time.sleep(0.1)
        assert os.read(read_end, full) == bytes(full)
        stream.write("seen\n")
        stream.close()
    assert os.read(read_end, 100).endswith(b"seen\n")
    os.close(read_end)


def test_a_log_that_is_sent_elsewhere_than_the_live_view_goes_there(ads_only: Path, tmp_path: Path) -> None:
    ads_only.write_text(ADS_ONLY + 'screenshot = "ads.toml/no-folder.png"\n')
    log, (terminal, end) = tmp_path / "log", pty.openpty()
    with (
        log.open("w") as stderr,
        subprocess.Popen(_run(ads_only, "--duration", 1), stdin=end, stdout=end, stderr=stderr),
    ):
        os.close(end)
        _read_until(terminal, b"frames captured")
    os.close(terminal)
    lines = log.read_text()
    assert " stationcast ready " in lines and " player.main skipped reason=screenshot_failed " in lines


def test_a_terminal_without_cursor_gets_lines(ads_only: Path) -> None:
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "dumb"}
    command = _run(ads_only, "--duration", 1)
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment):
        os.close(end)
        _read_until(terminal, b" stationcast running ")
        _read_until(terminal, b"frames captured")
    os.close(terminal)


def test_colours_that_are_asked_for_make_no_terminal_of_a_file(ads_only: Path) -> None:
    """A station without cameras has nothing to complain of."""
    done = subprocess.run(
        _run(ads_only, "--duration", 2),
        capture_output=True,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1"},
        timeout=HANG_S,
    )
    assert "stationcast - ads" not in done.stdout and " stationcast running " in done.stderr
    assert done.returncode == 0 and "skipped" not in done.stderr


def test_a_terminal_that_closes_and_says_so_twice_lets_the_play_end(ads_only: Path) -> None:
    with subprocess.Popen(_run(ads_only), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr and any(" running " in line for line in run.stderr)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            run.send_signal(number)
        assert "killed_at_stop" not in run.stderr.read()
    assert run.returncode == 0


def test_nohup_keeps_a_station_running(ads_only: Path) -> None:
    command = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *_run(ads_only, "--duration", 1)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr and any(" running " in line for line in run.stderr)
        status = Path(f"/proc/{run.pid}/status").read_text().splitlines()
        ignored = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn:"))
        assert ignored & 1 << signal.SIGHUP - 1


def test_what_a_killed_station_left_is_no_running_station() -> None:
    folder = runtime_root() / "killed"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(folder / "control"))
    for command in (["tap"], ["scale", "detect", "2"]):
        done = stationcast(*command)
        assert done.returncode == 2 and "no station is running" in done.stderr


def test_where_no_station_is_found_the_folder_is_named() -> None:
    done = stationcast("tap")
    assert f"no station is running in {runtime_root()}; if it was started with another XDG_RUNTIME_DIR" in done.stderr


def test_a_folder_named_like_ours_does_not_shadow_it(tmp_path: Path) -> None:
    for name in ("models", "pipeline", "stages"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    assert stationcast("--version", cwd=tmp_path).returncode == 0


def test_scale_and_tap_speak_to_a_running_station(running: RunningStation) -> None:
    with running(cameras=1):
        done = stationcast("scale", "detect", 2)
        assert (done.returncode, done.stdout) == (0, "detect: 1 -> 2 workers\n")
        done = stationcast("scale", "Of no name", 2)
        assert done.returncode == 2 and "no stage 'Of no name': this station has capture.c0, detect" in done.stderr
        done = stationcast("scale", "capture.c0", 2)
        assert (
            done.returncode == 2 and "is one process only; stages that can be scaled: detect, classify" in done.stderr
        )
        done = stationcast("tap", "--count", 12)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert {line["type"] for line in lines} == {"frame.1", "faces.2", "answered.1", "audience.2"}
        assert len(lines) == 12 and all(line["crops"] == [] for line in lines if line["type"] == "faces.2")


def test_nothing_hostile_on_the_control_socket_ends_the_station(running: RunningStation) -> None:
    with running(cameras=1) as supervisor:
        deep = b"\x82\xa4type\xa7scale.1\xa1x" + b"\x91" * 60_000
        for data in (b"\xff" * 100, b"\x81\xa4type\xa7shell.1", os.urandom(5000), deep, b"\x82two parts"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(HANG_S)
                client.connect(str(supervisor.runtime_dir / "control"))
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert msgpack.unpackb(b"".join(iter(lambda: client.recv(65536), b"")))["ok"] is False
        assert stationcast("scale", "classify", 2).returncode == 0
        done = stationcast("scale", os.fsdecode(b"\xff"), 2)
        assert done.returncode == 2 and "no stage" in done.stderr and done.stderr.count("\n") == 1


def test_a_request_that_meets_a_mistake_of_ours_ends_no_station() -> None:
    def fails(_: Scale) -> str:
        raise ZeroDivisionError("ours")

    runtime_dir = runtime_root() / "toys"
    runtime_dir.mkdir()
    with contextlib.closing(ControlSocket({Scale: fails})) as control, ThreadPoolExecutor(1) as pool:
        control.bind(runtime_dir)
        asked = pool.submit(request_scale, "toys", "detect", 2)
        while not asked.done():
            control.serve(50)
        with pytest.raises(UserError, match="its log says why"):
            asked.result()
    assert skipped["request_failed"]
