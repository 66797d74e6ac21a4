"""The real station, whole: the sample camera's truth against what the program says, kills, overload."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import psutil
import pytest
from PIL import Image

from models.crop import turned
from pipeline.graph import TABLE, Row
from pipeline.operator.summary import summarise
from pipeline.process import Child
from pipeline.settings import Station, load
from pipeline.supervisor import Supervisor
from players.ledger.snapshot import reading
from stages.capture.sample import phase_s, render, who_is_there
from tests.conftest import HANG_S, replaced, wait_for, waited_for_a_core_s
from tests.stages.capture.servers import RtspCamera

STATION = """
[station]
name = "whole"
state_dir = "state"
load_s = 150
[[cameras]]
name = "left"
source = "sample"
fps = 6
[[cameras]]
name = "right"
source = "sample"
fps = 6
[[screens]]
width_px = 640
height_px = 360
headless = true
transition = "cut"
screenshot = "screen.png"
screenshot_every_s = 0.2
[ads]
default_duration_s = 2
"""


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    path = tmp_path / "station.toml"
    path.write_text(STATION)
    return path


def _stationcast(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "pipeline.cli", *map(str, arguments)]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def test_what_the_station_says_of_the_sample_camera_is_true(station_file: Path, tmp_path: Path) -> None:
    summary_file = tmp_path / "summary.json"
    run = subprocess.Popen(_stationcast("run", station_file, "--duration", 24, "--summary", summary_file))
    tap_file = tmp_path / "tap.jsonl"
    with tap_file.open("w") as out:
        while run.poll() is None:  # `tap` says that nothing runs until the station does
            subprocess.run(_stationcast("tap"), stdout=out, stderr=subprocess.DEVNULL, check=False)
    assert run.returncode == 0

    seen = [msg for line in tap_file.read_text().splitlines() if (msg := json.loads(line))["type"] == "audience.2"]
    assert len(seen) > 100
    shown = found = told = invented = 0
    called: dict[str, list[str]] = {"collins": [], "hopper": []}
    for message in seen:
        truth, earlier = (who_is_there(message["camera"], message["captured_ns"] / 1e9 - ago_s) for ago_s in (0, 1))
        known = {sight.name for sight in earlier}  # somebody new is told when he was seen twice
        near = [sight for sight in truth if sight.box[2] >= 100 and sight.yaw_deg == 0 and sight.name in known]
        now = [person for person in message["people"] if person["seen_ns"] == message["captured_ns"]]
        shown += len(near)
        told += len(now)
        for person in now:
            names = [sight.name for sight in truth if _overlap(person["box_px"], sight.box) > 0.25]
            found += sum(_overlap(person["box_px"], sight.box) > 0.4 for sight in near)
            for name in names:
                called.setdefault(name, []).append(person["gender"])
            # Whoever is still half outside the picture is not in the truth, and may be found all the same.
            invented += not names and 10 < person["box_px"][0] < 1270 - person["box_px"][2]
    assert found >= 0.85 * shown > 50, f"{found} of {shown} faces found"
    assert invented <= 0.02 * told, f"{invented} of {told} faces invented"
    # Of Grace Hopper, 78 and in a captain's cap, no model is sure. Eileen Collins is a woman or unknown, by which
    # frames of a visit happen to be asked about. In five runs she was a woman in .52 to .78 of her sights.
    assert called["collins"].count("F") > 0.3 * len(called["collins"]) > 15 and called["hopper"]
    assert called["collins"].count("M") <= 0.02 * len(called["collins"])

    summary = json.loads(summary_file.read_text())
    frames = summary["frames"]
    assert 0.5 < frames["captured"] / (2 * 6 * 24) < 1.1
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 2
    stages = summary["stages"]
    assert 0.5 < stages["capture"]["fps"] / (2 * 6) < 1.1
    assert 0.5 * stages["detect"]["out"] < stages["classify"]["in"] <= stages["detect"]["out"]
    assert 0 < summary["faces"]["classified"] < summary["faces"]["detected"] / 5, "a few questions a person"
    assert summary["restarts"] == dict.fromkeys(
        ("capture", "detect", "classify", "people", "player", "statistics", "broker"), 0
    )

    [ledger] = (tmp_path / "state").glob("ledger-*.sqlite")
    with reading([ledger]) as database:
        plays = database.execute(
            "SELECT creative, trigger, target, billable, started_mono_ns, ended_mono_ns FROM plays ORDER BY started_utc"
        ).fetchall()
    assert summary["plays"]["total"] == len(plays) >= 2
    assert summary["plays"]["billable"] == sum(bool(row[3]) for row in plays) > 0
    targeted = [row for row in plays if row[1] == "target"]
    assert targeted
    for _, _, target, billable, started_ns, ended_ns in targeted:
        # An ad is chosen up to 1.5 s before it is shown, for whoever was seen in the 2 s before; it is billable only if
        # somebody of its target was seen in the 2 s before a moment of its being shown.
        since_ns = started_ns - int((2 if billable else 4) * 1e9)
        there = [face for m in seen if since_ns <= m["captured_ns"] <= ended_ns for face in m["people"]]
        assert any(_fits(target, face) for face in there), f"{target}: nobody like that was there"
    # A play that began in the last second may not be on the last screenshot yet.
    last = max(i for i, row in enumerate(plays) if row[4] <= plays[-1][5] - 1e9)
    assert _which_ad(tmp_path / "screen.png") in {row[0] for row in plays[last:]}

    tracks = {person["track"] for message in seen for person in message["people"]}
    assert len(tracks) > 2 and all(tracks)
    folders = tmp_path, Path(os.environ["XDG_RUNTIME_DIR"])
    written = {path for folder in folders for path in folder.rglob("*") if path.is_file()} - {tap_file}
    assert written >= {summary_file, ledger, tmp_path / "state" / "audience.sqlite"}
    for path in written:
        data = path.read_bytes()
        named = [track for track in tracks if track.encode() in data or bytes.fromhex(track) in data]
        assert named == [], f"{path} names people who were followed"


def _fits(target: str, face: dict) -> bool:
    """Return whether a classified face fits a target as the ledger names it, such as `F 30-49`, `20-39` or `M 60+`."""
    gender = re.match(r"[MF]\b", target)
    if gender and face["gender"] != gender[0]:
        return False
    ages = [(int(lo), int(hi or 120)) for lo, hi in re.findall(r"(\d+)(?:-(\d+)|\+)", target)]
    decade = face["decade"]
    return not ages or (decade is not None and any(lo <= decade * 10 <= hi for lo, hi in ages))


def _which_ad(screenshot: Path) -> str:
    """The demo ad that a screenshot shows, its lower part with the notice left out."""
    demo = Path(__file__).parents[1] / "players" / "demo"
    seen = np.asarray(Image.open(screenshot).convert("RGB").resize((640, 360)), np.float32)[:300]
    differences = {}
    for path in demo.iterdir():
        if path.suffix in (".jpg", ".webp", ".png"):
            ad = np.asarray(Image.open(path).convert("RGB").resize((640, 360)), np.float32)[:300]
            differences[path.stem.replace("_", "-")] = float(np.abs(seen - ad).mean())
    best = min(differences, key=lambda name: differences[name])
    assert differences[best] < 10
    return best


@contextlib.contextmanager
def _running(station: Station, table: tuple[Row, ...] = TABLE) -> Iterator[Supervisor]:
    supervisor = Supervisor(station, table)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        wait_for(lambda: supervisor.ready_s, "the station to be ready")
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(timeout=HANG_S)


def _child(supervisor: Supervisor, role: str) -> Child:
    return next(child for child in supervisor.children if child.role == role)


@pytest.mark.slow
def test_a_killed_stage_is_back_sooner_than_a_station_starts_and_the_screen_plays_on(station_file: Path) -> None:
    began_s = time.monotonic()
    with _running(load(station_file)) as supervisor:
        start_s = max(2.0, supervisor.ready_s - began_s)
        player = _child(supervisor, "player")
        wait_for(lambda: player.cell["in"] > 5, "the first people")
        for role in ("capture", "detect", "classify", "people", "statistics", "broker"):
            child = _child(supervisor, role)
            painted = player.cell.status()["frames_presented"]
            assert child.process
            child.process.send_signal(signal.SIGKILL)
            killed_s = time.monotonic()
            wait_for(lambda child=child: child.restarts and child.ready, f"{role} to be back")
            others_seen = player.cell["in"]
            wait_for(lambda seen=others_seen: player.cell["in"] > seen + 1, f"results after {role} was killed")
            took_s = time.monotonic() - killed_s - waited_for_a_core_s(child.process.pid)
            assert took_s < start_s, f"{role} took {took_s:.2f} s"
            status = player.cell.status()
            if status["frames_expected"] > 60:
                assert status["frames_presented"] > painted
        assert player.process
        plays = player.cell.status()["plays"]["total"]
        player.process.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        wait_for(lambda: player.restarts and player.ready, "the player to be back")
        assert time.monotonic() - killed_s - waited_for_a_core_s(player.process.pid) < start_s
        wait_for(lambda: player.cell.status()["plays"]["total"] > plays, "plays to be counted on")
    assert summarise(supervisor.snapshot())["restarts"] == dict.fromkeys(
        ("capture", "detect", "classify", "people", "player", "statistics", "broker"), 1
    )


@pytest.mark.slow
def test_a_real_station_follows_its_file_and_cuts_no_play(station_file: Path, tmp_path: Path) -> None:
    with _running(load(station_file)) as supervisor:
        player = _child(supervisor, "player")
        assert player.process
        pid = player.process.pid
        wait_for(lambda: player.cell.status().get("plays", {}).get("total", 0) >= 2, "two plays")
        station_file.write_text(
            STATION + '[detect]\nmin_score = 0.6\n[[cameras]]\nname = "far"\nsource = "sample"\nfps = 6\n'
            '[[screens]]\nname = "side"\nheadless = true\ncameras = ["far"]\n'
        )
        text = supervisor.reload(load(station_file))
        assert text == "whole: adds capture.far, player.side; replaces detect, statistics; changes links"
        wait_for(lambda: supervisor.settled, "the station to settle")
        side = next(child for child in supervisor.children if child.instance == "side")
        wait_for(lambda: side.cell["in"] > 10, "people of the new camera")
        assert player.process and player.process.pid == pid
        before = player.cell.status()["plays"]["total"]
        wait_for(lambda: player.cell.status()["plays"]["total"] > before + 1, "two plays more")
        assert not any(child.restarts for child in supervisor.children)
    [ledger] = (tmp_path / "state").glob("*main*.sqlite")
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        statuses = [row[0] for row in database.execute("SELECT status FROM plays ORDER BY started_utc")]
    assert len(statuses) >= 4 and set(statuses[:-2]) == {"played"}, "only the end of the station cut a play"


def test_ctrl_c_ends_in_a_summary_and_leaves_nothing(station_file: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(_stationcast("run", station_file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr
    while "running" not in run.stderr.readline():
        pass
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 6
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=HANG_S)
    assert run.returncode == 0 and "frames captured" in out
    assert not any(child.is_running() for child in children)


@pytest.mark.parametrize(
    "mode", ["count", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("off", "measure"))]
)
def test_the_other_modes(station_file: Path, mode: str) -> None:
    station = load(station_file)
    station = msgspec.structs.replace(station, station=msgspec.structs.replace(station.station, mode=mode))
    with _running(station) as supervisor:
        player = _child(supervisor, "player")
        wait_for(lambda: player.cell.status().get("plays", {}).get("total", 0) >= 2, "two plays")
        roles = {child.role for child in supervisor.children}
        status = player.cell.status()
        if mode == "off":
            assert roles == {"player", "broker"}
        else:
            wait_for(lambda: player.cell["in"] > 10, "the audience")
            wait_for(lambda: summarise(supervisor.snapshot())["faces"]["detected"] > 0, "a face")
            if mode == "measure":
                wait_for(lambda: summarise(supervisor.snapshot())["faces"]["classified"] > 0, "an answer")
            assert status["trigger"] != "target"
    summary = summarise(supervisor.snapshot())
    assert summary["plays"]["billable"] == 0
    assert (summary["faces"]["detected"] > 0) == (mode != "off")
    assert (summary["faces"]["classified"] > 0) == (mode == "measure")


@pytest.mark.slow
def test_a_clip_of_three_people(shared_dir: Path, tmp_path: Path) -> None:
    clip = shared_dir / "clips" / "face-demographics-walking-and-pause_preview480.mp4"
    path = tmp_path / "clip.toml"
    path.write_text(STATION.replace('source = "sample"', f'source = "{clip}"', 1))
    summary_file = tmp_path / "s.json"
    command = _stationcast("run", path, "--duration", 8, "--summary", summary_file)
    subprocess.run(command, check=True, timeout=HANG_S, capture_output=True)
    summary = json.loads(summary_file.read_text())
    assert summary["faces"]["detected"] > 50 and summary["plays"]["total"] > 0


@pytest.fixture(scope="module")
def street_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of the sample scene in 1080p, 15 fps."""
    path = tmp_path_factory.mktemp("video") / "street.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (1920, 1080))
    for i in range(60):
        writer.write(cv2.resize(render("left", 8 + i / 15), (1920, 1080)))
    writer.release()
    return path


def _four_cameras(video: Path, folder: Path) -> Station:
    path = folder / "four.toml"
    cameras = "".join(f'[[cameras]]\nname = "c{i}"\nsource = "{video}"\nfps = 15\n' for i in range(4))
    path.write_text(cameras + STATION[STATION.index("[[screens]]") :] + '[station]\nname = "four"\nstate_dir = "s"\n')
    return load(path)


@pytest.mark.slow
def test_four_1080p_cameras_at_15_fps_do_not_back_up(street_video: Path, tmp_path: Path) -> None:
    with _running(_four_cameras(street_video, tmp_path)) as supervisor:
        time.sleep(20)
    summary = summarise(supervisor.snapshot())
    frames, latency = summary["frames"], summary["latency_ms"]
    print(json.dumps(summary))
    assert frames["captured"] > 0.9 * 4 * 15 * 20
    assert 0 <= frames["captured"] - frames["processed"] - frames["dropped"] <= 2
    assert latency["capture_to_audience"]["p95"] < 500


@pytest.mark.slow
def test_detection_six_times_as_slow_drops_frames_and_keeps_them_young(street_video: Path, tmp_path: Path) -> None:
    station = _four_cameras(street_video, tmp_path)
    table = replaced(TABLE, "detect", "tests.slow_detect:SlowDetect")
    for _ in range(3):  # what else runs on this machine can only make a frame older
        with _running(station, table) as supervisor:
            time.sleep(20)
        summary = summarise(supervisor.snapshot())
        frames, oldest_ms = summary["frames"], summary["latency_ms"]["capture_to_detect"]["max"]
        print(json.dumps(summary))
        assert frames["dropped"] > frames["processed"] > 20
        allowed_ms = 2 * 1000 / 15 + _child(supervisor, "detect").cell.status()["longest_step_ms"]
        if oldest_ms <= allowed_ms:
            break
    assert oldest_ms <= allowed_ms


@pytest.mark.slow
def test_a_camera_on_its_side_is_turned_and_one_that_refuses_is_named(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for scene_s in range(3, 10):
        upright = render("side", scene_s - phase_s("side"))
        cv2.imwrite(str(pictures / f"{scene_s}.jpg"), turned(upright, 90))
    station, log, summary = tmp_path / "station.toml", tmp_path / "log", tmp_path / "summary.json"
    with RtspCamera(404) as camera:
        url = f"rtsp://admin:s3cr%23t@127.0.0.1:{camera.port}/live?token=s3cr"
        station.write_text(
            STATION.replace('source = "sample"', f'source = "{pictures}"\nrotation_deg = "auto"', 1)
            .replace('source = "sample"', f'source = "{url}"')
            .replace("fps = 6", "max_height_px = 1280\nfps = 6", 1)
        )
        said: dict[str, Any] = {}

        def asked() -> bool:
            done = subprocess.run(
                _stationcast("status", "whole", "--json"), capture_output=True, text=True, check=False
            )
            said.update(json.loads(done.stdout) if done.returncode == 0 else {})
            cameras = {each["name"]: each for each in said.get("cameras", ())}
            return bool(cameras) and cameras["left"]["turned_deg"] == 270 and bool(cameras["right"]["problem"])

        with log.open("w") as err:
            run = subprocess.Popen(_stationcast("run", station, "--summary", summary), stderr=err, stdout=err)
            try:
                wait_for(asked, "the camera to be turned")
            finally:
                run.send_signal(signal.SIGINT)
                run.wait(HANG_S)
    why = "the camera has no stream of that path (404); look up the path in its manual"
    left, right = said["cameras"]
    assert (left["width_px"], left["height_px"], left["state"]) == (1280, 720, "live")
    assert (right["source"], right["problem"]) == (f"rtsp://127.0.0.1:{camera.port}", why)
    assert f"no picture from rtsp://127.0.0.1:{camera.port}: {why}" in [alert["text"] for alert in said["alerts"]]
    told = log.read_text() + summary.read_text() + json.dumps(said)
    assert why in told and "s3cr" not in told
