"""Set-up: a station gets the wheels that .ci/locks names, and no others, whatever lies in a cache of packages."""

import contextlib
import hashlib
import http.server
import importlib.metadata
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import HANG_S, wait_for
from tests.pipeline.test_private import SOMEBODY, as_root

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / ".ci" / "locks"
_PIN = re.compile(r"([a-z0-9-]+)==(\S+?)(?: ; platform_machine == '\w+')?((?: --hash=sha256:[0-9a-f]{64})+)")
BACKEND = """
import os, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "stationcast-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for file, text in (("METADATA", "Metadata-Version: 2.1\\nName: stationcast\\nVersion: 1\\n"),
                           ("WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"),
                           ("RECORD", "")):
            wheel.writestr("stationcast-1.dist-info/" + file, text)
    return name
"""


def pins(lock: Path) -> dict[str, str]:
    """Return the versions that a lock names, by package."""
    lines = lock.read_text().replace(" \\\n   ", "").splitlines()[1:]
    found = [_PIN.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {match[1]: match[2] for match in found if match}


def test_the_locks_name_versions_and_hashes_alone() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    known = {canonicalize_name(name): version for name, version in pinned.items()}
    for lock in LOCKS.iterdir():
        assert pins(lock) and "://" not in lock.read_text() and "--index" not in lock.read_text()
        for name, version in pins(lock).items():
            assert known[name] == version, f"{lock.name}: {name} is another version than in constraints.txt: make lock"


def test_the_locks_name_all_that_a_station_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {name for lock in LOCKS.iterdir() for name in pins(lock)}
    extras = project["optional-dependencies"]
    named = *project["dependencies"], *extras["heic"], *extras["parquet"], "editables", "hatchling"
    wanted = [Requirement(text) for text in named]
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        assert name in locked, f"{name} has no hash: make lock"
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # an extra that is not installed here
            wanted += [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    assert {canonicalize_name(Requirement(text).name) for text in extras["cuda"]} <= locked


class Place:
    """A project with the real .ci/setup, one package and one extra, and a cache of its own; no network."""

    def __init__(self, folder: Path) -> None:
        self.project, self.cache = folder / "project", folder / "cache"
        self.wheels = self.cache / "stationcast" / "wheels"
        (self.project / ".ci" / "locks").mkdir(parents=True)
        self.wheels.mkdir(parents=True)
        self.tools = folder / "tools"  # without apt-get: nothing is installed on the machine
        self.tools.mkdir()
        for tool in ("bash", "cat", "dirname", "flock", "grep", "id", "ln", "mkdir", "rm", "sha256sum", "stat", "tail"):
            (self.tools / tool).symlink_to(str(shutil.which(tool)))
        shutil.copy(ROOT / ".ci" / "setup", self.project / ".ci")
        (self.project / "backend.py").write_text(BACKEND)
        (self.project / "constraints.txt").write_text("toy==1.0\n")
        (self.project / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        self.lock("station", "toy", self.wheel("toy-1.0", "toy", "ours"))
        self.lock("more", "more", self.wheel("more-1.0", "more", "ours"))

    def wheel(self, stem: str, name: str, who: str) -> str:
        """Put a package that says `who` it is into the cache; return its sha256."""
        kept = io.BytesIO()
        with zipfile.ZipFile(kept, "w") as archive:
            archive.writestr(f"{name}.py", f"WHO = {who!r}\n")
            archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{name}-1.0.dist-info/WHEEL", tags)
            archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
        (self.wheels / f"{stem}-py3-none-any.whl").write_bytes(kept.getvalue())
        return hashlib.sha256(kept.getvalue()).hexdigest()

    def lock(self, group: str, name: str, sha256: str) -> None:
        (self.project / ".ci" / "locks" / f"{group}.txt").write_text(f"{name}==1.0 --hash=sha256:{sha256}\n")

    def start(self, *extras: str, **others: str) -> subprocess.Popen[str]:
        """Start the set-up; `others` are variables of its environment, which lacks those that are empty."""
        outside = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "XDG_CACHE_HOME": str(self.cache)}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | outside
        environment |= {"PYTHON": sys.executable, "PATH": str(self.tools)} | others
        return subprocess.Popen(
            [".ci/setup", *extras],
            cwd=self.project,
            env={key: value for key, value in environment.items() if value},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def setup(self, *extras: str, **others: str) -> subprocess.CompletedProcess[str]:
        with self.start(*extras, **others) as process:
            _, stderr = process.communicate(timeout=HANG_S)
        return subprocess.CompletedProcess(process.args, process.returncode, "", stderr)

    def build_slowly(self, seconds: float) -> Path:
        """Have the project take so long to be installed; return a file that is there once that has begun."""
        text = BACKEND.replace(
            "\n    name =", f"\n    import time; open('begun', 'w'); time.sleep({seconds})\n    name ="
        )
        (self.project / "backend.py").write_text(text)
        return self.project / "begun"

    def who(self, name: str) -> str:
        command = [self.project / ".venv" / "bin" / "python", "-c", f"import {name}; print({name}.WHO)"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.slow
def test_a_wheel_planted_in_the_cache_is_not_installed(place: Place) -> None:
    place.wheel("toy-1.0-1", "toy", "theirs")  # a build tag, which pip prefers
    place.wheel("toy-1.0-99zz", "toy", "theirs")
    place.wheel("more-1.0-1", "more", "theirs")
    done = place.setup("more")
    assert done.returncode == 0, done.stderr
    assert place.who("toy") == place.who("more") == "ours"
    assert place.setup("more").stderr == ""  # quick, as nothing has changed
    assert place.setup().stderr == ""
    place.wheel("toy-1.0", "toy", "theirs")
    shutil.rmtree(place.project / ".venv")
    done = place.setup()
    assert done.returncode == 2 and "the packages are not all there" in done.stderr
    assert place.who("toy") == ""


@pytest.mark.slow
def test_what_is_fetched_is_told_with_its_size(place: Place, tmp_path: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    served = tmp_path / "served"
    for name in ("toy", "more"):
        (served / name).mkdir(parents=True)
        next(place.wheels.glob(f"{name}-*")).rename(served / name / f"{name}-1.0-py3-none-any.whl")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = place.setup("more", PIP_NO_INDEX="", PIP_INDEX_URL=f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    for name in ("toy", "more"):
        assert re.search(rf"stationcast: fetching {name}-1\.0-py3-none-any\.whl \([\d.]+ (bytes|kB)", done.stderr), (
            done.stderr
        )
        assert place.who(name) == "ours"


@pytest.mark.parametrize("folder", ["stationcast", "stationcast/wheels"])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_cache_into_which_others_may_write_is_refused_in_one_line(mode: int, folder: str, place: Place) -> None:
    (place.cache / folder).chmod(mode)
    done = place.setup()
    assert done.returncode == 2 and not (place.project / ".venv").exists()
    assert done.stderr.count("\n") == 1 and f"run: chmod go-w {place.cache / folder}\n" in done.stderr


@as_root
def test_a_cache_of_another_account_is_refused_in_one_line(place: Place) -> None:
    os.chown(place.wheels, SOMEBODY, -1)
    done = place.setup()
    assert done.returncode == 2 and not (place.project / ".venv").exists()
    assert done.stderr.count("\n") == 1 and f"{place.wheels} belongs to another account; remove it" in done.stderr


def test_a_cache_is_made_for_this_account_alone(place: Place) -> None:
    shutil.rmtree(place.cache)
    place.setup()
    assert {oct(path.stat().st_mode & 0o777) for path in (place.wheels, place.wheels.parent)} == {"0o700"}


@pytest.mark.slow
def test_a_ctrl_c_ends_the_set_up_and_the_next_one_goes_on(place: Place) -> None:
    begun = place.build_slowly(60)
    with place.start() as process:
        wait_for(begun.exists, "the installation of the project")
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=HANG_S)
    assert process.returncode == 130 and "fetching" not in stderr, stderr
    place.build_slowly(0)
    assert place.setup().returncode == 0 and place.who("toy") == "ours"


@pytest.mark.slow
def test_two_set_ups_of_one_folder_take_turns(place: Place) -> None:
    begun = place.build_slowly(1)
    with place.start() as first:
        wait_for(begun.exists, "the installation of the project")
        second = place.setup()
        first.communicate(timeout=HANG_S)
    assert first.returncode == second.returncode == 0
    assert second.stderr == "stationcast: waiting for another set-up of this folder\n"


@pytest.mark.slow
def test_a_version_that_is_taken_back_is_installed_again(place: Place) -> None:
    pinned = place.project / "constraints.txt"
    before = pinned.read_text()
    place.setup("more")
    pinned.write_text(before + "other==1.0\n")
    assert "installing packages" in place.setup().stderr
    pinned.write_text(before)
    assert "installing packages" in place.setup().stderr, "the packages of the other version are taken for its own"


def test_an_account_without_a_home_is_told_what_is_wrong_with_the_cache_alone(place: Place) -> None:
    no_python = place.setup(HOME="", XDG_CACHE_HOME="", PYTHON="none")
    assert no_python.returncode == 2 and no_python.stderr.startswith("stationcast: needs Python")
    (place.cache / "file").touch()
    done = place.setup(XDG_CACHE_HOME=str(place.cache / "file"))
    assert done.returncode == 2 and not (place.project / ".venv").exists()
    assert done.stderr.count("\n") == 1 and "set XDG_CACHE_HOME to a folder of your own" in done.stderr
