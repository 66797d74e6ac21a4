"""Folders of campaigns: what is read, what a change does, and what is kept over a restart."""

import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from pipeline import log as log_module
from pipeline.errors import UserError
from players.ads import campaign_file, known
from players.ads.campaigns import DEMO, load_catalogue
from players.ads.examiner import Examiner
from players.ads.watcher import CatalogueWatcher
from tests.conftest import HANG_S, wait_for
from tests.players.campaign_files import GOOD, UTC, fast_start, little, other_examiner, read


def test_the_built_in_campaigns_are_sound() -> None:
    catalogue = read(DEMO)
    assert catalogue.problems == ()
    assert len(catalogue.lines) >= 8
    assert catalogue.house


def test_ids_may_be_used_once_only(folder: Path) -> None:
    (folder / "a.toml").write_text(little("a"))
    (folder / "b.toml").write_text(little("b").replace("b-ad", "a-ad"))
    catalogue = read(folder)
    assert catalogue.problems == ("b.toml: creative id 'a-ad' is used twice (also in a.toml); rename one",)
    assert [line.id for line in catalogue.lines] == ["a-line"]


def test_no_folder_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        read(tmp_path / "none")
    (problem,) = read(tmp_path).problems
    assert "no campaign plays" in problem


def test_a_player_that_stops_does_not_wait_for_media_that_are_examined(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(little())
    load_catalogue(folder, UTC, 8.0, tmp_path / "cache")
    Image.new("RGB", (8, 8)).save(folder / "new.png")
    (folder / "b.toml").write_text(little("b", file="new.png"))
    told = other_examiner(tmp_path, monkeypatch, f"time.sleep({HANG_S})")
    watcher = CatalogueWatcher(folder, UTC, 8.0, tmp_path / "cache")
    wait_for(told.read_text, "the examination")
    began_s = time.monotonic()
    watcher.close()
    assert time.monotonic() - began_s < HANG_S / 2
    wait_for(lambda: not any(thread.is_alive() for thread in watcher._examination._threads), "the end of its threads")


@pytest.fixture
def watched(folder: Path) -> Iterator[tuple[CatalogueWatcher, Path]]:
    (folder / "a.toml").write_text(little("a"))
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    yield watcher, folder
    watcher.close()


def lines(watcher: CatalogueWatcher) -> list[str]:
    return sorted(line.id for line in watcher.poll().lines)


def test_changes_are_picked_up_live(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    assert lines(watcher) == ["a-line"]
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "a new file")
    (folder / "a.toml").unlink()
    wait_for(lambda: lines(watcher) == ["b-line"], "a file to go")
    before = watcher.poll().creatives[0].sha256
    Image.new("RGB", (160, 90), (1, 2, 3)).save(folder / "latte.png")
    wait_for(lambda: [ad for ad in watcher.poll().creatives if ad.sha256 != before], "a new picture")


def test_a_medium_that_is_doubted_while_its_folder_is_away_is_examined_when_it_is_back(
    watched: tuple[CatalogueWatcher, Path],
) -> None:
    watcher, folder = watched
    watcher.close()  # looks are taken here
    medium = watcher.poll().creatives[0].path
    folder.rename(folder.with_name("away"))
    watcher.doubt(medium)
    watcher._look()
    assert watcher.problem
    folder.with_name("away").rename(folder)
    watcher._look()
    assert not watcher.problem and str(medium) in watcher._reader.upkeep.wanted


def test_another_number_of_screens_shares_budgets_anew(folder: Path) -> None:
    (folder / "moka.toml").write_text(GOOD)
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    try:
        assert [line.budget for line in watcher.poll().lines] == [Decimal("500.00")]
        watcher.share_budgets(2)
        wait_for(lambda: [line.budget for line in watcher.poll().lines] == [Decimal("250")], "half of the budget")
    finally:
        watcher.close()


def test_a_medium_that_comes_later_is_found(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    (folder / "b.toml").write_text(little("b", file="later.png"))
    wait_for(lambda: watcher.poll().problems, "the problem")
    Image.new("RGB", (16, 9)).save(folder / "later.png")
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "the medium")
    assert not watcher.poll().problems


def test_a_broken_edit_keeps_the_last_good_version_and_says_so_once(
    watched: tuple[CatalogueWatcher, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    watcher, folder = watched
    (folder / "a.toml").write_text("advertiser =")
    wait_for(lambda: watcher.poll().problems, "the problem")
    assert lines(watcher) == ["a-line"]
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: "b-line" in lines(watcher), "a good file beside it")
    assert lines(watcher) == ["a-line", "b-line"]
    said = [text for text in capsys.readouterr().err.splitlines() if "campaign_problem" in text]
    assert len(said) == 1
    assert "its last good version plays on" in said[0]
    (folder / "a.toml").write_text(little("a2"))
    wait_for(lambda: not watcher.poll().problems, "the mended file")
    assert lines(watcher) == ["a2-line", "b-line"]


def test_an_edit_that_takes_anothers_id_keeps_its_last_good_version(watched: tuple[CatalogueWatcher, Path]) -> None:
    watcher, folder = watched
    (folder / "b.toml").write_text(little("b"))
    wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "a second file")
    (folder / "a.toml").write_text(little("a").replace("a-ad", "b-ad"))
    wait_for(lambda: watcher.poll().problems, "the clash")
    assert "a.toml: creative id 'b-ad' is used twice (also in b.toml)" in watcher.poll().problems[0]
    assert sorted(ad.id for ad in watcher.poll().creatives) == ["a-ad", "b-ad"]


def test_who_has_an_id_keeps_it_over_a_restart(folder: Path, tmp_path: Path) -> None:
    """Money spent belongs to the line's id: an edit, or a file before it by name, cannot take it."""
    cache = tmp_path / "catalogue.cache"
    (folder / "b.toml").write_text(little("b"))
    (folder / "c.toml").write_text(little("c"))
    assert not load_catalogue(folder, UTC, 8.0, cache).problems
    (folder / "a.toml").write_text(little("a").replace("a-line", "b-line"))
    (folder / "c.toml").write_text(little("c").replace("c-line", "b-line"))
    for _ in range(3):
        catalogue = load_catalogue(folder, UTC, 8.0, cache)
        assert [(line.id, line.advertiser) for line in catalogue.lines] == [("b-line", "b"), ("c-line", "c")]
        assert [problem[:7] for problem in catalogue.problems] == ["c.toml:", "a.toml:"]
    assert "its last good version plays on" in catalogue.problems[0]
    (folder / "b.toml").unlink()
    (folder / "c.toml").unlink()
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert not catalogue.lines
    assert catalogue.problems[0] == "a.toml: line id 'b-line': it is that of b, campaign b; take another id"


def test_media_are_examined_again_by_a_newer_version_and_last_good_versions_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "catalogue.cache"
    (folder / "a.toml").write_text(little())
    with monkeypatch.context() as older:
        older.setattr(known, "examiner", lambda: "older")
        older.setattr(Examiner, "ask", lambda *_, **__: OLD_ANSWER.copy())
        assert load_catalogue(folder, UTC, 8.0, cache).creatives[0].width_px == 1
        assert load_catalogue(folder, UTC, 8.0, cache).creatives[0].width_px == 1
    (folder / "a.toml").write_text("broken")
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert catalogue.creatives[0].width_px == 160
    assert "its last good version plays on" in catalogue.problems[0]


OLD_ANSWER = {"kind": "image", "width_px": 1, "height_px": 1, "duration_ms": 0, "sha256": "0" * 64, "bytes": 1} | {
    "moves": False,
    "container": "png",
    "codec": "png",
    "blocks": "",
    "notes": [],
}


def test_the_last_good_version_outlives_a_restart(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "state" / "catalogue.cache"
    (folder / "a.toml").write_text(little("a"))
    assert not load_catalogue(folder, UTC, 8.0, cache).problems
    (folder / "a.toml").write_text("advertiser =")
    catalogue = load_catalogue(folder, UTC, 8.0, cache)
    assert [line.id for line in catalogue.lines] == ["a-line"]
    assert "its last good version plays on" in catalogue.problems[0]


def test_unchanged_files_are_not_examined_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "catalogue.cache"
    (folder / "a.toml").write_text(little("a"))
    first = load_catalogue(folder, UTC, 8.0, cache)

    def none(*_: object) -> None:
        pytest.fail("read again")

    monkeypatch.setattr(campaign_file.rtoml, "loads", none)
    monkeypatch.setattr(Examiner, "ask", none)
    assert load_catalogue(folder, UTC, 8.0, cache).version == first.version
    cache.write_bytes(b"torn")
    monkeypatch.undo()
    assert load_catalogue(folder, UTC, 8.0, cache).version == first.version


@pytest.mark.slow
def test_10_000_campaigns_start_quickly(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(10_000):
        (folder / f"c{n}.toml").write_text(GOOD.replace('"moka', f'"m{n}').replace('"latte"', f'"l{n}"'))
    took_s = []
    for _ in range(3):
        began_s = time.process_time()
        catalogue = load_catalogue(folder, UTC, 8.0, tmp_path / "cache")
        took_s.append(time.process_time() - began_s)
        assert len(catalogue.lines) == 10_000
    with capsys.disabled():
        first, *later = (f"{seconds:.2f} s" for seconds in took_s)
        print(f"\n10,000 campaigns read in {first} the first time, then in {' and '.join(later)}")


def test_a_cache_that_cannot_be_written_is_counted_and_nothing_more(folder: Path) -> None:
    count = log_module.skipped["campaign_cache_not_written"]
    (folder / "a.toml").write_text(little("a"))
    assert read(folder).lines == load_catalogue(folder, UTC, 8.0, Path("/proc/none/cache")).lines
    assert log_module.skipped["campaign_cache_not_written"] == count + 1


def test_a_film_that_grows_is_waited_for_and_half_a_film_never_plays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = fast_start(folder / "whole.mp4")
    (folder / "a.toml").write_text(little("a"))
    (folder / "b.toml").write_text(little("b", file="film.mp4"))
    film = folder / "film.mp4"
    film.write_bytes(whole[: len(whole) // 2])
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    growing = Event()

    def grow() -> None:
        for n in range(1, 9):
            with film.open("ab") as stream:
                stream.write(whole[len(whole) // 2 + n : len(whole) // 2 + n + 1])
            growing.wait(0.4)

    thread = Thread(target=grow)
    thread.start()
    try:
        wait_for(lambda: lines(watcher) == ["a-line"], "the picture beside it")
        wait_for(lambda: "still being written" in " ".join(watcher.poll().waiting), "the word that it grows")
        assert "still being written" in " ".join(read(folder).problems)
        thread.join()
        wait_for(lambda: watcher.poll().problems, "that it is examined, as it does not grow any more")
        assert lines(watcher) == ["a-line"] and "film.mp4" in watcher.poll().problems[0]
        assert "film.mp4" in read(folder).problems[0]
        film.write_bytes(whole)
        wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "the whole film")
    finally:
        growing.set()
        thread.join()
        watcher.close()
    said = [text for text in capsys.readouterr().err.splitlines() if "film.mp4" in text]
    assert ["campaign_problem" in text for text in said].count(True) == 1


def test_known_media_play_at_once_while_new_ones_are_examined(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (folder / "a.toml").write_text(little("a"))
    load_catalogue(folder, UTC, 8.0, cache)
    Image.new("RGB", (16, 9)).save(folder / "new.png")
    (folder / "b.toml").write_text(little("b", file="new.png"))
    done = Event()
    ask = Examiner.ask

    def late(examiner: Examiner, path: Path, seen: Iterable[str], *, quick: bool) -> dict[str, Any]:
        assert done.wait(HANG_S)
        return ask(examiner, path, seen, quick=quick)

    monkeypatch.setattr(Examiner, "ask", late)
    watcher = CatalogueWatcher(folder, UTC, 8.0, cache)
    try:
        assert lines(watcher) == ["a-line"]
        assert "new.png: it is being examined" in watcher.poll().waiting[0]
        assert watcher.poll().silent["b-line"].endswith("it is being examined; it plays when that is done")
        done.set()
        wait_for(lambda: lines(watcher) == ["a-line", "b-line"], "the new medium")
    finally:
        done.set()
        watcher.close()


def test_a_medium_of_other_times_and_the_same_content_is_not_examined_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick that comes back may tell other times."""
    cache = tmp_path / "cache"
    (folder / "a.toml").write_text(little("a"))
    before = load_catalogue(folder, UTC, 8.0, cache).creatives[0]
    (folder / "latte.png").touch()
    other_examiner(tmp_path, monkeypatch, "os.abort()")
    after = load_catalogue(folder, UTC, 8.0, cache).creatives[0]
    assert after.sha256 == before.sha256 and after.stamp != before.stamp
