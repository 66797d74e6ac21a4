"""Invoices say what each line rests on, and what changed between the plays that they bill."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pipeline.cli import cli
from pipeline.settings import Camera
from pipeline.streams import Terminal
from players.ads.lines import Line, Target
from players.audience.basis import angles_of, calibration_of, of_place, zone_hash, zone_of
from players.audience.present import of
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from players.ledger.snapshot import reading
from players.reports import measures, queries
from players.reports.basis import Basis
from players.reports.by_hand import Factor, HandCount, counts_of_play, keep_count
from players.reports.report import Report, as_table
from tests.ads import BERLIN, F20, decision, frame, line, present, tally_of
from tests.players.ledger.plays import STATION
from tests.players.recording import MOKA, Record, at, some_plays

KERB = Camera(name="kerb", source="")
CPM = line("mille", Target(gender="F"), price=Decimal("9.50"), per="1000 watchers", bill_on="watched", currency="EUR")
FLAT = line("flat", Target(gender="F"), price=Decimal("0.10"), currency="EUR")


Plays = tuple[Line, str, Camera, int]
"""A line, the model, the camera, and the number of women who were there."""


def billed(path: Path, *plays: Plays) -> Report:
    write(path, *plays)
    with reading([path]) as db:
        return queries.billing(db)


def write(path: Path, *plays: Plays, screen: str = "main", station: str = STATION.name) -> None:
    book = Ledger(path, msgspec.structs.replace(STATION, name=station), screen)
    for ad, model, camera, people in plays:
        chosen = msgspec.structs.replace(decision(ad), present=of([frame(0, model_sha256=model)]))
        play_id = book.start(chosen, planned_ms=0)
        assert play_id
        shown: dict[str, Any] = {"frames_expected": 9, "frames_presented": 9, "status": "played", "shown_ms": 8000}
        tally = tally_of(present(*[F20] * people), looked_ms=2000)
        basis = {"exposure_zone": zone_of([camera]), "calibration": calibration_of([camera])}
        book.end(play_id, Shown(tally=tally, **shown, **basis))
    book.close()


def test_each_line_says_its_unit_level_model_and_share_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "_SETTLED_S", -7200)  # this hour is told at once
    made = billed(tmp_path / "ledger-main.sqlite", (CPM, "ab" * 32, KERB, 12), (FLAT, "ab" * 32, KERB, 12))
    rows = {row["line"]: row for row in made.rows}
    assert [rows["mille"][name] for name in ("per", "level", "model", "measured_pct")] == [
        "1000 watchers",
        "watchers",
        "ab" * 6,
        100.0,
    ]
    assert (rows["flat"]["per"], rows["flat"]["level"]) == ("play", "OTS")
    assert (rows["mille"]["ots"], rows["mille"]["watchers"], rows["mille"]["attention_s"]) == (10, 10, 20.0)
    for note in (
        "Model abababababab.",
        "People count in: kerb: whole picture.",
        "A head within these angles looks: kerb: yaw 0 +- 20, pitch 0 +- 16 deg.",
        "What is billed by people tells how many were billed, also where their number is hidden.",
    ):
        assert note in made.notes
    assert not any("changed" in note for note in made.notes)


def test_a_change_of_model_or_calibration_between_billed_plays_is_said(tmp_path: Path) -> None:
    turned = msgspec.structs.replace(KERB, screen_yaw_deg=9.0)
    made = billed(tmp_path / "ledger-main.sqlite", (FLAT, "ab" * 32, KERB, 1), (FLAT, "cd" * 32, turned, 1))
    assert made.rows[0]["model"] == f"{'ab' * 6}, {'cd' * 6}"
    (note,) = (note for note in made.notes if "changed" in note)
    assert note.startswith("flat: model, the screen's place changed between plays that are billed here")
    assert not any("tells how many were billed" in note for note in made.notes)


def test_the_report_of_plays_says_what_its_people_rest_on_and_what_changed(tmp_path: Path) -> None:
    path, turned = tmp_path / "ledger-main.sqlite", msgspec.structs.replace(KERB, screen_yaw_deg=9.0)
    write(path, (FLAT, "ab" * 32, KERB, 1), (CPM, "cd" * 32, turned, 1))
    with reading([path]) as db:
        made = queries.plays(db, ("line",), BERLIN, model_in_words=lambda sha256: f"model {sha256[:2]}, right at 0.9")
    for note in (
        "Model ab, right at 0.9.",
        "Model cd, right at 0.9.",
        "People count in: kerb: whole picture.",
        "A head within these angles looks: kerb: yaw 9 +- 20, pitch 0 +- 16 deg.",
        "main: model, the screen's place changed between plays; counts before and after are not alike.",
        "Measure level: opportunities to see (1 s in the zone) and watchers, of faces that were found.",
    ):
        assert note in made.notes


def test_screens_with_cameras_of_their_own_are_no_change(tmp_path: Path) -> None:
    turned = msgspec.structs.replace(KERB, name="roof", screen_yaw_deg=9.0, min_face_px=50)
    for name, camera in (("left", KERB), ("right", turned)):
        write(tmp_path / f"ledger-{name}.sqlite", (FLAT, "ab" * 32, camera, 1), screen=name)
    with reading([tmp_path / f"ledger-{name}.sqlite" for name in ("left", "right")]) as db:
        made = queries.billing(db)
    assert made.rows[0]["billable"] == 2 and not any("changed" in note for note in made.notes)
    assert sum("People count in" in note for note in made.notes) == 2


def test_screens_of_one_name_at_two_stations_are_two_in_the_report_of_plays(tmp_path: Path) -> None:
    turned = msgspec.structs.replace(KERB, name="roof", screen_yaw_deg=9.0)
    paths = []
    for name, model, camera in (("north", "ab" * 32, KERB), ("south", "cd" * 32, turned)):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "ledger-main.sqlite")
        write(paths[-1], (FLAT, model, camera, 1), station=name)
    with reading(paths) as db:
        made = queries.plays(db, ("screen",), BERLIN)
    assert [(row["screen"], row["plays"]) for row in made.rows] == [("north/main", 1), ("south/main", 1), ("total", 2)]
    assert not any("changed" in note for note in made.notes)


def test_each_line_says_its_price_and_one_whose_price_changed_says_what_each_came_to(tmp_path: Path) -> None:
    dearer = msgspec.structs.replace(CPM, price=Decimal("10"))
    made = billed(
        tmp_path / "ledger-main.sqlite", *[(CPM, "", KERB, 3)] * 2, (dearer, "", KERB, 1), (FLAT, "", KERB, 1)
    )
    flat, mille, _ = made.rows
    assert (flat["price"], flat["per"], flat["bill_on"]) == (Decimal("0.10"), "play", "present")
    assert (mille["price"], mille["per"], mille["bill_on"]) == ("9.50, 10.00", "1000 watchers", "watched")
    assert [note for note in made.notes if "price changed" in note] == [
        "mille: the price changed: 2 plays at 9.50 per 1000 watchers for 0.057 EUR, "
        "1 play at 10.00 per 1000 watchers for 0.01 EUR."
    ]
    assert (mille["spend"], mille["owed"]) == (Decimal("0.07"), "0.07 EUR")


def test_a_line_of_which_nothing_was_billed_has_the_price_of_its_contract(record: Record) -> None:
    with reading([record([])]) as db:
        (row, _) = queries.billing(db, [MOKA]).rows
    assert (row["price"], row["per"], row["price and unit"]) == (Decimal("0.125"), "play", "0.125 per play")
    assert (row["owed"], row["budget left"]) == ("0.00 EUR", "100.00 EUR")


def counted(place: str, camera: Camera, day: str, model: str = "ab" * 32) -> HandCount:
    basis = Basis(place, model, angles_of(camera), zone_hash(camera))
    return HandCount(basis=basis, day=day, periods=12, people=Factor(1.2, 1.1, 1.3))


def test_a_count_by_hand_of_a_group_holds_as_long_as_all_of_its_cameras_stay_as_they_were() -> None:
    roof = Camera(name="roof", source="", group="stop", screen_yaw_deg=9.0)
    kerb = msgspec.structs.replace(KERB, group="stop")
    both = {camera.name: camera for camera in (kerb, roof)}
    angles, zones = (of_place({name: of(camera) for name, camera in both.items()}) for of in (angles_of, zone_hash))
    count = HandCount(
        basis=Basis("stop", "ab" * 32, angles, zones), day="2026-05-30", periods=12, people=Factor(1.2, 1.1, 1.3)
    )
    groups = {"kerb": "stop", "roof": "stop", "door": ""}

    def held(*cameras: Camera) -> bool:
        return bool(counts_of_play([count], groups, "ab" * 32, zone_of(cameras), calibration_of(cameras)))

    door = Camera(name="door", source="")
    assert held(kerb, roof, door) and held(roof), "a screen that only one of them faces"
    assert not held(kerb, msgspec.structs.replace(roof, screen_yaw_deg=0.0))
    assert not held(msgspec.structs.replace(kerb, min_face_px=50), roof)
    assert not held(door)


def test_lines_and_plays_name_the_count_by_hand_that_is_in_force(tmp_path: Path) -> None:
    zoned = msgspec.structs.replace(KERB, zone=((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)))
    write(tmp_path / "ledger-main.sqlite", (CPM, "ab" * 32, KERB, 1), (FLAT, "ab" * 32, zoned, 1))
    for count in (
        counted("kerb", KERB, "2026-05-01"),
        counted("kerb", KERB, "2026-05-30"),
        counted("kerb", zoned, "2026-05-31", model="cd" * 32),
        counted("door", zoned, "2026-06-01"),
    ):
        keep_count(tmp_path, count)
    station = tmp_path / "station.toml"
    (tmp_path / "ads").mkdir()
    station.write_text(
        '[station]\nname = "stop-7"\nstate_dir = "."\n[ads]\ncampaigns = "ads"\n'
        '[[cameras]]\nname = "kerb"\nsource = "sample"\n'
    )
    done = CliRunner().invoke(cli, ["report", "billing", "--station", str(station), "--format", "json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    by_hand = {row["line"]: row["by_hand"] for row in told["rows"]}
    assert (by_hand["mille"], by_hand["flat"]) == ("2026-05-30", "")
    assert [note for note in told["notes"] if "by hand" in note] == [
        "kerb: counted by hand on 2026-05-30 (12 times 5 min): people x 1.20 (1.10 to 1.30). "
        "The bill is not corrected by it. It holds for mille."
    ]
    with reading([tmp_path / "ledger-main.sqlite"]) as db:
        plays = dict(tuple(row) for row in db.execute("SELECT line, play_id FROM plays"))
    for name, says in (("mille", True), ("flat", False)):
        said = CliRunner().invoke(cli, ["ledger", "explain", plays[name], "--station", str(station)]).stdout
        assert ("- kerb: counted by hand on 2026-05-30" in said) is says


def test_an_invoice_says_when_people_are_told_who_are_not_told_yet(tmp_path: Path, record: Record) -> None:
    (note,) = (note for note in billed(tmp_path / "new.sqlite", (CPM, "", KERB, 12)).notes if "not told yet" in note)
    assert "those of an hour are told a quarter of an hour after its end, the next at " in note
    assert note.endswith(":15. What is billed does not change.")
    with reading([record(some_plays())]) as db:
        assert not any("not told yet" in note for note in queries.billing(db).notes)


def test_an_invoice_names_its_period_by_the_clocks_of_the_station(record: Record) -> None:
    span = "2026-05-03T22:00:00.000Z", "2026-05-04T22:00:00.000Z"
    with reading([record(some_plays())]) as db:
        titles = [queries.billing(db, (), one, BERLIN).title for one in (span, (None, span[1]), (None, None))]
    assert titles == [
        "Billing, plays begun from 2026-05-04 00:00 until 2026-05-05 00:00 (Europe/Berlin)",
        "Billing, plays begun until 2026-05-05 00:00 (Europe/Berlin)",
        "Billing",
    ]


def test_an_invoice_fits_a_terminal_of_80_columns(record: Record) -> None:
    """No heading and no number is cut there; csv and JSON have all columns."""
    dear = msgspec.structs.replace(
        MOKA, advertiser="Moka Coffee", id="moka-spring-evening", price=Decimal("712.00"), budget=Decimal("50000.00")
    )
    path = record([*some_plays(), *((at(6, 9, n), dear, present(F20), 1.0) for n in range(30))])
    out = io.StringIO()
    with reading([path]) as db:
        made = queries.billing(db, [dear])
    Terminal(out, width=80).print(as_table(made))
    said = out.getvalue()
    assert max(map(len, said.splitlines())) <= 80 and "…" not in said
    words = {word for line in said.splitlines() for word in line.split()}
    assert {"line", "plays", "billed", "owed", "left", "21360.00", "28640.00", "712.00", "total"} <= words
    notes = " ".join(said.split())
    assert all(" ".join(note.split()) in notes for note in made.notes) and "add --format csv" in notes
