"""The summary file keeps its form, whatever the stages are called."""

import io
from typing import Any

import msgspec
from rich.console import Console

from pipeline.operator.snapshot import Ages, Plays, PresentPeople, ScreenState, Snapshot, Stage
from pipeline.operator.summary import summarise
from pipeline.operator.terminal import line, render


def _counters(**given: int) -> dict[str, int]:
    return dict.fromkeys(("in", "out", "faces", "dropped", "skipped"), 0) | given


def _since(**given: float) -> dict[str, float]:
    return dict.fromkeys(("in", "out", "faces", "cpu_s"), 0.0) | given


EYE = Stage(
    name="eye",
    gives="Frame",
    counters=_counters(out=100, dropped=2),
    since_ready=_since(out=90, cpu_s=1),
    rss_mb=50.04,
)
FINDER = Stage(
    name="finder",
    takes="Frame",
    gives="Faces",
    restarts=1,
    counters=_counters(out=80, faces=30, dropped=3, skipped=4) | {"in": 85},
    age_out=Ages(p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, max_ms=4.0),
)
FOLLOWER = Stage(name="follower", takes="Faces", gives="Faces", counters=_counters(faces=29))
NAMER = Stage(name="namer", takes="Faces", gives="Answered", counters=_counters(faces=28))
WALL = Stage(name="wall", takes="Audience", since_ready=_since(cpu_s=2) | {"in": 70}, age_in=Ages(p50_ms=9.0))
ALL = (EYE, FINDER, FOLLOWER, NAMER, WALL, Stage(name="broker"))


def _snapshot(**changes: Any) -> Snapshot:
    snapshot = Snapshot(
        station="s",
        mode="target",
        at_s=1.0,
        at_ms=1,
        started_ms=0,
        ready=True,
        measured_s=10.0,
        processes=(),
        stages=ALL,
        dropped={"frame>finder": 5, "faces>namer": 6},
        cameras=(),
        screens=(),
        plays=Plays(total=3, billable=2, by_ad={"a": 3}),
        alerts=(),
    )
    return msgspec.structs.replace(snapshot, **changes)


def test_the_figures_come_from_what_stages_take_and_give() -> None:
    summary = summarise(_snapshot())
    assert list(summary) == [
        "duration_s", "frames", "faces", "latency_ms", "plays", "restarts", "stages",
    ]  # fmt: skip
    assert summary["duration_s"] == 10.0
    assert summary["frames"] == {"captured": 102, "processed": 80, "dropped": 5 + 2 + 4 + 3}
    assert summary["faces"] == {"detected": 30, "classified": 28}
    assert summary["latency_ms"] == {
        "capture_to_detect": {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0},
        "capture_to_audience": {"p50": 9.0, "p95": None, "p99": None, "max": None},
    }
    assert summary["plays"] == {"total": 3, "billable": 2, "by_ad": {"a": 3}}
    assert summary["restarts"] == {"eye": 0, "finder": 1, "follower": 0, "namer": 0, "wall": 0, "broker": 0}
    assert summary["stages"]["eye"] == {"in": 0, "out": 100, "fps": 9.0, "busy_pct": 10.0, "rss_mb": 50.0}
    assert summary["stages"]["wall"] == {"in": 0, "out": 0, "fps": 7.0, "busy_pct": 20.0, "rss_mb": 0.0}


def test_a_station_that_was_never_ready_has_no_rates() -> None:
    summary = summarise(_snapshot(ready=False, measured_s=0.0))
    assert summary["duration_s"] == summary["stages"]["eye"]["fps"] == summary["stages"]["eye"]["busy_pct"] == 0.0


def test_a_station_that_starts_is_shown_so_without_rates() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(render(_snapshot(ready=False, measured_s=0.0), width=80))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "stationcast - s: starting" in shown and "000" not in shown


def test_a_station_without_cameras_saw_nothing() -> None:
    summary = summarise(_snapshot(stages=(WALL,), dropped={}))
    assert summary["frames"] == {"captured": 0, "processed": 0, "dropped": 0}
    assert summary["faces"] == {"detected": 0, "classified": 0} and list(summary["stages"]) == ["wall"]


def test_lines_that_their_money_holds_are_shown_and_those_without_room_counted() -> None:
    held = {f"line-{n}": f"its budget of {n}.00 EUR [is] spent" for n in range(9)}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(_snapshot(screens=(ScreenState(name="main", held=held),))))
    said = [text for text in console.export_text().splitlines() if "not played" in text]
    assert len(said) == 7
    assert "line-0: its budget of 0.00 EUR [is] spent" in said[0]
    assert "3 more: stationcast status --json" in said[-1]


def test_the_log_keeps_no_small_number_of_people() -> None:
    said = []
    for people in (0, 1, 9, 10, 26):
        seen = PresentPeople(people=people, groups={"F 20-29": float(people)})
        now = _snapshot(screens=(ScreenState(name="main", present=seen),))
        fields = line(now, now)
        assert "F 20-29" not in str(fields)
        said.append(fields["present"])
    assert said == ["0", "some", "some", "10", "30"]
