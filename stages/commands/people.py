"""`stationcast people`: the whole chain on recorded videos, for placing a camera and for judging the chain."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct
from rich import box
from rich.markup import escape
from rich.table import Table

from models.options import Number
from pipeline.errors import UserError
from pipeline.messages import DECADES, OTS_NS, WATCHED_NS
from pipeline.settings import Camera, Station, load
from pipeline.streams import Terminal, json_text
from stages.commands.chain import Calls, Chain
from stages.commands.films import read_film
from stages.people.view import Visit


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reach", type=click.Choice(["auto", "near", "far"]), help="Distance at which people are looked for.")
@click.option("--fps", type=Number(0.001, 120), help="Frames taken a second.  [default: 10, or the camera's]")
@click.option("--station", "station_file", type=click.Path(path_type=Path), help="Station file with models and camera.")
@click.option("--camera", "camera_name", help="Camera of the station file whose table holds.  [default: the first]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a person, then one a file; one a line.")
def people(
    files: tuple[Path, ...],
    reach: str | None,
    fps: float | None,
    station_file: Path | None,
    camera_name: str | None,
    as_json: bool,
) -> None:
    """Follow the people in FILES, recorded videos, as a station does. Say who was there, how long, and who looked."""
    station = _station(station_file, camera_name, reach, fps)
    bad = False
    for path in files:
        try:
            report = _report(path, station)
        except UserError as error:
            error.show()
            bad = True
            continue
        if as_json:
            for row in (*report.people, report.total):
                click.echo(json_text(row))
        else:
            _print(path, report)
        if report.problem:
            report.problem.show()
            bad = True
    if bad:
        raise SystemExit(2)


class _Report(Struct):
    people: list[dict[str, Any]]
    total: dict[str, Any]
    problem: UserError | None = None
    """Damage after which the film was not looked at."""


def _station(file: Path | None, name: str | None, reach: str | None, fps: float | None) -> Station:
    """Return the station file's tables, or the defaults, with one camera. UserError: it has no such camera."""
    station = load(file) if file else Station(cameras=(Camera(name="file", source="sample"),), folder=Path.cwd())
    cameras = {camera.name: camera for camera in station.cameras}
    if name is not None and (file is None or name not in cameras):
        there = f"it has {', '.join(cameras)}" if file else "give --station, the file that has it"
        raise UserError(f"--camera: no camera {name!r}; {there}")
    if not cameras:
        raise UserError(f"{file}: cameras: none; add a [[cameras]] table, or leave --station out")
    camera = cameras[name] if name else station.cameras[0]
    changes = {key: value for key, value in (("reach", reach), ("fps", fps)) if value is not None}
    return msgspec.structs.replace(station, cameras=(msgspec.structs.replace(camera, **changes),))


def _report(path: Path, station: Station) -> _Report:
    """Return what is seen in a film, as far as it can be read. UserError: none of it can."""
    chain = Chain(station)
    try:
        tally = Tally(path)
        seconds, problem = 0.0, None
        try:
            for image, at_s, until_s in read_film(path, station.cameras[0].fps):
                seconds = until_s
                if image is not None:
                    chain.look(image, at_s)
                    tally.add(chain.left())
        except UserError as error:
            if not chain.calls.frames:
                raise
            problem = error
        tally.add(chain.end())
        return _Report(tally.people, tally.total(seconds, chain.calls), problem)
    finally:
        chain.close()


class Tally:
    """Count of the people of one file, each by a number in the order in which they left."""

    def __init__(self, path: Path) -> None:
        self._file = str(path)
        self._watchers_2s = 0
        self._stays_ns: list[tuple[int, int]] = []
        self.people: list[dict[str, Any]] = []

    def add(self, left: list[Visit]) -> None:
        """Count those who have left."""
        for visit in left:
            person = visit.person
            self._watchers_2s += visit.longest_look_ms * 1_000_000 >= WATCHED_NS  # so long a look is part of an OTS
            self._stays_ns.append((person.since_ns, person.seen_ns))
            first_s, last_s = person.since_ns / 1e9, person.seen_ns / 1e9
            self.people.append(
                {
                    "file": self._file,
                    "person": len(self.people) + 1,
                    "first_s": round(first_s, 2),
                    "last_s": round(last_s, 2),
                    "gender": person.gender,
                    "p_male": round(person.p_male, 4),
                    "age_years": None if person.age_years is None else round(person.age_years, 1),
                    "decade": None if person.decade is None else DECADES[person.decade],
                    "face_px": round(visit.face_px, 1),
                    "watched": person.watched,
                    "attention_s": round(person.attention_ms / 1000, 2),
                    "dwell_s": round(last_s - first_s, 2),
                    "calls": person.answers,
                }
            )

    def total(self, seconds: float, calls: Calls) -> dict[str, Any]:
        """Return the line of a file of so many seconds. Watchers are among those who were there for 1 s."""
        stayed = [row for row in self.people if row["dwell_s"] >= OTS_NS / 1e9]
        return {
            "file": self._file,
            "seconds": round(seconds, 2),
            "ots": len(stayed),
            "watchers": sum(row["watched"] for row in stayed),
            "watchers_2s": self._watchers_2s,
            "people_max": most_at_once(self._stays_ns),
            "classifier_calls": calls.classifier,
            "detector_calls": calls.detector,
            "frames": calls.frames,
        }


def most_at_once(stays: Sequence[tuple[int, int]]) -> int:
    """Return the largest number of stays, each from its first time to its last, that have a time in common.

    Nobody is there after he was last found: only a station in service has to wait whether he comes back.
    """
    comes, goes = sorted(since for since, _ in stays), sorted(until for _, until in stays)
    return max((come + 1 - bisect_left(goes, at) for come, at in enumerate(comes)), default=0)


def _print(path: Path, report: _Report) -> None:
    table = Table(
        title=escape(str(path)), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False
    )
    for name in ("person", "from s", "to s", "gender", "p(M)", "age", "decade", "face px", "looked s", "calls"):
        table.add_column(name, justify="right")
    for row in report.people:
        age = "unknown" if row["age_years"] is None else f"{row['age_years']:.0f}"
        looked = f"{row['attention_s']:.1f}" if row["watched"] else "-"
        table.add_row(
            str(row["person"]),
            f"{row['first_s']:.1f}",
            f"{row['last_s']:.1f}",
            row["gender"],
            f"{row['p_male']:.2f}",
            age,
            row["decade"] or "unknown",
            f"{row['face_px']:.0f}",
            looked,
            str(row["calls"]),
        )
    console, total = Terminal(), report.total
    console.print(table)
    console.print(
        f"{total['seconds']:.1f} s: {total['ots']} opportunities to see, {total['watchers']} watchers, "
        f"{total['watchers_2s']} of them for 2 s, at most {total['people_max']} at once; {total['frames']} frames, "
        f"{total['detector_calls']} searches, {total['classifier_calls']} faces classified"
    )
