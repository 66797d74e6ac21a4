"""State of a station at one moment, as one struct: what terminal, summary and `stationcast status` read.

It is read from shared memory (pipeline/cells.py) and from the supervisor's knowledge of its processes; no process is
asked for anything, so a hanging one holds up nobody. It is one file: the struct, and how each part of it is read.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from pipeline.cells import BUCKETS, quantile_ms
from pipeline.graph import Graph
from pipeline.log import Severity
from pipeline.process import Child
from pipeline.settings import Mode, Station

_SUMMED = ("in", "out", "faces", "dropped", "skipped")
_SILENT_S = 2.0
"""Silence of a process before an alert names it. The supervisor replaces it some seconds later."""
_FAILURES = 3
"""Failures in a row of one process that make a warning an error."""


class Ages(Struct, frozen=True, kw_only=True):
    """Ages of messages in ms, counted from the capture of their frame: quantiles (within 1 %) and the exact largest.

    None: nothing was measured yet.
    """

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    counts: dict[int, int] = {}
    """Messages by bucket of `pipeline.cells.Histogram`; empty buckets are left out."""

    @classmethod
    def of(cls, buckets: NDArray[np.uint64], max_ns: int) -> "Ages":
        """Return the ages of a histogram's buckets, uint64 [1024]."""
        max_ms = max_ns / 1e6
        found = [quantile_ms(buckets, q) for q in (0.5, 0.95, 0.99)]
        p50_ms, p95_ms, p99_ms = (None if value is None else round(min(value, max_ms), 2) for value in found)
        counts = {int(i): int(buckets[i]) for i in np.flatnonzero(buckets)}
        largest_ms = round(max_ms, 2) if max_ns else None
        return cls(p50_ms=p50_ms, p95_ms=p95_ms, p99_ms=p99_ms, max_ms=largest_ms, counts=counts)

    def since(self, before: "Ages") -> NDArray[np.uint64]:
        """Return the buckets of what came after an earlier snapshot, uint64 [1024]."""
        buckets = np.zeros(BUCKETS, np.uint64)
        for i, n in self.counts.items():
            buckets[i] = max(0, n - before.counts.get(i, 0))
        return buckets


class Process(Struct, frozen=True, kw_only=True):
    """One process. Counters go on when it is replaced."""

    name: str
    role: str
    state: Literal["starting", "ready", "restarting", "ending", "ended"]
    pid: int | None
    restarts: int
    failures: int
    """Failures in a row; 0 once it has run well for a minute."""
    silent_s: float
    """Time since its last heartbeat."""
    cpu_s: float
    rss_mb: float
    counters: dict[str, int]


class Stage(Struct, frozen=True, kw_only=True):
    """All processes of one row of the stage table, or the broker, added up."""

    name: str
    takes: str | None = None
    """Name of the message that it takes. None: a source, or the broker."""
    gives: str | None = None
    processes: int = 0
    """Number of processes that should run."""
    ready: int = 0
    restarts: int = 0
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMMED, 0))
    skipped: dict[str, int] = {}
    """Things passed over, by reason, since each present process began."""
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    age_in: Ages = Ages()
    """Ages of messages when they reached the stage."""
    age_out: Ages = Ages()
    """Ages of its results when they left."""
    since_ready: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("in", "out", "faces", "cpu_s"), 0.0))
    """Counters and CPU time since the station was ready."""


class CameraState(Struct, frozen=True, kw_only=True):
    """State of a camera, as its process last published it."""

    name: str
    source: str = ""
    """Source without credentials."""
    state: str = ""
    """`opening`, `live`, `retrying` or `ended`; empty before the first word."""
    width_px: int = 0
    height_px: int = 0
    problem: str = ""
    """Reason why there is no picture, and the remedy; empty while there is one."""
    turned_deg: int = 0
    """Clockwise turn of the pictures now."""
    rotation_wanted_deg: int | None = None
    """Value for the camera's `rotation_deg` with which faces would stand upright; None while they do."""
    dark: bool = False
    """True while its pictures have no light in them."""


class Plays(Struct, frozen=True, kw_only=True):
    """Plays of this run, by the ledger."""

    total: int = 0
    billable: int = 0
    by_ad: dict[str, int] = {}


class PresentPeople(Struct, frozen=True, kw_only=True):
    """People in front of a screen: their number, and the number in each group whose gender and age are sure."""

    people: int = 0
    groups: dict[str, int] = {}
    unknown: int = 0
    looking: int = 0
    """Number of those who look at the screen now."""
    watched: int = 0
    """Number of those who have looked at it since they came."""
    dwell_s: float | None = None
    """Median time for which they have been there; None where nobody is."""
    measured: float | None = None
    """Share of the screen's cameras that tell who is there, a group of cameras as one; None without cameras."""


class ScreenState(Struct, frozen=True, kw_only=True):
    """State of a screen, as its process last published it: the ad that is on, and who is there."""

    name: str
    ad: str = "-"
    title: str = ""
    trigger: str = "-"
    target: str = ""
    reason: str = ""
    since_ms: int | None = None
    """Start of the ad, UTC epoch."""
    present: PresentPeople = PresentPeople()
    plays: Plays = Plays()
    screen: str = ""
    """`window` or `headless`."""
    screenshot: str = ""
    display_lost: bool = False
    ledger_problem: str = ""
    """Reason why only house ads play; empty while the ledger is well."""
    held: dict[str, str] = {}
    """Reason of each paid line that does not play though its dates allow it."""
    quarantined: dict[str, str] = {}
    """Reason of each creative that is kept off the screen for a while because it failed."""
    campaigns_problem: str = ""
    """Reason why the folder of campaigns cannot be read now; empty where it can."""
    frames_presented: int = 0
    frames_expected: int = 0


class TodayPeople(Struct, frozen=True, kw_only=True):
    """People of today, by the station's clocks, told as in reports: in tens, and 0 for fewer than ten."""

    people: int = 0
    watchers: int = 0
    """Number of those who have looked at a screen."""


class Alert(Struct, frozen=True):
    """Something that an operator should look at now."""

    severity: Severity
    event: str
    """One of `process_restarting`, `process_silent`, `camera_lost`, `camera_dark`, `faces_lie`, `display_lost`,
    `ledger_trouble`, `campaigns_away` and `statistics_trouble`.
    """
    subject: str
    """Name of the process, camera or screen."""
    text: str


class Snapshot(Struct, frozen=True, kw_only=True):
    """A station at one moment. Ratios of two snapshots' counters and `at_s` are rates."""

    station: str
    station_file: str = ""
    """Path of the station file that is followed; empty for the demo."""
    mode: Mode
    at_s: float
    """CLOCK_MONOTONIC of the station's machine."""
    at_ms: int
    """UTC epoch."""
    started_ms: int
    """Start of the run, UTC epoch."""
    ready: bool
    measured_s: float
    """Time since the station was ready, up to its end; 0.0 before."""
    processes: tuple[Process, ...]
    stages: tuple[Stage, ...]
    """Stages in the order of the table, then the broker; only those that have processes."""
    dropped: dict[str, int]
    """Messages dropped by the broker, by link, such as `frame>detect`."""
    moved: dict[str, int] = {}
    """Times that a camera came to another worker of a sticky link, or to a new process in its place. Whoever was
    followed in it then counts anew."""
    cameras: tuple[CameraState, ...]
    screens: tuple[ScreenState, ...]
    plays: Plays
    """Plays of all screens."""
    today: TodayPeople | None = None
    """People of today; None where nobody keeps statistics."""
    alerts: tuple[Alert, ...]

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; one of zeros where none has processes."""
        return next((stage for stage in self.stages if stage.name == name), Stage(name=name))


def take(
    station: Station,
    graph: Graph,
    roles: Sequence[str],
    children: Sequence[Child],
    *,
    station_file: str,
    started_ms: int,
    ready_s: float,
    ended_s: float,
) -> Snapshot:
    """Return the state of a station's processes now.

    `ready_s` and `ended_s` are monotonic times, 0.0 before the station was ready and while it runs.
    """
    now_s = time.monotonic()
    statuses = {child.worker: child.cell.status() for child in children}
    by_role: dict[str, list[Child]] = {role: [] for role in roles}
    for child in children:
        by_role[child.role].append(child)
    processes = tuple(_process(child, now_s, bool(ended_s)) for child in children if not child.past)
    cameras = tuple(msgspec.convert(status, CameraState) for status in _of_instances(children, "camera", statuses))
    screens = tuple(msgspec.convert(status, ScreenState) for status in _of_instances(children, "screen", statuses))
    counted = next((status for status in statuses.values() if "today" in status), {})
    return Snapshot(
        station=station.station.name,
        station_file=station_file,
        mode=station.station.mode,
        at_s=now_s,
        at_ms=time.time_ns() // 1_000_000,
        started_ms=started_ms,
        ready=ready_s > 0,
        measured_s=max(1e-9, (ended_s or now_s) - ready_s) if ready_s else 0.0,
        processes=processes,
        stages=tuple(_stage(role, graph, mine, statuses) for role, mine in by_role.items() if mine),
        dropped=dict(_sum(statuses[child.worker].get("dropped", {}) for child in children if child.group is None)),
        moved=dict(_sum(statuses[child.worker].get("moved", {}) for child in children if child.group is None)),
        cameras=cameras,
        screens=screens,
        plays=_all_plays(children, statuses),
        today=msgspec.convert(counted["today"], TodayPeople) if counted else None,
        alerts=()
        if ended_s
        else (
            *_process_alerts(processes),
            *_camera_alerts(cameras),
            *_screen_alerts(screens),
            *_statistics_alerts(counted),
        ),
    )


def _process(child: Child, now_s: float, ended: bool) -> Process:
    runs = child.process is not None and not ended
    state: Literal["starting", "ready", "restarting", "ending", "ended"]
    if ended or child.retired:
        state = "ending" if runs else "ended"
    elif runs:
        state = "ready" if child.ready else "starting"
    else:
        state = "restarting"
    return Process(
        name=child.worker,
        role=child.role,
        state=state,
        pid=child.process.pid if child.process and runs else None,
        restarts=child.restarts,
        failures=child.failures,
        silent_s=round(max(0.0, now_s - child.cell["heartbeat_ns"] / 1e9), 3) if runs else 0.0,
        cpu_s=child.cpu_s,
        rss_mb=child.rss_mb,
        counters={name: child.cell[name] for name in _SUMMED},
    )


def _stage(role: str, graph: Graph, children: list[Child], statuses: dict[str, dict[str, Any]]) -> Stage:
    row = next((group.row for group in graph.groups if group.role == role), None)
    wanted = [child for child in children if not child.retired]
    cells = [child.cell for child in children]
    came = {
        name: float(sum(child.cell[name] - child.at_ready[name] for child in children))
        for name in ("in", "out", "faces")
    }
    return Stage(
        name=role,
        takes=row.takes.__name__ if row and row.takes else None,
        gives=row.gives.__name__ if row and row.gives else None,
        processes=len(wanted),
        ready=sum(child.ready for child in wanted),
        restarts=sum(child.restarts for child in children),
        counters={name: sum(cell[name] for cell in cells) for name in _SUMMED},
        skipped=dict(_sum(statuses[child.worker].get("skipped", {}) for child in children)),
        cpu_s=sum(child.cpu_s for child in children),
        rss_mb=sum(child.rss_mb for child in children),
        age_in=Ages.of(_added([cell.age_in.buckets for cell in cells]), max(cell["age_in_max_ns"] for cell in cells)),
        age_out=Ages.of(
            _added([cell.age_out.buckets for cell in cells]), max(cell["age_out_max_ns"] for cell in cells)
        ),
        since_ready=came | {"cpu_s": sum(child.cpu_s - child.cpu_at_ready_s for child in children)},
    )


def _added(histograms: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.sum(histograms, axis=0, dtype=np.uint64)


def _sum(counts: Any) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _of_instances(children: Sequence[Child], per: str, statuses: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the processes of all cameras or screens say of themselves, each with its name."""
    mine = [child for child in children if child.group and child.group.row.per == per and not child.retired]
    return [statuses[child.worker] | {"name": child.instance} for child in mine]


def _all_plays(children: Sequence[Child], statuses: dict[str, dict[str, Any]]) -> Plays:
    """Add up the plays of all screens, also of those that are no longer there.

    A screen's process counts those of the whole run, also those of the process before it: the largest count is right.
    """
    by_screen: dict[str, Plays] = {}
    for child in children:
        for screen, said in (child.plays | {child.instance: statuses[child.worker].get("plays", {})}).items():
            plays = msgspec.convert(said, Plays)
            if plays.total >= by_screen.get(screen, plays).total:
                by_screen[screen] = plays
    return Plays(
        total=sum(plays.total for plays in by_screen.values()),
        billable=sum(plays.billable for plays in by_screen.values()),
        by_ad=dict(_sum(plays.by_ad for plays in by_screen.values())),
    )


def _process_alerts(processes: Sequence[Process]) -> Iterator[Alert]:
    for process in processes:
        if process.failures and process.state in ("restarting", "starting"):
            severity: Severity = "err" if process.failures >= _FAILURES else "warning"
            yield Alert(
                severity, "process_restarting", process.name, f"is started again, failed {process.failures} times"
            )
        elif process.state == "ready" and process.silent_s > _SILENT_S:
            yield Alert("warning", "process_silent", process.name, f"no sign of life for {process.silent_s:.0f} s")


def _camera_alerts(cameras: Sequence[CameraState]) -> Iterator[Alert]:
    for camera in cameras:
        if camera.state == "retrying":
            why = f": {camera.problem}" if camera.problem else ""
            yield Alert("warning", "camera_lost", camera.name, f"no picture from {camera.source}{why}")
        elif camera.state == "live" and camera.dark:
            text = "its pictures are black, and its people are not measured: is the lens covered, or the light off?"
            yield Alert("warning", "camera_dark", camera.name, text)
        elif camera.rotation_wanted_deg is not None:
            lies = "upside down" if (camera.rotation_wanted_deg - camera.turned_deg) % 360 == 180 else "on their side"
            remedy = f"set rotation_deg = {camera.rotation_wanted_deg} in the camera's table"
            yield Alert("warning", "faces_lie", camera.name, f"faces lie {lies}: {remedy}")


def _screen_alerts(screens: Sequence[ScreenState]) -> Iterator[Alert]:
    for screen in screens:
        if screen.display_lost:
            yield Alert("err", "display_lost", screen.name, "the display cannot be opened; nothing is shown")
        if screen.ledger_problem:
            yield Alert("err", "ledger_trouble", screen.name, f"only house ads play: {screen.ledger_problem}")
        if screen.campaigns_problem:
            text = f"what is loaded plays on: {screen.campaigns_problem}"
            yield Alert("warning", "campaigns_away", screen.name, text)


def _statistics_alerts(counted: dict[str, Any]) -> Iterator[Alert]:
    if counted.get("counts_problem"):
        yield Alert("err", "statistics_trouble", "statistics", f"counts wait in memory: {counted['counts_problem']}")
