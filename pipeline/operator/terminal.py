"""What a running station shows in the terminal: a live table, or a log line every ten seconds."""

import time
from collections import deque
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.cells import quantile_ms
from pipeline.log import log
from pipeline.operator.summary import Reading, plays, read
from pipeline.process import Child
from pipeline.supervisor import Supervisor

_LOOK_EVERY_S, _LINE_EVERY_S = 0.25, 10.0
_WINDOW_S = 5.0
_WIDE = 100  # columns of a terminal in which the table has room for lines between its own


class View:
    """Called by the supervisor on every tick; draws as often as it makes sense."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._next_s = self._next_line_s = 0.0
        self._history: deque[dict[str, Reading]] = deque()

    def tick(self, supervisor: Supervisor) -> None:
        """Take readings and show them."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        readings = {role: read(supervisor.children, role) for role in supervisor.roles}
        self._history.append(readings)
        while len(self._history) > 1 and now_s - self._history[0]["player"].at_s > _WINDOW_S:
            self._history.popleft()
        before = self._history[0]
        self._next_s = now_s + _LOOK_EVERY_S
        if self._live:
            wide = self._live.console.width >= _WIDE
            self._live.update(render(supervisor, before, readings, wide), refresh=True)
        elif supervisor.ready_s and now_s >= self._next_line_s:
            self._next_line_s = now_s + _LINE_EVERY_S
            log("running", **line(supervisor, before, readings))


def line(supervisor: Supervisor, before: dict[str, Reading], now: dict[str, Reading]) -> dict[str, Any]:
    """The station in one log line."""
    status = next(iter(_screens(supervisor.children).values()), {})
    present = status.get("present", {})
    return {
        "detect_fps": round(now["detect"].rate("out", before["detect"]), 1),
        "dropped": now["broker"].counters["dropped"],
        "faces": now["classify"].counters["faces"],
        "present": present.get("people", 0),
        "ad": status.get("ad", "-"),
        "why": status.get("trigger", "-"),
        "plays": plays(supervisor.children)["total"],
    } | {f"camera_{name}": status["state"] for name, status in _dark_cameras(supervisor.children).items()}


def render(
    supervisor: Supervisor, before: dict[str, Reading], now: dict[str, Reading], wide: bool = True
) -> RenderableType:
    """The live view: one row a stage over the last five seconds, then the audience and the ad."""
    table = Table(title=f"stationcast - {supervisor.station.station.name}", title_justify="left", expand=True)
    if not wide:
        table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 0), False
    for name in ("stage", "processes", "fps", "p50 ms", "p95 ms", "faces/s", "dropped", "restarts", "cpu %", "MB"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for role in supervisor.roles:
        children = [child for child in supervisor.children if child.role == role and not child.retired]
        if not children:
            continue
        a, b = before[role], now[role]
        aged = "age_out" if role in ("capture", "detect", "classify") else "age_in"
        recent = np.asarray(getattr(b, aged), np.int64) - np.asarray(getattr(a, aged), np.int64)
        ready = sum(child.ready for child in children)
        table.add_row(
            role,
            str(ready) if ready == len(children) else f"[yellow]{ready} of {len(children)}[/]",
            f"{b.rate('out', a) or b.rate('in', a):.1f}",
            _ms(quantile_ms(recent.clip(0).astype(np.uint64), 0.5)),
            _ms(quantile_ms(recent.clip(0).astype(np.uint64), 0.95)),
            f"{b.rate('faces', a):.1f}" if role in ("detect", "classify") else "",
            str(b.counters["dropped"] + b.counters["skipped"]),
            str(sum(child.restarts for child in children)),
            f"{100 * (b.cpu_s - a.cpu_s) / max(1e-9, b.at_s - a.at_s):.0f}",
            f"{b.rss_mb:.0f}",
        )
    screens = _screens(supervisor.children)
    lines = []
    for name, status in screens.items():
        lines += _of_screen("on screen" if len(screens) == 1 else f"on screen {name}", status)
    for name, status in _dark_cameras(supervisor.children).items():
        lines.append(f"[b yellow]camera {name}[/]  {status['state']}: {escape(status['source'])}")
    counted = plays(supervisor.children)
    lines.append(f"[b]plays[/]  {counted['total']}, billable {counted['billable']}")
    return Group(table, Panel("\n".join(lines)), "")  # the empty line takes the ^C that the terminal echoes


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """The end of a run as tables."""
    table = Table(title="stages", title_justify="left")
    for name in ("stage", "in", "out", "fps", "busy %", "MB", "restarts"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, row in summary["stages"].items():
        cells = (row["in"], row["out"], row["fps"], row["busy_pct"], row["rss_mb"], summary["restarts"][name])
        table.add_row(name, *map(str, cells))
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


def _dark_cameras(children: list[Child]) -> dict[str, dict[str, Any]]:
    """What the capture processes of cameras that give no picture say of themselves."""
    said = {child.instance: child.cell.status() for child in children if child.role == "capture"}
    return {name: status for name, status in said.items() if status.get("state", "live") != "live"}


def _screens(children: list[Child]) -> dict[str, dict[str, Any]]:
    """What each screen's player says of itself."""
    return {child.instance: child.cell.status() for child in children if child.role == "player"}


def _of_screen(label: str, status: dict[str, Any]) -> list[str]:
    """The lines of one screen: who is there for it, and what is on."""
    present = status.get("present", {})
    groups = "   ".join(f"{group} {n:.1f}" for group, n in sorted(present.get("groups", {}).items()))
    lines = [
        f"[b]present[/]  {present.get('people', 0)}   {groups}"
        + (f"   unknown {present['unknown']:.1f}" if present.get("unknown") else ""),
        f"[b]{label}[/]  {escape(status.get('title') or status.get('ad', '-'))}   "
        f"[dim]{escape(status.get('reason', ''))}[/]",
    ]
    return [*lines, f"[b]screenshot[/]  {escape(status['screenshot'])}"] if status.get("screenshot") else lines


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
