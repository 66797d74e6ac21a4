"""One play in plain words, through the command."""

import dataclasses
import hashlib
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from pipeline.settings import Camera
from pipeline.state import keep_card
from players.ads.lines import Line, Target
from players.audience.basis import calibration_of, zone_of
from players.audience.present import Present
from players.audience.tally import Tally
from players.commands.ledger import ledger as ledger_command
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from tests.ads import F20, M30, MS, PLACE, UNKNOWN, S, frame, line, person, pick, present, tally_of
from tests.players.ledger.plays import STATION, table

KERB = Camera(name="kerb", source="sample", zone=((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), screen_yaw_deg=5.0)
DATA = Path(__file__).parents[1] / "data"


def women(**more: Any) -> Line:
    return line("women", Target(gender="F"), price=Decimal("9.50"), currency="EUR", advertiser="Aurelle", **more)


def played(path: Path, tally: Tally, who: Present, ad: Line) -> str:
    """Play the ad once, chosen from two for these people. Return its id."""
    book = Ledger(path, STATION, "main")
    chosen = pick(who, ad, line("men", Target(gender="M"), currency="EUR"), policy="random", seed=3)
    if not chosen.line.house:
        chosen = msgspec.structs.replace(chosen, line=ad, creative=ad.creatives[0], price=ad.reserve(1))
    play_id = book.start(chosen, planned_ms=8000)
    assert play_id
    shown = Shown(
        frames_expected=480,
        frames_presented=470,
        status="played",
        shown_ms=8000,
        tally=tally,
        exposure_zone=zone_of([KERB]),
        calibration=calibration_of([KERB]),
    )
    book.end(play_id, shown)
    book.close()
    return play_id


def told(path: Path, play_id: str) -> str:
    done = CliRunner().invoke(ledger_command, ["explain", play_id, "--ledger", str(path)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_play_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "ledger-main.sqlite"
    who = present(F20, M30, UNKNOWN)
    play_id = played(path, tally_of(who, looked_ms=2500), who, women(per="1000 ots"))
    said = told(path, play_id)
    assert said.startswith(f"Play {play_id}: women-0 of Aurelle\nline women, campaign c-women; screen main of station")
    for sentence in (
        "on for 8.0 of 8.0 s, 470 of 480 frames presented; played",
        "- It was aimed at people who were there: ",
        "- The rule `random` said: eligible; 2 fit, drawn with probability 0.5.",
        "- It could have been men (0.5) as well.",
        "- When it was chosen, there were 3 people (1 M 30-39, 1 F 20-29, 1 unknown unknown), 0 of them looked.",
        "- 3 people for at least 1 s of it (opportunities to see), 3 at once.",
        "- All time that people were there is 24.0 s.",
        "- 3 people looked, 3 of them for 2 s on end.",
        "- The target fits 1 of them, who looked for 2.5 s.",
        "- Billed: the target (F) was met by 1, 98 % shown; 1 ots at 9.50 EUR per 1000 ots: 0.0095 EUR.",
        "- The price is 9.50 EUR per 1000 ots.",
        "- It is billed only where people of the target were there for 1 s, as many as it asks for.",
        "- It costs 0.0095 EUR.",
        "- Of 1 of those who were there, gender or age is unknown.",
        "- Cameras told who was there for 100 % of the play.",
        "- People count in: kerb: zone ",
        "- A head within these angles looks at the screen: kerb: yaw 5 +- 20, pitch 0 +- 16 deg.",
        "- Measure level: people who could see it are billed: level Viewable/OTS of the Media Rating",
        "- Model: none told when it was chosen.",
    ):
        assert sentence in said, f"{sentence}\n\n{said}"
    assert "women" in told(path, play_id[:9].upper())


def test_what_was_not_measured_is_told_as_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "ledger-main.sqlite"
    dark = Tally([PLACE])
    dark.show(0)
    dark.show(8_000_000_000)
    said = told(path, played(path, dark, present(F20), women()))
    assert said.count("- It was not measured.") == 2
    assert "- Not billed: no camera told who was there." in said and "- It costs 0.00 EUR." in said
    assert "- For 100 % of it no camera told who was there." in said and "Measure level" not in said


def test_a_moment_that_was_not_measured_is_not_told_as_none_of_the_play(tmp_path: Path) -> None:
    tally = Tally([PLACE])
    tally.show(0)
    tally.add(PLACE, frame(20 * MS, person(*F20, track="a" * 16, since_ns=0, seen_ns=8 * S), lasts_ms=9000))
    tally.show(8 * S)
    path = tmp_path / "ledger-main.sqlite"
    said = told(path, played(path, tally, present(F20), women()))
    assert "- For 0.25 % of it no camera told who was there." in said
    assert "- Cameras told who was there for 99.8 % of the play." in said


def test_a_play_that_was_aborted_costs_nothing_and_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger-main.sqlite"
    book = Ledger(path, STATION, "main")
    play_id = book.start(pick(present(F20), women()), planned_ms=8000)
    book.close()
    Ledger(path, STATION, "main").close()
    said = told(path, play_id or "")
    assert "aborted: the player stopped without ending it" in said
    assert "- Not billed: the play was aborted." in said and "- It costs 0.00 EUR." in said
    assert "- The play was aborted: nothing of it is measured." in said and "No camera belongs" not in said


def test_the_model_is_named_by_the_card_that_the_station_kept(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(
        '[station]\nname = "stop-7"\nstate_dir = "."\n[[cameras]]\nname = "c"\nsource = "sample"\n'
    )
    card = b'name = "fine-model"\n'
    keep_card(tmp_path, card)
    sha256 = hashlib.sha256(card).hexdigest()
    book = Ledger(tmp_path / "ledger-main.sqlite", STATION, "main")
    chosen = pick(dataclasses.replace(present(F20), model_sha256=sha256), women())
    play_id = book.start(chosen, planned_ms=8000)
    book.close()
    words = ["explain", play_id or "", "--station", str(tmp_path / "station.toml")]
    said = CliRunner().invoke(ledger_command, words).stdout
    assert f"- Model: fine-model, sha256 {sha256}." in said
    assert "it has not ended" in said and "it is not billed yet" in said


def test_plays_of_older_schemas_are_told_with_what_they_kept(tmp_path: Path) -> None:
    for name in ("ledger-v1", "ledger-v4"):
        (tmp_path / f"{name}.sqlite").write_bytes((DATA / f"{name}.sqlite").read_bytes())
        for row in table(tmp_path / f"{name}.sqlite"):
            said = told(tmp_path / f"{name}.sqlite", row["play_id"])
            assert f"The row is of schema {row['schema']}: who looked" in said
            if row["watchers"]:
                assert f"At most {row['watchers']} " in said


def test_an_id_that_names_no_single_play_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger-v1.sqlite"
    path.write_bytes((DATA / "ledger-v1.sqlite").read_bytes())
    firsts = Counter(row["play_id"][0] for row in table(path))
    for word, says in (
        ("zz", "PLAY_ID: no play 'zz'"),
        ("", "PLAY_ID: no play ''"),
        (firsts.most_common(1)[0][0], "PLAY_ID: more than one play begins with"),
    ):
        done = CliRunner().invoke(ledger_command, ["explain", word, "--ledger", str(path)])
        assert done.exit_code == 2 and says in done.output
