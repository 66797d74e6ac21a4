"""The work that one process is told to do: its camera or screen, its rings, and its tables of the station file."""

from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct

from pipeline.graph import Group
from pipeline.ring import RingRef
from pipeline.settings import Camera, Screen, Section, Station


class Job(Struct, frozen=True, kw_only=True):
    """Argument of every stage's constructor."""

    station: Station
    """The tables that the stage's row `reads`, and the folder of relative paths. Other tables are UNSET: a stage
    depends on what its row names, so that a change of anything else leaves its processes alone."""
    camera: Camera = cast(Camera, UNSET)
    """The camera of this process; UNSET where the row has not one process for each."""
    cameras: dict[str, Camera] = {}
    """Tables of all cameras by name, without sources and masks, where the row `sees` them; `update` tells of others."""
    screen: Screen = cast(Screen, UNSET)
    """The screen of this process; UNSET where the row has not one process for each."""
    screens: int = 1
    """Number of the station's screens, for the process of a screen: each may spend an equal part of a budget."""
    rings: dict[str, RingRef] = {}
    """Rings of the cameras whose frames the process touches, by camera."""
    run_started_ms: int = 0
    """Start of the station, UTC epoch: plays since then count for the run's summary."""


def job_of(group: Group, station: Station, rings: dict[str, RingRef], run_started_ms: int) -> Job:
    """Return what a process of the group is told; `rings` are those of all cameras."""
    row, name = group.row, group.instance
    cameras = {camera.name: camera for camera in station.cameras} if row.per == "camera" else {}
    screens = {screen.name: screen for screen in station.screens} if row.per == "screen" else {}
    seen = {camera.name: _as_seen(camera) for camera in station.cameras} if row.sees else {}
    shown = {"none": {}, "own": {name: rings[name]} if name in rings else {}, "all": rings}[row.rings]
    return Job(
        station=narrowed(station, row.reads),
        camera=cameras.get(name, cast(Camera, UNSET)),
        cameras=seen,
        screen=screens.get(name, cast(Screen, UNSET)),
        screens=len(screens) or 1,
        rings=shown,
        run_started_ms=run_started_ms,
    )


def _as_seen(camera: Camera) -> Camera:
    """Return the table as others than the camera's own process need it.

    Where frames come from is left out, as URLs hold passwords. So are masks: a running process is told all cameras in
    one write, for which a pipe has 64 KiB.
    """
    return msgspec.structs.replace(camera, source="", ca_file="", certificate_sha256="", masks=())


def narrowed(station: Station, tables: tuple[str, ...]) -> Station:
    """Return the station with these tables only; reading a key of another raises AttributeError.

    A table left out is not sent to the process either, which would fill in defaults: it narrows what it has got again.
    """
    left_out: dict[str, Any] = {
        field.name: UNSET if isinstance(field.type, type) and issubclass(field.type, Section) else field.type()
        for field in msgspec.structs.fields(Station)
        if field.name not in (*tables, "folder")
    }
    return msgspec.structs.replace(station, **left_out)
