"""The doctor finds what is really there, and names the remedy for what is really broken."""

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.operator import doctor
from tests.conftest import HANG_S


def examine(environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Run `stationcast doctor --json` in a process of its own."""
    command = [sys.executable, "-c", "from pipeline.operator.doctor import doctor; doctor()", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=HANG_S, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:

    return dict(os.environ) | {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"}


def test_the_findings_are_complete_and_decide_the_exit_code(environment: dict[str, str]) -> None:
    code, answer = examine(environment)
    checks = {check["name"]: check for check in answer["checks"]}
    assert code == (0 if answer["ok"] else 1)
    assert answer["ok"] == all(check["status"] != "fail" for check in checks.values())
    assert {"system", "cameras", "display", "GPU", "models", "shared memory", "open files", "fonts"} <= set(checks)
    assert checks["system"]["status"] == "ok"
    assert checks["cv2 (frames)"]["found"].startswith("4.")
    assert all(check["remedy"] for check in checks.values() if check["status"] != "ok")


def test_a_library_that_does_not_load_is_named_with_its_package(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    (tmp_path / "pygame.py").write_text("import os; os.abort()")
    code, answer = examine(environment)
    checks = {check["name"]: check for check in answer["checks"]}
    assert code == 1
    assert checks["cv2 (frames)"]["status"] == "fail"
    assert checks["cv2 (frames)"]["remedy"] == "sudo apt-get install libgl1"
    assert checks["pygame (the screen)"]["status"] == "fail"
    assert checks["display"]["status"] == "warn"
    assert checks["zmq (messages)"]["status"] == "ok"


def test_a_check_of_another_folder_that_breaks_is_a_finding(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "players").mkdir()
    (tmp_path / "players" / "__init__.py").write_text("raise ImportError('no players today')")
    _, answer = examine(environment)
    checks = {check["name"]: check for check in answer["checks"]}
    assert checks["fonts"]["status"] == "fail" and "no players today" in checks["fonts"]["found"]
    assert checks["display"]["status"] == "warn" and checks["models"]["status"] == "ok"


@pytest.mark.parametrize("name", doctor.ELSEWHERE)
def test_every_check_of_another_folder_is_there(name: str) -> None:
    module, _, function = doctor.ELSEWHERE[name].check.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_what_lies_in_the_working_folder_is_not_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "MODULES", {"numpy": "pictures"})
    check = next(doctor.EXAMINATIONS["Python packages"]())
    assert (check.name, check.status) == ("numpy (pictures)", "ok")


def test_a_missing_system_library_is_a_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.SYSTEM_LIBRARIES, "libnosuchthing.so.9", "libnosuchthing9")
    check, _ = doctor.EXAMINATIONS["system libraries"]()
    assert check.status == "fail"
    assert "libnosuchthing.so.9" in check.found
    assert "libnosuchthing9" in check.remedy


def test_a_place_that_the_system_refuses_to_look_at_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", f"/tmp/{'s' * 300}")  # refused to anybody, as another's home is to a service
    state, cache = doctor.EXAMINATIONS["storage"]()
    assert (state.name, state.status, state.remedy) == ("state folder", "fail", "take a shorter one")
    assert cache.name == "cache"


def test_a_low_limit_of_open_files_is_seen() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        check = next(doctor.EXAMINATIONS["limits"]())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (check.name, check.status) == ("open files", "warn")
    assert "200" in check.found


def test_swap_on_a_disk_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_SWAPS", swaps := tmp_path / "swaps")
    head, zram, file = "Filename Type Size Used Priority\n", "/dev/zram0 partition 9 0 100\n", "/swapfile file 9 0 -2\n"
    found = []
    for text in (head, head + zram, head + zram + file):
        swaps.write_text(text)
        found += [(check.status, check.found.partition(":")[0]) for check in doctor.EXAMINATIONS["swap"]()]
    assert found == [("ok", "none on a disk"), ("ok", "none on a disk"), ("warn", "/swapfile")]


def test_the_table_is_for_people_and_shows_a_remedy_with_brackets_whole(capsys: pytest.CaptureFixture[str]) -> None:
    doctor._print([doctor.Check("GPU", "warn", "not used", "pip install 'x[cuda,cudnn]'")])
    said = capsys.readouterr().out
    assert "x[cuda,cudnn]" in said
    assert "stationcast doctor" in said and "0 ok, 1 to look at, 0 to mend" in said
