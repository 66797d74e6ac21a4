"""People in front of cameras for the tests of the statistics, told as the people stage tells them."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.job import Job
from pipeline.messages import Audience, Person
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.settings import Statistics as Kept
from players.statistics.counts import MEASURES, Basis, Pending
from players.statistics.reading import reading_counts
from players.statistics.times import MINUTE_S
from players.statistics.visits import Place
from tests.ads import S, frame, person

UTC_ZONE, SEOUL = ZoneInfo("UTC"), ZoneInfo("Asia/Seoul")
NINE_S = 1_777_885_200
"""2026-05-04 09:00 UTC, a Monday."""
KERB = Basis(station="stop-7", mode="target", place="kerb", camera="kerb", screens="main", model_sha256="a" * 64)
ANN, BEN, CEM, DAN = "a" * 16, "b" * 16, "c" * 16, "d" * 16
Cells = dict[tuple[int, str, str], dict[str, int]]


def somebody(track: str, since_s: float, seen_s: float, gender: str = "F", age: float = 25.0, **more: Any) -> Person:
    """Return somebody who has been there from `since_s` to `seen_s` on the monotonic clock."""
    more = {"answers": 1, "attention_ms": 0, **more}
    return person(gender, age, track=track, since_ns=round(since_s * S), seen_ns=round(seen_s * S), **more)


def looker(track: str, since_s: float, seen_s: float, look_since_s: float, **more: Any) -> Person:
    """Return somebody who has looked at the screen since `look_since_s`."""
    length_ms = round(1000 * (seen_s - look_since_s))
    more |= {"looking": True, "looking_since_ns": round(look_since_s * S), "watched": length_ms >= 250}
    return somebody(track, since_s, seen_s, attention_ms=length_ms if length_ms >= 250 else 0, **more)


def told(at_s: float, *people: Person, camera: str = "kerb", **more: Any) -> Audience:
    """Return who is there at a moment."""
    return frame(round(at_s * S), *people, camera=camera, **more)


class Watch:
    """A place that is told who is there. Its monotonic clock shows 0 when the wall clock shows `begins_s`."""

    def __init__(self, begins_s: int = NINE_S, before_s: float = 0.0) -> None:
        self.place, self.pending = Place(round(before_s * S)), Pending()
        self.offset_ns = begins_s * S

    def tell(self, *audiences: Audience, basis: Basis = KERB) -> "Watch":
        for audience in audiences:
            self.place.take(audience, basis, self.offset_ns, self.pending)
        return self

    def cells(self, now_s: float = 1e6) -> dict[tuple[int, int, int], dict[str, int]]:
        """Return the numbers of each minute since the beginning, gender and decade, without those of zeros."""
        self.place.write(self.pending, round(now_s * S))
        return {
            ((minute_s - self.offset_ns // S) // MINUTE_S, gender, decade): dict(zip(MEASURES, numbers, strict=True))
            for (minute_s, _, gender, decade), numbers in self.pending.counts.items()
            if any(numbers)
        }

    def total(self, now_s: float = 1e6) -> dict[str, int]:
        """Return the numbers of all cells together."""
        cells = self.cells(now_s).values()
        return {name: sum(cell[name] for cell in cells) for name in MEASURES}

    def measured_s(self) -> float:
        return sum(ns for ns, _ in self.pending.measured.values()) / S


def job_of(folder: Path, *cameras: Camera, **kept: int) -> Job:
    """Return the job of a station's statistics, whose file lies in the folder."""
    cameras = cameras or (Camera(name="kerb", source=""),)
    station = Station(
        station=StationTable(name="stop-7", state_dir="state"),
        cameras=cameras,
        screens=(Screen(name="main"),),
        statistics=Kept(**kept),
        folder=folder,
    )
    return Job(station=station, cameras={camera.name: camera for camera in cameras})


def kept_in(path: Path) -> Cells:
    """Return the numbers of a file by the length of the period, gender and decade."""
    cells: Cells = {}
    with reading_counts(path) as db:
        for row in db.execute("SELECT * FROM audience_counts"):
            cell = cells.setdefault((row["length_s"], row["gender"], row["decade"]), dict.fromkeys(MEASURES, 0))
            for name in MEASURES:
                cell[name] += row[name]
    return cells
