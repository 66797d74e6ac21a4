"""A real player whose campaign folder fails: what it shows meanwhile, and that all is back soon after."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.rig import coded_ads
from players.player import Player
from tests.players.blocked import Disk
from tests.players.playing import HOUSE, SIZE, Configure, canvas, line, playing, rows, run_until, shown_ad

BACK_S = 5.0
"""Longest time from the return of a folder to the next of its ads. The test machine may be slower by SLACK."""
SLACK = 4
ANY = line("any", "young.png", target="min_watchers = 0")


def away_and_back(
    player: Player, away: Callable[[], None], back: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> str:
    """Play while the folder is away for 6 s, and until its paid ad is on again. Return what was logged."""
    run_until(player, lambda: shown_ad(player) == 2)
    capsys.readouterr()
    away()
    until_s = time.monotonic() + 6
    run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
    assert player.status["campaigns_problem"]
    plays = player.status["plays"]["by_ad"].get("young", 0)
    back()
    returned_s = time.monotonic()
    run_until(player, lambda: player.status["plays"]["by_ad"].get("young", 0) > plays and shown_ad(player) == 2)
    assert time.monotonic() - returned_s < BACK_S * SLACK
    run_until(player, lambda: not player.status["campaigns_problem"])
    return capsys.readouterr().err


def assert_something_is_shown(player: Player) -> None:
    assert canvas(player).max() > 50


def assert_said_once(said: str) -> None:
    assert said.count(" campaigns_away ") == 1 and said.count(" campaigns_back ") == 1
    assert "creative_failed" not in said
    assert said.count("creative_unreadable") <= 1


def test_a_folder_that_is_moved_away_and_back(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(HOUSE, ANY)
    elsewhere = tmp_path / "elsewhere"
    with playing(settings) as player:
        said = away_and_back(
            player, lambda: (tmp_path / "ads").rename(elsewhere), lambda: elsewhere.rename(tmp_path / "ads"), capsys
        )
    assert_said_once(said)
    assert "it is not there" in said
    assert {row["creative"] for row in rows(settings)} <= {"house", "young"}


@pytest.mark.slow
def test_a_share_that_is_unmounted_and_mounted_again(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder stays, and is empty, as that of a stick that was pulled out. It comes back with other times."""
    settings = configure(HOUSE, ANY)
    ads, copy = tmp_path / "ads", tmp_path / "copy"
    ads.rename(copy)
    ads.mkdir()

    def mount() -> None:
        subprocess.run(["mount", "-t", "tmpfs", "none", ads], check=True)
        shutil.copytree(copy, ads, dirs_exist_ok=True)

    def unmount() -> None:
        subprocess.run(["umount", "--lazy", ads], check=True)

    if subprocess.run(["mount", "-t", "tmpfs", "none", ads], capture_output=True).returncode:
        pytest.skip("this user may not mount: that a share goes away was NOT tested")
    unmount()
    mount()
    try:
        with playing(settings) as player:
            said = away_and_back(player, unmount, mount, capsys)
    finally:
        unmount()
    assert_said_once(said)
    assert "mount the disk or share" in said


@pytest.mark.slow
def test_a_folder_that_may_not_be_read_for_a_while(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(HOUSE, ANY)
    ads = tmp_path / "ads"
    ads.chmod(0)
    if os.access(ads, os.R_OK):  # root may read everything: try it without that right
        again = f"{__file__}::{test_a_folder_that_may_not_be_read_for_a_while.__name__}"
        without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        command = [*without, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow", again]
        done = subprocess.run([*command, f"--basetemp={tmp_path / 'inner'}"], capture_output=True, text=True)
        assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
        return
    ads.chmod(0o755)
    with playing(settings) as player:
        said = away_and_back(player, lambda: ads.chmod(0), lambda: ads.chmod(0o755), capsys)
    assert_said_once(said)
    assert "this user may not read it" in said


@pytest.mark.parametrize("file", ["young.png", pytest.param("film.mp4", marks=pytest.mark.slow)])
def test_a_disk_that_hangs_for_seconds_quarantines_nothing(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    if file == "film.mp4":
        (tmp_path / "ads").mkdir()
        coded_ads.make_clip(tmp_path / "ads" / file, 2, 45, SIZE)
    settings = configure(HOUSE, line("any", file, target="min_watchers = 0"))
    try:
        disk = Disk(tmp_path / "ads")
    except OSError as error:
        pytest.skip(f"no fanotify for this user ({error}): a slow disk was NOT tested")
    try:
        with playing(settings) as player:
            run_until(player, lambda: player.status["plays"]["by_ad"].get(Path(file).stem))
            disk.well.clear()
            until_s = time.monotonic() + 6
            run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
            plays = player.status["plays"]["by_ad"][Path(file).stem]
            capsys.readouterr()
            disk.well.set()
            returned_s = time.monotonic()
            run_until(player, lambda: player.status["plays"]["by_ad"][Path(file).stem] > plays + 1)
            assert time.monotonic() - returned_s < BACK_S * SLACK
    finally:
        disk.close()
    assert "off_s=600" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_disk_that_refuses_for_seconds_quarantines_nothing(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(HOUSE, ANY)
    try:
        disk = Disk(tmp_path / "ads")
    except OSError as error:
        pytest.skip(f"no fanotify for this user ({error}): a disk that fails was NOT tested")
    try:
        with playing(settings) as player:
            run_until(player, lambda: shown_ad(player) == 2)
            disk.denies = True
            until_s = time.monotonic() + 6
            run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
            plays = player.status["plays"]["by_ad"]["young"]
            disk.denies = False
            returned_s = time.monotonic()
            run_until(player, lambda: player.status["plays"]["by_ad"]["young"] > plays)
            assert time.monotonic() - returned_s < BACK_S * SLACK
    finally:
        disk.close()
    said = capsys.readouterr().err
    assert said.count("creative_unreadable") == 1 and "creative_failed" not in said


def test_a_broken_file_is_a_medium_that_fails_and_heals_when_it_is_replaced_unnoticeably(
    configure: Configure, tmp_path: Path
) -> None:
    """The new file has the size and the time of the old one."""
    settings = configure(HOUSE, ANY)
    picture = tmp_path / "ads" / "young.png"
    good, info = picture.read_bytes(), picture.stat()
    broken = good[: len(good) // 2] + bytes(len(good) - len(good) // 2)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 2)
        for content, shown in ((broken, 1), (good, 2)):
            picture.write_bytes(content)
            os.utime(picture, ns=(info.st_atime_ns, info.st_mtime_ns))
            run_until(player, lambda shown=shown: shown_ad(player) == shown)
            if content is broken:
                run_until(player, lambda: player.status["held"].get("any", "").startswith("none of its media"))
        run_until(player, lambda: not player.status["held"])


def test_a_player_starts_while_its_folder_is_away(configure: Configure, tmp_path: Path) -> None:
    settings = configure(HOUSE, ANY)
    with playing(settings) as player:
        run_until(player, lambda: shown_ad(player) == 2)
    (tmp_path / "ads").rename(tmp_path / "elsewhere")
    with playing(settings) as player:
        run_until(player, lambda: player.status["campaigns_problem"])
        (tmp_path / "elsewhere").rename(tmp_path / "ads")
        run_until(player, lambda: shown_ad(player) == 2)


def test_a_player_starts_before_its_stick_was_ever_there(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of the station file is a link into a stick, which mounts late."""
    settings = configure(HOUSE, ANY)
    (tmp_path / "ads").rename(tmp_path / "stick")
    (tmp_path / "ads").symlink_to(tmp_path / "mounted")
    with playing(settings) as player:
        run_until(player, lambda: player.status["campaigns_problem"])
        until_s = time.monotonic() + 3
        run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
        (tmp_path / "stick").rename(tmp_path / "mounted")
        returned_s = time.monotonic()
        run_until(player, lambda: shown_ad(player) == 2)
        assert time.monotonic() - returned_s < BACK_S * SLACK
        run_until(player, lambda: not player.status["campaigns_problem"])
    said = capsys.readouterr().err
    assert_said_once(said)
    assert "it is not there" in said and "the house card is shown" in said


def test_a_player_starts_whose_folder_is_a_link_to_itself(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(HOUSE, ANY)
    (tmp_path / "ads").rename(tmp_path / "mended")
    (tmp_path / "ads").symlink_to("ads")
    with playing(settings) as player:
        run_until(player, lambda: "leads to itself" in player.status["campaigns_problem"])
        (tmp_path / "ads").unlink()
        (tmp_path / "mended").rename(tmp_path / "ads")
        run_until(player, lambda: shown_ad(player) == 2)
    assert_said_once(capsys.readouterr().err)


@pytest.mark.slow
def test_what_could_not_be_read_at_the_start_plays_when_it_can(configure: Configure, tmp_path: Path) -> None:
    """Neither size nor time of any file changes."""
    settings = configure(HOUSE, ANY)
    try:
        disk = Disk(tmp_path / "ads")
    except OSError as error:
        pytest.skip(f"no fanotify for this user ({error}): a disk that fails was NOT tested")
    disk.denies = True
    try:
        with playing(settings) as player:
            until_s = time.monotonic() + 6
            run_until(player, lambda: time.monotonic() > until_s, each=lambda: assert_something_is_shown(player))
            assert not player.status["plays"]["total"]
            disk.denies = False
            returned_s = time.monotonic()
            run_until(player, lambda: shown_ad(player) == 2)
            assert time.monotonic() - returned_s < BACK_S * SLACK
    finally:
        disk.close()
