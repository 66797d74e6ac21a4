"""Summary of a run, as the summary file holds it."""

from typing import Any

from pipeline.messages import Answered, Audience, Faces, Frame
from pipeline.operator.snapshot import Ages, Snapshot, Stage


def summarise(snapshot: Snapshot) -> dict[str, Any]:
    """Return the figures of a run from the snapshot taken when it has ended. Rates are those since it was ready."""
    frame, faces, answered, audience = (kind.__name__ for kind in (Frame, Faces, Answered, Audience))
    cameras = _one([stage for stage in snapshot.stages if stage.gives == frame])
    finders = _one([stage for stage in snapshot.stages if stage.takes == frame])
    namers = _one([stage for stage in snapshot.stages if stage.takes == faces and stage.gives == answered])
    screens = _one([stage for stage in snapshot.stages if stage.takes == audience and not stage.gives])
    overtaken = sum(n for link, n in snapshot.dropped.items() if link.startswith(f"{frame.lower()}>"))
    return {
        "duration_s": round(snapshot.measured_s, 2),
        "frames": {
            "captured": cameras.counters["out"] + cameras.counters["dropped"],
            "processed": finders.counters["out"],
            "dropped": overtaken
            + cameras.counters["dropped"]
            + finders.counters["skipped"]
            + finders.counters["dropped"],
        },
        "faces": {"detected": finders.counters["faces"], "classified": namers.counters["faces"]},
        "latency_ms": {
            "capture_to_detect": _latency(finders.age_out),
            "capture_to_audience": _latency(screens.age_in),
        },
        "plays": {
            "total": snapshot.plays.total,
            "billable": snapshot.plays.billable,
            "by_ad": snapshot.plays.by_ad,
        },
        "restarts": {stage.name: stage.restarts for stage in snapshot.stages},
        "stages": {stage.name: _figures(stage, snapshot.measured_s) for stage in snapshot.stages},
    }


def _one(stages: list[Stage]) -> Stage:
    """Return the first of these stages; one of zeros where there is none."""
    return stages[0] if stages else Stage(name="")


def _latency(ages: Ages) -> dict[str, float | None]:
    return {"p50": ages.p50_ms, "p95": ages.p95_ms, "p99": ages.p99_ms, "max": ages.max_ms}


def _figures(stage: Stage, measured_s: float) -> dict[str, float]:
    since = stage.since_ready
    return {
        "in": stage.counters["in"],
        "out": stage.counters["out"],
        "fps": round((since["out"] or since["in"]) / measured_s, 2) if measured_s else 0.0,
        "busy_pct": round(100 * since["cpu_s"] / measured_s, 1) if measured_s else 0.0,
        "rss_mb": round(stage.rss_mb, 1),
    }
