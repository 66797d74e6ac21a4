"""Command `stationcast calibrate screen`: somebody looks at its corners, and the camera's settings are told."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from models.assets import resolve
from models.cards import ModelError
from models.detector import DetectedFace, FaceDetector
from models.options import Number
from models.pose import head_pose
from models.reach.searcher import Searcher
from pipeline.control import Status, ask
from pipeline.entry import keep_to_itself
from pipeline.errors import UserError
from pipeline.graph import TABLE
from pipeline.messages import MAX_FACES, Faces
from pipeline.operator.models import pull_models
from pipeline.operator.snapshot import Snapshot
from pipeline.runtime import running_stations, runtime_root
from pipeline.settings import Camera, Detect, Station, demo_station, load
from pipeline.supervisor import Supervisor
from pipeline.tap import Tap
from stages.capture.stage import as_shared
from stages.commands.angles import plot_angles
from stages.commands.films import read_film
from stages.detect.follower import Follower
from stages.people.attention import Window
from stages.people.calibration import CORNERS, TURNING, Sample, calibrate

_AS_LARGE = 0.6
"""Width of a second face, in widths of the largest, from which it may be the person who is meant."""
_ENOUGH = 5
"""Number of angles with which a corner may be left."""
_LAST = 0.999
_PATIENCE_S = 60.0
_FILM_FPS = 10.0

Seen = tuple[float, float | None, float | None]
"""Width of a face in px, and its yaw and pitch; None where they cannot be told."""


@click.command("screen")
@click.argument("camera", metavar="CAMERA", required=False)
@click.option("--station", "named", help="Station file, or name of a running station; needed where several run.")
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    help="A film instead of the camera: its quarters show the looks at the four corners in turn.",
)
@click.option("--seconds", type=Number(4, 120), default=10.0, show_default=True, help="Time for all corners.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("calibration.png"), show_default=True,
    help="Picture (PNG) of the angles and the window; it shows nothing of the person.",
)  # fmt: skip
def command(camera: str | None, named: str | None, video: Path | None, seconds: float, out: Path) -> None:
    """Find where the screen is as seen from CAMERA: one person looks at its corners.

    The camera is that of a running station, or is opened if the station of the file does not run. Prints the lines for
    the camera's table in the station file.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: is no PNG; let the name end in .png")
    station, running = (None, None) if video and not named else _station(named)
    table = _camera(station, camera) if station else None
    if video:
        samples = list(_of_film(video, station, table or Camera(name="film", source="sample")))
    else:
        assert station
        assert table
        session = _Session(table.name, seconds)
        if running:
            _watch(running, session)
        else:
            _watch_own(station, table, session)
        samples = session.samples
    found = calibrate(samples)
    camera_name = f" ({table.name})" if table else ""
    click.echo(f"\nIn the station file, below the camera's name{camera_name}, in place of such lines there:")
    for key, value in zip(
        ("yaw", "pitch", "half_yaw", "half_pitch"), msgspec.structs.astuple(found.window), strict=True
    ):
        click.echo(f"screen_{key}_deg = {value:.0f}")
    plot_angles(found, Window.of(table) if table else None, out)
    click.echo(f"\nThe angles are drawn in {out}. A station that runs takes the lines in by `stationcast reload`.")


def _station(named: str | None) -> tuple[Station, str | None]:
    """Return the station that is meant, and its name if it runs."""
    running = running_stations()
    if named and (named.endswith(".toml") or named not in running):
        if not Path(named).is_file():
            raise UserError(f"--station {named}: neither a station file nor a station that runs: {_names(running)}")
        station = load(Path(named))
        return station, station.station.name if station.station.name in running else None
    if not running:
        raise UserError("no station is running; name a station file with --station")
    if not named and len(running) > 1:
        raise UserError(f"several stations run: {_names(running)}; name one with --station")
    name = named or running[0]
    return _followed(name), name


def _names(running: list[str]) -> str:
    return ", ".join(running) or "none runs"


def _followed(name: str) -> Station:
    """Return the station that runs under a name, as its file says."""
    snapshot = msgspec.json.decode(ask(name, Status()), type=Snapshot)
    return load(Path(snapshot.station_file)) if snapshot.station_file else demo_station()


def _camera(station: Station, name: str | None) -> Camera:
    cameras = {camera.name: camera for camera in station.cameras}
    if name is None and len(cameras) == 1:
        return next(iter(cameras.values()))
    if name is None or name not in cameras:
        said = f"no camera {name!r}; " if name else ""
        raise UserError(f"CAMERA: {said}name one of {', '.join(sorted(cameras)) or 'none: the station has no camera'}")
    return cameras[name]


class _Session:
    """Ten seconds in front of a camera: what is asked for when, and the angles that came.

    A corner is left after its time, once enough angles came: slow cameras get more.
    """

    def __init__(self, camera: str, seconds: float) -> None:
        self._camera, self._corner_ns = camera, round(seconds * 1e9 / len(CORNERS))
        self._corner, self._since_ns = -1, time.monotonic_ns()
        self._told = 0
        self.samples: list[Sample] = []
        click.echo("Stand alone where people stand, and face the screen.")

    def feed(self, data: bytes) -> None:
        """Take in a message of the station; all but the camera's faces are passed over."""
        try:
            message = msgspec.msgpack.decode(data, type=Faces)
        except msgspec.ValidationError:
            return
        part = (message.captured_ns - self._since_ns) / self._corner_ns
        if message.camera != self._camera or part < 0:
            return
        at = (self._corner + min(part, _LAST)) / len(CORNERS)
        sample = _sample(at, [(face.box_px[2], face.yaw_deg, face.pitch_deg) for face in message.faces])
        self._told += sample.angles_deg is not None and (self._corner < 0 or part > TURNING)
        if self._corner >= 0:
            self.samples.append(sample)

    def done(self) -> bool:
        """Say what is to be done now; return whether all is done. UserError: nobody came."""
        past_ns = time.monotonic_ns() - self._since_ns
        late = past_ns > _PATIENCE_S * 1e9
        if self._corner < 0 and late and self._told < _ENOUGH:
            raise UserError(
                f"{self._camera}: no face whose angles can be told in {_PATIENCE_S:.0f} s; "
                "stand nearer, in good light; `stationcast status` says whether the camera gives pictures"
            )
        if (self._told < _ENOUGH and not late) or (self._corner >= 0 and past_ns < self._corner_ns):
            return False
        self._corner, self._since_ns, self._told = self._corner + 1, time.monotonic_ns(), 0
        if self._corner < len(CORNERS):
            click.echo(f"Look at the {CORNERS[self._corner]} corner.")
        return self._corner == len(CORNERS)


def _sample(at: float, faces: list[Seen]) -> Sample:
    by_size = sorted(faces, key=lambda face: -face[0])
    alone = len(by_size) < 2 or by_size[1][0] < _AS_LARGE * by_size[0][0]
    _, yaw_deg, pitch_deg = by_size[0] if by_size else (0, None, None)
    return Sample(at, None if yaw_deg is None or pitch_deg is None else (yaw_deg, pitch_deg), alone)


def _watch(name: str, session: _Session) -> None:
    """Take the faces of a running station."""
    with Tap(runtime_root() / name) as tap:
        while not session.done():
            messages = tap.receive(100)
            if messages is None:
                raise UserError(f"station {name!r} has ended meanwhile; start it again, or name its file")
            for data in messages:
                session.feed(data)


def _watch_own(station: Station, camera: Camera, session: _Session) -> None:
    """Run what a station has of capture and detection for one camera, and take its faces."""
    only = msgspec.structs.replace(
        station,
        station=msgspec.structs.replace(station.station, mode="count"),
        cameras=(camera,),
        workers={},
        screens=tuple(msgspec.structs.replace(screen, cameras=()) for screen in station.screens[:1]),
    )
    pull_models(only)
    keep_to_itself()
    supervisor = Supervisor(only, tuple(row for row in TABLE if row.name in ("capture", "detect")))
    failed: list[UserError] = []
    taps: list[Tap] = []
    with contextlib.ExitStack() as stack:

        def tick(it: Supervisor) -> None:
            if it.ready_s and not taps:
                taps.append(stack.enter_context(Tap(it.runtime_dir)))
            for data in taps[0].receive(0) or () if taps else ():
                session.feed(data)
            try:
                if session.done():
                    it.stop()
            except UserError as error:
                failed.append(error)
                it.stop()

        supervisor.run(None, tick)
    if failed:
        problem = next((state.problem for state in supervisor.snapshot().cameras if state.problem), "")
        raise UserError(f"{camera.name}: {problem}") if problem else failed[0]


def _of_film(path: Path, station: Station | None, camera: Camera) -> Iterator[Sample]:
    """Yield the angles in a film, whose pictures are searched as those of the camera."""
    table = station.detect if station else Detect()
    try:
        model = resolve(table.model, station.folder if station else Path.cwd())
        with FaceDetector(model, table.min_score, min(table.max_faces, MAX_FACES), runtime=table.runtime) as detector:
            searcher = Searcher(detector, camera.reach, table.budget, _FILM_FPS)
            follower = Follower(lambda *frame: searcher.search(*frame).faces, None, fps=_FILM_FPS)
            seen = [
                (at_s, until_s, follower.look(as_shared(image, camera), 1 + round(at_s * 1e9)).found)
                for image, at_s, until_s in read_film(path, _FILM_FPS)
                if image is not None
            ]
    except ModelError as error:
        raise UserError(str(error)) from error
    for at_s, _, faces in seen:
        yield _sample(at_s / seen[-1][1], [_seen(face) for face in faces])


def _seen(face: DetectedFace) -> Seen:
    pose = head_pose(face.box_px, face.keypoints_px, face.score)
    return face.box_px[2], pose.yaw_deg if pose else None, pose.pitch_deg if pose else None
