"""The player as a whole: the right ad for who is there, every play in the ledger."""

import base64
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import msgspec
import pytest
from PIL import Image

from bench.rig import coded_ads
from pipeline.errors import UserError
from pipeline.medium import fingerprint, open_plain
from players import player as player_module
from players.ads.examiner import Examiner, probe
from players.player import Player, Ticker
from players.prepare import Preparation
from tests import hostile
from tests.conftest import HANG_S
from tests.players.playing import (
    HOUSE,
    OLD,
    SIZE,
    YOUNG,
    Configure,
    assert_not_black,
    canvas,
    line,
    person,
    playing,
    rows,
    run_until,
    shown_ad,
)


def test_the_ad_follows_the_audience_and_every_play_is_accounted_for(configure: Configure) -> None:
    settings = configure(HOUSE, YOUNG, OLD)
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
    assert all(play["matched_ots"] >= 1 and play["model_sha256"] == "ab" * 32 for play in billed)
    assert all(
        "met by 0" in play["bill_reason"] or "house" in play["bill_reason"] for play in plays if play not in billed
    )
    assert all(0 <= play["frames_presented"] <= play["frames_expected"] for play in plays)
    assert sum(play["frames_presented"] for play in plays) > 0.1 * sum(play["frames_expected"] for play in plays)


def test_films_play_to_their_end_and_their_frames_are_counted(configure: Configure, tmp_path: Path) -> None:
    settings = configure(line("film", "film.mp4", target="min_watchers = 0"), HOUSE, notice=False, mode="measure")
    coded_ads.make_clip(tmp_path / "ads" / "film.mp4", 9, 45, SIZE)
    codes: list[tuple[int, int]] = []

    def watch() -> None:
        code = coded_ads.read(canvas(player))
        if code and (not codes or code != codes[-1]):
            codes.append(code)

    def films() -> list[dict[str, Any]]:
        return [row for row in rows(settings) if row["creative"] == "film" and row["ended_utc"]]

    def seen() -> bool:
        """Return whether, in some play, half of the frames were shown in time, and in some the last ones."""
        plays = player.status["plays"]["by_ad"].get("film", 0)
        return plays >= 3 and max(codes)[1] >= 40 and any(film["frames_presented"] >= 0.5 * 45 for film in films())

    with playing(settings) as player:
        run_until(player, seen, each=watch)
    best = max(films(), key=lambda film: film["frames_presented"])
    assert best["status"] == "played" and best["planned_ms"] == 1500
    assert best["frames_expected"] == 45
    frames = [frame for ad, frame in codes if ad == 9]
    assert min(frames) <= 2
    assert sum(after < before for before, after in pairwise(frames)) < len(films()), "a film's frames went back"


@pytest.mark.parametrize(
    ("suffix", "loop"), [(".gif", 0), pytest.param(".webp", 0, marks=pytest.mark.slow), (".png", 1)]
)
def test_animated_pictures_move_as_long_as_they_are_on_and_their_frames_are_counted(
    configure: Configure, tmp_path: Path, suffix: str, loop: int
) -> None:
    """Four frames of 0.25 s. With `loop` 1 the last frame stays on, and no more are expected."""
    moving = line("moving", f"moving{suffix}", target="min_watchers = 0", duration_s=2.0)
    settings = configure(moving, HOUSE, notice=False, mode="measure")
    frames = [Image.fromarray(coded_ads.picture(9, frame, SIZE)) for frame in range(4)]
    frames[0].save(
        tmp_path / "ads" / f"moving{suffix}", save_all=True, append_images=frames[1:], duration=250, loop=loop
    )
    seen: list[int] = []

    def watch() -> None:
        code = coded_ads.read(canvas(player))
        if code and code[0] == 9 and (not seen or code[1] != seen[-1]):
            seen.append(code[1])

    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["by_ad"].get("moving", 0) >= 3, each=watch)
    first = next(row for row in rows(settings) if row["creative"] == "moving")
    assert first["status"] == "played" and first["planned_ms"] == 2000
    assert first["frames_expected"] == 4 if loop else first["frames_expected"] >= 8
    assert 0 < first["frames_presented"] <= first["frames_expected"]
    assert set(seen) == {0, 1, 2, 3}


def believed(path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Change a film in a way that its examiner does not see, as it sees only parts of a very long one."""
    before = probe([path])[path]
    change()
    fd = open_plain(path)
    hashes = fingerprint(fd)
    os.close(fd)
    before |= {"sha256": hashes.sha256, "blocks": base64.b64encode(hashes.blocks).decode()}
    ask = Examiner.ask
    monkeypatch.setattr(
        Examiner, "ask", lambda *asked, **how: before.copy() if asked[1] == path else ask(*asked, **how)
    )


def damage_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = random.Random(1).randbytes(6000)
    path.write_bytes(data)


def test_a_film_that_breaks_near_its_end_is_billed_by_what_was_shown(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film that fails would else be shown again and again for nothing."""
    settings = configure(HOUSE, line("film", "film.mp4", target='gender = "F"', price="1"))
    ads = msgspec.structs.replace(settings.station.ads, min_presented=0.5)
    settings = msgspec.structs.replace(settings, station=msgspec.structs.replace(settings.station, ads=ads))
    path = tmp_path / "ads" / "film.mp4"
    coded_ads.make_clip(path, 9, 120, SIZE)
    believed(path, monkeypatch, lambda: hostile.damaged_near_its_end(path, packets_left=15))
    with playing(settings) as player:
        run_until(player, lambda: "film" in player.status["quarantined"], person("F", 2))
    (film,) = (row for row in rows(settings) if row["creative"] == "film")
    assert (film["status"], film["billable"]) == ("partial", 1), film["bill_reason"]
    assert "damaged" in film["stop_reason"] or "Invalid data" in film["stop_reason"]
    assert 60 <= film["frames_presented"] <= film["frames_expected"] <= 106 and film["shown_ms"] < 3700


@pytest.mark.slow
def test_a_film_that_breaks_half_way_is_followed_by_the_house_within_a_tick(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examiner saw the film before it broke, as it sees only a part of a long one."""
    settings = configure(HOUSE, line("film", "film.mp4", target="min_watchers = 0", price="1"))
    path = tmp_path / "ads" / "film.mp4"
    coded_ads.make_clip(path, 9, 90, SIZE)
    believed(path, monkeypatch, lambda: damage_in_the_middle(path))
    over: list[int] = []

    def watch() -> None:
        """Note a tick at which the broken film is still on, although its last good frame was shown before."""
        ad = player.showing
        if ad and ad.video and ad.video.finished:
            code = coded_ads.read(canvas(player))
            over.append(code[1] if code else -1)

    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 9)
        plays = player.status["plays"]["by_ad"].get("house", 0)
        run_until(player, lambda: player.status["plays"]["by_ad"].get("house", 0) > plays, each=watch)
        run_until(player, lambda: shown_ad(player) == 1)
        run_until(player, lambda: player.status["plays"]["by_ad"]["house"] >= plays + 2)
        touched = [path, tmp_path / "ads" / "house.png"]
        for n in range(2):
            touched[n].touch()
            plays = player.status["plays"]["by_ad"]["house"]
            run_until(player, lambda plays=plays: player.status["plays"]["by_ad"]["house"] >= plays + 3)
        assert "it is tried again in 10 min" in player.status["quarantined"]["film"]
    with playing(settings) as player:
        run_until(player, lambda: player.status["plays"]["by_ad"].get("house", 0) >= plays + 2)
    (film,) = (row for row in rows(settings) if row["creative"] == "film")
    assert film["status"] == "partial" and film["stop_reason"] and not film["billable"]
    assert "creative_failed" in capsys.readouterr().err
    assert len(over) <= 2 and all(0 <= frame < 80 for frame in over), "the broken film's last frame stayed on"


@pytest.mark.parametrize("file", ["film.webm", "film.mp4"])
def test_a_film_whose_frames_come_at_times_of_their_own_is_billed(
    configure: Configure, tmp_path: Path, file: str
) -> None:
    """One film has frames 300 ms apart and says 30 a second; the last of the other's five frames stays on for 2 s."""
    settings = configure(HOUSE, line("film", file, target='gender = "F"', price="1"))
    ads = msgspec.structs.replace(settings.station.ads, min_presented=0.75)
    settings = msgspec.structs.replace(settings, station=msgspec.structs.replace(settings.station, ads=ads))
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


def test_a_film_whose_sound_lasts_longer_ends_with_its_picture(configure: Configure, tmp_path: Path) -> None:
    settings = configure(HOUSE, line("film", "film.mp4", target="min_watchers = 0"))
    path = tmp_path / "ads" / "film.mp4"
    coded_ads.make_clip(path, 9, 90, SIZE)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 9)
        ad = player.showing
        assert ad and ad.planned_s == 3.0
        ad.planned_s = 3.25
        run_until(player, lambda: player.showing is not ad)
        assert ad.planned_s < 3.2
    film = next(row for row in rows(settings) if row["creative"] == "film")  # house ads play until it was examined
    assert film["status"] == "played" and not film["stop_reason"]
    assert 88 <= film["frames_expected"] <= 98
    assert 2900 <= film["shown_ms"] < film["ended_mono_ns"] // 1_000_000 - film["started_mono_ns"] // 1_000_000


def test_a_next_ad_that_is_late_gives_way_to_the_house_card(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configure(line("any", "young.png", target="min_watchers = 0"))
    monkeypatch.setattr(player_module, "GRACE_S", 0.5)
    never: Future[None] = Future()
    with playing(settings) as player:
        run_until(player, lambda: player.showing)
        monkeypatch.setattr(Preparation, "prepare", lambda *_: never)
        try:
            run_until(player, lambda: player.status["ad"] == "house")
            assert shown_ad(player) is None
            assert_not_black(player)
        finally:
            never.set_result(None)
    (row,) = rows(settings)
    assert (row["status"], row["stop_reason"]) == ("played", "the next ad was late")
    assert row["shown_ms"] >= 1500


def test_with_nothing_to_play_the_house_card_is_on(configure: Configure) -> None:
    settings = configure(line("young", "young.png", target='gender = "F"'))
    with playing(settings) as player:
        end_s = time.monotonic() + 2
        run_until(player, lambda: time.monotonic() > end_s, each=lambda: assert_not_black(player))
        assert player.status["ad"] == "house" and player.status["plays"]["total"] == 0
        run_until(player, lambda: shown_ad(player) == 2, person("F", 3))


def test_target_mode_needs_the_notice(configure: Configure) -> None:
    with pytest.raises(UserError, match="notice"):
        Player(configure(HOUSE, notice=False))


def test_ticks_keep_their_rate_and_missed_ones_are_not_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(player_module, "time", SimpleNamespace(monotonic=lambda: now_s, sleep=sleep))
    ticker = Ticker(50)
    for _ in range(50):
        now_s += 0.004
        ticker.wait()
    assert now_s == pytest.approx(101.0)
    now_s += 0.505
    for _ in range(10):
        ticker.wait()
    assert now_s == pytest.approx(101.7, abs=0.021)


KILLED = """
import sys, time, msgspec
from pathlib import Path
from pipeline.job import Job
settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, text: kind(text))
from players.player import Player, Ticker
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


def test_after_a_kill_it_is_back_within_two_seconds_and_counts_on(configure: Configure) -> None:
    """The times are CPU times of the player: on a busy machine it takes longer by the clock."""
    settings = configure(HOUSE, line("any", "young.png", duration_s=30, target="min_watchers = 0"))
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


PLAYING = KILLED.replace("while True:", "while not {'young', 'film', 'moving'} <= {*player.status['plays']['by_ad']}:")
PLAYING += """
player.close()
decoders = [name for name in ("av", "PIL", "cv2", "pi_heif") if name in sys.modules]
maps = Path("/proc/self/maps").read_text()
print("loaded", *decoders, *(name for name in ("libavcodec", "libavformat", "_imaging") if name in maps))
"""


def test_a_player_that_plays_all_kinds_of_media_has_loaded_nothing_that_decodes_them(
    configure: Configure, tmp_path: Path
) -> None:
    ads = [line("film", "film.mp4", target="min_watchers = 0"), line("moving", "moving.gif", target="min_watchers = 0")]
    ads.append(line("any", "young.png", target="min_watchers = 0"))
    settings = configure(HOUSE, *ads)
    coded_ads.make_clip(tmp_path / "ads" / "film.mp4", 9, 30, SIZE)
    frames = [Image.fromarray(coded_ads.picture(8, frame, SIZE)) for frame in range(2)]
    frames[0].save(tmp_path / "ads" / "moving.gif", save_all=True, append_images=frames[1:], duration=250)
    told = msgspec.json.encode(settings, enc_hook=str)
    command = [sys.executable, "-W", "error", "-c", PLAYING]
    done = subprocess.run(command, input=told, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], timeout=HANG_S)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == "loaded", done.stdout
