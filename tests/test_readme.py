"""Every command of the README is run as it stands there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from bench.rig.scenes.film import write_film
from bench.rig.scenes.scene import Scene
from stages.capture.sample import render
from tests.conftest import HANG_S

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's station file, a photo, a film, and a ledger home of its own."""
    folder = tmp_path_factory.mktemp("readme")
    [station] = re.findall(r"```toml\n# station\.toml\n(.*?)```", TEXT, re.S)
    (folder / "station.toml").write_text(station.replace('name = "north-gate"', 'name = "north-gate"\nstate_dir = "."'))
    cv2.imwrite(str(folder / "photo.jpg"), render("left", 9.0))
    write_film(Scene(seconds=2, size_px=(640, 360), people=1, faces_px=(120,)), folder / "film.mp4")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_works(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command, comments=True)
    assert program == "stationcast"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    if arguments[0] == "doctor" and done.returncode == 1:
        pytest.skip(f"doctor finds this machine lacking:\n{done.stdout}")
    assert done.returncode == 0, done.stderr
    assert done.stdout or "--out" in arguments


def test_the_commands_made_what_they_say(folder: Path) -> None:
    for name in ("graph.svg", "summary.json", "screen.png", "plays.csv"):
        assert (folder / name).stat().st_size > 100, name


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_make_targets_of_the_readme_are_there() -> None:
    targets = set(re.findall(r"\bmake ([a-z-]+)", TEXT))
    assert {"run", "test", "lint", "test-slow"} <= targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("made_in", "finds_its_packages", "code"), [("here", True, 0), ("another folder", True, 2), ("here", False, 2)]
)
def test_a_setup_from_another_folder_or_python_is_made_again(
    made_in: str, finds_its_packages: bool, code: int, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    (here / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / ".ci", here / ".ci")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, here)
    wanted = "cat pyproject.toml constraints.txt .ci/setup .ci/locks/* | sha256sum > .venv/.ready-base"
    subprocess.run(["bash", "-c", wanted], cwd=here, check=True)
    (here / ".venv" / "bin" / "pip").write_text(f"#!{tmp_path / made_in}/.venv/bin/python\n")
    python = here / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\nexit {int(not finds_its_packages)}\n")
    python.chmod(0o755)
    tools = tmp_path / "tools"  # no Python among them: a setup that is not whole ends there
    tools.mkdir()
    for tool in ("bash", "cat", "dirname", "grep", "sha256sum"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run([".ci/setup"], cwd=here, env={"PATH": str(tools), "HOME": str(tmp_path)}, capture_output=True)
    assert done.returncode == code, done.stderr
    assert (b"needs Python" in done.stderr) == (code == 2)


@pytest.mark.slow
def test_a_bare_setup_is_enough_to_run(folder: Path) -> None:
    if not (ROOT / ".venv").is_dir():
        pytest.skip("this is not a checkout set up by `make`: `make run` was not tried")
    command = ["make", "run", "DURATION=3", "ARGS=--headless"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0 and "frames captured" in done.stdout, done.stderr
