"""A station in the terminal: a live table or a log line every ten seconds, and the end of a run as tables."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.cells import quantile_ms
from pipeline.graph import BROKER
from pipeline.log import log
from pipeline.messages import Faces, Frame
from pipeline.operator.snapshot import PresentPeople, ScreenState, Snapshot, Stage
from pipeline.people import FEWEST_PEOPLE, told
from pipeline.streams import Terminal

_LOOK_EVERY_S, _LINE_EVERY_S = 0.25, 10.0
_WINDOW_S = 5.0
_WIDE = 100
"""Columns of a terminal in which the table has room for lines between its own."""

_HELD_LINES = 6
"""Largest number of lines told of that do not play."""
_BRIGHT = ("", "live")
"""States of a camera that is not worth a line."""


class View:
    """Display of a running station, renewed as often as it makes sense."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._next_s = self._next_line_s = 0.0
        self._history: deque[Snapshot] = deque()

    def tick(self, take: Callable[[], Snapshot]) -> None:
        """Take a snapshot and show it, if it is time; this is called all the time."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _LOOK_EVERY_S
        now = take()
        self._history.append(now)
        while len(self._history) > 1 and now.at_s - self._history[0].at_s > _WINDOW_S:
            self._history.popleft()
        if self._live:
            self._live.update(render(now, self._history[0], self._live.console.width), refresh=True)
        elif now.ready and now_s >= self._next_line_s:
            self._next_line_s = now_s + _LINE_EVERY_S
            log("running", **line(now, self._history[0]))


def line(now: Snapshot, before: Snapshot) -> dict[str, Any]:
    """Return the station as the fields of one log line."""
    screen = next(iter(now.screens), None)
    finders = [stage for stage in now.stages if stage.takes == Frame.__name__]
    followers = [stage for stage in now.stages if stage.gives == Faces.__name__]
    return {
        "detect_fps": round(sum(_pace(stage, now, before).out_rate for stage in finders), 1),
        "dropped": now.stage(BROKER).counters["dropped"],
        "faces": sum(stage.counters["faces"] for stage in followers[:1]),
        "present": _present_word(screen.present.people if screen else 0),
        "looking": _present_word(screen.present.looking if screen else 0),
        "ad": screen.ad if screen else "-",
        "why": screen.trigger if screen else "-",
        "plays": now.plays.total,
    } | {f"camera_{camera.name}": camera.state for camera in now.cameras if camera.state not in _BRIGHT}


def _present_word(people: int) -> str:
    """Return a number of people as a log may keep it: `0`, `some`, or tens."""
    return str(told(people) or "some") if people else "0"


def render(now: Snapshot, before: Snapshot | None = None, width: int = _WIDE) -> RenderableType:
    """Return the station as a table of its stages, then the audience and the ad of each screen, then alerts.

    Rates and ages are those since the snapshot `before`; without one, those since the station was ready.
    """
    title = f"stationcast - {now.station}{'' if now.ready else ': starting'}"
    table = Table(title=title, title_justify="left", expand=True)
    if width < _WIDE:
        table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 0), False
    for name in ("stage", "processes", "fps", "p50 ms", "p95 ms", "faces/s", "dropped", "restarts", "cpu %", "MB"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for stage in now.stages:
        if not stage.processes:
            continue
        pace = _pace(stage, now, before)
        sees_faces = stage.takes and stage.gives
        table.add_row(
            stage.name,
            str(stage.ready) if stage.ready == stage.processes else f"[yellow]{stage.ready} of {stage.processes}[/]",
            f"{pace.out_rate or pace.in_rate:.1f}",
            _ms(pace.p50_ms),
            _ms(pace.p95_ms),
            f"{pace.face_rate:.1f}" if sees_faces else "",
            str(stage.counters["dropped"] + stage.counters["skipped"]),
            str(stage.restarts),
            f"{100 * pace.cores:.0f}",
            f"{stage.rss_mb:.0f}",
        )
    lines = [text for screen in now.screens for text in _screen_lines(screen, alone=len(now.screens) == 1)]
    dark = [camera for camera in now.cameras if camera.state not in _BRIGHT]
    for camera in dark:
        why = f": {camera.problem}" if camera.problem else ""
        lines.append(f"[b yellow]camera {camera.name}[/]  {camera.state}: {escape(camera.source + why)}")
    told = {camera.name for camera in dark}
    alerts = [alert for alert in now.alerts if alert.event != "camera_lost" or alert.subject not in told]
    lines += [
        f"[b {'red' if alert.severity == 'err' else 'yellow'}]{alert.subject}[/]  {escape(alert.text)}"
        for alert in alerts
    ]
    lines.append(f"[b]plays[/]  {now.plays.total}, billable {now.plays.billable}")
    if now.today is not None:
        watchers = f"   watched {now.today.watchers}" if now.today.watchers else ""
        lines.append(f"[b]today[/]  {now.today.people or f'fewer than {FEWEST_PEOPLE}'} people{watchers}")
    return Group(table, Panel("\n".join(lines)), "")  # the terminal echoes ^C on the empty line


def print_summary(console: Terminal, summary: dict[str, Any]) -> None:
    """Print the end of a run as tables."""
    table = Table(title="stages", title_justify="left")
    for name in ("stage", "in", "out", "fps", "busy %", "MB", "restarts"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, row in summary["stages"].items():
        figures = (row["in"], row["out"], row["fps"], row["busy_pct"], row["rss_mb"], summary["restarts"][name])
        table.add_row(name, *map(str, figures))
    console.print(table)
    latency = Table(title="latency, ms", title_justify="left")
    for name in ("hop", "p50", "p95", "p99", "max"):
        latency.add_column(name, justify="left" if name == "hop" else "right")
    for hop, values in summary["latency_ms"].items():
        latency.add_row(hop.replace("_", " "), *("-" if v is None else f"{v}" for v in values.values()))
    console.print(latency)
    frames, faces, plays = summary["frames"], summary["faces"], summary["plays"]
    console.print(
        f"{summary['duration_s']} s: {frames['captured']} frames captured, {frames['processed']} processed, "
        f"{frames['dropped']} dropped; {faces['detected']} faces found, {faces['classified']} classified; "
        f"{plays['total']} plays, {plays['billable']} billable"
    )


class _Pace(Struct, frozen=True, kw_only=True):
    """Work of a stage: messages and faces a second, cores in use, and ages of its messages."""

    in_rate: float
    out_rate: float
    face_rate: float
    cores: float
    p50_ms: float | None
    p95_ms: float | None


def _pace(stage: Stage, now: Snapshot, before: Snapshot | None) -> _Pace:
    ages = stage.age_out if stage.gives else stage.age_in
    if before is None:
        came, seconds, p50_ms, p95_ms = stage.since_ready, now.measured_s, ages.p50_ms, ages.p95_ms
    else:
        first = before.stage(stage.name)
        came = {name: float(stage.counters[name] - first.counters[name]) for name in ("in", "out", "faces")}
        came["cpu_s"] = stage.cpu_s - first.cpu_s
        seconds = now.at_s - before.at_s
        recent = ages.since(first.age_out if stage.gives else first.age_in)
        p50_ms, p95_ms = quantile_ms(recent, 0.5), quantile_ms(recent, 0.95)
    in_rate, out_rate, face_rate, cores = (
        came[name] / seconds if seconds else 0.0 for name in ("in", "out", "faces", "cpu_s")
    )
    return _Pace(in_rate=in_rate, out_rate=out_rate, face_rate=face_rate, cores=cores, p50_ms=p50_ms, p95_ms=p95_ms)


def _screen_lines(screen: ScreenState, alone: bool) -> list[str]:
    """Return who is there for a screen, and what is on."""
    present = screen.present
    lines = [
        f"[b]present[/]  {'   '.join(_present_words(present))}",
        f"[b]on screen{'' if alone else f' {screen.name}'}[/]  {escape(screen.title or screen.ad)}   "
        f"[dim]{escape(screen.reason)}[/]",
    ]
    held = [f"{escape(name)}: {escape(why)}" for name, why in (screen.held | screen.quarantined).items()]
    more = len(held) - _HELD_LINES
    lines += [f"[b]not played[/]  {text}" for text in held[:_HELD_LINES]]
    lines += [f"[b]not played[/]  {more} more: stationcast status --json"] if more > 0 else []
    return [*lines, f"[b]screenshot[/]  {escape(screen.screenshot)}"] if screen.screenshot else lines


def _present_words(present: PresentPeople) -> Iterator[str]:
    """Yield how many people are there and of which groups, how many look and have looked, and how long they stay."""
    if present.measured == 0:
        yield "[yellow]not measured[/]: no camera tells who is there"
        return
    yield str(present.people)
    if present.people:
        yield f"looking {present.looking}"
        yield f"have looked {present.watched}"
    if present.dwell_s is not None:
        yield f"dwell {present.dwell_s:.0f} s"
    yield from (f"{group} {n}" for group, n in sorted(present.groups.items()))
    if present.unknown:
        yield f"unknown {present.unknown}"
    if present.measured is not None and present.measured < 1:
        yield f"[yellow]{present.measured:.0%} of the cameras measured[/]"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
