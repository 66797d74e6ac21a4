"""The machine that is measured: its parts, its versions, and how busy it is."""

import importlib.metadata
import os
import platform
import resource
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psutil

_PACKAGES = (
    "ai-edge-litert",
    "av",
    "mediapipe",
    "msgspec",
    "numpy",
    "onnxruntime-gpu",
    "onnxruntime",
    "opencv-contrib-python",
    "pygame",
    "pyzmq",
)


def machine() -> dict[str, str]:
    """Return the machine's parts, the versions of the libraries and the load averages, each as text."""
    cores = len(os.sched_getaffinity(0))
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "processor": _processor(),
        "cores": str(cores),
        "memory": memory,
        "gpu": gpu_name() or "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


@cache
def gpu_name() -> str:
    """Return the name and driver of the first NVIDIA card, or "" where there is none."""
    if shutil.which("nvidia-smi") is None:
        return ""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def busy_s() -> float:
    """Return the CPU time that all programs of this machine have used, s."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0)


def children_s() -> float:
    """Return the CPU time that the ended children of this process have used, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
