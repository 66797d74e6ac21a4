"""The stage table: what follows from it, and that every row of it can be run."""

import importlib
import math
from pathlib import Path

import msgspec
import pytest

from pipeline.errors import UserError
from pipeline.graph import BROKER, TABLE, Link, Row, build, roles
from pipeline.job import job_of
from pipeline.messages import Audience, Faces, Frame, message_types
from pipeline.ring import RingRef
from pipeline.settings import Camera, Screen, Station, StationTable
from pipeline.stage import Spec

STATION = Station(
    cameras=(Camera(name="kerb", source="sample"), Camera(name="door", source="sample")),
    screens=(Screen(name="left", cameras=("kerb",)), Screen(name="right")),
    workers={"detect": 2},
)
KNOWN = tuple(row for row in TABLE if row.name in ("capture", "detect", "classify", "people", "player"))
"""Rows whose names these tests say; whoever adds another row changes none of them."""
SIEVE = Row(name="sieve", stage="tests.toys:Passer", takes=Faces, gives=Faces)


def _in_mode(mode: str) -> Station:
    return msgspec.structs.replace(STATION, station=StationTable(mode=mode))  # type: ignore[arg-type]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.stage)
def test_every_row_names_a_class_that_is_a_stage(row: Row) -> None:
    module, _, name = row.stage.partition(":")
    stage = getattr(importlib.import_module(module), name)
    assert callable(stage.step) and callable(stage.close)
    fields = {field.name for field in msgspec.structs.fields(Station)}
    assert set(row.reads) <= fields
    assert row.kind != "source" or row.gives


@pytest.mark.parametrize("mode", ["count", "measure", "target"])
def test_rows_form_a_chain_without_a_cycle(mode: str) -> None:
    rows = [row for row in TABLE if mode in row.modes]
    names = [row.name for row in rows]
    assert len(set(names)) == len(names), "one row of a name in each mode"
    links = build(_in_mode(mode)).links
    fed = {link.target.split(".")[0] for link in links}
    assert fed == {row.name for row in rows if row.takes}, "every stage but the sources is fed"
    for link in links:
        assert names.index(link.source) < names.index(link.target.split(".")[0]), "from above, so there is no cycle"
    heard = {link.source for link in links}
    assert heard == {row.name for row in rows if row.gives}, "nobody sends what nobody takes"


def test_every_message_has_a_sender() -> None:
    assert {row.gives for row in TABLE if row.gives} == set(message_types().values())


def test_roles_come_in_the_order_of_a_frame() -> None:
    assert roles(KNOWN) == ("capture", "detect", "classify", "people", "player", BROKER)


def test_a_row_between_two_others_takes_from_the_one_and_feeds_the_other() -> None:
    table = (*KNOWN[:2], SIEVE, *KNOWN[2:])
    links = {link.target: link for link in build(STATION, table).links}
    assert (links["sieve"].source, links["sieve"].message) == ("detect", Faces)
    assert (links["classify"].source, links["classify"].message) == ("sieve", Faces)
    assert [links[name].source for name in ("detect", "player.left", "player.right")] == ["capture", *["people"] * 2]


def test_numbers_of_a_link_come_from_the_stages_own_table() -> None:
    station = msgspec.convert(
        {"classify": {"batch": 7, "batch_wait_ms": 3}, "detect": {"max_frame_age_ms": 90}}, Station
    )
    links = {
        link.target: link for link in build(msgspec.structs.replace(station, cameras=STATION.cameras), KNOWN).links
    }
    assert (links["classify"].batch, links["classify"].wait_ms, links["classify"].max_age_ms) == (7, 3.0, 1500)
    assert (links["detect"].batch, links["detect"].max_age_ms) == (1, 90)
    assert links["player.main"].batch == 64


def test_a_screen_takes_only_the_audience_of_its_cameras() -> None:
    links = {link.target: link.cameras for link in build(STATION, KNOWN).links}
    assert (links["player.left"], links["player.right"]) == (("kerb",), ())


def test_without_cameras_a_screen_is_fed_by_nobody() -> None:
    graph = build(_in_mode("off"), KNOWN)
    assert [group.name for group in graph.groups] == ["player.left", "player.right"]
    assert not any(group.fed for group in graph.groups) and graph.links == ()


@pytest.mark.parametrize(
    ("workers", "says"),
    [
        ({"detct": 2}, r"workers\.detct: no such stage; known here: detect, classify"),
        ({"player": 2}, r"workers\.player: only one process each can be; known here: detect, classify"),
    ],
)
def test_workers_of_no_stage_are_a_mistake(workers: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        build(msgspec.structs.replace(STATION, workers=workers), KNOWN)


def test_a_stage_that_keeps_order_has_one_process() -> None:
    row = msgspec.structs.replace(SIEVE, in_order=True)
    with pytest.raises(UserError, match=r"workers\.sieve"):
        build(msgspec.structs.replace(STATION, workers={"sieve": 2}), (*KNOWN[:2], row, *KNOWN[2:]))


RINGS = {name: RingRef(fd=i, slots=6, slot_bytes=3) for i, name in enumerate(("kerb", "door"))}


def test_a_job_holds_what_its_row_reads_and_nothing_else() -> None:
    graph = build(STATION, KNOWN)
    capture, detect, player = (
        job_of(graph.group(name), STATION, RINGS, 5) for name in ("capture.door", "detect", "player.left")
    )
    assert capture.camera.name == "door" and capture.rings == {"door": RINGS["door"]}
    assert detect.rings == RINGS and detect.station.classify.model == "default"
    assert player.screen.name == "left" and player.screens == 2 and player.rings == {} and player.run_started_ms == 5
    with pytest.raises(AttributeError):
        _ = capture.station.ads.campaigns
    with pytest.raises(AttributeError):
        _ = detect.camera.name


def test_a_job_changes_only_with_what_its_row_reads() -> None:
    changed = msgspec.structs.replace(
        STATION,
        cameras=(*STATION.cameras, Camera(name="new", source="sample")),
        detect=msgspec.structs.replace(STATION.detect, min_score=0.9),
    )
    graph = build(STATION, KNOWN)
    same = {group.name: job_of(group, STATION, RINGS, 5) == job_of(group, changed, RINGS, 5) for group in graph.groups}
    seeing = ("detect", "people", "player.left", "player.right")
    assert not any(same.pop(name) for name in seeing) and all(same.values()) and len(same) == 3


def test_a_spec_goes_to_its_process_and_is_the_same_there(tmp_path) -> None:
    graph = build(STATION, KNOWN)
    for group in graph.groups:
        job = job_of(group, STATION, RINGS, 5)
        spec = Spec(worker="w", runtime_dir=tmp_path, cells_fd=3, cell=1, group=group, job=job, links=graph.links)
        line = spec.encode()
        again = Spec.decode(line)
        assert line.count(b"\n") == 1 and (again.group, again.links) == (group, graph.links)
        assert again.job and (again.job.camera, again.job.screen, again.job.rings) == (
            job.camera,
            job.screen,
            job.rings,
        )


def test_what_a_running_process_is_told_fits_a_pipe(tmp_path: Path) -> None:
    # One that does not take it in one write is killed, at each reload.
    corners = tuple((round(0.5 + 0.4 * math.cos(i / 10), 3), round(0.5 + 0.4 * math.sin(i / 10), 3)) for i in range(63))
    cameras = tuple(
        Camera(name=f"camera-{i}", source="rtsp://u:p@10.0.0.1/1", zone=corners, masks=(corners,) * 8)
        for i in range(32)
    )
    station = Station(cameras=cameras, screens=tuple(Screen(name=f"s{i}") for i in range(8)), folder=tmp_path)
    rings = {camera.name: RingRef(fd=99, slots=6, slot_bytes=10**8) for camera in cameras}
    for group in build(station).groups:
        spec = Spec(
            worker=group.name,
            runtime_dir=tmp_path,
            cells_fd=3,
            cell=1,
            group=group,
            job=job_of(group, station, rings, 5),
        )
        assert len(spec.encode()) < 65536, group.name


def test_a_stage_whose_message_comes_only_after_it_is_fed_by_nobody() -> None:
    row = Row(name="lost", stage="tests.toys:Passer", takes=Audience)
    graph = build(STATION, (row, *KNOWN))
    assert not graph.group("lost").fed and not any(link.target == "lost" for link in graph.links)


def test_a_later_giver_takes_the_place_of_an_earlier_one() -> None:
    more = Row(name="again", stage="tests.toys:Passer", takes=Audience, gives=Audience, in_order=True)
    table = (*KNOWN[:-1], more, KNOWN[-1])
    links: dict[str, Link] = {link.target: link for link in build(STATION, table).links}
    assert links["again"].source == "people" and links["player.left"].source == "again"
    assert links["detect"].message is Frame
