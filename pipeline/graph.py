"""The topology of a station as two tables: its groups of processes and the links between them.

Stages are named as strings and imported only in their own process.
"""

from typing import Literal

from msgspec import Struct

from pipeline.settings import (
    CaptureSettings,
    ClassifySettings,
    DetectSettings,
    PlayerSettings,
    RingRef,
    SettingsError,
    Station,
)

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
        """The group of that name. SettingsError names the ones there are."""
        for group in self.groups:
            if group.name == name:
                return group
        raise SettingsError(f"no stage {name!r}: this station has {', '.join(group.name for group in self.groups)}")


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
        raise SettingsError("mode off has no camera and no detection")
    return mode


def rows(graph: Graph) -> list[tuple[str, str, str, str]]:
    """The graph as a table: (process group, count, takes, gives to)."""
    table = []
    for group in graph.groups:
        takes = [
            f"{link.message} ({link.keep}, batch {link.batch})" for link in graph.links if link.target == group.name
        ]
        gives = [f"{link.message} -> {link.target}" for link in graph.links if _SENDER[link.message] == group.role]
        table.append((group.name, str(group.workers), "\n".join(takes) or "-", "\n".join(gives) or "-"))
    return table


_SENDER = {"Frame": "capture", "Faces": "detect", "Audience": "classify"}


def draw(graph: Graph, path: str) -> None:
    """Draw the graph into a file; its ending chooses the format (svg, png, pdf)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    kinds = ("source", "worker", "ticker")
    columns = list(dict.fromkeys(g.role for kind in kinds for g in graph.groups if g.kind == kind))
    most = max(sum(g.role == c for g in graph.groups) for c in columns)
    figure, axes = pyplot.subplots(figsize=(4.2 * len(columns) + 0.4, 1.3 * most + 1.0))
    places: dict[str, tuple[float, float]] = {}
    colours = ("#2f6f8f", "#4f7f4f", "#8f5f2f", "#7f3f6f")
    for x, column in enumerate(columns):
        colour = colours[x % len(colours)]
        members = [g for g in graph.groups if g.role == column]
        for i, group in enumerate(members):
            y = (most - 1) / 2 + (len(members) - 1) / 2 - i
            places[group.name] = (4.2 * x, 1.3 * y)
            box = FancyBboxPatch(
                (4.2 * x - 0.95, 1.3 * y - 0.32), 1.9, 0.64, boxstyle="round,pad=0.08", fc=colour, ec="none"
            )
            axes.add_patch(box)
            label = group.name.replace(".", "\n") + (f"  x{group.workers}" if group.workers > 1 else "")
            axes.text(4.2 * x, 1.3 * y, label, color="white", ha="center", va="center", fontsize=11, weight="bold")
    for link in graph.links:
        senders_y = [y for name, (_, y) in places.items() if graph.group(name).role == _SENDER[link.message]]
        for sender in (g for g in graph.groups if g.role == _SENDER[link.message]):
            camera = sender.name.partition(".")[2]
            if link.cameras and camera and camera not in link.cameras:
                continue
            (x0, y0), (x1, y1) = places[sender.name], places[link.target]
            arrow = {"arrowstyle": "-|>", "color": "#555555", "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x1 - 1.05, y1), (x0 + 1.05, y0), arrowprops=arrow)
        x1, y1 = places[link.target]
        middle = (x1 - 2.1, (y1 + sum(senders_y) / len(senders_y)) / 2)
        label = f"{link.message}, {link.keep}"
        axes.text(*middle, label, ha="center", va="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 2})
    axes.set_xlim(-1.2, 4.2 * (len(columns) - 1) + 1.2)
    axes.set_ylim(-0.8, 1.3 * (most - 1) + 0.8)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", dpi=150)
    pyplot.close(figure)
