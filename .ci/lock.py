"""Renewal of .ci/locks: the hashes of every wheel that a station installs, for each machine and Python. `make lock`.

The user's own pip is asked for each target in turn and downloads no wheel. The versions are those of constraints.txt.
The files name no package index.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / ".ci" / "locks"
LOCKED_EXTRAS = ("cuda", "heic", "parquet")
"""Extras that a station may have. Each has a lock of its own; the others are for developers and have none."""
BUILD = ("editables", "hatchling")
"""Packages that install the project itself."""
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC_MINORS = (28, 34, 40)
"""Minor versions of glibc 2 at which a newer one is offered other wheels. MediaPipe needs 28."""


class Target(NamedTuple):
    """One kind of machine for which pip chooses wheels."""

    machine: str
    python: str
    glibc_minor: int

    @property
    def environment(self) -> dict[str, str]:
        """Values by which the markers of requirements are judged there."""
        return {
            "platform_machine": self.machine,
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }

    def holds(self, requirement: Requirement, extra: str = "") -> bool:
        """Tell whether a requirement is one there."""
        return requirement.marker is None or requirement.marker.evaluate({**self.environment, "extra": extra})

    def options(self) -> list[str]:
        """Return pip's options that have it choose for this target."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc_minor, 4, -1)]
        tags += [f"{old}_{self.machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
        platforms = itertools.chain.from_iterable(("--platform", tag) for tag in tags)
        return ["--implementation", "cp", "--python-version", self.python, *platforms]


class Wheel(NamedTuple):
    """Wheel that pip would install, and what it requires."""

    sha256: str
    requires: list[Requirement]


def ask_pip(pins: list[str], target: Target, folder: Path) -> dict[str, Wheel]:
    """Return the wheels that pip would install for pinned packages, by name. A package without one is left out."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--dry-run"]
    command += ["--ignore-installed", "--no-deps", "--only-binary=:all:", "--target", str(folder / "target")]
    done = subprocess.run(
        [*command, *target.options(), "--report", str(report), *pins], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        found = {}
        for item in json.loads(report.read_text("utf-8"))["install"]:
            requires = [Requirement(text) for text in item["metadata"].get("requires_dist", [])]
            sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
            found[canonicalize_name(item["metadata"]["name"])] = Wheel(sha256, requires)
        return found
    if "No matching distribution" not in done.stderr:
        raise SystemExit(f"pip fails: {done.stderr.strip()[-2000:]}")
    if len(pins) == 1:
        return {}
    half = len(pins) // 2
    return ask_pip(pins[:half], target, folder) | ask_pip(pins[half:], target, folder)


def closure(
    roots: list[Requirement], target: Target, pins: dict[str, str], known: dict[str, Wheel], folder: Path
) -> set[str]:
    """Return the names of all packages that `roots` need there; `known` learns their wheels."""
    todo = [(requirement, "") for requirement in roots]
    seen: set[tuple[str, str]] = set()
    while todo:
        wanted = [requirement for requirement, extra in todo if target.holds(requirement, extra)]
        new = {(canonicalize_name(item.name), extra) for item in wanted for extra in ("", *item.extras)} - seen
        seen |= new
        missing = sorted({name for name, _ in new} - known.keys())
        unpinned = [name for name in missing if name not in pins]
        if unpinned:
            raise SystemExit(f"constraints.txt: pins no {', '.join(unpinned)}; add their versions")
        if missing:
            known |= ask_pip([f"{name}=={pins[name]}" for name in missing], target, folder)
        todo = [(item, extra) for name, extra in new if name in known for item in known[name].requires]
    return {name for name, _ in seen}


def main() -> None:
    """Write the locks anew."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines if "==" in line)}
    groups = {"station": [*project["dependencies"], *BUILD]}
    groups |= {extra: project["optional-dependencies"][extra] for extra in LOCKED_EXTRAS}
    hashes: dict[str, set[str]] = defaultdict(set)
    needed: dict[str, dict[str, set[str]]] = {group: defaultdict(set) for group in groups}
    with tempfile.TemporaryDirectory(prefix="stationcast-lock-") as folder:
        for target in itertools.starmap(Target, itertools.product(MACHINES, PYTHONS, GLIBC_MINORS)):
            known: dict[str, Wheel] = {}
            for group, texts in groups.items():
                for name in closure([Requirement(text) for text in texts], target, pins, known, Path(folder)):
                    needed[group][name].add(target.machine)
            for name, wheel in known.items():
                hashes[name].add(wheel.sha256)
            gone = sorted({name for group in groups for name in needed[group] if target.machine in needed[group][name]})
            gone = [name for name in gone if name not in known]
            text = f"no wheel of {', '.join(gone)}" if gone else "every wheel is there"
            print(f"{target.machine}, Python {target.python}, glibc 2.{target.glibc_minor}: {text}", file=sys.stderr)
    for group in groups:
        text = [f"# Made by `make lock`; not edited by hand. Wheels of: {group}."]
        for name in sorted(needed[group]):
            if group != "station" and name in needed["station"]:
                continue
            machines = needed[group][name]
            marker = "" if machines == set(MACHINES) else f" ; platform_machine == '{min(machines)}'"
            text.append(f"{name}=={pins[name]}{marker} \\")
            text.append(" \\\n".join(f"    --hash=sha256:{sha256}" for sha256 in sorted(hashes[name])))
        (LOCKS / f"{group}.txt").write_text("\n".join(text) + "\n", "utf-8")


if __name__ == "__main__":
    main()
