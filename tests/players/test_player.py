"""The player as a whole: the right ad for who is there, never a black screen, every play in the ledger."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import msgspec
import numpy as np
import pygame
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.rig import coded_ads, xvfb
from pipeline.errors import UserError
from pipeline.messages import Audience, Gender, Person
from pipeline.settings import Ads, Choose, PlayerSettings, Screen, StationTable
from players import player as player_module
from players.ads.campaigns import _Reader
from players.audience.present import AudienceWindow
from players.ledger import chain
from players.ledger.ledger import ledger_path
from players.player import Player
from players.prepare import Backstage
from players.reports import openrtb
from players.screen.pictures import Layout

SIZE = (320, 180)
needs_x = pytest.mark.skipif(not xvfb.available(), reason="no Xvfb on this machine: a real window was NOT tested")


def person(gender: Gender, decade: int | None) -> Person:
    """A sure face of that gender and decade."""
    p_decade = tuple(float(decade == i) for i in range(9)) if decade is not None else (1 / 9,) * 9
    return Person(
        box_px=(100.0, 100.0, 200.0, 200.0),
        score=0.9,
        gender=gender,
        p_male={"M": 0.97, "F": 0.03, "unknown": 0.5}[gender],
        age_years=None if decade is None else decade * 10 + 5.0,
        decade=decade,
        p_decade=p_decade,
    )


def audience(*people: Person, camera: str = "a") -> Audience:
    """Those people in one frame, now."""
    now_ns = time.monotonic_ns()
    return Audience(
        camera=camera,
        seq=now_ns // 1_000_000,
        captured_ns=now_ns,
        width_px=1280,
        height_px=720,
        detected_ns=now_ns,
        classified_ns=now_ns,
        faces=people,
        model_sha256="ab" * 32,
    )


def line(
    name: str, *files: str, target: str = "", house: bool = False, duration_s: float = 1.0, price: str = ""
) -> str:
    """A line of a campaign file; creatives are named after their files."""
    parts = ["[[lines]]", f'id = "{name}"']
    parts += ["house = true"] if house else [f"target = {{ {target} }}"]
    parts += [f"price = {price}"] if price else []
    for file in files:
        parts += ["[[lines.creatives]]", f'id = "{Path(file).stem}"', f'file = "{file}"']
        parts += [] if file.endswith((".mp4", ".webm")) else [f"duration_s = {duration_s}"]
    return "\n".join(parts) + "\n"


Theatre = Callable[..., PlayerSettings]


@pytest.fixture
def theatre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theatre:
    """Settings of a player whose ads are files of a folder: pictures are coded 1, 2, ... in the order given. A
    machine that is so busy that frames are lost, or the next ad is late, changes nothing."""
    monkeypatch.setattr(player_module, "GRACE_S", 20.0)
    monkeypatch.setattr(player_module, "FILM_GRACE_S", 20.0)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def build(*lines: str, mode: str = "target", **screen: Any) -> PlayerSettings:
        ads = tmp_path / "ads"
        ads.mkdir(exist_ok=True)
        for number, name in enumerate(("house", "young", "old", "any"), 1):
            coded_ads.make_image(ads / f"{name}.png", number, SIZE)
        (ads / "test.toml").write_text(
            'advertiser = "test"\ncampaign = "test"\ncurrency = "EUR"\n'
            + "\n".join(lines or (line("house", "house.png", house=True),))
        )
        station = StationTable(name="test", mode=mode, state_dir="state")  # type: ignore[arg-type]
        sized = {"width_px": SIZE[0], "height_px": SIZE[1], "screenshot": "now.png", "screenshot_every_s": 0.1}
        return PlayerSettings(
            station=station,
            screen=Screen(**{**sized, "transition": "cut", **screen}),
            choose=Choose(present_s=0.5),
            ads=Ads(campaigns="ads", default_duration_s=1.0, min_presented=0.01),
            cameras=("a",),
            folder=tmp_path,
            run_started_ms=round(time.time() * 1000),
        )

    return build


def canvas(player: Player) -> NDArray[np.uint8]:
    """What the screen shows: uint8 [height, width, 3], red first."""
    return np.asarray(pygame.surfarray.array3d(player._screen.canvas), np.uint8).swapaxes(0, 1)


def shown_ad(player: Player) -> int | None:
    """The number in the picture on the screen; None for the house card or a mixture."""
    code = coded_ads.read(canvas(player))
    return code[0] if code else None


@contextmanager
def playing(settings: PlayerSettings) -> Iterator[Player]:
    player = Player(settings)
    try:
        yield player
    finally:
        player.close()


def run_until(
    player: Player,
    done: Callable[[], object],
    *people: Person,
    timeout_s: float = 20.0,
    each: Callable[[], None] | None = None,
) -> None:
    """Tick, with these people in view ten times a second, until `done()`."""
    deadline_s, look_s = time.monotonic() + timeout_s, 0.0
    while not done():
        now_s = time.monotonic()
        assert now_s < deadline_s, f"waited in vain; {player.status}"
        batch = []
        if now_s >= look_s:
            batch, look_s = [audience(*people)], now_s + 0.1
        player.step(batch)
        if each:
            each()


def rows(settings: PlayerSettings) -> list[dict[str, Any]]:
    """The ledger's rows, oldest first."""
    path = ledger_path(settings.station, settings.screen.name, settings.folder)
    db = sqlite3.connect(path)
    try:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM plays ORDER BY started_seq")]
    finally:
        db.close()


HOUSE = line("house", "house.png", house=True)
YOUNG = line("young", "young.png", target='gender = "F", ages = ["20-29"]', price="0.10")
OLD = line("old", "old.png", target='gender = "M", ages = ["60+"]', price="0.20")


def test_the_ad_follows_the_audience_and_every_play_is_accounted_for(theatre: Theatre) -> None:
    settings = theatre(HOUSE, YOUNG, OLD)
    with playing(settings) as player:
        run_until(player, lambda: player.status["ad"] == "house" and player.status["plays"]["total"])
        run_until(player, lambda: player.status["plays"]["billable"], person("F", 2))
        run_until(player, lambda: shown_ad(player) == 2, person("F", 2))
        run_until(player, lambda: shown_ad(player) == 3, person("M", 6), person("M", 6), person("F", 2))
        assert player.status["title"] == "old" and player.status["trigger"] == "target"
        assert player.status["target"] == "M 60+"
        groups = {"M 60-69": 2.0, "F 20-29": 1.0}
        run_until(
            player,
            lambda: player.status["present"]["groups"] == groups and player.status["ad"] == "old",
            person("M", 6), person("M", 6), person("F", 2),
        )  # fmt: skip
        assert player.status["present"]["people"] == 3
        assert player.status["reason"].startswith("most present: M 60-69")
        billed = player.status["plays"]["billable"]
        run_until(player, lambda: player.status["plays"]["billable"] >= billed + 2, person("M", 6), person("M", 6))
        run_until(player, lambda: shown_ad(player) == 1)
        assert player.status["reason"] == "nobody is there"
        assert len(msgspec.msgpack.encode(player.status)) < 32_768
    plays = rows(settings)
    assert {"house", "young", "old"} == {play["creative"] for play in plays}
    assert all(play["status"] in ("played", "partial") and play["hash"] for play in plays)
    billed = [play for play in plays if play["billable"]]
    assert {"young", "old"} == {play["creative"] for play in billed}
    assert all(play["matched_watchers"] >= 1 and play["model_sha256"] == "ab" * 32 for play in billed)
    assert all(
        "met by 0" in play["bill_reason"] or "house" in play["bill_reason"] for play in plays if play not in billed
    )
    assert all(0 <= play["frames_presented"] <= play["frames_expected"] for play in plays)
    assert sum(play["frames_presented"] for play in plays) > 0.1 * sum(play["frames_expected"] for play in plays)


def test_the_next_ad_is_on_at_once_and_no_frame_is_black(theatre: Theatre) -> None:
    settings = theatre(
        HOUSE, line("any", "young.png", "old.png", "any.png", target="min_watchers = 0"), notice=False, mode="measure"
    )
    seen: list[int | None] = []

    def look() -> None:
        seen.append(shown_ad(player))
        assert canvas(player).max() > 200

    with playing(settings) as player:
        assert canvas(player).max() > 200
        run_until(player, lambda: player.status["plays"]["total"] >= 5, each=look)
    first = next(i for i, ad in enumerate(seen) if ad)
    assert None not in seen[first:]


def test_a_crossfade_is_a_blend_of_both_and_never_black(theatre: Theatre) -> None:
    settings = theatre(
        line("any", "young.png", "old.png", target="min_watchers = 0"),
        transition="crossfade",
        transition_ms=300,
        notice=False,
        mode="measure",
    )
    seen: list[tuple[int | None, float]] = []
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player))
        run_until(
            player,
            lambda: player.status["plays"]["total"] >= 4 and sum(ad is None for ad, _ in seen) >= 8,
            each=lambda: seen.append((shown_ad(player), float(canvas(player)[SIZE[1] // 2 :].mean()))),
            timeout_s=60,
        )
    blends = [mean for ad, mean in seen if ad is None]
    solid = [mean for ad, mean in seen if ad is not None]
    assert min(blends) > 0.8 * min(solid)


def test_films_play_to_their_end_and_their_frames_are_counted(theatre: Theatre, tmp_path: Path) -> None:
    settings = theatre(line("film", "film.mp4", target="min_watchers = 0"), HOUSE, notice=False, mode="measure")
    coded_ads.make_clip(tmp_path / "ads" / "film.mp4", 9, 45, SIZE)
    codes: list[tuple[int, int]] = []

    def look() -> None:
        code = coded_ads.read(canvas(player))
        if code and (not codes or code != codes[-1]):
            codes.append(code)

    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["by_ad"].get("film", 0) >= 3, each=look)
    films = [row for row in rows(settings) if row["creative"] == "film"]
    assert films[0]["status"] == "played" and films[0]["planned_ms"] == 1500
    assert films[0]["frames_expected"] == 45
    assert max(film["frames_presented"] for film in films) >= 0.5 * 45
    frames = [frame for ad, frame in codes if ad == 9]
    assert min(frames) <= 2 and max(frames) >= 40
    assert sum(after < before for before, after in pairwise(frames)) < len(films), "a film's frames went back"


def test_a_film_that_breaks_half_way_is_followed_by_the_house_within_a_tick(
    theatre: Theatre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = theatre(HOUSE, line("film", "film.mp4", target="min_watchers = 0", price="1"))
    path = tmp_path / "ads" / "film.mp4"
    coded_ads.make_clip(path, 9, 90, SIZE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = random.Random(1).randbytes(6000)
    path.write_bytes(data)
    over: list[int] = []

    def look() -> None:
        """A tick at which the broken film is still on although its last good frame was shown before."""
        act = player._on
        if act and act.video and act.video.finished:
            code = coded_ads.read(canvas(player))
            over.append(code[1] if code else -1)

    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 9)
        run_until(player, lambda: player.status["plays"]["by_ad"].get("house"), each=look)
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: player.status["plays"]["by_ad"]["house"] >= 2)
        assert player.status["plays"]["by_ad"]["film"] == 1
    film = next(row for row in rows(settings) if row["creative"] == "film")
    assert film["status"] == "failed" and not film["billable"] and film["stop_reason"]
    assert "creative_failed" in capsys.readouterr().err
    assert len(over) <= 2 and all(0 <= frame < 80 for frame in over), "the broken film's last frame stayed on"


@pytest.mark.parametrize("file", ["film.webm", "film.mp4"])
def test_a_film_whose_frames_come_at_times_of_their_own_is_billed(theatre: Theatre, tmp_path: Path, file: str) -> None:
    """Frames 300 ms apart in a file that says 30 a second; in the other the last of five stays on for 2 s."""
    settings = theatre(HOUSE, line("film", file, target='gender = "F"', price="1"))
    settings = msgspec.structs.replace(settings, ads=msgspec.structs.replace(settings.ads, min_presented=0.75))
    at_ms = range(0, 3000, 300) if file == "film.webm" else range(0, 500, 100)
    with av.open(str(tmp_path / "ads" / file), "w") as container:
        stream = container.add_stream("libvpx-vp9" if file == "film.webm" else "libx264", rate=30)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.max_b_frames = Fraction(1, 1000), 0
        packets = []
        for number, ms in enumerate(at_ms):
            frame = av.VideoFrame.from_ndarray(coded_ads.picture(9, number, SIZE), format="rgb24")
            frame.pts, frame.time_base = ms, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if file == "film.mp4":
            packets[-1].duration = 2000
        container.mux(packets)
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["billable"], person("F", 2))
    film = next(row for row in rows(settings) if row["creative"] == "film")
    assert (film["status"], film["billable"]) == ("played", 1)
    assert film["frames_expected"] == len(at_ms)
    assert film["shown_ms"] >= 2300


def test_a_film_whose_sound_lasts_longer_ends_with_its_picture(theatre: Theatre, tmp_path: Path) -> None:
    settings = theatre(HOUSE, line("film", "film.mp4", target="min_watchers = 0"))
    path = tmp_path / "ads" / "film.mp4"
    coded_ads.make_clip(path, 9, 180, SIZE)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 9)
        act = player._on
        assert act and act.planned_s == 6.0
        act.planned_s = 6.6
        run_until(player, lambda: player._on is not act)
        assert act.planned_s < 6.5
    film = rows(settings)[0 if rows(settings)[0]["creative"] == "film" else 1]
    assert film["status"] == "played" and not film["stop_reason"]
    assert 178 <= film["frames_expected"] <= 195
    assert 5900 <= film["shown_ms"] < film["ended_mono_ns"] // 1_000_000 - film["started_mono_ns"] // 1_000_000


def test_a_file_that_vanishes_is_passed_over(theatre: Theatre, tmp_path: Path) -> None:
    settings = theatre(HOUSE, line("any", "young.png", target="min_watchers = 0"))
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 2)
        (tmp_path / "ads" / "young.png").unlink()
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: player.status["plays"]["by_ad"]["house"] >= 2)


@pytest.mark.parametrize("file", ["young.png", "film.mp4"])
def test_a_medium_that_was_exchanged_is_shown_only_after_it_was_examined(
    theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The ledger's sha256 is of what was shown, also before the change of the file was noticed."""
    settings = theatre(HOUSE, line("any", file, target="min_watchers = 0"))
    path = tmp_path / "ads" / file
    if file == "film.mp4":
        coded_ads.make_clip(path, 9, 60, SIZE)
    monkeypatch.setattr(_Reader, "changed", lambda _: False)
    with playing(settings) as player:
        run_until(player, lambda: player._on and player._on.creative.path.name == file)
        coded_ads.make_image(path, 4, SIZE) if file == "young.png" else coded_ads.make_clip(path, 7, 60, SIZE)
        run_until(player, lambda: player.status["plays"]["by_ad"].get("house", 0) >= 2)
    assert {row["creative"]: row["line"] for row in rows(settings)[-2:]} == {"house": "house"}


def test_a_next_ad_that_is_late_gives_way_to_the_house_card(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = theatre(line("any", "young.png", target="min_watchers = 0"))
    monkeypatch.setattr(player_module, "GRACE_S", 0.5)
    never: Future[None] = Future()
    with playing(settings) as player:
        run_until(player, lambda: player._on)
        monkeypatch.setattr(player._backstage, "prepare", lambda *_: never)
        try:
            run_until(player, lambda: player.status["ad"] == "house")
            assert shown_ad(player) is None
            _not_black(player)
        finally:
            never.set_result(None)
    (row,) = rows(settings)
    assert (row["status"], row["stop_reason"]) == ("played", "the next ad was late")
    assert row["shown_ms"] >= 1500


def test_with_nothing_to_play_the_house_card_is_on(theatre: Theatre) -> None:
    settings = theatre(line("young", "young.png", target='gender = "F"'))
    with playing(settings) as player:
        end_s = time.monotonic() + 2
        run_until(player, lambda: time.monotonic() > end_s, each=lambda: _not_black(player))
        assert player.status["ad"] == "house" and player.status["plays"]["total"] == 0
        run_until(player, lambda: shown_ad(player) == 2, person("F", 3))


def test_a_rival_follows_the_house_card_where_nothing_else_may(
    theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cola = line("cola", "young.png").replace("target = {  }", 'separation = "drinks"\nmin_gap_s = 600')
    settings = theatre(cola)
    rival = (tmp_path / "ads" / "test.toml").read_text().replace('"test"', '"rival"')
    (tmp_path / "ads" / "rival.toml").write_text(rival.replace("cola", "pepper").replace("young", "old"))
    monkeypatch.setattr(player_module, "GRACE_S", 0.5)
    with playing(settings) as player:
        run_until(player, lambda: {*player.status["plays"]["by_ad"]} == {"young", "old"}, person("F", 3))
    first, second = rows(settings)
    assert second["started_mono_ns"] - first["ended_mono_ns"] > 500_000_000


def _not_black(player: Player) -> None:
    assert canvas(player).max(axis=2).min() > 10


def test_a_ledger_that_cannot_be_written_stops_paid_ads_only(theatre: Theatre, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    settings = theatre(HOUSE, YOUNG)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1, person("F", 2))
        end_s = time.monotonic() + 2.5
        run_until(player, lambda: time.monotonic() > end_s, person("F", 2), each=lambda: _never(player, 2))
        assert player.status["plays"]["total"] == 0


def _never(player: Player, ad: int) -> None:
    assert shown_ad(player) != ad


def test_campaigns_are_changed_while_it_plays(theatre: Theatre, tmp_path: Path) -> None:
    settings = theatre(HOUSE)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1)
        (tmp_path / "ads" / "more.toml").write_text(
            'advertiser = "more"\ncampaign = "more"\n' + line("any", "any.png", target="min_watchers = 0")
        )
        run_until(player, lambda: shown_ad(player) == 4)


def test_the_screenshot_shows_the_ad_and_the_notice(theatre: Theatre, tmp_path: Path) -> None:
    settings = theatre(HOUSE, width_px=1280, height_px=720)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: _code_of(tmp_path / "now.png") == 1)
        shown = canvas(player)
    shot = np.asarray(Image.open(tmp_path / "now.png").convert("RGB"))
    assert (shot == shown).all()
    notice = shot[-110:-20, 20:500]
    assert (notice.max(axis=2) < 90).mean() > 0.5 and (notice.min(axis=2) > 220).mean() > 0.01


def _code_of(path: Path) -> int | None:
    if not path.exists():
        return None
    code = coded_ads.read(np.asarray(Image.open(path).convert("RGB")))
    return code[0] if code else None


def test_target_mode_needs_the_notice(theatre: Theatre) -> None:
    with pytest.raises(UserError, match="notice"):
        Player(theatre(HOUSE, notice=False))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_screen_shows_everything_turned(theatre: Theatre, tmp_path: Path, rotation: int) -> None:
    upright = theatre(HOUSE, width_px=640, height_px=360, screenshot="upright.png")
    turned = msgspec.structs.replace(
        upright,
        screen=msgspec.structs.replace(
            upright.screen,
            rotation_deg=rotation,
            width_px=640 if rotation == 180 else 360,
            height_px=360 if rotation == 180 else 640,
        ),
    )
    pictures = []
    for settings in (upright, turned):
        with playing(settings) as player:
            run_until(player, lambda: player.status["plays"]["total"] >= 1)
            run_until(player, lambda: player.status["ad"] == "house" and player.status["since_ms"])
            pictures.append(canvas(player).copy())
    back = np.rot90(pictures[1], rotation // 90)
    assert np.abs(back.astype(int) - pictures[0].astype(int)).mean() < 1


def test_a_missing_folder_of_campaigns_is_the_users_error(theatre: Theatre) -> None:
    settings = theatre(HOUSE)
    with pytest.raises(UserError, match=r"ads\.campaigns"):
        Player(msgspec.structs.replace(settings, ads=Ads(campaigns="nowhere")))


def test_ticks_keep_their_rate_and_missed_ones_are_not_made_up(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    with playing(theatre(HOUSE, tick_hz=50)) as player, monkeypatch.context() as patch:
        patch.setattr(player_module, "time", SimpleNamespace(monotonic=lambda: now_s, sleep=sleep))
        player._tick_s = now_s
        for _ in range(50):
            now_s += 0.004
            player._hold()
        assert now_s == pytest.approx(101.0)
        now_s += 0.505
        for _ in range(10):
            player._hold()
        assert now_s == pytest.approx(101.7, abs=0.021)


KILLED = """
import sys, time, msgspec
from pathlib import Path
from pipeline.settings import PlayerSettings
settings = msgspec.json.decode(sys.stdin.buffer.read(), type=PlayerSettings, dec_hook=lambda kind, text: kind(text))
from players.player import Player
player = Player(settings)
print("up", time.process_time(), flush=True)
told = ""
while True:
    player.step([])
    ad = player.status["ad"]
    if ad != told and player.status["since_ms"]:
        print(ad, player.status["plays"]["total"], time.process_time(), flush=True)
        told = ad
"""


def test_after_a_kill_it_is_back_within_two_seconds_and_counts_on(theatre: Theatre) -> None:
    """Seconds of its own work: on a busy machine it takes longer by the clock."""
    settings = theatre(HOUSE, line("any", "young.png", duration_s=30, target="min_watchers = 0"))
    told = msgspec.json.encode(settings, enc_hook=str)
    totals = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", KILLED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=False,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdin and process.stdout
        process.stdin.write(told)
        process.stdin.close()
        try:
            up, up_s = process.stdout.readline().split()
            assert up == b"up"
            ad, total, on_s = process.stdout.readline().split()
            totals.append((ad, int(total), float(up_s), float(on_s)))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
    assert [total for _, total, _, _ in totals] == [1, 2, 3]
    assert all(up_s < 2 for _, _, up_s, _ in totals), totals
    assert all(on_s < 4 for _, _, _, on_s in totals[1:]), totals
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["total"] == 4)
    plays = rows(settings)
    assert [play["status"] for play in plays[:3]] == ["aborted"] * 3
    assert not any(play["billable"] for play in plays)


@needs_x
def test_a_lost_display_is_taken_again_and_unseen_frames_are_not_counted(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f":{1000 + os.getpid() % 50_000}"  # other tests' displays have low numbers
    settings = theatre(HOUSE, fullscreen=True, width_px=640, height_px=480)
    monkeypatch.setenv("DISPLAY", name)
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["total"] >= 2)
        assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        with xvfb.monitor(*SIZE, name=name) as monitor:
            run_until(player, lambda: player.status["screen"] == "window", timeout_s=40)
            run_until(player, lambda: (coded_ads.read(monitor.pixels) or (0,))[0] == 1)
            run_until(player, lambda: player.status["frames_presented"] > 30)
            player._screen.close()
            run_until(player, lambda: "display_lost" in capsys.readouterr().err)
            run_until(player, lambda: player.status["screen"] == "window")
            run_until(player, lambda: (coded_ads.read(monitor.pixels) or (0,))[0] == 1)
            player._screen.close()
            player._wants_window = False
            run_until(player, lambda: player.status["screen"] == "headless")
    first = rows(settings)[0]
    # One tick may be counted while a window is being tried for; none of the others was seen by anybody.
    assert first["frames_presented"] <= 1 and first["frames_expected"] > 30


def test_a_full_screen_without_a_display_to_cover_is_seen_by_nobody(theatre: Theatre) -> None:
    settings = theatre(HOUSE, fullscreen=True)
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["total"] >= 2, person("F", 2))
        assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        assert player.status["present"]["people"] == 1
    assert [row["watchers"] for row in rows(settings)] == [0, 0]
    path = ledger_path(settings.station, settings.screen.name, settings.folder)
    there = msgspec.structs.replace(settings.station, venue_type="outdoor.bus_shelters")
    with chain.reading([path]) as db, pytest.raises(UserError, match="holds no play of screen"):
        openrtb.bid_objects(db, there, settings.screen)


def test_an_ad_is_chosen_for_the_moment_at_which_it_begins(theatre: Theatre) -> None:
    """Not for that of the choice: a line whose hours are over by then is not played."""
    now = datetime.now(UTC)
    hours = f"{now:%H:%M}-{now + timedelta(minutes=2):%H:%M}"
    settings = theatre(HOUSE, f"{YOUNG}".replace("target", f'dayparts = ["{hours}"]\ntarget', 1))
    window = AudienceWindow(1.0)
    window.add(audience(person("F", 2)))
    present = window.present(time.monotonic_ns())
    backstage = Backstage(settings)
    try:
        chosen = []
        for left_s in (0.0, 600.0):
            act = backstage.prepare(present, Layout(*SIZE), left_s, card_on=False).result()
            assert act is not None
            chosen.append(act.decision.line.id)
    finally:
        backstage.close()
    assert chosen == ["young", "house"]


@needs_x
def test_a_screen_whose_display_is_missing_does_not_cover_anothers(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = theatre(HOUSE, fullscreen=True, display=1)
    with xvfb.monitor(*SIZE) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        with playing(msgspec.structs.replace(settings, screens=2)) as player:
            run_until(player, lambda: player.status["plays"]["total"] >= 2)
            assert player.status["screen"] == "headless" and player.status["frames_presented"] == 0
        with playing(settings) as player:
            assert player.status["screen"] == "window"


@needs_x
@pytest.mark.parametrize("transition", ["cut", "crossfade"])
def test_what_is_on_the_monitor_is_never_black(
    theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transition: str
) -> None:
    settings = theatre(
        HOUSE,
        line("any", "young.png", "old.png", "film.mp4", target="min_watchers = 0"),
        fullscreen=True,
        transition=transition,
        transition_ms=200,
    )
    coded_ads.make_clip(tmp_path / "ads" / "film.mp4", 9, 40, SIZE)
    with xvfb.monitor(640, 360) as monitor:
        monkeypatch.setenv("DISPLAY", monitor.name)
        darkest: list[int] = []
        with playing(settings) as player:
            run_until(
                player,
                lambda: player.status["plays"]["total"] >= 6 and "film" in player.status["plays"]["by_ad"],
                each=lambda: darkest.append(int(monitor.pixels[::8, ::8, :3].max())),
                timeout_s=40,
            )
            assert player.status["screen"] == "window"
    assert min(darkest) > 60


def test_sdl_leaves_signals_alone() -> None:
    assert os.environ["SDL_NO_SIGNAL_HANDLERS"] == "1"
