"""Run a real station for a while and read what its processes did after it had settled."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.cells import quantile_ms
from pipeline.errors import UserError
from pipeline.graph import TABLE, Row, roles
from pipeline.messages import Frame, Message
from pipeline.operator.snapshot import Snapshot, Stage
from pipeline.settings import Camera, Choose, Classify, Detect, Screen, Station, StationTable
from pipeline.supervisor import Supervisor

_HELD_UP_S = 60.0
"""Longest time by which a busy machine may delay the last reading."""
ROLES = roles()
SCENE_CAMERA = {"capture": "bench.rig.stages:SceneCamera"}
"""Camera of the benches, for `make_table`."""


class Stretch(Struct, frozen=True):
    """Work of one role's processes in a stretch of time.

    The rates are messages per second in, out and dropped, and faces per second. `cores` are those in use. The ages are
    p50, p95 and the largest, in ms: of messages at their arrival and of results at their departure.
    """

    in_rate: float
    out_rate: float
    drop_rate: float
    face_rate: float
    cores: float
    rss_mb: float
    age_in_ms: tuple[float, float, float]
    age_out_ms: tuple[float, float, float]


class Run(Struct, frozen=True):
    """Run of a station: two or more snapshots, each with the s since it had settled."""

    readings: list[tuple[float, Snapshot]]
    processes: int

    @property
    def seconds(self) -> float:
        """Duration that was measured, s."""
        return self.readings[-1][0] - self.readings[0][0]

    @property
    def roles(self) -> dict[str, Stretch]:
        """Work of the whole run by role."""
        return self._between(0, -1)

    @property
    def pieces(self) -> list[tuple[float, dict[str, Stretch]]]:
        """Work between each two readings by role, with the s at which that piece ended."""
        return [(self.readings[i][0], self._between(i - 1, i)) for i in range(1, len(self.readings))]

    @property
    def halves(self) -> tuple[dict[str, Stretch], dict[str, Stretch]]:
        """Work before and after the middle reading; there must be three readings or more."""
        middle = len(self.readings) // 2
        return self._between(0, middle), self._between(middle, -1)

    def _between(self, first: int, last: int) -> dict[str, Stretch]:
        before, after = self.readings[first][1], self.readings[last][1]
        seconds = max(1e-9, after.at_s - before.at_s)
        return {role: stretch(before.stage(role), after.stage(role), seconds) for role in ROLES}


def make_station(
    cameras: int,
    fps: float,
    *,
    source: str = "sample",
    detect: int = 1,
    classify: int = 1,
    batch_wait_ms: float = 5.0,
    max_px: tuple[int, int] = (1280, 720),
    reach: Literal["near", "far"] = "near",
    model: str = "default",
    batch: int = 16,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Station:
    """Return a station of so many cameras with one headless screen."""
    names = [f"cam{i}" for i in range(cameras)]
    return Station(
        station=StationTable(name=f"bench-{os.getpid()}", mode="measure"),
        cameras=tuple(
            Camera(name=name, source=source, fps=fps, max_width_px=max_px[0], max_height_px=max_px[1], reach=reach)
            for name in names
        ),
        workers={name: count for name, count in (("detect", detect), ("classify", classify)) if count > 1},
        detect=Detect(max_frame_age_ms=1500),
        classify=Classify(model=model, device=device, batch=batch, batch_wait_ms=batch_wait_ms),
        choose=Choose(),
        screens=(Screen(headless=True),),
        folder=Path.cwd(),
    )


def make_table(
    stages: Mapping[str, str], *, without: tuple[str, ...] = (), cameras_give: type[Message] = Frame
) -> tuple[Row, ...]:
    """Return the stage table with other classes in the named rows, and without some rows.

    Where there is no player nobody keeps statistics either: such a station leaves no file.
    """
    without = (*without, "statistics") if "player" in without else without
    rows = (msgspec.structs.replace(row, stage=stages.get(row.name, row.stage)) for row in TABLE)
    return tuple(
        msgspec.structs.replace(row, gives=cameras_give) if row.takes is None else row
        for row in rows
        if row.name not in without
    )


def run_station(
    station: Station,
    table: tuple[Row, ...],
    *,
    settle_s: float,
    seconds: float,
    piece_s: float | None = None,
    during: Callable[[Supervisor], None] | None = None,
) -> Run:
    """Run a station, let it settle, and measure it. UserError: a process was restarted or did not start."""
    readings: list[tuple[float, Snapshot]] = []

    def look(supervisor: Supervisor) -> None:
        if not supervisor.ready_s:
            return
        since_s = time.monotonic() - supervisor.ready_s - settle_s
        due_s = 0.0 if not readings else readings[-1][0] + (piece_s or seconds)
        if since_s >= min(due_s, seconds):
            for child in supervisor.children:
                child.sample()
            if not readings or readings[-1][0] < seconds:
                readings.append((since_s, supervisor.snapshot()))
        if during:
            during(supervisor)
        if readings and readings[-1][0] >= seconds:
            supervisor.stop()

    supervisor = Supervisor(station, table)
    supervisor.run(settle_s + seconds + _HELD_UP_S, look)
    restarts = {child.worker: child.restarts for child in supervisor.children if child.restarts}
    if restarts or len(readings) < 2:
        raise UserError(f"the station did not run through: restarts {restarts}, {len(readings)} readings")
    return Run(readings, len(supervisor.children) + 1)


def stretch(before: Stage, after: Stage, seconds: float) -> Stretch:
    """Return the work of a stage between two readings that are so many seconds apart."""
    rates = {
        name: (after.counters[name] - before.counters[name]) / seconds for name in ("in", "out", "dropped", "faces")
    }
    return Stretch(
        in_rate=rates["in"],
        out_rate=rates["out"],
        drop_rate=rates["dropped"],
        face_rate=rates["faces"],
        cores=(after.cpu_s - before.cpu_s) / seconds,
        rss_mb=after.rss_mb,
        age_in_ms=_quantiles_ms(after.age_in.since(before.age_in)),
        age_out_ms=_quantiles_ms(after.age_out.since(before.age_out)),
    )


def _quantiles_ms(counts: NDArray[np.uint64]) -> tuple[float, float, float]:
    p50_ms, p95_ms, largest_ms = (quantile_ms(counts, q) or 0.0 for q in (0.5, 0.95, 1.0))
    return p50_ms, p95_ms, largest_ms
