"""Checks of `stationcast doctor` that concern models. Each returns its status, what was found, and the remedy."""

import ctypes
import subprocess
from pathlib import Path
from typing import Literal

from models.assets import cached
from models.cards import read_card, registry

Found = tuple[Literal["ok", "warn", "fail"], str, str]
_QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
_QUERY_S = 30.0


def gpu() -> Found:
    """Tell whether classification can use a GPU."""
    if not _has_driver():
        return "ok", "no NVIDIA driver; classification runs on the processor", ""
    from models.session import cuda_missing

    cards, missing = _gpus(), cuda_missing()
    if missing is None:
        return "ok", f"{cards}; ONNX Runtime can use it", ""
    remedy = ".ci/setup cuda; until then the processor is used"
    return "warn", f"{cards}; not used: {missing}", remedy


def files() -> Found:
    """Tell whether the files of all built-in models are in the cache."""
    cards = {path: read_card(path)[0] for path in registry().values()}
    missing = [card.name for path, card in cards.items() if not all(cached(file, path) for file in card.files)]
    if missing:
        found = f"not in the cache: {', '.join(missing)}; the first run fetches them"
        return "warn", found, "stationcast models pull"
    return "ok", f"{len(cards)} in the cache", ""


def _has_driver() -> bool:
    if Path("/proc/driver/nvidia/version").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _gpus() -> str:
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return "an NVIDIA driver, no answer from nvidia-smi"
    return "; ".join(done.stdout.strip().splitlines())
