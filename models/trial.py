"""Trial of a model that does not come with the program: it is loaded once in a process with limits, before it is used.

A model may load for ever, take all memory, or bring the process down. Whoever made it may have meant that. The models
of the program itself are pinned by their hashes and are not tried.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from models.assets import Model, cache_dir, check_cache
from models.cards import ModelError, registry
from pipeline.private import make_folders, open_file, replacing

CPU_S = 8
"""Longest processor time that loading a model and its golden run may take."""
WALL_S = 20.0
"""Longest time that it may take. A worker that is silent for 30 s while it loads is ended by its supervisor."""
MEMORY_BYTES = 6 << 30
"""Largest address space of the process that tries a model."""
REFUSED = 2
_TRIAL = 1
"""Version of the trial itself. After a change of what it looks at, every model is tried again."""


class Guest(Struct, frozen=True):
    """Model to be tried, as its process is told on standard input."""

    card_path: str
    card_sha256: str
    paths: dict[str, str]
    runtime: str
    """Name and version of what is to run it."""
    cpu_s: int
    memory_bytes: int


def ensure_tried(model: Model, runtime: str, wall_s: float = WALL_S) -> None:
    """Try a model unless it has passed before with this `runtime` (name and version). Raises ModelError: it fails."""
    if model.card_path in registry().values():
        return
    check_cache()
    passed = cache_dir() / "passed" / _mark(model, runtime)
    try:
        os.close(open_file(passed, os.O_RDONLY))
        return
    except OSError:
        pass
    _try(model, runtime, wall_s)
    try:
        make_folders(passed.parent)
        with replacing(passed, durable=False):
            pass
    except OSError:  # it is tried again the next time
        return


def _mark(model: Model, runtime: str) -> str:
    files = [file.sha256 for file in model.card.files]
    return hashlib.sha256("\n".join([model.card_sha256, *files, runtime, str(_TRIAL)]).encode()).hexdigest()


def _try(model: Model, runtime: str, wall_s: float) -> None:
    paths = {name: str(path.resolve()) for name, path in model.paths.items()}
    guest = Guest(str(model.card_path.resolve()), model.card_sha256, paths, runtime, CPU_S, MEMORY_BYTES)
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "LANG") if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="stationcast-trial-") as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "models.guest", str(os.getpid())],
                input=msgspec.json.encode(guest),
                capture_output=True,
                cwd=empty,
                env=environment | {"HOME": empty, "TMPDIR": empty},
                timeout=wall_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _too_much(model, f"{wall_s:g} s") from None
    if done.returncode == REFUSED:
        raise ModelError(done.stdout.decode(errors="replace").strip())
    if done.returncode < 0 or done.returncode > 128:
        raise _too_much(model, f"{CPU_S} s of a processor or {MEMORY_BYTES >> 30} GB of memory, or ends the process")
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(f"{model.card_path}: its model could not be tried: {why[-1] if why else 'no word why'}")


def _too_much(model: Model, limit: str) -> ModelError:
    remedy = "export it again without loops, or take another model"
    return ModelError(f"{model.card_path}: loading its model takes more than {limit}; refused: {remedy}")
