"""Examination in turns, and what is remembered of contents that were examined."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from players.ads import known, quarantine, upkeep
from players.ads.campaigns import Reader, load_catalogue
from players.ads.quarantine import Quarantine
from players.ads.watcher import CatalogueWatcher
from tests.conftest import wait_for
from tests.players.campaign_files import UTC, little, other_examiner


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "media.cache"


def picture(folder: Path, name: str, shade: int) -> None:
    Image.new("RGB", (16, 9), (shade % 256, shade // 256, 1)).save(folder / name)


def sent(folder: Path, advertiser: str, number: int) -> None:
    """Write a campaign file whose lines have a picture each, all of them different."""
    text = f'advertiser = "{advertiser}"\ncampaign = "{advertiser}"\n'
    for n in range(number):
        name = f"{advertiser}-{n}"
        picture(folder, f"{name}.png", sum(advertiser.encode()) + n)
        text += f'[[lines]]\nid = "{name}"\n[[lines.creatives]]\nid = "{name}"\nfile = "{name}.png"\n'
    (folder / f"{advertiser}.toml").write_text(text)


@contextmanager
def watching(folder: Path, cache: Path, kept: Quarantine | None = None) -> Iterator[CatalogueWatcher]:
    watcher = CatalogueWatcher(folder, UTC, 8.0, cache, 1, kept)
    try:
        yield watcher
    finally:
        watcher.close()


def plays(watcher: CatalogueWatcher) -> set[str]:
    return {line.advertiser for line in watcher.poll().lines}


def test_known_media_play_at_once_and_a_new_one_waits_for_one_of_another_advertiser(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(folder, "moka", 1)
    load_catalogue(folder, UTC, 8.0, cache)
    sent(folder, "evil", 40)
    go = tmp_path / "go"
    slow = f"while 'evil' in path.name and not os.path.exists({str(go)!r}): time.sleep(0.01)"
    told = other_examiner(tmp_path, monkeypatch, slow)
    with watching(folder, cache) as watcher:
        assert plays(watcher) == {"moka"}
        wait_for(told.read_text, "the first of his pictures")
        sent(folder, "new", 3)
        wait_for(lambda: "new-2: new-2.png: it is being" in " ".join(watcher.poll().waiting), "the new pictures")
        go.touch()
        wait_for(lambda: len(set(told.read_text().split())) == 43, "all of them")
        wait_for(lambda: plays(watcher) == {"moka", "evil", "new"}, "all three")
    order = [name.partition("-")[0] for name in told.read_text().split()]
    assert order[:2] == ["evil", "new"] and order[:20].count("new") == 3


def test_what_was_refused_is_not_examined_again_under_another_name_or_time_or_after_a_restart(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(little("a", file="bad.png"))
    (folder / "bad.png").write_bytes((folder / "latte.png").read_bytes()[:60])
    (said,) = load_catalogue(folder, UTC, 8.0, cache).problems[:1]
    told = other_examiner(tmp_path, monkeypatch, "return {'problem': 'it was examined again'}")
    for change in (lambda: None, (folder / "bad.png").touch, lambda: (folder / "bad.png").rename(folder / "latte.png")):
        change()
        (folder / "a.toml").write_text(little("a", file="bad.png" if (folder / "bad.png").exists() else "latte.png"))
        catalogue = load_catalogue(folder, UTC, 8.0, cache)
        assert catalogue.problems[0].replace("latte", "bad") == said and not told.read_text()
    monkeypatch.setattr(known, "examiner", lambda: "a newer one")
    assert "it was examined again" in load_catalogue(folder, UTC, 8.0, cache).problems[0]


def test_what_ends_its_examination_is_asked_again_later_and_later(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its time, nor a restart, makes it sooner."""
    (folder / "a.toml").write_text(little("a"))
    sent(folder, "bad", 1)
    told = other_examiner(tmp_path, monkeypatch, "'bad' in path.name and os.abort()")
    path = tmp_path / "state" / "quarantine.cache"
    for times in (1, 2):
        for _ in range(3 - times):
            with watching(folder, cache, Quarantine(path)) as watcher:
                wait_for(lambda: "SIGABRT" in " ".join(watcher.poll().problems), "the reason")
                (folder / "bad-0.png").touch()
                (folder / "other.toml").write_text(little("other"))
                wait_for(lambda: len(watcher.poll().lines) == 2, "the change")
                wait_for(lambda: "SIGABRT" in " ".join(watcher.poll().problems), "the reason")
                (folder / "other.toml").unlink()
            assert told.read_text().split().count("bad-0.png") == times
        sha256 = hashlib.sha256((folder / "bad-0.png").read_bytes()).hexdigest()
        failure = Quarantine(path).failure(sha256)
        assert failure is not None and failure.count == times
        later_s = time.time() + times * quarantine.FIRST_S + 1
        monkeypatch.setattr(quarantine.time, "time", lambda later_s=later_s: later_s)


def test_slow_media_of_one_advertiser_hold_up_no_quick_look_at_anothers(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of a long look count, though the file is touched all the while."""
    sent(folder, "evil", 2)
    go = tmp_path / "go"
    slow = "from resource import RLIMIT_CPU, getrlimit\n"
    slow += f"    while 'evil' in path.name and not os.path.exists({str(go)!r}):\n"
    slow += "        getrlimit(RLIMIT_CPU)[0] <= QUICK_CPU_S or time.sleep(0.01)  # only a quick look is busy"
    told = other_examiner(tmp_path, monkeypatch, slow, quick_s=6.0)  # its low priority has it wait for a core
    with watching(folder, cache) as watcher:
        wait_for(lambda: told.read_text().split().count("evil-0.png") == 2, "the long look at the first")
        sent(folder, "new", 3)
        wait_for(lambda: len(watcher.poll().lines) == 3, "the new pictures")
        assert plays(watcher) == {"new"}
        (folder / "evil-0.png").touch()
        (folder / "evil-1.png").touch()
        go.touch()
        wait_for(lambda: plays(watcher) == {"new", "evil"}, "the slow ones")
        looks = told.read_text().split()
        assert looks.count("evil-0.png") == 2 and looks.count("evil-1.png") in (1, 2)


def test_a_medium_that_two_campaigns_name_waits_in_the_turns_of_both(folder: Path) -> None:
    for name in "ab":
        (folder / f"{name}.toml").write_text(little(name))
    reader = Reader(folder, UTC, 8.0, None, 1, Quarantine())
    reader.read()
    (wanted,) = reader.upkeep.wanted.values()
    assert {(owner.advertiser, owner.campaign) for owner in wanted.owners} == {("a", "a"), ("b", "b")}


def test_after_an_upgrade_what_was_good_plays_on_while_it_is_examined_anew(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another restart changes nothing. What was refused, or has changed since, waits for the examination."""
    sent(folder, "good", 2)
    sent(folder, "changed", 1)
    sent(folder, "bad", 1)
    (folder / "bad-0.png").write_bytes(b"no picture")
    load_catalogue(folder, UTC, 8.0, cache)
    go = tmp_path / "go"
    told = other_examiner(tmp_path, monkeypatch, f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    monkeypatch.setattr(known, "examiner", lambda: "a newer one")
    picture(folder, "changed-0.png", 999)
    for _ in range(2):
        with watching(folder, cache) as watcher:
            assert plays(watcher) == {"good"} and len(watcher.poll().lines) == 2
            wait_for(told.read_text, "the examination")
            assert plays(watcher) == {"good"}
    go.touch()
    with watching(folder, cache) as watcher:
        media = watcher._reader.known.media
        wait_for(lambda: not any("stale" in found for _, found in media.values()), "all to be examined anew")
        wait_for(lambda: plays(watcher) == {"good", "changed"}, "what has changed")
        assert {"good-0.png", "good-1.png", "changed-0.png"} <= {*told.read_text().split()}


def test_what_a_newer_examiner_refuses_plays_no_more_and_what_it_cannot_read_now_plays_on(
    folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(folder, "a", 2)
    load_catalogue(folder, UTC, 8.0, cache)
    told = other_examiner(
        tmp_path,
        monkeypatch,
        "if 'a-0' in path.name: return {'problem': 'it is refused'}\n"
        "    os.close(file.raw._fd)\n"
        "    file.raw._kept.clear()",
    )
    monkeypatch.setattr(known, "examiner", lambda: "a newer one")
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert sorted(told.read_text().split()) == ["a-0.png", "a-1.png"]
    assert "it is refused" in catalogue.problems[0]
    assert [line.id for line in catalogue.lines] == ["a-1"]


def test_a_medium_that_waits_for_another_try_keeps_its_turn_however_often_the_folder_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(little())
    reader = Reader(folder, UTC, 8.0, None, 1, Quarantine())
    reader.read()
    ((path, wanted),) = reader.upkeep.wanted.items()
    reader.upkeep.learn({path: (wanted.stamp, {"problem": "not now", "again": True})})
    reader.read()
    assert not reader.upkeep.wanted and not reader.upkeep.due
    later_s = time.monotonic() + 3
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: later_s)
    assert reader.upkeep.due
    for n in range(3):
        (folder / "evil.toml").write_text(f"# {n}")
        reader.read()
        assert path in reader.upkeep.wanted and not reader.upkeep.due, "it is asked for once, and stays asked for"
