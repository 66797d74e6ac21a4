"""The stage table, and the topology of a station that follows from it: groups of processes and the links between them.

A new stage is one class and one Row. Stages are named as strings and imported only in their own process.
"""

from typing import Literal, get_args

import msgspec
from msgspec import Struct

from pipeline.errors import UserError
from pipeline.messages import Answered, Audience, Faces, Frame, Message
from pipeline.settings import Mode, Station

BROKER = "broker"
TAP = "tap"
"""Group of whoever looks on with `stationcast tap`; every message may go there, without its crops."""

_ALL: tuple[Mode, ...] = get_args(Mode)
_SEEING: tuple[Mode, ...] = ("count", "measure", "target")
_NAMING: tuple[Mode, ...] = ("measure", "target")


class Row(Struct, frozen=True, kw_only=True):
    """One stage. Numbers that operators set come from the station file's table of the same name, if it has one:
    `batch`, `batch_wait_ms` and `max_frame_age_ms` say how the stage's messages come to it."""

    name: str
    """Role of the stage's processes; rows of the same name are for different modes."""
    stage: str
    """Class as "module:Class". Its constructor takes a Job; it has `step` and `close` (pipeline/stage.py)."""
    takes: type[Message] | None = None
    """Message that the stage is fed with, from the nearest row above that gives it. None: a source."""
    gives: type[Message] | None = None
    """Message that `step` returns. None: the stage returns none."""
    per: Literal["station", "camera", "screen"] = "station"
    """Scope of a process: one group of them for the station, or one for each camera or screen."""
    keep: Literal["latest", "all"] = "latest"
    """Messages that wait: the newest of each camera, or all (up to 1,000)."""
    batch: int = 1
    """Largest number of messages in one step, where the station file has no say in it."""
    sticky: bool = False
    """True if a camera keeps its worker for as long as that worker lives."""
    in_order: bool = False
    """True if all messages must go through one process, in order. There is never a second one."""
    ticks: bool = False
    """True if `step` is called all the time, with the messages that have come, instead of only when some have."""
    ahead: bool = False
    """True if the next batch is asked for before the present one is worked on. It then comes meanwhile, and is that
    much older: not for a stage whose step takes long."""
    rings: Literal["none", "own", "all"] = "none"
    """Cameras whose frames the stage touches."""
    sees: bool = False
    """True if the stage's Job holds the tables of all cameras. A change of them is told to its `update`."""
    reads: tuple[str, ...] = ()
    """Tables of the station file that the stage's Job holds. A change of them replaces its processes."""
    display: bool = False
    """True if its processes may use the display."""
    nice: int = 0
    """Added to the niceness: where the cores are short, what is half done goes before what is new."""
    memory_mib: int = 0
    """Largest address space that a process may take beyond what it has when its stage is loaded; 0 for no limit."""
    modes: tuple[Mode, ...] = _SEEING
    """Modes of a station in which the stage runs."""

    @property
    def kind(self) -> Literal["source", "worker", "ticker"]:
        """Way to run a process of the stage: it asks for no input, waits for a batch, or is called all the time."""
        return "source" if self.takes is None else "ticker" if self.ticks else "worker"

    @property
    def scalable(self) -> bool:
        """True if several processes may share the stage's work."""
        return self.kind == "worker" and self.per == "station" and not self.in_order


_CAPTURE_MIB = 2048
"""7680x4320 in H.264 took 1300 at most, a picture of 50 million pixels 770."""
_CLASSIFY = Row(
    name="classify", stage="stages.classify:Classify", takes=Faces, gives=Answered,
    ahead=True, reads=("station", "classify"), modes=_NAMING,
)  # fmt: skip
TABLE = (
    Row(
        name="capture", stage="stages.capture.stage:Capture", gives=Frame,
        per="camera", rings="own", nice=5, memory_mib=_CAPTURE_MIB,
    ),
    Row(
        name="detect", stage="stages.detect.stage:Detect", takes=Frame, gives=Faces,
        rings="all", sticky=True, sees=True, reads=("station", "detect", "classify"), nice=5,
    ),
    _CLASSIFY,
    msgspec.structs.replace(_CLASSIFY, stage="stages.classify:Count", modes=("count",)),
    Row(
        name="people", stage="stages.people.stage:People", takes=Answered, gives=Audience,
        keep="all", batch=64, in_order=True, sees=True, reads=("station", "classify"),
    ),
    Row(
        name="player", stage="players.player:Player", takes=Audience,
        per="screen", keep="all", batch=64, ticks=True, sees=True, reads=("station", "choose", "ads"), display=True,
        modes=_ALL,
    ),
    Row(
        name="statistics", stage="players.statistics.stage:Statistics", takes=Audience,
        keep="all", batch=64, in_order=True, sees=True, reads=("station", "screens", "statistics"), nice=5,
    ),
)  # fmt: skip


def roles(table: tuple[Row, ...] = TABLE) -> tuple[str, ...]:
    """Names of the stages in the order in which a frame passes them; the broker is the last."""
    return (*dict.fromkeys(row.name for row in table), BROKER)


class Group(Struct, frozen=True, kw_only=True):
    """Processes that do the same work: all workers of a stage, or the one process of a camera or screen."""

    row: Row
    instance: str = ""
    """Name of its camera or screen; empty where the row is the whole station's."""
    workers: int = 1
    fed: bool = True
    """True if a link leads to it. None leads to a source, nor to a screen in mode `off`."""

    @property
    def role(self) -> str:
        """Name of its row: `capture`, `detect`, `classify`, `player`."""
        return self.row.name

    @property
    def name(self) -> str:
        """Name of the group, unique in the station, such as `detect` or `capture.entrance`."""
        return f"{self.row.name}.{self.instance}" if self.instance else self.row.name


class Link(Struct, frozen=True, kw_only=True):
    """Messages of one stage on their way to one group. Keep rule `latest`: the newest of each camera waits, older ones
    are dropped and counted; `all`: up to 1,000 wait. A free worker gets up to `batch` at once, sooner than they are
    `batch` if the oldest has waited `wait_ms`; what is older than `max_age_ms` is dropped and counted. The age of a
    frame counts from its capture, that of any other message from its arrival at the broker."""

    message: type[Message]
    source: str
    """Role of the processes whose messages these are."""
    target: str
    """Name of the group to which they go."""
    keep: Literal["latest", "all"]
    batch: int = 1
    wait_ms: float = 0.0
    max_age_ms: int = 1500
    sticky: bool = False
    """True if a camera keeps its worker."""
    cameras: tuple[str, ...] = ()
    """Only these cameras' messages; empty: every camera's."""


class Graph(Struct, frozen=True, kw_only=True):
    """A station's groups of processes and its links, in the order in which a frame passes them."""

    groups: tuple[Group, ...]
    links: tuple[Link, ...]

    def group(self, name: str) -> Group:
        """Return the group of that name. UserError names the ones there are."""
        for group in self.groups:
            if group.name == name:
                return group
        raise UserError(f"no stage {name!r}: this station has {', '.join(group.name for group in self.groups)}")


def build(station: Station, table: tuple[Row, ...] = TABLE) -> Graph:
    """Return the graph of a station. UserError: `[workers]` names what is no stage, or one that nobody shares."""
    scalable = dict.fromkeys(row.name for row in table if row.scalable)
    for name in station.workers:
        if name not in scalable:
            why = "only one process each can be" if name in roles(table) else "no such stage"
            raise UserError(f"workers.{name}: {why}; known here: {', '.join(scalable)}")
    groups: list[Group] = []
    links: list[Link] = []
    givers: dict[type[Message], str] = {}
    for row in table:
        if station.station.mode not in row.modes:
            continue
        source = givers.get(row.takes) if row.takes else None
        workers = station.workers.get(row.name, 1)
        for instance, cameras in _instances(row, station):
            group = Group(row=row, instance=instance, workers=workers, fed=source is not None)
            groups.append(group)
            if source:
                links.append(_link(group, source, cameras, station))
        if row.gives:
            givers[row.gives] = row.name
    return Graph(groups=tuple(groups), links=tuple(links))


def _instances(row: Row, station: Station) -> list[tuple[str, tuple[str, ...]]]:
    """Names of the row's cameras or screens, each with the cameras whose messages it takes (none: every camera's)."""
    match row.per:
        case "camera":
            return [(camera.name, (camera.name,)) for camera in station.cameras]
        case "screen":
            return [(screen.name, screen.cameras) for screen in station.screens]
    return [("", ())]


def _link(group: Group, source: str, cameras: tuple[str, ...], station: Station) -> Link:
    row, own = group.row, getattr(station, group.role, None)
    assert row.takes
    return Link(
        message=row.takes,
        source=source,
        target=group.name,
        keep=row.keep,
        batch=getattr(own, "batch", row.batch),
        wait_ms=getattr(own, "batch_wait_ms", 0.0),
        max_age_ms=getattr(own, "max_frame_age_ms", 1500),
        sticky=row.sticky,
        cameras=cameras,
    )
