"""Every knob of a station, unit in its name, read from one TOML file.

`load(path)` returns a Station or raises SettingsError with one line that names the file, the key and the remedy.
"""

import difflib
import re
import tomllib
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z")]
_NAME_IN_WORDS = "a name of 1 to 32 lower-case letters, digits, - and _, the first a letter or digit"
Ratio = Annotated[float, Meta(ge=0, le=1)]


class SettingsError(Exception):
    """A mistake in what the user wrote: its text is the whole message, one line."""

    exit_code = 2


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of the file."""


class StationTable(Section, frozen=True, kw_only=True):
    """`[station]`: who and where."""

    name: Name = "station"
    mode: Literal["off", "count", "measure", "target"] = "target"
    timezone: str = "UTC"
    state_dir: str = ""
    """Where the ledger lives; empty: the user's data directory, one folder a station."""
    venue_type: Annotated[str, Meta(max_length=64)] = ""
    """OpenOOH 1.1 venue, such as `outdoor.bus_shelters`."""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None


class Camera(Section, frozen=True, kw_only=True):
    """`[[cameras]]`: one source of frames."""

    name: Name
    source: str | int
    """`sample`, a webcam index or /dev path, an rtsp:// or http(s):// URL, a video file, or a folder of images."""
    fps: Annotated[float, Meta(ge=0.001, le=120)] = 10.0
    """Frames taken a second; 0.1 is one every 10 s."""
    loop: bool = True
    """Start a file, a folder or the sample again when it ends."""
    max_width_px: Annotated[int, Meta(ge=64, le=7680)] = 1920
    max_height_px: Annotated[int, Meta(ge=64, le=4320)] = 1080
    """Larger frames are scaled down to fit the camera's ring."""


class Workers(Section, frozen=True, kw_only=True):
    """`[workers]`: how many processes share each stage."""

    detect: Annotated[int, Meta(ge=1, le=32)] = 1
    classify: Annotated[int, Meta(ge=1, le=32)] = 1


class Detect(Section, frozen=True, kw_only=True):
    """`[detect]`: finding faces."""

    model: str = "mediapipe-full-range"
    min_score: Ratio = 0.5
    max_faces: Annotated[int, Meta(ge=1, le=64)] = 32
    max_frame_age_ms: Annotated[int, Meta(ge=10, le=1500)] = 500
    """A frame that waited longer is dropped and counted, not detected."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1


class Classify(Section, frozen=True, kw_only=True):
    """`[classify]`: gender and age."""

    model: str = "default"
    """Name of a model of the registry (`stationcast models list`) or path of a model card."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch: Annotated[int, Meta(ge=1, le=256)] = 16
    """Most messages (frames' faces) in one micro-batch."""
    batch_wait_ms: Annotated[float, Meta(ge=0, le=1000)] = 5.0
    """Longest that a face waits for the batch to fill."""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1


class Choose(Section, frozen=True, kw_only=True):
    """`[choose]`: which ad fits who is there."""

    policy: Literal["majority", "weighted", "random"] = "majority"
    present_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    """Present is who was seen in this long."""
    minors: Literal["count", "target"] = "count"
    """`target` lets ads be aimed at children; `check` says so in plain words."""


class Screen(Section, frozen=True, kw_only=True):
    """`[[screens]]`: one window or wall panel."""

    name: Name = "main"
    cameras: tuple[Name, ...] = ()
    """Whose audience this screen is for; empty: every camera's."""
    display: Annotated[int, Meta(ge=0, le=15)] = 0
    fullscreen: bool = False
    headless: bool = False
    width_px: Annotated[int, Meta(ge=64, le=7680)] = 1280
    height_px: Annotated[int, Meta(ge=64, le=7680)] = 720
    tick_hz: Annotated[int, Meta(ge=5, le=240)] = 60
    rotation_deg: Literal[0, 90, 180, 270] = 0
    overscan_pct: Annotated[float, Meta(ge=0, le=20)] = 0.0
    scaling: Literal["fit", "fill", "stretch"] = "fit"
    transition: Literal["cut", "crossfade"] = "crossfade"
    transition_ms: Annotated[int, Meta(ge=0, le=5000)] = 400
    notice: bool = True
    """The on-screen notice that a camera estimates age group and gender; mode `target` refuses to run without it."""
    language: Literal["en", "ko"] = "en"
    screenshot: str = ""
    """A PNG that always shows what the screen shows (the ad, never the camera); empty: none."""
    screenshot_every_s: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0


class Ads(Section, frozen=True, kw_only=True):
    """`[ads]`: what may be shown."""

    campaigns: str = "demo"
    """Folder of campaign files and their media; `demo` is the built-in set."""
    default_duration_s: Annotated[float, Meta(ge=1, le=600)] = 8.0
    min_presented: Ratio = 0.75
    """A play with a smaller share of its frames presented is not billable."""


class Station(Section, frozen=True, kw_only=True):
    """A station file."""

    station: StationTable = StationTable()
    cameras: tuple[Camera, ...] = ()
    workers: Workers = Workers()
    detect: Detect = Detect()
    classify: Classify = Classify()
    choose: Choose = Choose()
    screens: tuple[Screen, ...] = (Screen(),)
    ads: Ads = Ads()
    folder: Path = field(default_factory=Path)
    """Folder of the station file (set by `load`); relative paths in it start here."""


def load(path: Path) -> Station:
    """Read a station file. SettingsError: one line that names the file, the key and the remedy."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file; name a station file, or none for the demo") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as text: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    if "folder" in raw:
        raise SettingsError(f"{path}: folder: unknown key; relative paths start at the station file's own folder")
    try:
        station = msgspec.convert(raw, Station)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_in_plain_words(str(error), raw)}") from None
    station = _at_home(msgspec.structs.replace(station, folder=path.resolve().parent))
    try:
        str(station.folder).encode()
        check(station)
    except UnicodeEncodeError:
        raise SettingsError(f"{path}: its folder's name is not UTF-8; rename the folder") from None
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return station


def _at_home(station: Station) -> Station:
    """The station with `~/` put in full in the paths that are met as they stand; a source and `state_dir` know it."""

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
    """What one key alone cannot tell. SettingsError names the key and the remedy."""
    for key, names in (
        ("cameras", [camera.name for camera in station.cameras]),
        ("screens", [screen.name for screen in station.screens]),
    ):
        for i, name in enumerate(names):
            if name in names[:i]:
                raise SettingsError(f"{key}[{i}].name: {name!r} is taken; give each of the {key} its own name")
    try:
        zoneinfo.ZoneInfo(station.station.timezone)
    except (ValueError, OSError, KeyError):
        raise SettingsError(
            f"station.timezone: no zone {station.station.timezone!r}; use an IANA name such as 'Asia/Seoul'"
        ) from None
    try:
        Path(station.station.state_dir).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"station.state_dir: {station.station.state_dir}: no home of such a user; write the folder in full"
        ) from None
    if not station.screens:
        raise SettingsError("screens: none; add a [[screens]] table")
    if station.station.mode != "off" and not station.cameras:
        raise SettingsError("cameras: none; add a [[cameras]] table, or set station.mode = 'off'")
    if len(station.cameras) > _CAMERAS_MAX or len(station.screens) > _SCREENS_MAX:
        raise SettingsError(f"cameras, screens: more than {_CAMERAS_MAX} and {_SCREENS_MAX}; split the station")
    known = {camera.name for camera in station.cameras}
    for i, screen in enumerate(station.screens):
        for name in screen.cameras:
            if name not in known:
                raise SettingsError(f"screens[{i}].cameras: no camera {name!r}; there are {', '.join(sorted(known))}")
        if station.station.mode == "target" and not screen.notice:
            raise SettingsError(
                f"screens[{i}].notice: mode 'target' does not run without the on-screen notice; "
                "set notice = true, or station.mode = 'measure'"
            )
    covered: set[int] = set()
    written: set[Path] = set()
    for i, screen in enumerate(station.screens):
        if screen.screenshot:
            path = station.folder / screen.screenshot
            if path.suffix.lower() != ".png" or path.is_dir():
                raise SettingsError(f"screens[{i}].screenshot: {path} is no PNG; name a file that ends in .png")
            if path in written:
                raise SettingsError(f"screens[{i}].screenshot: {path} is another screen's; give each its own")
            written.add(path)
        if screen.fullscreen and not screen.headless:
            if screen.display in covered:
                raise SettingsError(
                    f"screens[{i}].display: {screen.display} is covered by another fullscreen screen; give each its own"
                )
            covered.add(screen.display)
    for key, model in (("detect", station.detect.model), ("classify", station.classify.model)):
        if model.endswith(".toml") and not (station.folder / model).is_file():
            raise SettingsError(f"{key}.model: no card {station.folder / model}; name one of `stationcast models list`")
    campaigns = station.folder / station.ads.campaigns
    if station.ads.campaigns != "demo" and not campaigns.is_dir():
        raise SettingsError(f"ads.campaigns: no folder {campaigns}; name one, or 'demo' for the built-in ads")


_CAMERAS_MAX, _SCREENS_MAX = 32, 8


def _in_plain_words(error: str, raw: dict[str, Any]) -> str:
    """msgspec's message, key first, with the likely meaning of an unknown key."""
    message, _, place = error.partition(" - at `$")
    message = re.sub("`str` matching regex .*", _NAME_IN_WORDS, message)
    key = place.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.+)`", message)
    tables: dict[str, type[Section]] = {"": Station, "station": StationTable, "cameras": Camera, "screens": Screen}
    tables |= {x.name: x.type for x in msgspec.structs.fields(Station) if x.name not in tables}
    if not unknown:
        remedy = f"; write [[{key}]]" if key in ("cameras", "screens") and "xpected `array`" in message else ""
        if message.startswith("Invalid enum value"):
            table, _, name = key.rpartition(".")
            section = tables[table.partition("[")[0]]
            [kind] = [x.type for x in msgspec.structs.fields(section) if x.name == name]
            remedy = f"; write one of {', '.join(map(str, choices(kind)))}"
        return f"{key or 'file'}: {message[0].lower()}{message[1:]}{remedy}"
    name = unknown.group(1)
    section = tables.get(key.partition("[")[0], Station)
    names = [x.name for x in msgspec.structs.fields(section) if x.name != "folder"]
    near = [x for x in names if x.startswith(f"{name}_")] or difflib.get_close_matches(name, names, 1, 0.5)
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
    return f"{key + '.' if key else ''}{name}: unknown key; {remedy}"


def choices(kind: Any) -> tuple[str | int, ...]:
    """The values of the first Literal in a type."""
    parts = get_args(kind)
    return parts if get_origin(kind) is Literal else next(filter(None, map(choices, parts)), ())


class RingRef(Struct, frozen=True, kw_only=True):
    """Where a camera's frames lie: an inherited memfd of `slots` slots of `slot_bytes` bytes of pixels each."""

    fd: int
    slots: int
    slot_bytes: int


class CaptureSettings(Struct, frozen=True, kw_only=True):
    """What a capture process needs."""

    camera: Camera
    ring: RingRef
    folder: Path


class DetectSettings(Struct, frozen=True, kw_only=True):
    """What a detection worker needs; `classify` tells it which crops the classifier wants."""

    detect: Detect
    classify: Classify
    mode: Literal["count", "measure", "target"]
    rings: dict[str, RingRef]
    folder: Path


class ClassifySettings(Struct, frozen=True, kw_only=True):
    """What a classification worker needs."""

    classify: Classify
    mode: Literal["count", "measure", "target"]
    folder: Path


class PlayerSettings(Struct, frozen=True, kw_only=True):
    """What the process of one screen needs. Plays since `run_started_ms` (UTC epoch) count for this run's summary."""

    station: StationTable
    screen: Screen
    choose: Choose
    ads: Ads
    cameras: tuple[str, ...]
    folder: Path
    run_started_ms: int
    screens: int = 1
    """How many screens the station has: each may spend an equal part of a budget."""
