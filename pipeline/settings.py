"""Every knob of a station, unit in its name, read from one TOML file.

`load(path)` returns a Station or raises UserError with one line that names the file, the key and the remedy.
It is one file, as a station file is one: `make docs` writes docs/settings.md from it, table by table.
"""

import re
import stat
import zoneinfo
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from pipeline.errors import UserError
from pipeline.polygons import all_masked, validate_polygon
from pipeline.private import is_for_all
from pipeline.system import plain
from pipeline.text import read_text
from pipeline.toml import explain, parse_toml
from pipeline.venues import venues

_NAME_WORDS = "a name of 1 to 32 lower-case letters, digits, - and _, the first a letter or digit"
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z", description=_NAME_WORDS)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
_CORNERS = [[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]
Polygon = Annotated[tuple[tuple[Ratio, Ratio], ...], Meta(examples=[_CORNERS])]
Mode = Literal["off", "count", "measure", "target"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of the file."""


class StationTable(Section, frozen=True, kw_only=True):
    """The station itself: its name, its place, and what it may do."""

    name: Name = "station"
    """Name of the station, which its runtime folder, its ledger and its plays carry."""
    mode: Mode = "target"
    """Degree to which the station looks at people. `off` reads no camera. `count` counts faces and classifies nobody.
    `measure` measures who passes, and the ads do not depend on it. `target` chooses ads by the audience; every screen
    must then show the notice."""
    timezone: str = "UTC"
    """IANA time zone of dayparts and reports, such as `Asia/Seoul`."""
    state_dir: str = ""
    """Folder of the ledger, made private (0700). Empty means one of the station in the user's data directory."""
    venue_type: Annotated[str, Meta(max_length=64)] = ""
    """OpenOOH 1.1 venue type, such as `outdoor.bus_shelters`."""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    """Latitude in degrees."""
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    """Longitude in degrees."""
    load_s: Annotated[float, Meta(ge=10, le=3600)] = 30.0
    """Longest time for which a process may load, after which it is started again. A slow machine may need more.
    A process at work may be silent for a sixth of it, 5 s at least."""


class Camera(Section, frozen=True, kw_only=True):
    """One source of frames; repeat the table for each camera."""

    name: Name
    """Name of the camera."""
    source: str | int
    """Origin of the frames. Write `sample`, a webcam's index or `/dev` path, an `rtsp://` or `http(s)://`
    URL, a video file, or a folder of images."""
    fps: Annotated[float, Meta(ge=0.001, le=120)] = 10.0
    """Frames taken a second; 0.1 is one every 10 s."""
    loop: bool = True
    """Start a file, a folder or the sample again when it ends."""
    max_width_px: Annotated[int, Meta(ge=64, le=7680)] = 1920
    """Greatest width of a frame; wider ones are scaled down in their shape, before they are turned."""
    max_height_px: Annotated[int, Meta(ge=64, le=4320)] = 1080
    """Greatest height of a frame; taller ones are scaled down in their shape, before they are turned. Of a picture
    that is higher than wide, the larger of the two limits is that of the height."""
    rotation_deg: Literal[0, 90, 180, 270, "auto"] = 0
    """Clockwise turn that brings the camera's pictures upright. `auto` finds it from how the first faces lie, within
    half a minute of them, and turns again when the camera is mounted another way."""
    mirror: bool = False
    """Swap left and right, after the turn."""
    group: Annotated[str, Meta(max_length=32)] = ""
    """Name of the cameras that see the same people. Those of one group count a person once: the camera that sees most
    leads. Empty means that nobody else's camera sees these people."""
    reach: Literal["auto", "near", "far"] = "auto"
    """Distance at which people are looked for. `near` searches the whole frame, for faces from about 100 px in 1080p.
    `far` finds smaller faces too, within `detect.budget`. `auto` is far for frames of which a side has
    1280 px or more."""
    zone: Polygon = ()
    """Polygon of the upright picture in which people count. Somebody counts while the middle of the face is in it. A
    corner is `[x, y]` in shares of width and height; `[0, 0]` is the top left one. With `mirror` it is that of the
    mirrored picture. Empty is the whole picture."""
    masks: Annotated[tuple[Polygon, ...], Meta(examples=[[_CORNERS]])] = ()
    """Polygons of the upright picture that are blanked, each as in `zone`. No other process sees what is there. They
    need a fixed `rotation_deg`."""
    min_face_px: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Smallest width of a face that counts, in px of the frame."""
    screen_yaw_deg: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    """Turn of a head that looks at the middle of the screen. 0 faces the camera; positive is to the right of the
    camera's picture. 0 fits a camera above or below the screen. `stationcast calibrate screen` finds this and the next
    three keys."""
    screen_pitch_deg: Annotated[float, Meta(ge=-60, le=60)] = 0.0
    """Tilt of that head. 0 faces the camera; positive is upwards."""
    screen_half_yaw_deg: Annotated[float, Meta(ge=5, le=90)] = 20.0
    """Largest turn of a head that looks at the screen, from `screen_yaw_deg`, to either side. A wide screen near
    the people needs more."""
    screen_half_pitch_deg: Annotated[float, Meta(ge=5, le=90)] = 16.0
    """Largest tilt of that head from `screen_pitch_deg`, up or down. With much more, a look down at a phone would be
    one at the screen."""
    ca_file: str = ""
    """File of certificates (PEM) of the authority that signed the camera's, for `rtsps://` and `https://`. Where it is
    empty, the authorities that this machine trusts hold. The certificate must name the host of the URL."""
    certificate_sha256: str = ""
    """SHA-256 fingerprint of the camera's own certificate, 64 hexadecimal digits. Only that certificate is then taken,
    whatever it names. `openssl s_client -connect HOST:PORT </dev/null | openssl x509 -noout -fingerprint -sha256` tells
    it; compare it with what the camera shows."""


class Detect(Section, frozen=True, kw_only=True):
    """Finding faces in frames."""

    model: str = "mediapipe-full-range"
    """A detector of `stationcast models list`."""
    runtime: Literal["auto", "litert", "mediapipe"] = "auto"
    """Library that runs the model. `auto` takes LiteRT: it finds the faces that MediaPipe finds at less cost."""
    min_score: Ratio = 0.5
    """Lowest score of a face; faces below it are passed over."""
    max_faces: Annotated[int, Meta(ge=1, le=64)] = 32
    """Largest number of faces taken from one frame. Of more faces, the largest are kept."""
    max_frame_age_ms: Annotated[int, Meta(ge=10, le=1500)] = 500
    """Longest that a frame may wait. A frame that waited longer is dropped and counted, not searched for faces."""
    budget: Annotated[float, Meta(ge=1, le=100)] = 3.0
    """Largest cost of the search of one frame of a far-reaching camera, on average, in searches of a whole frame."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads with which one worker scales pictures. The model itself takes one."""


class Classify(Section, frozen=True, kw_only=True):
    """Estimating gender and age of faces."""

    model: str = "default"
    """A classifier of `stationcast models list`, or the path of a model card."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Processor on which the model runs. `auto` takes a GPU where one works."""
    batch: Annotated[int, Meta(ge=1, le=256)] = 16
    """Largest number of frames whose faces are classified together."""
    batch_wait_ms: Annotated[float, Meta(ge=0, le=1000)] = 5.0
    """Longest that a face waits for its batch to fill."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads of one worker."""
    minor_years: Literal[13, 16, 18, 19, 20, 21] = 20
    """Age below which somebody counts as a minor, as the law of the place has it. Whoever is rather younger than that
    has no ad aimed at. People of the decades 0-9 and 10-19 count as minors in any case."""


Policy = Literal["majority", "weighted", "random"]
"""Names of the policies of players/choice/policies.py."""


class Choose(Section, frozen=True, kw_only=True):
    """Choosing the ad that fits the people who are there."""

    policy: Policy = "majority"
    """Rule of the choice. `majority` serves the group with most people present. `weighted` draws by weight
    times the expected number of matching people. `random` draws every eligible line alike."""
    max_priority: Annotated[int, Meta(ge=0, le=100)] = 100
    """Highest priority that counts. Campaign files that ask for more have this one, as all others of it."""
    max_weight: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    """Largest weight that the lines of one advertiser have together, among those that are drawn from. Neither a weight
    nor a number of lines gives more. Without it there is no limit."""
    minors: Literal["count", "target"] = "count"
    """Role of children and teenagers. `count` counts them and never aims an ad at them. `target` lets ads be aimed at
    them, and `stationcast check` says so."""


class Screen(Section, frozen=True, kw_only=True):
    """One window or wall panel; repeat the table for each screen."""

    name: Name = "main"
    """Name of the screen."""
    cameras: tuple[Name, ...] = ()
    """Cameras whose audience the screen is for. An empty list means every camera."""
    display: Annotated[int, Meta(ge=0, le=15)] = 0
    """Number of the display that the screen uses."""
    fullscreen: bool = False
    """Cover the whole display. While the display is missing, no play is billable."""
    headless: bool = False
    """Open no window; the screenshot file is then the only output."""
    width_px: Annotated[int, Meta(ge=64, le=7680)] = 1280
    """Width of the window. Bid requests of `stationcast report openrtb` state it, also for a full screen."""
    height_px: Annotated[int, Meta(ge=64, le=7680)] = 720
    """Height of the window. Bid requests state it, also for a full screen."""
    tick_hz: Annotated[int, Meta(ge=5, le=240)] = 60
    """Pictures a second."""
    rotation_deg: Literal[0, 90, 180, 270] = 0
    """Rotation by which the panel is mounted."""
    overscan_pct: Annotated[float, Meta(ge=0, le=20)] = 0.0
    """Margin that the panel hides on each side, in per cent."""
    scaling: Literal["fit", "fill", "stretch"] = "fit"
    """Way to bring an ad to the screen's shape. `fit` adds borders, `fill` cuts edges off, `stretch` distorts."""
    transition: Literal["cut", "crossfade"] = "crossfade"
    """Change from one ad to the next."""
    transition_ms: Annotated[int, Meta(ge=0, le=5000)] = 400
    """Length of a crossfade."""
    notice: bool = True
    """Show the notice that a camera estimates age group and gender. Mode `target` does not run without it."""
    language: Literal["en", "ko"] = "en"
    """Language of the notice."""
    screenshot: str = ""
    """PNG file (mode 0600) that always holds what the screen shows: the ad, never the camera. Empty means no file."""
    screenshot_every_s: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0
    """Time between two writings of the screenshot."""


class Ads(Section, frozen=True, kw_only=True):
    """The ads that may be shown, and what makes a play billable."""

    campaigns: str = "demo"
    """Folder of campaign files and their media. A folder of the layout `20's, F/*.jpg` works too. `demo` is the
    built-in set."""
    default_duration_s: Annotated[float, Meta(ge=1, le=600)] = 8.0
    """Time that an ad plays whose campaign names none."""
    min_presented: Ratio = 0.75
    """Share of its frames that a billable play must have presented."""


Days = Annotated[int, Meta(ge=1, le=36500)]


class Statistics(Section, frozen=True, kw_only=True):
    """Counts of the people who come, in `audience.sqlite` beside the ledger. The longer ago, the longer their periods.
    No time may be shorter than the one above it."""

    minute_days: Days = 2
    """Days for which counts are kept by the minute. Then those of five minutes are merged."""
    five_minute_days: Days = 14
    """Days for which counts are kept by five minutes. Then those of an hour, by the station's clocks, are merged."""
    hour_days: Days = 800
    """Days for which counts are kept by the hour. Then those of a day are merged, a whole month at a time."""
    day_days: Days = 3650
    """Days for which counts are kept by the day. Then they are forgotten, a whole month at a time."""


class Station(Section, frozen=True, kw_only=True):
    """Everything that a station file says."""

    station: StationTable = StationTable()
    cameras: tuple[Camera, ...] = ()
    workers: dict[str, int] = {}
    """Number of processes that share a stage, 1 to 32, such as `detect = 2`. `detect` finds faces, `classify`
    estimates gender and age. A stage that is not named has one process. `stationcast scale detect 3` changes the
    number while the station runs."""
    detect: Detect = Detect()
    classify: Classify = Classify()
    choose: Choose = Choose()
    screens: tuple[Screen, ...] = (Screen(),)
    ads: Ads = Ads()
    statistics: Statistics = Statistics()
    folder: Path = field(default_factory=Path)
    """Folder of the station file, set by `load`. Relative paths in the file start here."""


def load(path: Path) -> Station:
    """Read a station file. Raise UserError with one line that names the file, the key and the remedy."""
    if re.match("(?i)[a-z]+:/", str(path)):  # it may hold a password, so nothing of it is shown
        raise UserError("a URL is no station file; write it as a camera's source into one")
    text = read_text(path)
    try:
        raw = parse_toml(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if "folder" in raw:
        raise UserError(f"{path}: folder: unknown key; relative paths start at the station file's own folder")
    try:
        station = msgspec.convert(raw, Station)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {explain(error, Station)}") from None
    station = _at_home(msgspec.structs.replace(station, folder=path.resolve().parent))
    try:
        f"{path.absolute()}{station.folder}".encode()
        check(station)
    except UnicodeEncodeError:
        raise UserError(f"{path}: its path is not UTF-8; rename the folder or the file") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return station


def demo_station() -> Station:
    """Return the station that runs where no station file is named. Its paths start at the demo file's folder."""
    return load(Path(__file__).with_name("demo.toml"))


def _at_home(station: Station) -> Station:
    """Return the station with `~/` in full in its paths. Readers of `source` and `state_dir` do so themselves."""

    def path(text: str) -> str:
        return str(Path.home() / text[2:]) if text.startswith("~/") else text

    replace = msgspec.structs.replace
    return replace(
        station,
        detect=replace(station.detect, model=path(station.detect.model)),
        classify=replace(station.classify, model=path(station.classify.model)),
        screens=tuple(replace(screen, screenshot=path(screen.screenshot)) for screen in station.screens),
        ads=replace(station.ads, campaigns=path(station.ads.campaigns)),
    )


def check(station: Station) -> None:
    """Check keys against each other and against files. Raise UserError that names the key and the remedy."""
    if len(station.cameras) > _CAMERAS_MAX or len(station.screens) > _SCREENS_MAX:
        raise UserError(f"cameras, screens: more than {_CAMERAS_MAX} and {_SCREENS_MAX}; split the station")
    for key, names in (
        ("cameras", [camera.name for camera in station.cameras]),
        ("screens", [screen.name for screen in station.screens]),
    ):
        for i, name in enumerate(names):
            if name in names[:i]:
                raise UserError(f"{key}[{i}].name: {name!r} is taken; give each of the {key} its own name")
    if station.station.venue_type and station.station.venue_type not in venues():
        raise UserError(
            f"station.venue_type: no venue {station.station.venue_type!r} in OpenOOH 1.1; "
            "write such as 'outdoor.bus_shelters'"
        )
    try:
        zoneinfo.ZoneInfo(station.station.timezone)
    except (ValueError, OSError, KeyError):
        raise UserError(
            f"station.timezone: no zone {station.station.timezone!r}; use an IANA name such as 'Asia/Seoul'"
        ) from None
    try:
        state = station.folder / Path(station.station.state_dir).expanduser()
    except RuntimeError:
        raise UserError(
            f"station.state_dir: {station.station.state_dir}: no home of such a user; write the folder in full"
        ) from None
    if station.station.state_dir and is_for_all(state):
        raise UserError(f"station.state_dir: {state} is there for all accounts; name a folder of the station's own")
    for stage, number in station.workers.items():
        if not 1 <= number <= _WORKERS_MAX:
            raise UserError(f"workers.{stage}: {number} processes; write 1 to {_WORKERS_MAX}")
    if not station.screens:
        raise UserError("screens: none; add a [[screens]] table")
    if station.station.mode != "off" and not station.cameras:
        raise UserError("cameras: none; add a [[cameras]] table, or set station.mode = 'off'")
    known = {camera.name: camera.group for camera in station.cameras}
    for i, camera in enumerate(station.cameras):
        _check_polygons(f"cameras[{i}]", camera)
        if known.get(camera.group, camera.group) != camera.group:
            raise UserError(
                f"cameras[{i}].group: {camera.group!r} is the name of a camera outside that group; "
                f'add group = "{camera.group}" to that camera, or give the group another name'
            )
    for i, screen in enumerate(station.screens):
        for name in screen.cameras:
            if name not in known:
                raise UserError(f"screens[{i}].cameras: no camera {name!r}; there are {', '.join(sorted(known))}")
        if station.station.mode == "target" and not screen.notice:
            raise UserError(
                f"screens[{i}].notice: mode 'target' does not run without the on-screen notice; "
                "set notice = true, or station.mode = 'measure'"
            )
    covered: set[int] = set()
    written: set[Path] = set()
    for i, screen in enumerate(station.screens):
        if screen.screenshot:
            path = station.folder / screen.screenshot
            if path.suffix.lower() != ".png" or _found(f"screens[{i}].screenshot", path, Path.is_dir):
                raise UserError(f"screens[{i}].screenshot: {path} is no PNG; name a file that ends in .png")
            if path in written:
                raise UserError(f"screens[{i}].screenshot: {path} is another screen's; give each its own")
            written.add(path)
        if screen.fullscreen and not screen.headless:
            if screen.display in covered:
                raise UserError(
                    f"screens[{i}].display: {screen.display} is covered by another fullscreen screen; give each its own"
                )
            covered.add(screen.display)
    for key, model in (("detect", station.detect.model), ("classify", station.classify.model)):
        if model.endswith(".toml") and not _found(f"{key}.model", station.folder / model, Path.is_file):
            raise UserError(f"{key}.model: no card {station.folder / model}; name one of `stationcast models list`")
    days = [(key, getattr(station.statistics, key)) for key in station.statistics.__struct_fields__]
    for (shorter, few), (longer, many) in pairwise(days):
        if many < few:
            raise UserError(f"statistics.{longer}: {many} is less than {shorter} = {few}; make it as long at least")
    campaigns = station.folder / station.ads.campaigns
    if station.ads.campaigns != "demo" and _mode(campaigns) and not stat.S_ISDIR(_mode(campaigns)):
        raise UserError(f"ads.campaigns: {campaigns} is no folder; name one, or 'demo' for the built-in ads")


def _check_polygons(where: str, camera: Camera) -> None:
    if camera.zone:
        validate_polygon(f"{where}.zone", camera.zone)
    for i, mask in enumerate(camera.masks):
        validate_polygon(f"{where}.masks[{i}]", mask)
    if camera.masks and all_masked(camera.zone, camera.masks):
        part = "zone" if camera.zone else "picture"
        raise UserError(f"{where}.masks: cover the whole {part}, so nobody would ever be seen; make them smaller")
    if camera.masks and camera.rotation_deg == "auto":
        raise UserError(
            f"{where}.masks: with rotation_deg = 'auto' they would lie elsewhere until faces are found; "
            "set rotation_deg to 0, 90, 180 or 270"
        )


def need_campaigns(path: Path | None, station: Station) -> None:
    """Raise UserError where the folder of campaigns is not there. A station that runs waits for its stick or share."""
    place = f"{path}: " if path else ""
    campaigns = station.folder / station.ads.campaigns
    if station.ads.campaigns != "demo" and not stat.S_ISDIR(_mode(campaigns)):
        raise UserError(f"{place}ads.campaigns: no folder {campaigns}; name one, or 'demo' for the built-in ads")


def _found(key: str, path: Path, is_it: Callable[[Path], bool]) -> bool:
    """Return what `is_it` says of a path. UserError: the system refuses to look, as at a name that is too long."""
    try:
        return is_it(path)
    except OSError as error:
        raise UserError(f"{key}: {path}: {plain(error)}") from None


def _mode(path: Path) -> int:
    """Return the mode of a file or folder; 0 where it is not there, or its place fails."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


_CAMERAS_MAX, _SCREENS_MAX, _WORKERS_MAX = 32, 8, 32
