"""Invoices say what each line rests on, and what changed between the plays that they bill."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.settings import Camera
from players.ads.lines import Line, Target
from players.audience.basis import calibration_of, zone_of
from players.audience.present import of
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from players.ledger.snapshot import reading
from players.reports import measures, queries
from players.reports.report import Report
from tests.ads import F20, decision, frame, line, present, tally_of
from tests.players.ledger.plays import STATION

KERB = Camera(name="kerb", source="")
CPM = line("mille", Target(gender="F"), price=Decimal("9.50"), per="1000 watchers", bill_on="watched", currency="EUR")
FLAT = line("flat", Target(gender="F"), price=Decimal("0.10"), currency="EUR")


def billed(path: Path, *plays: tuple[Line, str, Camera, int]) -> Report:
    book = Ledger(path, STATION, "main")
    for ad, model, camera, people in plays:
        chosen = msgspec.structs.replace(decision(ad), present=of([frame(0, model_sha256=model)]))
        play_id = book.start(chosen, planned_ms=0)
        assert play_id
        shown: dict[str, Any] = {"frames_expected": 9, "frames_presented": 9, "status": "played", "shown_ms": 8000}
        tally = tally_of(present(*[F20] * people), looked_ms=2000)
        basis = {"exposure_zone": zone_of([camera]), "calibration": calibration_of([camera])}
        book.end(play_id, Shown(tally=tally, **shown, **basis))
    book.close()
    with reading([path]) as db:
        return queries.billing(db)


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
