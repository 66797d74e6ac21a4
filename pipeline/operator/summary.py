"""What a run did, from its processes' cells: the summary file, and the figures of the live view."""

import time
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.cells import quantile_ms
from pipeline.process import Child
from pipeline.supervisor import Supervisor


class Reading(Struct, frozen=True, kw_only=True):
    """The counters of all processes of one role, summed, at one time."""

    at_s: float
    counters: dict[str, int]
    cpu_s: float
    rss_mb: float
    age_in: NDArray[np.uint64]
    age_out: NDArray[np.uint64]

    def rate(self, counter: str, before: "Reading") -> float:
        """How many a second since `before`."""
        return (self.counters[counter] - before.counters[counter]) / max(1e-9, self.at_s - before.at_s)


_SUMMED = ("in", "out", "faces", "dropped", "skipped")
_LARGEST = ("age_in_max_ns", "age_out_max_ns")


def read(children: list[Child], role: str) -> Reading:
    """Read the cells of one role's processes."""
    cells = [child.cell for child in children if child.role == role]
    return Reading(
        at_s=time.monotonic(),
        counters={name: sum(cell[name] for cell in cells) for name in _SUMMED}
        | {name: max((cell[name] for cell in cells), default=0) for name in _LARGEST},
        cpu_s=sum(child.cpu_s for child in children if child.role == role),
        rss_mb=sum(child.rss_mb for child in children if child.role == role),
        age_in=_total([cell.age_in.buckets for cell in cells]),
        age_out=_total([cell.age_out.buckets for cell in cells]),
    )


def _total(histograms: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.sum(histograms, axis=0, dtype=np.uint64) if histograms else np.zeros(1, np.uint64)


def percentiles_ms(buckets: NDArray[np.uint64], max_ns: int) -> dict[str, float | None]:
    """p50, p95, p99 (within 1 %) and the exact largest, ms; None while nothing was measured."""
    found = {f"p{q}": quantile_ms(buckets, q / 100) for q in (50, 95, 99)}
    largest = round(max_ns / 1e6, 2) if max_ns else None
    return {name: None if value is None else round(min(value, max_ns / 1e6), 2) for name, value in found.items()} | {
        "max": largest
    }


def plays(children: list[Child]) -> dict[str, Any]:
    """The screens' plays of this run, from their ledgers' totals."""
    total = billable = 0
    by_ad: dict[str, int] = {}
    for child in children:
        counted = child.cell.status().get("plays", {}) if child.role == "player" else {}
        total += counted.get("total", 0)
        billable += counted.get("billable", 0)
        for ad, n in counted.get("by_ad", {}).items():
            by_ad[ad] = by_ad.get(ad, 0) + n
    return {"total": total, "billable": billable, "by_ad": by_ad}


def _since_ready(children: list[Child], role: str) -> dict[str, float]:
    """Messages that one role's processes gave (or took, where they give none), and their CPU time, since the start."""
    mine = [child for child in children if child.role == role]
    came = {name: sum(child.cell[name] - child.at_ready[name] for child in mine) for name in ("in", "out")}
    return {"frames": came["out"] or came["in"], "cpu_s": sum(child.cpu_s - child.cpu_at_ready_s for child in mine)}


def summarise(supervisor: Supervisor) -> dict[str, Any]:
    """The summary of a run that has just ended, as the summary file holds it."""
    children = supervisor.children
    duration_s = max(1e-9, supervisor.ended_s - supervisor.ready_s) if supervisor.ready_s else 0.0
    readings = {
        role: read(children, role) for role in supervisor.roles if any(child.role == role for child in children)
    }
    since_ready = {role: _since_ready(children, role) for role in readings}
    empty = read([], "none")
    capture, detect, classify, player = (
        readings.get(role, empty) for role in ("capture", "detect", "classify", "player")
    )
    frame_drops = sum(
        n
        for child in children
        if child.role == "broker"
        for link, n in child.cell.status().get("dropped", {}).items()
        if link.startswith("frame>")
    )
    return {
        "duration_s": round(duration_s, 2),
        "frames": {
            "captured": capture.counters["out"] + capture.counters["dropped"],
            "processed": detect.counters["out"],
            "dropped": frame_drops
            + capture.counters["dropped"]
            + detect.counters["skipped"]
            + detect.counters["dropped"],
        },
        "faces": {"detected": detect.counters["faces"], "classified": classify.counters["faces"]},
        "latency_ms": {
            "capture_to_detect": percentiles_ms(detect.age_out, detect.counters["age_out_max_ns"]),
            "capture_to_audience": percentiles_ms(player.age_in, player.counters["age_in_max_ns"]),
        },
        "plays": plays(children),
        "restarts": {role: sum(child.restarts for child in children if child.role == role) for role in readings},
        "stages": {
            role: {
                "in": reading.counters["in"],
                "out": reading.counters["out"],
                "fps": round(since_ready[role]["frames"] / duration_s, 2) if duration_s else 0.0,
                "busy_pct": round(100 * since_ready[role]["cpu_s"] / duration_s, 1) if duration_s else 0.0,
                "rss_mb": round(reading.rss_mb, 1),
            }
            for role, reading in readings.items()
        },
    }
