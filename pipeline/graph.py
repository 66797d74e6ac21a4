"""The topology of a station as two tables: its groups of processes and the links between them.

Stages are named as strings and imported only in their own process.
"""

from typing import Literal

from msgspec import Struct

from pipeline.errors import UserError
from pipeline.settings import CaptureSettings, ClassifySettings, DetectSettings, PlayerSettings, RingRef, Station

BROKER = "broker"
TAP = "tap"
"""The group of whoever looks on with `stationcast tap`; every message may go there, without its crops."""

MessageName = Literal["Frame", "Faces", "Audience"]
MESSAGES: tuple[MessageName, ...] = ("Frame", "Faces", "Audience")


class Group(Struct, frozen=True, kw_only=True):
    """Processes that do the same work. `source`: asks nobody for input; `worker`: waits for a batch;
    `ticker`: is called all the time and takes what there is. `name` is the stage's, or the stage's and its camera's
    or screen's (`capture.entrance`)."""

    name: str
    stage: str
    kind: Literal["source", "worker", "ticker"]
    workers: int = 1
    ahead: bool = False
    """Ask for the next batch before working on this one, so that it comes meanwhile; it is then that much older, so
    not where a step takes long."""
    nice: int = 0
    """Added to the niceness of its processes: where the cores are short, what is half done goes before what is new."""

    @property
    def role(self) -> str:
        """What the group does, whatever its camera or screen: `capture`, `detect`, `classify`, `player`."""
        return self.name.partition(".")[0]


class Link(Struct, frozen=True, kw_only=True):
    """Messages of one type on their way to one group. Keep rule `latest`: the newest of each camera waits, older ones
    are dropped and counted; `all`: up to 1,000 wait. A free worker gets up to `batch` at once, sooner than they are
    `batch` if the oldest has waited `wait_ms`; what is older than `max_age_ms` is dropped and counted."""

    message: MessageName
    target: str
    keep: Literal["latest", "all"]
    batch: int = 1
    wait_ms: float = 0.0
    max_age_ms: int = 1500
    cameras: tuple[str, ...] = ()
    """Only these cameras' messages; empty: every camera's."""


class Graph(Struct, frozen=True, kw_only=True):
    """A station's processes and links, in the order in which they stop (players first)."""

    groups: tuple[Group, ...]
    links: tuple[Link, ...]

    def group(self, name: str) -> Group:
        """The group of that name. UserError names the ones there are."""
        for group in self.groups:
            if group.name == name:
                return group
        raise UserError(f"no stage {name!r}: this station has {', '.join(group.name for group in self.groups)}")


def build(station: Station) -> Graph:
    """The graph of a station file."""
    s = station
    players = tuple(Group(name=f"player.{x.name}", stage="players.player:Player", kind="ticker") for x in s.screens)
    if s.station.mode == "off":
        return Graph(groups=players, links=())
    captures = tuple(
        Group(name=f"capture.{x.name}", stage="stages.capture.stage:Capture", kind="source", nice=5) for x in s.cameras
    )
    classify = "stages.classify:Count" if s.station.mode == "count" else "stages.classify:Classify"
    return Graph(
        groups=(
            *players,
            *captures,
            Group(name="detect", stage="stages.detect:Detect", kind="worker", workers=s.workers.detect, nice=5),
            Group(name="classify", stage=classify, kind="worker", workers=s.workers.classify, ahead=True),
        ),
        links=(
            Link(message="Frame", target="detect", keep="latest", max_age_ms=s.detect.max_frame_age_ms),
            Link(
                message="Faces",
                target="classify",
                keep="latest",
                batch=s.classify.batch,
                wait_ms=s.classify.batch_wait_ms,
            ),
            *(
                Link(message="Audience", target=f"player.{x.name}", keep="all", batch=64, cameras=x.cameras)
                for x in s.screens
            ),
        ),
    )


def settings_for(group: Group, station: Station, rings: dict[str, RingRef], run_started_ms: int) -> Struct:
    """What the stage of this group is given in its own process."""
    s = station
    instance = group.name.partition(".")[2]
    match group.role:
        case "capture":
            camera = next(x for x in s.cameras if x.name == instance)
            return CaptureSettings(camera=camera, ring=rings[instance], folder=s.folder)
        case "detect":
            return DetectSettings(detect=s.detect, classify=s.classify, mode=_seeing(s), rings=rings, folder=s.folder)
        case "classify":
            return ClassifySettings(classify=s.classify, mode=_seeing(s), folder=s.folder)
        case _:
            screen = next(x for x in s.screens if x.name == instance)
            return PlayerSettings(
                station=s.station,
                screen=screen,
                choose=s.choose,
                ads=s.ads,
                cameras=screen.cameras or tuple(x.name for x in s.cameras),
                folder=s.folder,
                run_started_ms=run_started_ms,
                screens=len(s.screens),
            )


def rings_of(group: Group) -> Literal["none", "own", "all"]:
    """Which cameras' frames the processes of a group may touch."""
    if group.role == "capture":
        return "own"
    return "all" if group.role == "detect" else "none"


def _seeing(station: Station) -> Literal["count", "measure", "target"]:
    mode = station.station.mode
    if mode == "off":
        raise UserError("mode off has no camera and no detection")
    return mode
